//! Attention over chosen keys (DeepSeek V3.2's sparse attention): an indexer scores every key that a row sees, and
//! attention reads the best of them.
//!
//! Both steps go row by row, so that what a row computes does not depend on the rows beside it. The chosen keys are
//! gathered, in the order of their positions, into panels of the shape that the attention kernel reads.

use super::Compute;
use super::attention::{AttentionSpan, AttentionSpec, Source, final_factor, widen_block};
use crate::attend::{Attend, Block};
use crate::kv::{KV_BLOCK, KvStore};
use crate::pool::{Cuts, Grid};
use crate::{Kernels, Rows};

/// The positions that attention reads, for each row: at most so many, in ascending order.
#[derive(Debug)]
pub struct Chosen {
    /// `[rows][most]`.
    positions: Vec<u32>,
    most: usize,
}

impl Chosen {
    /// Room for `most` positions of each of `rows` rows.
    ///
    /// # Panics
    /// When `most` is 0.
    #[must_use]
    pub fn with_capacity(rows: usize, most: usize) -> Self {
        assert!(most > 0, "a row reads one key at least");
        Self { positions: vec![0; rows * most], most }
    }

    /// What the row at position `pos` reads.
    fn of(&self, row: usize, pos: usize) -> &[u32] {
        &self.positions[row * self.most..][..self.most.min(pos + 1)]
    }
}

/// The span of a row, and the row's position.
fn place<'a, 'b>(spans: &'a [AttentionSpan<'b>], row: usize) -> Option<(&'a AttentionSpan<'b>, usize)> {
    let span = spans.get(spans.partition_point(|span| span.rows.end <= row))?;
    let at = row.checked_sub(span.rows.start)?;
    Some((span, span.first_pos as usize + at))
}

/// Checks the spans; gives the positions that the longest of them reaches, in whole blocks.
fn reach(spans: &[AttentionSpan<'_>], rows: usize) -> usize {
    let mut longest = 0;
    for span in spans {
        let (end, room) = (span.first_pos as usize + span.rows.len(), span.blocks.len() * KV_BLOCK);
        assert!(span.rows.end <= rows && end <= room, "rows {:?} of {rows}, {end} of {room}", span.rows);
        longest = longest.max(end.next_multiple_of(KV_BLOCK));
    }
    longest
}

impl Compute {
    /// The keys that each row's attention will read: those with the largest `sum over heads of weight * max(q k, 0)`
    /// among the positions up to the row's own, the first of equals. `q` has heads as wide as the store's one key, and
    /// `weights` a column for each.
    ///
    /// # Panics
    /// When the shapes do not fit the store or `out`, or a span leaves the rows or lacks blocks.
    pub fn choose_keys(
        &mut self,
        q: &Rows,
        weights: &Rows,
        kv: &KvStore,
        layer: usize,
        spans: &[AttentionSpan<'_>],
        out: &mut Chosen,
    ) {
        let (dim, most) = (kv.shape().head_dim_k, out.most);
        assert_eq!(kv.shape().kv_heads, 1, "one key for all heads of the indexer");
        assert_eq!((q.width(), q.rows()), (weights.width() * dim, weights.rows()), "queries and weights");
        assert!(q.rows() * most <= out.positions.len(), "{} rows", q.rows());
        // Sequences grow by a token at a time, and this should not.
        let context = reach(spans, q.rows()).next_power_of_two();
        let panel = KV_BLOCK * (dim + kv.shape().head_dim_v);
        self.prepare(panel, 2 * context, 0);
        let kernels = self.kernels;
        let source = Source { kv, layer, head: 0, group: weights.width() };
        let grid = Grid::new(&mut out.positions[..q.rows() * most], most, Cuts::Every(1), most);
        self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
            let row = tile.rows().start;
            let Some((span, pos)) = place(spans, row) else { return };
            let chosen = tile.row(0);
            if pos < most {
                (0..=pos as u32).zip(chosen).for_each(|(pos, chosen)| *chosen = pos);
                return;
            }
            let (panel, lists) = scratch.buffers(panel, 2 * context);
            let (keys, values) = panel.split_at_mut(KV_BLOCK * dim);
            let (scores, sorted) = lists.split_at_mut(context);
            for (block, scores) in scores.chunks_exact_mut(KV_BLOCK).enumerate().take(pos / KV_BLOCK + 1) {
                widen_block(kernels, &source, span.blocks[block], keys, values);
                score(keys, q.row(row), weights.row(row), scores);
            }
            best(&scores[..=pos], &mut sorted[..=pos], chosen);
        });
    }

    /// As [`Compute::attention`], where each row sees the keys that were chosen for it.
    ///
    /// # Panics
    /// When the shapes do not fit the store or `chosen`, a span leaves the rows or lacks blocks, or `spec` is not causal
    /// or has a window or slopes.
    pub fn attention_chosen(
        &mut self,
        q: &Rows,
        kv: &KvStore,
        layer: usize,
        (spans, chosen): (&[AttentionSpan<'_>], &Chosen),
        spec: &AttentionSpec<'_>,
        out: &mut Rows,
    ) {
        let shape = *kv.shape();
        let (dim_k, dim_v) = (shape.head_dim_k, shape.head_dim_v);
        assert!(spec.heads > 0 && spec.heads.is_multiple_of(shape.kv_heads), "{} heads", spec.heads);
        let group = spec.heads / shape.kv_heads;
        assert_eq!((q.width(), out.width()), (spec.heads * dim_k, spec.heads * dim_v), "widths");
        assert!(spec.causal && spec.window.is_none() && spec.alibi.is_none(), "{spec:?}");
        assert!(spec.sinks.is_none_or(|sinks| sinks.len() == spec.heads), "one sink per head");
        reach(spans, q.rows());
        out.set_rows(q.rows());
        let panel = KV_BLOCK * (dim_k + dim_v);
        self.prepare(2 * panel, group * (dim_v + 2), 0);
        let (width, kernels) = (out.width(), self.kernels);
        let tile_cols = width / shape.kv_heads;
        let grid = Grid::new(out.values_mut(), width, Cuts::Every(1), tile_cols);
        self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
            let (row, head) = (tile.rows().start, tile.cols().start / tile_cols);
            let Some((span, pos)) = place(spans, row) else { return };
            let source = Source { kv, layer, head, group };
            let (panels, state) = scratch.buffers(2 * panel, group * (dim_v + 2));
            let (block, gathered) = panels.split_at_mut(panel);
            let (sums, state) = state.split_at_mut(group * dim_v);
            let (largest, total) = state.split_at_mut(group);
            sums.fill(0.0);
            largest.fill(f32::NEG_INFINITY);
            total.fill(0.0);
            let mut held = None;
            for part in chosen.of(row, pos).chunks(KV_BLOCK) {
                gather(kernels, &source, (span, part), &mut held, block, gathered);
                let (keys, values) = gathered.split_at(KV_BLOCK * dim_k);
                let block = Block { keys, values, ahead: (&[], &[]) };
                let task = Attend {
                    queries: &q.row(row)[head * group * dim_k..][..group * dim_k],
                    sums: &mut *sums,
                    largest: &mut *largest,
                    total: &mut *total,
                    dim_k,
                    dim_v,
                    visible: 0..part.len(),
                    scale: spec.scale,
                    softcap: spec.softcap,
                    alibi: None,
                };
                (kernels.attend)(block, task);
            }
            let heads = tile.row(0).chunks_exact_mut(dim_v).zip(sums.chunks_exact(dim_v)).enumerate();
            for (index, (out, sums)) in heads {
                let sink = spec.sinks.map(|sinks| sinks.as_slice()[head * group + index]);
                let factor = final_factor(largest[index], total[index], sink);
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * factor);
            }
        });
    }
}

/// Keys and values of up to 64 positions as a panel; `held` is the block that lies widened in `block`.
fn gather(
    kernels: &Kernels,
    source: &Source<'_>,
    (span, positions): (&AttentionSpan<'_>, &[u32]),
    held: &mut Option<usize>,
    block: &mut [f32],
    out: &mut [f32],
) {
    let shape = source.kv.shape();
    let (dim_k, dim_v) = (shape.head_dim_k, shape.head_dim_v);
    let (keys, values) = block.split_at_mut(KV_BLOCK * dim_k);
    let (out_keys, out_values) = out.split_at_mut(KV_BLOCK * dim_k);
    for (to, &pos) in positions.iter().enumerate() {
        let (number, from) = (pos as usize / KV_BLOCK, pos as usize % KV_BLOCK);
        if held.replace(number) != Some(number) {
            widen_block(kernels, source, span.blocks[number], keys, values);
        }
        let columns = out_keys.chunks_exact_mut(KV_BLOCK).zip(keys.chunks_exact(KV_BLOCK));
        columns.for_each(|(out, keys)| out[to] = keys[from]);
        out_values[to * dim_v..][..dim_v].copy_from_slice(&values[from * dim_v..][..dim_v]);
    }
}

/// Scores of the 64 keys of a block (`[dim][64]`) for one row.
fn score(keys: &[f32], queries: &[f32], weights: &[f32], out: &mut [f32]) {
    let dim = keys.len() / KV_BLOCK;
    out.fill(0.0);
    for (query, &weight) in queries.chunks_exact(dim).zip(weights) {
        let mut sums = [0.0f32; KV_BLOCK];
        for (&q, keys) in query.iter().zip(keys.as_chunks::<KV_BLOCK>().0) {
            sums.iter_mut().zip(keys).for_each(|(sum, key)| *sum += q * key);
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out += weight * if sum > 0.0 { sum } else { 0.0 };
        }
    }
}

/// The positions of the largest scores, as many as `out` has places; the first of equals.
fn best(scores: &[f32], sorted: &mut [f32], out: &mut [u32]) {
    sorted.copy_from_slice(scores);
    let (_, &mut least, _) = sorted.select_nth_unstable_by(out.len() - 1, |a, b| b.total_cmp(a));
    let mut equals = out.len() - scores.iter().filter(|score| score.total_cmp(&least).is_gt()).count();
    let chosen = scores.iter().enumerate().filter(|(_, score)| {
        let order = score.total_cmp(&least);
        let equal = order.is_eq() && equals > 0;
        equals -= usize::from(equal);
        order.is_gt() || equal
    });
    out.iter_mut().zip(chosen).for_each(|(out, (pos, _))| *out = pos as u32);
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn the_best_are_chosen_in_order() {
        let cases: &[(&str, &[f32], &[u32])] = &[
            ("plain", &[1.0, 5.0, 3.0, 4.0], &[1, 3]),
            ("the first of equals", &[2.0, 0.0, 7.0, 2.0, 2.0], &[0, 2, 3]),
            ("all alike", &[0.0; 5], &[0, 1]),
            ("one", &[-3.0, -1.0, -2.0], &[1]),
            ("a NaN does not stop it", &[1.0, f32::NAN, 2.0], &[1, 2]),
        ];
        for (name, scores, expected) in cases {
            let mut found = vec![0; expected.len()];
            best(scores, &mut vec![0.0; scores.len()], &mut found);
            assert_eq!(&found, expected, "{name}");
        }
    }
}
