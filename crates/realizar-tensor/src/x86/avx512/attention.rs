//! One block of keys and values for some queries: the plain kernel in registers, with the same bits.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, _CMP_GT_OQ, _CMP_NLT_UQ, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_mov_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_maskz_mul_ps, _mm512_max_ps, _mm512_mul_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::fold::lanes;
use super::rows::LANES;
use crate::attend::{Attend, Scores};
use crate::kv::KV_BLOCK;
use crate::scalar::attention::{bend, is_bent, score_scale};
use crate::scalar::math::{EXP2, EXP2_LEAST, Fused, SHIFT, exp2_falling, tree_sum};

/// Queries per pass: with four registers of positions 24 sums.
const QUERIES: usize = 6;
/// Registers per query: the positions of a block, or columns of the values.
const REGISTERS: usize = KV_BLOCK / LANES;

/// See [`Kernels::attend`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn attend(mut task: Attend<'_>) {
    let queries = task.largest.len();
    let mut first = 0;
    while first < queries {
        let rest = queries - first;
        // Eight are better as four and four than as six and two.
        let some = if rest > QUERIES && rest < 2 * QUERIES { rest.div_ceil(2) } else { rest.min(QUERIES) };
        match some {
            1 => pass::<1>(&mut task, first),
            2 => pass::<2>(&mut task, first),
            3 => pass::<3>(&mut task, first),
            4 => pass::<4>(&mut task, first),
            5 => pass::<5>(&mut task, first),
            _ => pass::<QUERIES>(&mut task, first),
        }
        first += some;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn pass<const Q: usize>(task: &mut Attend<'_>, first: usize) {
    let mut weights: [Scores; Q] = [[0.0; KV_BLOCK]; Q];
    scores::<Q>(task, first, &mut weights);
    let mut keep = [1.0; Q];
    for q in 0..Q {
        if is_bent(task) {
            bend::<Fused>(task, first + q, &mut weights[q]);
        }
        keep[q] = softmax_step(task, first + q, &mut weights[q]);
    }
    weigh::<Q>(task, first, &weights, &keep);
}

/// Turns scores into weights relative to the new maximum; returns the factor of everything summed before.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
#[inline]
fn softmax_step(task: &mut Attend<'_>, query: usize, scores: &mut Scores) -> f32 {
    let none = _mm512_set1_ps(f32::NEG_INFINITY);
    let seen = (u64::MAX >> (KV_BLOCK - task.visible.len())) << task.visible.start;
    let mut parts = [none; REGISTERS];
    for i in 0..REGISTERS {
        let mask = (seen >> (i * LANES)) as u16;
        // SAFETY: a block's scores are four registers.
        let part = unsafe { _mm512_loadu_ps(scores.as_ptr().add(i * LANES)) };
        parts[i] = _mm512_mask_mov_ps(none, mask, part);
    }
    // In each of these a NaN score loses, as in the plain kernel.
    let top = parts.iter().fold(none, |top, &part| _mm512_max_ps(part, top));
    let before = task.largest[query];
    let mut keep = 1.0;
    if _mm512_cmp_ps_mask::<_CMP_GT_OQ>(top, _mm512_set1_ps(before)) != 0 {
        let largest = lanes(top).iter().fold(before, |a, &b| if b > a { b } else { a });
        keep = exp2_falling::<Fused>(before - largest);
        task.largest[query] = largest;
    }
    let largest = _mm512_set1_ps(task.largest[query]);
    let mut total = _mm512_setzero_ps();
    for i in 0..REGISTERS {
        let weight = exp2(_mm512_sub_ps(parts[i], largest));
        total = _mm512_add_ps(total, weight);
        // SAFETY: as for the load.
        unsafe { _mm512_storeu_ps(scores.as_mut_ptr().add(i * LANES), weight) };
    }
    task.total[query] = task.total[query].mul_add(keep, tree_sum(lanes(total)));
    keep
}

/// [`exp2_falling`] of each lane.
#[target_feature(enable = "avx512f,fma")]
#[inline]
fn exp2(x: __m512) -> __m512 {
    let shift = _mm512_set1_ps(SHIFT);
    let shifted = _mm512_add_ps(x, shift);
    let f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, shift));
    let p = EXP2[1..].iter().fold(_mm512_set1_ps(EXP2[0]), |p, &c| _mm512_fmadd_ps(p, f, _mm512_set1_ps(c)));
    let p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0));
    let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
    let power = _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(1.0f32.to_bits() as i32)));
    _mm512_maskz_mul_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(EXP2_LEAST)), p, power)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn scores<const Q: usize>(task: &Attend<'_>, first: usize, out: &mut [Scores; Q]) {
    let (dim, scale) = (task.dim_k, _mm512_set1_ps(score_scale(task)));
    let queries = &task.queries[first * dim..][..Q * dim];
    let mut sums = [[_mm512_setzero_ps(); REGISTERS]; Q];
    assert!(task.keys.len() >= dim * KV_BLOCK);
    for d in 0..dim {
        let mut keys = [_mm512_setzero_ps(); REGISTERS];
        for i in 0..REGISTERS {
            // SAFETY: `keys` is `dim` rows of a block's positions (asserted).
            keys[i] = unsafe { _mm512_loadu_ps(task.keys.as_ptr().add(d * KV_BLOCK + i * LANES)) };
        }
        for q in 0..Q {
            // SAFETY: d is below dim, and `queries` is Q rows of dim.
            let x = _mm512_set1_ps(unsafe { *queries.get_unchecked(q * dim + d) });
            for i in 0..REGISTERS {
                sums[q][i] = _mm512_fmadd_ps(keys[i], x, sums[q][i]);
            }
        }
    }
    for q in 0..Q {
        for i in 0..REGISTERS {
            // SAFETY: a block's positions are four registers.
            unsafe { _mm512_storeu_ps(out[q].as_mut_ptr().add(i * LANES), _mm512_mul_ps(sums[q][i], scale)) };
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
        let mut values = [_mm512_setzero_ps(); R];
        for r in 0..R {
            // SAFETY: position and columns lie inside `values` (asserted); the mask keeps to `width`.
            values[r] = unsafe {
                _mm512_maskz_loadu_ps(mask, task.values.as_ptr().add(pos * dim + column + r * LANES))
            };
        }
        for q in 0..Q {
            // SAFETY: the position is inside the block (asserted).
            let weight = _mm512_set1_ps(unsafe { *weights[q].get_unchecked(pos) });
            for r in 0..R {
                sums[q][r] = _mm512_fmadd_ps(values[r], weight, sums[q][r]);
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
