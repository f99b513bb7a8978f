//! One block of keys and values for some queries: the plain kernel with its two products in registers.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::rows::LANES;
use crate::attend::{Attend, Scores};
use crate::kv::KV_BLOCK;
use crate::scalar::attention::softmax_step;
use crate::scalar::math::Fused;

/// Queries per pass: with four registers of positions 24 sums.
const QUERIES: usize = 6;
/// Registers per query: the positions of a block, or columns of the values.
const REGISTERS: usize = KV_BLOCK / LANES;

/// See [`Kernels::attend`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn attend(mut task: Attend<'_>) {
    let queries = task.largest.len();
    for first in (0..queries).step_by(QUERIES) {
        match queries - first {
            1 => some::<1>(&mut task, first),
            2 => some::<2>(&mut task, first),
            3 => some::<3>(&mut task, first),
            4 => some::<4>(&mut task, first),
            5 => some::<5>(&mut task, first),
            _ => some::<QUERIES>(&mut task, first),
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn some<const Q: usize>(task: &mut Attend<'_>, first: usize) {
    let mut weights: [Scores; Q] = [[0.0; KV_BLOCK]; Q];
    scores::<Q>(task, first, &mut weights);
    let mut keep = [0.0; Q];
    for (q, weights) in weights.iter_mut().enumerate() {
        keep[q] = softmax_step::<Fused>(task, first + q, weights);
    }
    weigh::<Q>(task, first, &weights, &keep);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn scores<const Q: usize>(task: &Attend<'_>, first: usize, out: &mut [Scores; Q]) {
    let dim = task.dim_k;
    let queries = &task.queries[first * dim..][..Q * dim];
    let mut sums = [[_mm512_setzero_ps(); REGISTERS]; Q];
    assert!(task.keys.len() >= dim * KV_BLOCK);
    for d in 0..dim {
        for i in 0..REGISTERS {
            // SAFETY: `keys` is `dim` rows of a block's positions (asserted).
            let keys = unsafe { _mm512_loadu_ps(task.keys.as_ptr().add(d * KV_BLOCK + i * LANES)) };
            for q in 0..Q {
                // SAFETY: d is below dim, and `queries` is Q rows of dim.
                let x = unsafe { *queries.get_unchecked(q * dim + d) };
                sums[q][i] = _mm512_fmadd_ps(keys, _mm512_set1_ps(x), sums[q][i]);
            }
        }
    }
    for q in 0..Q {
        for i in 0..REGISTERS {
            let scaled = _mm512_mul_ps(sums[q][i], _mm512_set1_ps(task.scale));
            // SAFETY: a block's positions are four registers.
            unsafe { _mm512_storeu_ps(out[q].as_mut_ptr().add(i * LANES), scaled) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn weigh<const Q: usize>(task: &mut Attend<'_>, first: usize, weights: &[Scores; Q], keep: &[f32; Q]) {
    let mut column = 0;
    while column < task.dim_v {
        match (task.dim_v - column) / LANES {
            0 => columns::<Q, 1>(task, first, weights, keep, column),
            1 => columns::<Q, 1>(task, first, weights, keep, column),
            2 | 3 => columns::<Q, 2>(task, first, weights, keep, column),
            _ => columns::<Q, REGISTERS>(task, first, weights, keep, column),
        }
        column += match (task.dim_v - column) / LANES {
            0 | 1 => LANES,
            2 | 3 => 2 * LANES,
            _ => REGISTERS * LANES,
        };
    }
}

/// `R` registers of columns; the last may be cut by the end of the row when `R` is 1.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn columns<const Q: usize, const R: usize>(
    task: &mut Attend<'_>,
    first: usize,
    weights: &[Scores; Q],
    keep: &[f32; Q],
    column: usize,
) {
    let dim = task.dim_v;
    let width = (dim - column).min(R * LANES);
    assert!(R == 1 || width == R * LANES);
    assert!(task.visible.end <= KV_BLOCK && task.values.len() >= KV_BLOCK * dim);
    let mask = if width < LANES { (1u16 << width) - 1 } else { u16::MAX };
    let mut sums = [[_mm512_setzero_ps(); R]; Q];
    for q in 0..Q {
        let before = &task.sums[(first + q) * dim + column..][..width];
        for r in 0..R {
            // SAFETY: `width` floats; the mask keeps to them where they are less than a register.
            let before = unsafe { _mm512_maskz_loadu_ps(mask, before.as_ptr().add(r * LANES)) };
            sums[q][r] = _mm512_mul_ps(before, _mm512_set1_ps(keep[q]));
        }
    }
    for pos in task.visible.clone() {
        for r in 0..R {
            // SAFETY: position and columns lie inside `values` (asserted); the mask keeps to `width`.
            let values = unsafe {
                _mm512_maskz_loadu_ps(mask, task.values.as_ptr().add(pos * dim + column + r * LANES))
            };
            for q in 0..Q {
                // SAFETY: the position is inside the block (asserted).
                let weight = unsafe { *weights[q].get_unchecked(pos) };
                sums[q][r] = _mm512_fmadd_ps(values, _mm512_set1_ps(weight), sums[q][r]);
            }
        }
    }
    for q in 0..Q {
        let after = &mut task.sums[(first + q) * dim + column..][..width];
        for r in 0..R {
            // SAFETY: as for the load.
            unsafe { _mm512_mask_storeu_ps(after.as_mut_ptr().add(r * LANES), mask, sums[q][r]) };
        }
    }
}
