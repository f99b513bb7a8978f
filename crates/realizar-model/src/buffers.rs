//! The activations of one pass, allocated once.

use realizar_tensor::{Routes, Rows};

use crate::config::{Config, LatentConfig, MoeConfig};

/// Every buffer of a pass, with room for the rows of one chunk. Names say what a buffer holds between operations.
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
    /// Queries: `[rows, heads * head_dim]`.
    pub(crate) q: Rows,
    /// Keys: `[rows, kv_heads * head_dim]`.
    pub(crate) k: Rows,
    /// Values: `[rows, kv_heads * value_dim]`.
    pub(crate) v: Rows,
    /// Output of attention: `[rows, heads * value_dim]`.
    pub(crate) heads: Rows,
    /// Inside the feed-forward branch: `[rows, ffn]`.
    pub(crate) gate: Rows,
    /// Beside `gate`, when the branch is gated.
    pub(crate) up: Rows,
    /// For the mixture of experts.
    pub(crate) experts: Option<ExpertBuffers>,
    /// For latent attention.
    pub(crate) latent: Option<LatentBuffers>,
    /// Rows whose logits are asked for.
    pub(crate) wanted: Rows,
    /// `wanted` after its norm.
    pub(crate) wanted_normed: Rows,
    /// `[wanted rows, vocab]`.
    pub(crate) logits: Rows,
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
    /// `[rows * used, hidden]`.
    pub(crate) out: Rows,
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
    /// `[rows, kv_rank]` before the norm; the values are what follows it.
    pub(crate) low: Rows,
    /// The rotated part of the key: `[rows, rotated]`.
    pub(crate) k_rotated: Rows,
    /// Unpacked heads: `[rows, heads * latent value_dim]`.
    pub(crate) heads: Rows,
}

/// Widths of all buffers of a model, as pairs of values per row of a chunk and count.
fn chunk_widths(config: &Config) -> Vec<usize> {
    let Config { hidden, heads, kv_heads, head_dim, value_dim, ffn, .. } = *config;
    let mut widths = vec![hidden; 6];
    widths.extend([heads * head_dim, kv_heads * head_dim, kv_heads * value_dim, heads * value_dim, ffn, ffn]);
    if let Some(MoeConfig { experts, used, ffn, shared_ffn, .. }) = config.moe {
        widths.extend([experts, 2 * used, used * ffn, used * ffn, used * hidden, 2 * shared_ffn, 1]);
    }
    if let Some(LatentConfig { q_rank, kv_rank, head_dim: latent, value_dim: unpacked }) = config.latent {
        widths.extend([2 * q_rank, heads * latent, kv_rank, head_dim - kv_rank, heads * unpacked]);
    }
    widths
}

impl Buffers {
    /// Bytes of the buffers for `rows` rows of a chunk and `wanted` rows of logits; `None` when they cannot be counted.
    pub(crate) fn bytes(config: &Config, rows: usize, wanted: usize) -> Option<u64> {
        let chunk: u64 = chunk_widths(config).into_iter().map(|width| width as u64).sum();
        let last = 2 * config.hidden as u64 + config.vocab as u64;
        let (chunk, last) = (chunk.checked_mul(rows as u64)?, last.checked_mul(wanted as u64)?);
        chunk.checked_add(last)?.checked_mul(4)
    }

    pub(crate) fn new(config: &Config, rows: usize, wanted: usize) -> Self {
        let Config { hidden, heads, kv_heads, head_dim, value_dim, ffn, vocab, .. } = *config;
        let make = |width| Rows::with_capacity(rows, width);
        Self {
            x: make(hidden),
            normed: make(hidden),
            input: make(hidden),
            branch: make(hidden),
            held: make(hidden),
            spare: make(hidden),
            q: make(heads * head_dim),
            k: make(kv_heads * head_dim),
            v: make(kv_heads * value_dim),
            heads: make(heads * value_dim),
            gate: make(ffn),
            up: make(ffn),
            experts: config.moe.as_ref().map(|moe| ExpertBuffers::new(moe, hidden, rows)),
            latent: config.latent.as_ref().map(|latent| LatentBuffers::new(latent, config, rows)),
            wanted: Rows::with_capacity(wanted, hidden),
            wanted_normed: Rows::with_capacity(wanted, hidden),
            logits: Rows::with_capacity(wanted, vocab),
        }
    }
}

impl ExpertBuffers {
    fn new(moe: &MoeConfig, hidden: usize, rows: usize) -> Self {
        let MoeConfig { experts, used, ffn, shared_ffn, .. } = *moe;
        let make = |width| Rows::with_capacity(rows, width);
        let make_used = |width| Rows::with_capacity(rows * used, width);
        Self {
            router: make(experts),
            routes: Routes::with_capacity(rows, used),
            gate: make_used(ffn),
            up: make_used(ffn),
            out: make_used(hidden),
            shared: (shared_ffn > 0).then(|| [make(shared_ffn), make(shared_ffn)]),
            shared_gate: make(1),
        }
    }
}

impl LatentBuffers {
    fn new(latent: &LatentConfig, config: &Config, rows: usize) -> Self {
        let make = |width| Rows::with_capacity(rows, width);
        Self {
            q_low: (latent.q_rank > 0).then(|| [make(latent.q_rank), make(latent.q_rank)]),
            q: make(config.heads * latent.head_dim),
            low: make(latent.kv_rank),
            k_rotated: make(config.head_dim - latent.kv_rank),
            heads: make(config.heads * latent.value_dim),
        }
    }
}
