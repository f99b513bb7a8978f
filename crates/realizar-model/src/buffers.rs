//! The activations of one pass, allocated once.

use realizar_tensor::{Routes, Rows};

use crate::arch::AttentionGate;
use crate::config::{BlockConfig, Config, LatentConfig, MoeConfig};
use crate::indexer::IndexerBuffers;
use crate::per_layer::PerLayerBuffers;
use crate::state::StateBuffers;
use crate::streams::StreamBuffers;

/// Every buffer of a pass, with room for the rows of one chunk. Names say what a buffer holds between operations.
///
/// Buffers whose width differs between blocks have room for the widest and take the width of the block that runs.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// The stream: `[rows, hidden]`.
    pub(crate) x: Rows,
    /// The stream after the norm before attention.
    pub(crate) normed: Rows,
    /// The stream after a norm that only one branch uses.
    pub(crate) input: Rows,
    /// The output of a branch.
    pub(crate) branch: Rows,
    /// The output of the first branch while the second one runs beside it.
    pub(crate) held: Rows,
    /// Output of an operation whose input is one of those above.
    pub(crate) spare: Rows,
    pub(crate) attention: AttentionBuffers,
    /// Inside the feed-forward branch: `[rows, ffn]`.
    pub(crate) gate: Rows,
    /// Beside `gate`, when the branch is gated.
    pub(crate) up: Rows,
    /// For the mixture of experts.
    pub(crate) experts: Option<ExpertBuffers>,
    /// For latent attention.
    pub(crate) latent: Option<LatentBuffers>,
    /// For attention over chosen keys.
    pub(crate) indexer: Option<IndexerBuffers>,
    /// For recurrent states.
    pub(crate) state: Option<StateBuffers>,
    /// For embeddings per layer.
    pub(crate) per_layer: Option<PerLayerBuffers>,
    /// For parallel streams.
    pub(crate) streams: Option<StreamBuffers>,
    /// Rows whose logits are asked for.
    pub(crate) wanted: Rows,
    /// `wanted` after its norm.
    pub(crate) wanted_normed: Rows,
    /// `[wanted rows, vocab]`.
    pub(crate) logits: Rows,
}

/// Buffers of attention.
#[derive(Debug)]
pub(crate) struct AttentionBuffers {
    /// Queries: `[rows, heads * head_dim]`.
    pub(crate) q: Rows,
    /// Keys: `[rows, kv_heads * head_dim]`.
    pub(crate) k: Rows,
    /// Values: `[rows, kv_heads * value_dim]`.
    pub(crate) v: Rows,
    /// Output of attention: `[rows, heads * value_dim]`.
    pub(crate) heads: Rows,
    /// Queries with their gates: `[rows, heads * 2 * head_dim]`.
    pub(crate) wide_q: Rows,
    /// Gates of the heads' values.
    pub(crate) gate: Rows,
}

/// Buffers of the mixture of experts. A token has `used` rows in those of experts.
#[derive(Debug)]
pub(crate) struct ExpertBuffers {
    /// `[rows, experts]`.
    pub(crate) router: Rows,
    pub(crate) routes: Routes,
    /// `[rows * used, expert ffn]`.
    pub(crate) gate: Rows,
    pub(crate) up: Rows,
    /// Gate and up in one: `[rows * used, 2 * expert ffn]`.
    pub(crate) fused: Option<Rows>,
    /// `[rows * used, hidden]`, or as wide as what experts work on.
    pub(crate) out: Rows,
    /// A factor per route.
    pub(crate) factors: Vec<f32>,
    /// The stream after a norm for the experts alone.
    pub(crate) input: Option<Rows>,
    /// What experts work on, and their sum, where that is narrower than the stream.
    pub(crate) narrow: Option<[Rows; 2]>,
    /// The input of every route, weighed.
    pub(crate) spread: Option<Rows>,
    /// The shared expert: `[rows, shared ffn]`.
    pub(crate) shared: Option<[Rows; 2]>,
    /// `[rows, 1]`.
    pub(crate) shared_gate: Rows,
}

/// Buffers of latent attention.
#[derive(Debug)]
pub(crate) struct LatentBuffers {
    /// `[rows, q_rank]`, before and after the norm.
    pub(crate) q_low: Option<[Rows; 2]>,
    /// Unpacked queries: `[rows, heads * latent head_dim]`.
    pub(crate) q: Rows,
    /// `[rows, kv_rank]` before the norm; where heads are not unpacked, the values are what follows it.
    pub(crate) low: Rows,
    /// `[rows, kv_rank]` after the norm, where heads are unpacked.
    pub(crate) normed: Rows,
    /// The rotated part of the key: `[rows, rotated]`.
    pub(crate) k_rotated: Rows,
    /// Unpacked keys and values: `[rows, heads * (unrotated + value_dim)]`.
    pub(crate) pairs: Rows,
    /// Unpacked heads: `[rows, heads * latent value_dim]`.
    pub(crate) heads: Rows,
}

/// Counts the bytes of buffers, or makes them.
pub(crate) struct Maker {
    rows: usize,
    floats: u64,
    counts: bool,
}

impl Maker {
    /// A buffer of `rows` rows of `width`; of no rows while bytes are counted.
    pub(crate) fn rows(&mut self, rows: usize, width: usize) -> Rows {
        self.floats = self.floats.saturating_add((rows as u64).saturating_mul(width as u64));
        Rows::with_capacity(if self.counts { 0 } else { rows }, width.max(1))
    }

    /// Counts something as large as `width` floats per token of a chunk; gives the rows to make it for, none while bytes
    /// are counted.
    pub(crate) fn floats(&mut self, width: usize) -> usize {
        self.floats = self.floats.saturating_add((self.rows as u64).saturating_mul(width as u64));
        if self.counts { 0 } else { self.rows }
    }

    /// A buffer of a row per token of a chunk.
    pub(crate) fn chunk(&mut self, width: usize) -> Rows {
        self.rows(self.rows, width)
    }
}

impl Buffers {
    /// Bytes of the buffers for `rows` rows of a chunk and `wanted` rows of logits; `None` when they cannot be counted.
    pub(crate) fn bytes(config: &Config, rows: usize, wanted: usize) -> Option<u64> {
        let mut maker = Maker { rows, floats: 0, counts: true };
        Self::make(config, &mut maker, wanted);
        maker.floats.checked_mul(4)
    }

    pub(crate) fn new(config: &Config, rows: usize, wanted: usize) -> Self {
        Self::make(config, &mut Maker { rows, floats: 0, counts: false }, wanted)
    }

    fn make(config: &Config, maker: &mut Maker, wanted: usize) -> Self {
        let Config { hidden, vocab, .. } = *config;
        let ffn = config.widest(|block| block.ffn);
        Self {
            x: maker.chunk(hidden),
            normed: maker.chunk(hidden),
            input: maker.chunk(hidden),
            branch: maker.chunk(hidden),
            held: maker.chunk(hidden),
            spare: maker.chunk(hidden),
            attention: AttentionBuffers::make(config, maker),
            gate: maker.chunk(ffn),
            up: maker.chunk(ffn),
            experts: config.moe.as_ref().map(|moe| ExpertBuffers::make(moe, config, maker)),
            latent: config.latent.as_ref().map(|latent| LatentBuffers::make(latent, config, maker)),
            indexer: config.indexer.as_ref().map(|indexer| IndexerBuffers::make(indexer, maker)),
            state: config.state.as_ref().map(|state| StateBuffers::make(state, config, maker)),
            per_layer: config.per_layer.as_ref().map(|shape| PerLayerBuffers::make(shape, config, maker)),
            streams: config.arch.streams.map(|streams| StreamBuffers::make(&streams, config, maker)),
            wanted: maker.rows(wanted, hidden),
            wanted_normed: maker.rows(wanted, hidden),
            logits: maker.rows(wanted, vocab),
        }
    }
}

impl AttentionBuffers {
    fn make(config: &Config, maker: &mut Maker) -> Self {
        let mut widest = |width: fn(&BlockConfig) -> usize| maker.chunk(config.widest(width));
        let q = widest(|block| block.heads * block.head_dim);
        let k = widest(|block| block.kv_heads * block.head_dim);
        let v = widest(|block| block.kv_heads * block.value_dim);
        let heads = widest(|block| block.heads * block.value_dim);
        let (wide_q, gate) = match config.arch.attention_gate {
            AttentionGate::None => (maker.chunk(0), maker.chunk(0)),
            AttentionGate::InQuery => {
                let width = config.widest(|block| block.heads * block.head_dim);
                (maker.chunk(2 * width), maker.chunk(width))
            }
            AttentionGate::Own => {
                (maker.chunk(0), maker.chunk(config.widest(|block| block.heads * block.value_dim)))
            }
        };
        Self { q, k, v, heads, wide_q, gate }
    }

    /// Takes the widths of a block.
    pub(crate) fn fit(&mut self, block: &BlockConfig) {
        self.q.set_width(block.heads * block.head_dim);
        self.k.set_width(block.kv_heads * block.head_dim);
        self.v.set_width(block.kv_heads * block.value_dim);
        self.heads.set_width(block.heads * block.value_dim);
    }
}

impl ExpertBuffers {
    fn make(moe: &MoeConfig, config: &Config, maker: &mut Maker) -> Self {
        let MoeConfig { experts, used, ffn, shared_ffn, latent, .. } = *moe;
        let facts = config.arch.moe;
        let width = if latent > 0 { latent } else { config.hidden };
        let routed = maker.rows.saturating_mul(used);
        // Two numbers per route.
        let rows = maker.floats(2 * used);
        let beside = facts.is_some_and(|facts| facts.shared == crate::arch::SharedExpert::Branch);
        let spreads = facts.is_some_and(|facts| facts.weighs_input);
        Self {
            router: maker.chunk(experts),
            routes: Routes::with_capacity(rows, used),
            gate: maker.rows(routed, ffn),
            up: maker.rows(routed, ffn),
            fused: moe.fused.then(|| maker.rows(routed, 2 * ffn)),
            out: maker.rows(routed, width),
            factors: Vec::with_capacity(maker.floats(used).saturating_mul(used)),
            input: beside.then(|| maker.chunk(config.hidden)),
            narrow: (latent > 0).then(|| [maker.chunk(latent), maker.chunk(latent)]),
            spread: spreads.then(|| maker.rows(routed, config.hidden)),
            shared: (shared_ffn > 0).then(|| [maker.chunk(shared_ffn), maker.chunk(shared_ffn)]),
            shared_gate: maker.chunk(1),
        }
    }
}

impl LatentBuffers {
    fn make(latent: &LatentConfig, config: &Config, maker: &mut Maker) -> Self {
        let LatentConfig { q_rank, kv_rank, head_dim, value_dim, rotated } = *latent;
        let heads = config.widest(|block| block.heads);
        let unpacked = config.arch.latent == crate::arch::Latent::Unpacked;
        let pair = if unpacked { heads * (head_dim - rotated + value_dim) } else { 0 };
        Self {
            q_low: (q_rank > 0).then(|| [maker.chunk(q_rank), maker.chunk(q_rank)]),
            q: maker.chunk(heads * head_dim),
            low: maker.chunk(kv_rank),
            normed: maker.chunk(if unpacked { kv_rank } else { 0 }),
            k_rotated: maker.chunk(rotated),
            pairs: maker.chunk(pair),
            heads: maker.chunk(heads * value_dim),
        }
    }
}
