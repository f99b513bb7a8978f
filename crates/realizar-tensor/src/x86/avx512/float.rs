//! Products of f32 rows, and f16 to f32 and back.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, _MM_FROUND_TO_NEAREST_INT, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_cvtph_ps,
    _mm512_cvtps_ph, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::fold::lanes;
use super::rows::LANES;
use crate::kernels::Dots;
use crate::pool::Tile;
use crate::scalar::math::tree_sum;

/// Weight rows per register block.
const ROWS: usize = 4;
/// Tokens per register block: with the rows 24 sums.
const TOKENS: usize = 6;

/// See [`Kernels::widen_f16`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512vl,f16c")]
pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    let (parts, rest) = bytes.as_chunks::<32>();
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    for i in 0..parts.len().min(out.len()) {
        // SAFETY: 32 bytes to read, 16 floats to write.
        unsafe {
            _mm512_storeu_ps(
                out[i].as_mut_ptr(),
                _mm512_cvtph_ps(_mm256_loadu_si256(parts[i].as_ptr().cast())),
            );
        }
    }
    crate::scalar::float::widen_f16(rest, out_rest);
}

/// See [`Kernels::narrow_f16`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512vl,f16c")]
pub(super) fn narrow_f16(x: &[f32], out: &mut [[u8; 2]]) {
    let (parts, rest) = x.as_chunks::<LANES>();
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    for (out, part) in out.iter_mut().zip(parts) {
        // SAFETY: 16 floats to read, 32 bytes to write.
        unsafe {
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm512_loadu_ps(part.as_ptr()));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), halves);
        }
    }
    crate::scalar::float::narrow_f16(rest, out_rest);
}

/// See [`Kernels::dots`](crate::Kernels): the lanes and the tree of the plain kernel.
#[target_feature(enable = "avx512f,avx512vl,fma")]
pub(super) fn dots(task: Dots<'_>, out: &mut Tile<'_, f32>) {
    let Dots { weights, x, k, first_row } = task;
    for (group, x) in x.chunks(TOKENS * k).enumerate() {
        for (four, w) in weights.chunks(ROWS * k).enumerate() {
            let (token, row) = (group * TOKENS, first_row + four * ROWS);
            let mut put = |r: usize, t: usize, sum: f32| out.row(token + t)[row + r] = sum;
            if w.len() == ROWS * k {
                match x.len() / k {
                    1 => block::<ROWS, 1>(w, x, k, &mut put),
                    2 => block::<ROWS, 2>(w, x, k, &mut put),
                    3 => block::<ROWS, 3>(w, x, k, &mut put),
                    4 => block::<ROWS, 4>(w, x, k, &mut put),
                    5 => block::<ROWS, 5>(w, x, k, &mut put),
                    _ => block::<ROWS, TOKENS>(w, x, k, &mut put),
                }
            } else {
                for (r, w) in w.chunks_exact(k).enumerate() {
                    for (t, x) in x.chunks_exact(k).enumerate() {
                        block::<1, 1>(w, x, k, &mut |_, _, sum| put(r, t, sum));
                    }
                }
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512vl,fma")]
fn block<const R: usize, const T: usize>(
    w: &[f32],
    x: &[f32],
    k: usize,
    put: &mut impl FnMut(usize, usize, f32),
) {
    assert!(w.len() == R * k && x.len() == T * k);
    let mut sums = [[_mm512_setzero_ps(); T]; R];
    for i in (0..k - k % LANES).step_by(LANES) {
        // SAFETY: i + 16 is at most k, and both buffers are rows of k.
        let load = |from: &[f32], row: usize| unsafe { _mm512_loadu_ps(from.as_ptr().add(row * k + i)) };
        step(&mut sums, |r| load(w, r), |t| load(x, t));
    }
    let rest = k % LANES;
    if rest > 0 {
        let mask = (1u16 << rest) - 1;
        // SAFETY: the mask keeps the load within the row.
        let load = |from: &[f32], row: usize| unsafe {
            _mm512_maskz_loadu_ps(mask, from.as_ptr().add(row * k + k - rest))
        };
        step(&mut sums, |r| load(w, r), |t| load(x, t));
    }
    for r in 0..R {
        for t in 0..T {
            put(r, t, tree_sum(lanes(sums[r][t])));
        }
    }
}

#[target_feature(enable = "avx512f,avx512vl,fma")]
#[inline]
fn step<const R: usize, const T: usize>(
    sums: &mut [[__m512; T]; R],
    w: impl Fn(usize) -> __m512,
    x: impl Fn(usize) -> __m512,
) {
    let mut weights = [_mm512_setzero_ps(); R];
    for r in 0..R {
        weights[r] = w(r);
    }
    for t in 0..T {
        let x = x(t);
        for r in 0..R {
            sums[r][t] = _mm512_fmadd_ps(weights[r], x, sums[r][t]);
        }
    }
}
