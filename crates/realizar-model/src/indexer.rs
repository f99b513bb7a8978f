//! Attention over the keys that an indexer chooses (DeepSeek V3.2): small heads of its own score every key of the
//! past, and attention reads the best of them.

use realizar_tensor::{
    AttentionSpan, AttentionSpec, Chosen, Compute, KvStore, Product, QMatrix, Rope, Rows, Vector,
};

use crate::arch::ArchFacts;
use crate::binder::Bound;
use crate::buffers::Maker;
use crate::cache::{Cache, Place};
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::names;
use crate::transformer::Step;
use crate::weights::Bind;

/// The small number in the norm of the indexer's keys; no file states it.
const KEY_EPS: f32 = 1e-6;

/// The indexer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexerConfig {
    /// Heads that score the keys.
    pub heads: usize,
    /// Width of such a head, and of the one key that it scores.
    pub head_dim: usize,
    /// Keys that a token sees at most.
    pub keys: usize,
}

/// Of one layer.
#[derive(Debug)]
pub(crate) struct IndexerWeights {
    /// `[heads * head_dim, q_rank]`: from the queries' latent vector.
    q: QMatrix,
    /// `[head_dim, hidden]`, and the norm of what comes out.
    k: QMatrix,
    k_gain: Vector,
    k_bias: Vector,
    /// `[heads, hidden]`: how much a head counts for a token.
    share: QMatrix,
}

/// Buffers of the indexer.
#[derive(Debug)]
pub(crate) struct IndexerBuffers {
    q: Rows,
    k: Rows,
    k_normed: Rows,
    share: Rows,
    /// The store of keys wants values too; these are zeros.
    values: Rows,
    chosen: Chosen,
}

impl IndexerConfig {
    /// The indexer's numbers, which files of such an architecture have. `rotated`: values of a head that rotate.
    pub(crate) fn read(
        read: &FactReader<'_>,
        arch: &ArchFacts,
        (q_rank, rotated): (usize, usize),
    ) -> Result<Option<Self>, ModelError> {
        if arch.indexer.is_none() {
            return Ok(None);
        }
        let indexer = Self {
            heads: read.require_count(facts::INDEXER_HEADS)?,
            head_dim: read.require_count(facts::INDEXER_HEAD_DIM)?,
            keys: read.require_count(facts::INDEXER_KEYS)?,
        };
        read.rotated((facts::ROTARY_DIM, rotated), (facts::INDEXER_HEAD_DIM, indexer.head_dim))?;
        if q_rank == 0 {
            return Err(read.missing(facts::Q_RANK.key));
        }
        Ok(Some(indexer))
    }
}

impl IndexerBuffers {
    pub(crate) fn make(indexer: &IndexerConfig, maker: &mut Maker) -> Self {
        let IndexerConfig { heads, head_dim, keys } = *indexer;
        let rows = maker.floats(keys);
        Self {
            q: maker.chunk(heads * head_dim),
            k: maker.chunk(head_dim),
            k_normed: maker.chunk(head_dim),
            share: maker.chunk(heads),
            values: maker.chunk(1),
            chosen: Chosen::with_capacity(rows, keys),
        }
    }
}

impl Bind<'_> {
    /// The indexer of a layer; the inner `None`: there is none.
    pub(crate) fn indexer(&mut self, layer: usize, q_rank: usize) -> Bound<Option<Box<IndexerWeights>>> {
        let Some(IndexerConfig { heads, head_dim, .. }) = self.config.indexer else { return Ok(Some(None)) };
        let hidden = self.config.hidden;
        let part = |name| names::weight(layer, name);
        let q = self.binder.matrix(&part("indexer.attn_q_b"), &[heads * head_dim, q_rank])?;
        let k = self.binder.matrix(&part("indexer.attn_k"), &[head_dim, hidden])?;
        let k_gain = self.binder.vector(&part("indexer.k_norm"), &[head_dim])?;
        let k_bias = self.binder.vector(&names::bias(layer, "indexer.k_norm"), &[head_dim])?;
        let share = self.binder.matrix(&part("indexer.proj"), &[heads, hidden])?;
        let built = || {
            Some(Some(Box::new(IndexerWeights {
                q: q?,
                k: k?,
                k_gain: k_gain?,
                k_bias: k_bias?,
                share: share?,
            })))
        };
        Ok(built())
    }
}

impl IndexerWeights {
    /// Chooses the keys of every row: `x` is the branch's input, `q_latent` the queries' latent vector after its norm.
    #[expect(clippy::too_many_arguments, reason = "the parts of a pass, used once")]
    pub(crate) fn choose(
        &self,
        compute: &mut Compute,
        shape: &IndexerConfig,
        (x, q_latent): (&Rows, &Rows),
        rope: Option<&Rope>,
        cache: &mut Cache,
        place: Place,
        step: Step<'_>,
        buffers: &mut IndexerBuffers,
    ) {
        let IndexerBuffers { q, k, k_normed, share, values, chosen } = buffers;
        let plain = |weight, out| Product { weight, bias: None, out };
        compute.matmul(x, &mut [plain(&self.k, &mut *k), plain(&self.share, &mut *share)]);
        compute.matmul(q_latent, &mut [plain(&self.q, &mut *q)]);
        compute.layer_norm(k, &self.k_gain, Some(&self.k_bias), KEY_EPS, k_normed);
        if let Some(rope) = rope {
            compute.rope(q, shape.heads, rope, step.positions);
            compute.rope(k_normed, 1, rope, step.positions);
        }
        compute.scale(share, ((shape.head_dim * shape.heads) as f32).sqrt().recip());
        values.set_rows(x.rows());
        let Some(number) = cache.indexer else { return };
        let (paging, store) = (step.paging[number], &mut cache.stores[number].kv);
        compute.kv_append(store, place.layer, k_normed, values, paging.slots);
        compute.choose_keys(q, share, store, place.layer, paging.spans, chosen);
    }
}

impl IndexerBuffers {
    /// Attention to the keys that were chosen.
    pub(crate) fn attention(
        &self,
        compute: &mut Compute,
        q: &Rows,
        (store, layer): (&KvStore, usize),
        spans: &[AttentionSpan<'_>],
        spec: &AttentionSpec<'_>,
        heads: &mut Rows,
    ) {
        compute.attention_chosen(q, store, layer, (spans, &self.chosen), spec, heads);
    }
}
