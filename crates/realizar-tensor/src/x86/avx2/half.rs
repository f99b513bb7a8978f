//! Products of f16 rows where they lie, by the lanes and the tree of the plain kernel, two registers for its sixteen lanes.
//!
//! A few tokens meet rows that are widened in registers. Many meet a panel: a stretch of four rows, widened into the L1 cache once
//! for a group of tokens.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m128, __m256, _MM_HINT_T0, _mm_add_ps, _mm_cvtss_f32, _mm_loadu_si128, _mm_movehl_ps, _mm_movelh_ps,
    _mm_prefetch, _mm_setzero_ps, _mm_shuffle_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps,
    _mm256_add_ps, _mm256_castps256_ps128, _mm256_cvtph_ps, _mm256_extractf128_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::gated::widen_f16;
use crate::acts::groups;
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scalar::math::{LANES, tree_sum};

/// Rows of a panel; of its register block, which has half of the lanes at a time, with three tokens twelve sums.
const ROWS: usize = 4;
/// See [`ROWS`].
const TOKENS: usize = 3;
/// Most tokens that rows meet without a panel: with one row twelve registers of sums.
const FEW: usize = 6;
/// Values of k in a panel, and tokens that meet it.
const STRETCH: usize = 256;
/// See [`STRETCH`].
const GROUP: usize = 24;
/// Bytes of a step of all lanes.
const STEP: usize = 2 * LANES;

/// Stretches of rows, side by side.
type Panel = [[f32; STRETCH]; ROWS];

/// See [`Kernels::half`](crate::Kernels).
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dots(weights: &Weights<'_>, x: &[f32], sums: &mut [f32], out: &mut Tile<'_, f32>) {
    let k = weights.cols;
    let tokens = x.len() / k;
    if tokens > FEW {
        return many(weights, x, sums, out);
    }
    let mut row = 0;
    while row < weights.rows {
        row += match (tokens, weights.rows - row) {
            (1, 4..) => few::<4, 1>(weights, x, row, out),
            (2, 2..) => few::<2, 2>(weights, x, row, out),
            (1, _) => few::<1, 1>(weights, x, row, out),
            (2, _) => few::<1, 2>(weights, x, row, out),
            (3, _) => few::<1, 3>(weights, x, row, out),
            (4, _) => few::<1, 4>(weights, x, row, out),
            (5, _) => few::<1, 5>(weights, x, row, out),
            _ => few::<1, FEW>(weights, x, row, out),
        };
    }
}

/// `R` rows from `row` on with all `T` tokens; returns `R`. The rows behind are fetched meanwhile.
#[target_feature(enable = "avx2,fma,f16c")]
fn few<const R: usize, const T: usize>(
    weights: &Weights<'_>,
    x: &[f32],
    row: usize,
    out: &mut Tile<'_, f32>,
) -> usize {
    let k = weights.cols;
    let bytes = &weights.data[row * k * 2..][..R * k * 2];
    assert!(x.len() == T * k);
    let behind = bytes.as_ptr().wrapping_add(ROWS * k * 2);
    let mut sums = [[[_mm256_setzero_ps(); 2]; T]; R];
    for i in (0..k - k % LANES).step_by(LANES) {
        fetch(behind.wrapping_add(i * 2 * R), R * STEP);
        for r in 0..R {
            // SAFETY: i + 16 is at most k, and `bytes` is R rows of k halves.
            let w = unsafe { widened(bytes.as_ptr().add((r * k + i) * 2)) };
            for t in 0..T {
                // SAFETY: i + 16 is at most k, and `x` is T rows of k floats.
                let x = unsafe {
                    let x = x.as_ptr().add(t * k + i);
                    [_mm256_loadu_ps(x), _mm256_loadu_ps(x.add(8))]
                };
                sums[r][t][0] = _mm256_fmadd_ps(w[0], x[0], sums[r][t][0]);
                sums[r][t][1] = _mm256_fmadd_ps(w[1], x[1], sums[r][t][1]);
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            let sum = sums[r][t];
            out.row(t)[row + r] = match k % LANES {
                0 => {
                    let four = fours(sum);
                    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_add_ps(two, _mm_shuffle_ps::<1>(two, two)))
                }
                _ => with_rest(sum, weights.row(row + r), &x[t * k..][..k]),
            };
        }
    }
    R
}

/// The outputs for more tokens than the registers hold sums for: those are kept, sixteen lanes wide, from stretch to stretch of k.
/// The tokens come from the L2 cache, as they are read in order.
#[target_feature(enable = "avx2,fma,f16c")]
fn many(weights: &Weights<'_>, x: &[f32], sums: &mut [f32], out: &mut Tile<'_, f32>) {
    let (k, rows) = (weights.cols, weights.rows);
    let whole = k - k % LANES;
    let mut panel: Panel = [[0.0; STRETCH]; ROWS];
    for (begin, count) in groups(x.len() / k, GROUP) {
        let x = &x[begin * k..][..count * k];
        let sums = &mut sums[..count * ROWS * LANES];
        let share = (ROWS * STRETCH * 2).div_ceil(count.div_ceil(TOKENS)).next_multiple_of(64);
        for first in (0..rows).step_by(ROWS) {
            sums.fill(0.0);
            let mut behind = weights.row(first).as_ptr().wrapping_add(ROWS * k * 2);
            for start in (0..whole).step_by(STRETCH) {
                let width = STRETCH.min(whole - start);
                // The last panel may have rows left of the one before: nobody reads their sums.
                for (row, panel) in (first..rows).zip(&mut panel) {
                    widen_f16(&weights.row(row)[start * 2..][..width * 2], &mut panel[..width]);
                }
                let parts = sums.chunks_mut(TOKENS * ROWS * LANES).zip(x.chunks(TOKENS * k));
                for (part, (sums, tokens)) in parts.enumerate() {
                    // The next rows, a few lines at a time: all at once the tokens would wait for them.
                    fetch(behind.wrapping_add(part * share), share);
                    match tokens.len() / k {
                        1 => meet::<1>(&panel, tokens, start, width, sums),
                        2 => meet::<2>(&panel, tokens, start, width, sums),
                        _ => meet::<TOKENS>(&panel, tokens, start, width, sums),
                    }
                }
                behind = behind.wrapping_add(ROWS * width * 2);
            }
            for (token, sums) in sums.chunks_exact(ROWS * LANES).enumerate() {
                let mut wide = [[_mm256_setzero_ps(); 2]; ROWS];
                for r in 0..ROWS {
                    // SAFETY: four times 16 floats.
                    wide[r] = unsafe {
                        let sum = sums.as_ptr().add(r * LANES);
                        [_mm256_loadu_ps(sum), _mm256_loadu_ps(sum.add(8))]
                    };
                }
                let out = &mut out.row(begin + token)[first..rows];
                match out.first_chunk_mut::<ROWS>() {
                    // SAFETY: four floats.
                    Some(out) if whole == k => unsafe { _mm_storeu_ps(out.as_mut_ptr(), sum_of_each(wide)) },
                    _ => {
                        for (r, out) in out.iter_mut().take(ROWS).enumerate() {
                            *out = with_rest(wide[r], weights.row(first + r), &x[token * k..][..k]);
                        }
                    }
                }
            }
        }
    }
}

/// Adds the products of a panel's first `width` values with those of `T` tokens from `start` on to their sums, `[token][row][lane]`. The two halves of the
/// lanes know nothing of each other, and one after the other they need half as many registers.
#[target_feature(enable = "avx2,fma,f16c")]
fn meet<const T: usize>(panel: &Panel, x: &[f32], start: usize, width: usize, sums: &mut [f32]) {
    let k = x.len() / T;
    assert!(width <= STRETCH && width.is_multiple_of(LANES) && start + width <= k);
    let from = x[start..].as_ptr();
    assert!(sums.len() == T * ROWS * LANES);
    for half in [0, LANES / 2] {
        let mut wide = [[_mm256_setzero_ps(); T]; ROWS];
        for r in 0..ROWS {
            for t in 0..T {
                // SAFETY: T times four times 16 floats.
                wide[r][t] = unsafe { _mm256_loadu_ps(sums.as_ptr().add((t * ROWS + r) * LANES + half)) };
            }
        }
        for i in (half..width).step_by(LANES) {
            let mut x = [_mm256_setzero_ps(); T];
            for t in 0..T {
                // SAFETY: i + 8 is at most `width`, thus `start` + i + 8 at most k, and there are T rows of k floats.
                x[t] = unsafe { _mm256_loadu_ps(from.add(t * k + i)) };
            }
            for r in 0..ROWS {
                // SAFETY: i + 8 is at most `width`, thus at most STRETCH.
                let w = unsafe { _mm256_loadu_ps(panel.as_ptr().cast::<f32>().add(r * STRETCH + i)) };
                for t in 0..T {
                    wide[r][t] = _mm256_fmadd_ps(w, x[t], wide[r][t]);
                }
            }
        }
        for r in 0..ROWS {
            for t in 0..T {
                // SAFETY: as for the load.
                unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add((t * ROWS + r) * LANES + half), wide[r][t]) };
            }
        }
    }
}

/// Fetches some bytes into the L1 cache. They may lie outside: fetching harms nothing.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn fetch(from: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast());
    }
}

/// Sixteen halves as floats.
///
/// # Safety
/// 32 bytes may be read.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn widened(halves: *const u8) -> [__m256; 2] {
    // SAFETY: the caller's.
    let halves = unsafe { [_mm_loadu_si128(halves.cast()), _mm_loadu_si128(halves.add(16).cast())] };
    [_mm256_cvtph_ps(halves[0]), _mm256_cvtph_ps(halves[1])]
}

/// The tree's sums of sixteen lanes down to four.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn fours(lanes: [__m256; 2]) -> __m128 {
    let eight = _mm256_add_ps(lanes[0], lanes[1]);
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// The tree's sums of four rows.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn sum_of_each(rows: [[__m256; 2]; ROWS]) -> __m128 {
    let mut four = [_mm_setzero_ps(); ROWS];
    for r in 0..ROWS {
        four[r] = fours(rows[r]);
    }
    // Lanes 0 and 1 of two rows, with 2 and 3 added.
    let low = _mm_add_ps(_mm_unpacklo_ps(four[0], four[1]), _mm_unpackhi_ps(four[0], four[1]));
    let high = _mm_add_ps(_mm_unpacklo_ps(four[2], four[3]), _mm_unpackhi_ps(four[2], four[3]));
    _mm_add_ps(_mm_movelh_ps(low, high), _mm_movehl_ps(high, low))
}

/// The tree's sum, once the values behind the last sixteen were met.
#[target_feature(enable = "avx2,fma,f16c")]
fn with_rest(sums: [__m256; 2], row: &[u8], x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: two times 8 of the 16 floats.
    unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
        _mm256_storeu_ps(lanes.as_mut_ptr().add(8), sums[1]);
    }
    let rest = x.len() % LANES;
    let mut w = [0.0; LANES];
    widen_f16(&row[(x.len() - rest) * 2..], &mut w[..rest]);
    for (lane, (w, x)) in w.into_iter().zip(&x[x.len() - rest..]).enumerate() {
        lanes[lane] = w.mul_add(*x, lanes[lane]);
    }
    tree_sum(lanes)
}
