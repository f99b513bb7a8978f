//! Products of f16 rows where they lie: widened in registers, by the lanes and the tree of the plain kernel.
//!
//! With one token, weights from memory and two threads, that reads 45 to 50 GB/s where widening four rows first read 26.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, _mm256_loadu_si256, _mm256_maskz_loadu_epi16, _mm512_castps_si512, _mm512_cvtph_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    _mm512_storeu_si512,
};

use super::fold::lanes;
use super::quantise::{in_order, sum_of_each};
use super::rows::{Ahead, LANES};
use crate::acts::{group_size, groups};
use crate::kernels::{HALF_ROWS, HALF_TOKENS};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scalar::math::tree_sum;

/// Weight rows per register block. Of eight, those that are read and those that are fetched meanwhile were more than the L1 cache holds.
const ROWS: usize = 4;
/// Tokens per register block: with four rows 24 sums.
const TOKENS: usize = 6;
/// Values of k that many tokens meet at a time: those of a group of tokens stay in the L1 cache.
const STRETCH: usize = 512;

/// What is multiplied.
#[derive(Debug, Clone, Copy)]
struct HalfDots<'a> {
    /// Rows of f16.
    weights: &'a Weights<'a>,
    /// Tokens of as many values as a row has.
    x: &'a [f32],
}

/// The sums of `R` rows with `T` tokens.
type Sums<const R: usize, const T: usize> = [[__m512; T]; R];

/// See [`Kernels::half`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
pub(super) fn dots(weights: &Weights<'_>, x: &[f32], sums: &mut [f32], out: &mut Tile<'_, f32>) {
    let task = HalfDots { weights, x };
    let k = task.weights.cols;
    let tokens = task.x.len() / k;
    if tokens > TOKENS {
        for (first, count) in groups(task.weights.rows, HALF_ROWS) {
            let bytes = &task.weights.data[first * k * 2..][..count * k * 2];
            let weights = Weights { data: bytes, rows: count, ..*task.weights };
            many(HalfDots { weights: &weights, ..task }, first, sums, out);
        }
        return;
    }
    let mut row = 0;
    while row < task.weights.rows {
        let left = task.weights.rows - row;
        row += match tokens {
            1 if left >= ROWS => rows::<ROWS, 1>(task, row, out),
            2 if left >= ROWS => rows::<ROWS, 2>(task, row, out),
            3 if left >= ROWS => rows::<ROWS, 3>(task, row, out),
            4 if left >= ROWS => rows::<ROWS, 4>(task, row, out),
            5 if left >= ROWS => rows::<ROWS, 5>(task, row, out),
            6 if left >= ROWS => rows::<ROWS, 6>(task, row, out),
            1 => rows::<1, 1>(task, row, out),
            2 => rows::<1, 2>(task, row, out),
            3 => rows::<1, 3>(task, row, out),
            4 => rows::<1, 4>(task, row, out),
            5 => rows::<1, 5>(task, row, out),
            _ => rows::<1, 6>(task, row, out),
        };
    }
}

/// `R` rows from `row` on with all `T` tokens; returns `R`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn rows<const R: usize, const T: usize>(task: HalfDots<'_>, row: usize, out: &mut Tile<'_, f32>) -> usize {
    let zero = [[_mm512_setzero_ps(); T]; R];
    let sums = block::<R, T, true>(task, row, 0, 0, task.weights.cols, zero);
    for r in 0..R {
        for t in 0..T {
            out.row(t)[row + r] = tree_sum(lanes(sums[r][t]));
        }
    }
    R
}

/// The outputs from `first_row` on for more tokens than the registers hold sums for: those are kept, sixteen lanes wide, from stretch to stretch of k.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn many(task: HalfDots<'_>, first_row: usize, sums: &mut [f32], out: &mut Tile<'_, f32>) {
    let (k, rows) = (task.weights.cols, task.weights.rows);
    let tokens = task.x.len() / k;
    for (begin, count) in groups(tokens, HALF_TOKENS) {
        let sums = &mut sums[..rows * count * LANES];
        sums.fill(0.0);
        let group = group_size(count, TOKENS);
        for start in (0..k).step_by(STRETCH) {
            for (first, tokens) in groups(count, group) {
                let sums = &mut sums[first * rows * LANES..][..tokens * rows * LANES];
                let at = (begin + first, start);
                match tokens {
                    1 => stretch::<1>(task, at, sums),
                    2 => stretch::<2>(task, at, sums),
                    3 => stretch::<3>(task, at, sums),
                    4 => stretch::<4>(task, at, sums),
                    5 => stretch::<5>(task, at, sums),
                    _ => stretch::<TOKENS>(task, at, sums),
                }
            }
        }
        for (first, tokens) in groups(count, group) {
            let sums = &sums[first * rows * LANES..][..tokens * rows * LANES];
            for token in 0..tokens {
                let out = out.row(begin + first + token);
                let sum = |row: usize| &sums[(row * tokens + token) * LANES..][..LANES];
                let (sixteens, rest) = out[first_row..][..rows].as_chunks_mut::<LANES>();
                let whole = sixteens.len() * LANES;
                for (index, out) in sixteens.iter_mut().enumerate() {
                    let mut x = [_mm512_setzero_ps(); LANES];
                    for r in 0..LANES {
                        // SAFETY: 16 floats.
                        x[r] = unsafe { _mm512_loadu_ps(sum(index * LANES + r).as_ptr()) };
                    }
                    // SAFETY: 16 floats.
                    unsafe {
                        _mm512_storeu_si512(
                            out.as_mut_ptr().cast(),
                            in_order(_mm512_castps_si512(sum_of_each(x))),
                        )
                    };
                }
                for (row, out) in rest.iter_mut().enumerate() {
                    let mut x = [0.0; LANES];
                    x.copy_from_slice(sum(whole + row));
                    *out = tree_sum(x);
                }
            }
        }
    }
}

/// All rows with `T` tokens, from the token and the value of k on that `at` says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn stretch<const T: usize>(task: HalfDots<'_>, at: (usize, usize), sums: &mut [f32]) {
    let (quads, rest) = sums.split_at_mut(task.weights.rows / ROWS * ROWS * T * LANES);
    let whole = task.weights.rows / ROWS * ROWS;
    for (index, sums) in quads.chunks_exact_mut(ROWS * T * LANES).enumerate() {
        go_on::<ROWS, T>(task, index * ROWS, at, sums);
    }
    for (index, sums) in rest.chunks_exact_mut(T * LANES).enumerate() {
        go_on::<1, T>(task, whole + index, at, sums);
    }
}

/// Adds one stretch of `R` rows to their sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
fn go_on<const R: usize, const T: usize>(
    task: HalfDots<'_>,
    row: usize,
    (token, start): (usize, usize),
    sums: &mut [f32],
) {
    assert!(sums.len() == R * T * LANES);
    let mut wide: Sums<R, T> = [[_mm512_setzero_ps(); T]; R];
    for r in 0..R {
        for t in 0..T {
            // SAFETY: R times T times 16 floats.
            wide[r][t] = unsafe { _mm512_loadu_ps(sums.as_ptr().add((r * T + t) * LANES)) };
        }
    }
    let end = task.weights.cols.min(start + STRETCH);
    let wide = block::<R, T, false>(task, row, token, start, end, wide);
    for r in 0..R {
        for t in 0..T {
            // SAFETY: as for the load.
            unsafe { _mm512_storeu_ps(sums.as_mut_ptr().add((r * T + t) * LANES), wide[r][t]) };
        }
    }
}

/// Values `start` to `end` of `R` rows and `T` tokens; `start` is a multiple of 16, and `end` too unless it is the end of the row.
/// With `AHEAD` the rows behind are fetched meanwhile.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma,f16c")]
#[inline]
fn block<const R: usize, const T: usize, const AHEAD: bool>(
    task: HalfDots<'_>,
    row: usize,
    token: usize,
    start: usize,
    end: usize,
    mut sums: Sums<R, T>,
) -> Sums<R, T> {
    let k = task.weights.cols;
    let (bytes, x) = (&task.weights.data[row * k * 2..][..R * k * 2], &task.x[token * k..][..T * k]);
    assert!(start <= end && end <= k);
    let whole = end - (end - start) % LANES;
    let ahead = Ahead::new(task.weights.data, (row + R) * k * 2, R * k * 2, k.div_ceil(LANES));
    for i in (start..whole).step_by(LANES) {
        if AHEAD {
            ahead.fetch(i / LANES);
        }
        let mut w = [_mm512_setzero_ps(); R];
        for r in 0..R {
            // SAFETY: i + 16 is at most k, and `bytes` is R rows of k halves.
            w[r] = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bytes.as_ptr().add((r * k + i) * 2).cast()) });
        }
        for t in 0..T {
            // SAFETY: i + 16 is at most k, and `x` is T rows of k floats.
            let x = unsafe { _mm512_loadu_ps(x.as_ptr().add(t * k + i)) };
            for r in 0..R {
                sums[r][t] = _mm512_fmadd_ps(w[r], x, sums[r][t]);
            }
        }
    }
    if whole < end {
        let mask = (1u16 << (end - whole)) - 1;
        for r in 0..R {
            // SAFETY: the mask keeps the load within the row.
            let w = unsafe { _mm256_maskz_loadu_epi16(mask, bytes.as_ptr().add((r * k + whole) * 2).cast()) };
            for t in 0..T {
                // SAFETY: the mask keeps the load within the row.
                let x = unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(t * k + whole)) };
                sums[r][t] = _mm512_fmadd_ps(_mm512_cvtph_ps(w), x, sums[r][t]);
            }
        }
    }
    sums
}
