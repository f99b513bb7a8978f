//! One block of keys and values for some queries: the plain kernel in registers, with the same bits.
//!
//! Many queries read a block that was widened for all of them. Few read it as it is stored: each value goes through one
//! register once, and the next block is fetched meanwhile, as memory decides then.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, _CMP_GT_OQ, _CMP_NLT_UQ, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_maskz_loadu_epi16,
    _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_mov_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_maskz_mul_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::fold::lanes;
use super::rows::LANES;
use crate::attend::{Attend, Block, Scores};
use crate::kv::KV_BLOCK;
use crate::scalar::attention::{bend, is_bent, score_scale};
use crate::scalar::math::{EXP2, EXP2_LEAST, Fused, SHIFT, exp2_falling, tree_sum};

/// Queries per pass over floats: with four registers of positions 24 sums.
const QUERIES: usize = 6;
/// Registers per query: the positions of a block, or columns of the values.
const REGISTERS: usize = KV_BLOCK / LANES;
/// Most queries of a pass over stored values: with two registers 16 sums.
const FEW: usize = 8;

/// A number of a block.
pub(super) trait Stored: Copy {
    /// Those of the lanes in `mask`, as floats; zero elsewhere.
    ///
    /// # Safety
    /// The numbers of these lanes can be read from `from` on.
    unsafe fn load(from: *const Self, mask: u16) -> __m512;

    /// Asks for memory that is read in the next block.
    fn fetch(part: &[u8]);
}

impl Stored for f32 {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    #[inline]
    unsafe fn load(from: *const Self, mask: u16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    /// What widens the next block reads it once: into L2.
    #[inline(always)]
    fn fetch(part: &[u8]) {
        fetch::<_MM_HINT_T1>(part);
    }
}

/// The bytes of an f16.
impl Stored for [u8; 2] {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    #[inline]
    unsafe fn load(from: *const Self, mask: u16) -> __m512 {
        // SAFETY: the caller's promise.
        _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, from.cast()) })
    }

    #[inline(always)]
    fn fetch(part: &[u8]) {
        fetch::<_MM_HINT_T0>(part);
    }
}

/// See [`Kernels::attend`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn attend(block: Block<'_, f32>, mut task: Attend<'_>) {
    let (queries, mut weights) = (task.largest.len(), [[0.0; KV_BLOCK]; FEW]);
    let mut first = 0;
    while first < queries {
        let rest = queries - first;
        // Eight are better as four and four than as six and two.
        let some = if rest > QUERIES && rest < 2 * QUERIES { rest.div_ceil(2) } else { rest.min(QUERIES) };
        match some {
            1 => pass::<f32, 1, REGISTERS>(block, &mut task, first, &mut weights),
            2 => pass::<f32, 2, REGISTERS>(block, &mut task, first, &mut weights),
            3 => pass::<f32, 3, REGISTERS>(block, &mut task, first, &mut weights),
            4 => pass::<f32, 4, REGISTERS>(block, &mut task, first, &mut weights),
            5 => pass::<f32, 5, REGISTERS>(block, &mut task, first, &mut weights),
            _ => pass::<f32, QUERIES, REGISTERS>(block, &mut task, first, &mut weights),
        }
        first += some;
    }
}

/// See [`Kernels::attend_f16`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn attend_f16(block: Block<'_, [u8; 2]>, mut task: Attend<'_>) {
    let (queries, mut weights) = (task.largest.len(), [[0.0; KV_BLOCK]; FEW]);
    for first in (0..queries).step_by(FEW) {
        match queries - first {
            1 => pass::<_, 1, REGISTERS>(block, &mut task, first, &mut weights),
            2 => pass::<_, 2, REGISTERS>(block, &mut task, first, &mut weights),
            3 => pass::<_, 3, REGISTERS>(block, &mut task, first, &mut weights),
            4 => pass::<_, 4, REGISTERS>(block, &mut task, first, &mut weights),
            5 => pass::<_, 5, 2>(block, &mut task, first, &mut weights),
            6 => pass::<_, 6, 2>(block, &mut task, first, &mut weights),
            7 => pass::<_, 7, 2>(block, &mut task, first, &mut weights),
            _ => pass::<_, FEW, 2>(block, &mut task, first, &mut weights),
        }
    }
}

/// `R` registers of each query at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn pass<T: Stored, const Q: usize, const R: usize>(
    block: Block<'_, T>,
    task: &mut Attend<'_>,
    first: usize,
    weights: &mut [Scores; FEW],
) {
    for start in (0..KV_BLOCK).step_by(R * LANES) {
        scores::<T, Q, R>(block, task, first, start, weights);
    }
    let mut keep = [1.0; Q];
    for q in 0..Q {
        if is_bent(task) {
            bend::<Fused>(task, first + q, &mut weights[q]);
        }
        keep[q] = softmax_step(task, first + q, &mut weights[q]);
    }
    let mut column = 0;
    while column < task.dim_v {
        let rest = (task.dim_v - column) / LANES;
        if rest >= R {
            columns::<T, Q, R>(block, task, (first, column), weights, &keep);
            column += R * LANES;
        } else if rest >= 2 {
            columns::<T, Q, 2>(block, task, (first, column), weights, &keep);
            column += 2 * LANES;
        } else {
            columns::<T, Q, 1>(block, task, (first, column), weights, &keep);
            column += LANES;
        }
    }
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

/// Scores of `R` registers of positions from `start` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn scores<T: Stored, const Q: usize, const R: usize>(
    block: Block<'_, T>,
    task: &Attend<'_>,
    first: usize,
    start: usize,
    out: &mut [Scores; FEW],
) {
    let (dim, scale) = (task.dim_k, _mm512_set1_ps(score_scale(task)));
    let queries = &task.queries[first * dim..][..Q * dim];
    let mut sums = [[_mm512_setzero_ps(); R]; Q];
    assert!(block.keys.len() >= dim * KV_BLOCK && start + R * LANES <= KV_BLOCK);
    let ahead = if first == 0 && start == 0 { block.ahead.0 } else { &[] };
    let step = ahead.len() / dim;
    for d in 0..dim {
        T::fetch(&ahead[d * step..(d + 1) * step]);
        let mut keys = [_mm512_setzero_ps(); R];
        for i in 0..R {
            // SAFETY: `keys` is `dim` rows of a block's positions (asserted).
            keys[i] = unsafe { T::load(block.keys.as_ptr().add(d * KV_BLOCK + start + i * LANES), u16::MAX) };
        }
        for q in 0..Q {
            // SAFETY: d is below dim, and `queries` is Q rows of dim.
            let x = _mm512_set1_ps(unsafe { *queries.get_unchecked(q * dim + d) });
            for i in 0..R {
                sums[q][i] = _mm512_fmadd_ps(keys[i], x, sums[q][i]);
            }
        }
    }
    for q in 0..Q {
        for i in 0..R {
            let scaled = _mm512_mul_ps(sums[q][i], scale);
            // SAFETY: the registers lie inside a block's positions (asserted).
            unsafe { _mm512_storeu_ps(out[q].as_mut_ptr().add(start + i * LANES), scaled) };
        }
    }
}

/// Asks for memory by the lines of a cache.
#[inline(always)]
fn fetch<const HINT: i32>(part: &[u8]) {
    for at in (0..part.len()).step_by(64) {
        // SAFETY: fetching reads nothing, and the address lies in `part`.
        unsafe { _mm_prefetch::<HINT>(part.as_ptr().cast::<i8>().add(at)) };
    }
}

/// `R` registers of columns; the last may be cut by the end of the row when `R` is 1.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn columns<T: Stored, const Q: usize, const R: usize>(
    block: Block<'_, T>,
    task: &mut Attend<'_>,
    (first, column): (usize, usize),
    weights: &[Scores; FEW],
    keep: &[f32; Q],
) {
    let dim = task.dim_v;
    let width = (dim - column).min(R * LANES);
    assert!(R == 1 || width == R * LANES);
    assert!(task.visible.end <= KV_BLOCK && block.values.len() >= KV_BLOCK * dim);
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
    let ahead = if first == 0 && column == 0 { block.ahead.1 } else { &[] };
    let step = ahead.len() / KV_BLOCK;
    for pos in task.visible.clone() {
        T::fetch(&ahead[pos * step..(pos + 1) * step]);
        let mut values = [_mm512_setzero_ps(); R];
        for r in 0..R {
            // SAFETY: position and columns lie inside `values` (asserted); the mask keeps to `width`.
            values[r] = unsafe { T::load(block.values.as_ptr().add(pos * dim + column + r * LANES), mask) };
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
