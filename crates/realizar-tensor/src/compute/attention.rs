//! Attention over paged keys and values.
//!
//! A tile is some rows of queries and the query heads of one key/value head. It walks over the blocks of its rows'
//! sequence in ascending order; each block's keys and values are widened to f32 once per tile. Rows that see a block
//! whole go through the kernel together, others row by row with the part that they see, so that what a row computes
//! does not depend on the rows beside it.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::Compute;
use crate::attend::{Alibi, Attend, Block};
use crate::kernels::Kernels;
use crate::kv::{BlockId, KV_BLOCK, KvStore, KvType, Slot};
use crate::pool::{Cuts, Grid, Tile};
use crate::scratch::Scratch;
use crate::{Rows, Vector};

/// Rows of queries per tile when there are many.
const TILE_ROWS: usize = 16;
/// Most queries that read blocks as they are stored, where a kernel can.
const FEW_QUERIES: usize = 8;

/// Consecutive rows of queries that are consecutive positions of one sequence.
#[derive(Debug, Clone)]
pub struct AttentionSpan<'a> {
    /// Rows of the queries.
    pub rows: Range<usize>,
    /// Position of the first of them.
    pub first_pos: u32,
    /// The sequence's blocks from position 0 on. Blocks wholly before every row's window are not read.
    pub blocks: &'a [BlockId],
}

/// What attention computes.
#[derive(Debug, Clone, Copy)]
pub struct AttentionSpec<'a> {
    /// Query heads: a multiple of the store's key/value heads.
    pub heads: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Positions that a row sees, its own included; without `causal`, half of it on each side. `None`: all.
    pub window: Option<u32>,
    /// `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// Whether a row sees only positions up to its own, or all of its span's sequence up to the span's end.
    pub causal: bool,
    /// One further score per head that takes weight and has no value.
    pub sinks: Option<&'a Vector>,
    /// Per head: scores fall by this much per position of distance.
    pub alibi: Option<&'a Vector>,
}

impl AttentionSpec<'_> {
    /// Positions that the row at `pos` sees, when its span ends before `end`.
    fn sees(&self, pos: usize, end: usize) -> Range<usize> {
        let window = self.window.map(|window| window as usize);
        if self.causal {
            (pos + 1).saturating_sub(window.unwrap_or(pos + 1).max(1))..pos + 1
        } else {
            let side = window.map_or(end, |window| window / 2);
            pos.saturating_sub(side)..end.min(pos + side + 1)
        }
    }
}

impl Compute {
    /// Writes the keys and values of each row to its slot.
    ///
    /// # Panics
    /// When the rows do not fit the store, there is not one slot per row, or a slot's block is not one of the store's that is
    /// held.
    pub fn kv_append(&mut self, kv: &mut KvStore, layer: usize, k: &Rows, v: &Rows, slots: &[Slot]) {
        let shape = *kv.shape();
        assert_eq!(k.width(), shape.kv_heads * shape.head_dim_k, "width of the keys");
        assert_eq!(v.width(), shape.kv_heads * shape.head_dim_v, "width of the values");
        assert_eq!((k.rows(), v.rows()), (slots.len(), slots.len()), "rows for {} slots", slots.len());
        for (row, &slot) in slots.iter().enumerate() {
            assert!(kv.is_held(slot.block), "{:?} is not held in this store", slot.block);
            kv.write(slot, layer, k.row(row), v.row(row), self.kernels);
        }
    }

    /// `out = softmax(q k * scale + ...) v` for every head of every row of `spans`; other rows of `out` are left.
    ///
    /// # Panics
    /// When the shapes do not fit the store, a span leaves the rows or overlaps another, or it lacks blocks, or one that it sees
    /// is not held in the store.
    pub fn attention(
        &mut self,
        q: &Rows,
        kv: &KvStore,
        layer: usize,
        spans: &[AttentionSpan<'_>],
        spec: &AttentionSpec<'_>,
        out: &mut Rows,
    ) {
        let shape = *kv.shape();
        let heads = spec.heads;
        assert!(heads > 0 && heads.is_multiple_of(shape.kv_heads), "{heads} heads on {}", shape.kv_heads);
        assert_eq!(q.width(), heads * shape.head_dim_k, "width of the queries");
        assert_eq!(out.width(), heads * shape.head_dim_v, "width of the output");
        let per_head = |vector: Option<&Vector>| vector.is_none_or(|vector| vector.len() == heads);
        assert!(per_head(spec.sinks) && per_head(spec.alibi), "one sink and one slope per head");
        let mut last = 0;
        for span in spans {
            let end = span.first_pos as usize + span.rows.len();
            assert!(
                span.rows.start >= last && span.rows.end >= span.rows.start && span.rows.end <= q.rows(),
                "rows {:?} of {}",
                span.rows,
                q.rows()
            );
            assert!(end <= span.blocks.len() * KV_BLOCK, "{end} positions in {} blocks", span.blocks.len());
            let seen =
                spec.sees(span.first_pos as usize, end).start.min(end) / KV_BLOCK..end.div_ceil(KV_BLOCK);
            for &block in &span.blocks[seen] {
                assert!(kv.is_held(block), "{block:?} is not held in this store");
            }
            last = span.rows.end;
        }
        out.set_rows(q.rows());
        let tile_rows =
            if q.rows() < 4 * TILE_ROWS { q.rows().div_ceil(TILE_ROWS).max(1) } else { TILE_ROWS };
        let queries = tile_rows * (heads / shape.kv_heads);
        let dims = shape.head_dim_k + shape.head_dim_v;
        self.prepare(KV_BLOCK * dims, queries * (dims + 2), 0);
        let width = out.width();
        let tile_cols = width / shape.kv_heads;
        let grid = Grid::new(out.values_mut(), width, Cuts::Every(tile_rows), tile_cols);
        let kernels = self.kernels;
        self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
            let head = tile.cols().start / tile_cols;
            let source = Source { kv, layer, head, group: heads / shape.kv_heads };
            let rows = tile.rows();
            let first = spans.partition_point(|span| span.rows.end <= rows.start);
            for span in spans[first..].iter().take_while(|span| span.rows.start < rows.end) {
                let part = span.rows.start.max(rows.start)..span.rows.end.min(rows.end);
                if !part.is_empty() {
                    span_tile(kernels, &source, q, span, part, spec, scratch, &mut tile);
                }
            }
        });
    }
}

/// One head's keys and values, and how many query heads share them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) kv: &'a KvStore,
    pub(super) layer: usize,
    pub(super) head: usize,
    pub(super) group: usize,
}

/// The rows of one span that lie in one tile.
#[expect(clippy::too_many_arguments, reason = "the parts of one step, used once")]
fn span_tile(
    kernels: &Kernels,
    source: &Source<'_>,
    q: &Rows,
    span: &AttentionSpan<'_>,
    rows: Range<usize>,
    spec: &AttentionSpec<'_>,
    scratch: &mut Scratch,
    tile: &mut Tile<'_, f32>,
) {
    let shape = source.kv.shape();
    let (dim_k, dim_v, group) = (shape.head_dim_k, shape.head_dim_v, source.group);
    let queries = rows.len() * group;
    let end = span.first_pos as usize + span.rows.len();
    let pos_of = |row: usize| span.first_pos as usize + row - span.rows.start;
    let panel = KV_BLOCK * (dim_k + dim_v);
    let (panel, state) = scratch.buffers(panel, queries * (dim_k + dim_v + 2));
    let (keys, values) = panel.split_at_mut(KV_BLOCK * dim_k);
    let (copies, state) = state.split_at_mut(queries * dim_k);
    let (sums, state) = state.split_at_mut(queries * dim_v);
    let (largest, total) = state.split_at_mut(queries);
    for (copy, row) in copies.chunks_exact_mut(group * dim_k).zip(rows.clone()) {
        copy.copy_from_slice(&q.row(row)[source.head * group * dim_k..][..group * dim_k]);
    }
    sums.fill(0.0);
    largest.fill(f32::NEG_INFINITY);
    total.fill(0.0);

    let seen = spec.sees(pos_of(rows.start), end).start..spec.sees(pos_of(rows.end - 1), end).end;
    let as_stored = kernels.attend_f16.filter(|_| shape.dtype == KvType::F16 && queries <= FEW_QUERIES);
    let stored = |block: usize| source.kv.head(span.blocks[block], source.layer, source.head);
    let blocks = seen.start / KV_BLOCK..seen.end.div_ceil(KV_BLOCK);
    for block in blocks.clone() {
        let base = block * KV_BLOCK;
        let ahead = if block + 1 < blocks.end { stored(block + 1) } else { (&[][..], &[][..]) };
        if as_stored.is_none() {
            widen_block(kernels, source, span.blocks[block], keys, values);
        }
        let visible = |row: usize| {
            let sees = spec.sees(pos_of(row), end);
            sees.start.max(base).min(base + KV_BLOCK) - base..sees.end.clamp(base, base + KV_BLOCK) - base
        };
        let mut row = rows.start;
        while row < rows.end {
            let sees = visible(row);
            let mut next = row + 1;
            // Rows see a block whole or in part; only the former are many.
            while next < rows.end && sees.len() == KV_BLOCK && visible(next).len() == KV_BLOCK {
                next += 1;
            }
            let part = (row - rows.start) * group..(next - rows.start) * group;
            if !sees.is_empty() {
                let task = Attend {
                    queries: &copies[part.start * dim_k..part.end * dim_k],
                    sums: &mut sums[part.start * dim_v..part.end * dim_v],
                    largest: &mut largest[part.clone()],
                    total: &mut total[part],
                    dim_k,
                    dim_v,
                    visible: sees,
                    scale: spec.scale,
                    softcap: spec.softcap,
                    alibi: spec.alibi.map(|slopes| Alibi {
                        slopes: &slopes.as_slice()[source.head * group..][..group],
                        first: pos_of(row) as f32 - base as f32,
                    }),
                };
                if let Some(attend) = as_stored {
                    let (keys, values) = stored(block);
                    let (keys, values) = (keys.as_chunks::<2>().0, values.as_chunks::<2>().0);
                    attend(Block { keys, values, ahead }, task);
                } else {
                    (kernels.attend)(Block { keys, values, ahead }, task);
                }
            }
            row = next;
        }
    }

    let first = rows.start - tile.rows().start;
    for (index, sums) in sums.chunks_exact(group * dim_v).enumerate() {
        let out = tile.row(first + index);
        for (head, (out, sums)) in out.chunks_exact_mut(dim_v).zip(sums.chunks_exact(dim_v)).enumerate() {
            let query = index * group + head;
            let sink = spec.sinks.map(|sinks| sinks.as_slice()[source.head * group + head]);
            let factor = final_factor(largest[query], total[query], sink);
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * factor);
        }
    }
}

/// What the weighted sum is multiplied by at the end.
pub(super) fn final_factor(largest: f32, total: f32, sink: Option<f32>) -> f32 {
    let Some(sink) = sink.map(|sink| sink * LOG2_E) else { return 1.0 / total };
    let top = if sink > largest { sink } else { largest };
    let keep = (largest - top).exp2();
    keep / (total * keep + (sink - top).exp2())
}

/// Keys and values of one block as f32.
pub(super) fn widen_block(
    kernels: &Kernels,
    source: &Source<'_>,
    block: BlockId,
    keys: &mut [f32],
    values: &mut [f32],
) {
    let shape = source.kv.shape();
    let (k, v) = source.kv.head(block, source.layer, source.head);
    match shape.dtype {
        KvType::F32 => {
            for (bytes, out) in [(k, keys), (v, values)] {
                for (out, &bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(bytes);
                }
            }
        }
        KvType::F16 => {
            (kernels.widen_f16)(k, keys);
            (kernels.widen_f16)(v, values);
        }
        KvType::Q8_0 => {
            // Scales that are widened at a time, each of 32 integers: those of 128 dimensions.
            const SCALES: usize = 4 * KV_BLOCK;
            let mut wide = [0.0; SCALES];
            for (bytes, out, widen) in
                [(k, keys, kernels.widen_q8_keys), (v, values, kernels.widen_q8_values)]
            {
                let (integers, scales) = bytes.split_at(out.len());
                let parts = out.chunks_mut(32 * SCALES).zip(integers.chunks(32 * SCALES));
                for ((out, integers), scales) in parts.zip(scales.chunks(2 * SCALES)) {
                    let wide = &mut wide[..scales.len() / 2];
                    (kernels.widen_f16)(scales, wide);
                    widen(integers, wide, out);
                }
            }
        }
    }
}
