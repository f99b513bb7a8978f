//! What the attention kernel works on: some queries and one block of keys and values.

use std::ops::Range;

use crate::kv::KV_BLOCK;

/// Keys and values of one head in one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a, T> {
    /// `[dim_k][64]`.
    pub(crate) keys: &'a [T],
    /// `[64][dim_v]`.
    pub(crate) values: &'a [T],
    /// The bytes of those that come next, to be fetched meanwhile; may be empty.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only the kernels of x86 fetch ahead")
    )]
    pub(crate) ahead: (&'a [u8], &'a [u8]),
}

/// Some queries of one key/value head against one block, one step of an online softmax.
///
/// `n` queries: `queries` is `[n][dim_k]`, `sums` (the weighted values so far) `[n][dim_v]`, `largest` and `total`
/// (the softmax's running maximum and denominator, in powers of two) `[n]`. Every query sees the same positions of the block.
#[derive(Debug)]
pub(crate) struct Attend<'a> {
    pub(crate) queries: &'a [f32],
    pub(crate) sums: &'a mut [f32],
    pub(crate) largest: &'a mut [f32],
    pub(crate) total: &'a mut [f32],
    pub(crate) dim_k: usize,
    pub(crate) dim_v: usize,
    /// Positions of the block that the queries see; not empty.
    pub(crate) visible: Range<usize>,
    pub(crate) scale: f32,
    pub(crate) softcap: Option<f32>,
    pub(crate) alibi: Option<Alibi<'a>>,
}

/// A bias of each score: `-slope * |query position - key position|`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alibi<'a> {
    /// Slopes of the queries, repeating.
    pub(crate) slopes: &'a [f32],
    /// Position of the first `slopes.len()` queries, counted from the block's first; one more for each further such group.
    pub(crate) first: f32,
}

impl Alibi<'_> {
    /// The bias of one score.
    pub(crate) fn bias(&self, query: usize, pos: usize) -> f32 {
        let at = self.first + (query / self.slopes.len()) as f32;
        -self.slopes[query % self.slopes.len()] * (at - pos as f32).abs()
    }
}

/// Scores of one query.
pub(crate) type Scores = [f32; KV_BLOCK];

/// See [`Kernels::attend_f16`](crate::Kernels).
pub(crate) type AttendF16 = fn(Block<'_, [u8; 2]>, Attend<'_>);
