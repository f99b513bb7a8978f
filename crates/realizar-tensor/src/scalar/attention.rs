//! One block of keys and values for some queries: scores, softmax step, weighted values.

use std::f32::consts::LOG2_E;

use super::math::{Arith, LANES, exp2_falling, tanh, tree_sum};
use crate::attend::{Attend, Block, Scores};
use crate::kv::KV_BLOCK;

/// See [`Kernels::attend`](crate::Kernels): `Q` queries at a time; scores of `P` positions and sums of `C` columns of the
/// values in registers. Per query the order of operations is the same whatever these are: a score sums its dimensions
/// in ascending order, a value's sum its positions in ascending order, the denominator by 16 lanes and the fixed tree.
#[inline(always)]
pub(crate) fn attend<A: Arith, const Q: usize, const P: usize, const C: usize>(
    block: Block<'_, f32>,
    mut task: Attend<'_>,
) {
    let queries = task.largest.len();
    let mut first = 0;
    while first + Q <= queries {
        some::<A, Q, P, C>(block, &mut task, first);
        first += Q;
    }
    while first < queries {
        some::<A, 1, P, C>(block, &mut task, first);
        first += 1;
    }
}

#[inline(always)]
fn some<A: Arith, const Q: usize, const P: usize, const C: usize>(
    block: Block<'_, f32>,
    task: &mut Attend<'_>,
    first: usize,
) {
    let mut weights: [Scores; Q] = [[0.0; KV_BLOCK]; Q];
    scores::<A, Q, P>(block.keys, task, first, &mut weights);
    let mut keep = [0.0; Q];
    for (q, weights) in weights.iter_mut().enumerate() {
        keep[q] = softmax_step::<A>(task, first + q, weights);
    }
    weigh::<A, Q, C>(block.values, task, first, &weights, &keep);
}

/// Scores of every position of the block, seen or not.
#[inline(always)]
fn scores<A: Arith, const Q: usize, const P: usize>(
    keys: &[f32],
    task: &Attend<'_>,
    first: usize,
    out: &mut [Scores; Q],
) {
    let (dim, scale) = (task.dim_k, score_scale(task));
    let queries: [&[f32]; Q] = std::array::from_fn(|q| &task.queries[(first + q) * dim..][..dim]);
    for start in (0..KV_BLOCK).step_by(P) {
        let mut sums = [[0.0f32; P]; Q];
        for (d, keys) in keys.as_chunks::<KV_BLOCK>().0.iter().take(dim).enumerate() {
            let keys = &keys[start..start + P];
            for q in 0..Q {
                let x = queries[q][d];
                for i in 0..P {
                    sums[q][i] = A::mul_add(keys[i], x, sums[q][i]);
                }
            }
        }
        for q in 0..Q {
            for i in 0..P {
                out[q][start + i] = sums[q][i] * scale;
            }
        }
    }
}

/// What a product of query and key is multiplied by. Scores are powers of two, so this holds the change of base as well,
/// unless [`bend`] comes between.
#[inline(always)]
pub(crate) fn score_scale(task: &Attend<'_>) -> f32 {
    if is_bent(task) { task.scale } else { task.scale * LOG2_E }
}

/// Whether scores go through [`bend`].
#[inline(always)]
pub(crate) fn is_bent(task: &Attend<'_>) -> bool {
    task.softcap.is_some() || task.alibi.is_some()
}

/// Cap and slope of the scores, where there are such.
#[inline(always)]
pub(crate) fn bend<A: Arith>(task: &Attend<'_>, query: usize, scores: &mut Scores) {
    if let Some(cap) = task.softcap {
        scores.iter_mut().for_each(|score| *score = cap * tanh::<A>(*score / cap));
    }
    if let Some(alibi) = &task.alibi {
        for (pos, score) in scores.iter_mut().enumerate() {
            *score += alibi.bias(query, pos);
        }
    }
    scores.iter_mut().for_each(|score| *score *= LOG2_E);
}

/// Turns scores into weights relative to the new maximum; returns the factor of everything summed before.
#[inline(always)]
fn softmax_step<A: Arith>(task: &mut Attend<'_>, query: usize, scores: &mut Scores) -> f32 {
    if is_bent(task) {
        bend::<A>(task, query, scores);
    }
    for (pos, score) in scores.iter_mut().enumerate() {
        let seen = pos >= task.visible.start && pos < task.visible.end;
        *score = if seen { *score } else { f32::NEG_INFINITY };
    }
    // A NaN score loses every comparison here and shows in its own weight below.
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for part in scores.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            lanes[i] = if part[i] > lanes[i] { part[i] } else { lanes[i] };
        }
    }
    let before = task.largest[query];
    let largest = lanes.iter().fold(before, |a, &b| if b > a { b } else { a });
    let mut lanes = [0.0; LANES];
    for part in scores.as_chunks_mut::<LANES>().0 {
        for i in 0..LANES {
            part[i] = exp2_falling::<A>(part[i] - largest);
            lanes[i] += part[i];
        }
    }
    let keep = exp2_falling::<A>(before - largest);
    task.largest[query] = largest;
    task.total[query] = A::mul_add(task.total[query], keep, tree_sum(lanes));
    keep
}

/// Adds the visible positions' values by their weights.
#[inline(always)]
fn weigh<A: Arith, const Q: usize, const C: usize>(
    values: &[f32],
    task: &mut Attend<'_>,
    first: usize,
    weights: &[Scores; Q],
    keep: &[f32; Q],
) {
    let dim = task.dim_v;
    let mut column = 0;
    while column + C <= dim {
        columns::<A, Q, C>(values, task, (first, column), weights, keep);
        column += C;
    }
    while column < dim {
        columns::<A, Q, 1>(values, task, (first, column), weights, keep);
        column += 1;
    }
}

#[inline(always)]
fn columns<A: Arith, const Q: usize, const C: usize>(
    values: &[f32],
    task: &mut Attend<'_>,
    (first, column): (usize, usize),
    weights: &[Scores; Q],
    keep: &[f32; Q],
) {
    let dim = task.dim_v;
    let mut sums = [[0.0f32; C]; Q];
    for (q, sums) in sums.iter_mut().enumerate() {
        let before = &task.sums[(first + q) * dim + column..][..C];
        for i in 0..C {
            sums[i] = before[i] * keep[q];
        }
    }
    for pos in task.visible.clone() {
        let values = &values[pos * dim + column..][..C];
        for q in 0..Q {
            let weight = weights[q][pos];
            for i in 0..C {
                sums[q][i] = A::mul_add(values[i], weight, sums[q][i]);
            }
        }
    }
    for (q, sums) in sums.iter().enumerate() {
        task.sums[(first + q) * dim + column..][..C].copy_from_slice(sums);
    }
}
