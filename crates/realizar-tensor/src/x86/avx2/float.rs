//! Products of f32 rows: the lanes and the tree of the plain kernel, two registers for its sixteen lanes.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{__m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};

use crate::kernels::Dots;
use crate::pool::Tile;
use crate::scalar::math::{LANES, tree_sum};

/// Weight rows and tokens per register block: eight sums.
const ROWS: usize = 2;
const TOKENS: usize = 2;

/// See [`Kernels::dots`](crate::Kernels).
#[target_feature(enable = "avx2,fma")]
pub(super) fn dots(task: Dots<'_>, out: &mut Tile<'_, f32>) {
    let Dots { weights, x, k, first_row } = task;
    for (group, x) in x.chunks(TOKENS * k).enumerate() {
        for (pair, w) in weights.chunks(ROWS * k).enumerate() {
            let (token, row) = (group * TOKENS, first_row + pair * ROWS);
            let mut put = |r: usize, t: usize, sum: f32| out.row(token + t)[row + r] = sum;
            match (w.len() / k, x.len() / k) {
                (ROWS, TOKENS) => block::<ROWS, TOKENS>(w, x, k, &mut put),
                (ROWS, _) => block::<ROWS, 1>(w, x, k, &mut put),
                (_, TOKENS) => block::<1, TOKENS>(w, x, k, &mut put),
                _ => block::<1, 1>(w, x, k, &mut put),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn block<const R: usize, const T: usize>(
    w: &[f32],
    x: &[f32],
    k: usize,
    put: &mut impl FnMut(usize, usize, f32),
) {
    assert!(w.len() == R * k && x.len() == T * k);
    let mut sums = [[[_mm256_setzero_ps(); 2]; T]; R];
    for i in (0..k - k % LANES).step_by(LANES) {
        let mut weights = [[_mm256_setzero_ps(); 2]; R];
        for r in 0..R {
            weights[r] = load(w, r * k + i);
        }
        for t in 0..T {
            let x = load(x, t * k + i);
            for r in 0..R {
                sums[r][t][0] = _mm256_fmadd_ps(weights[r][0], x[0], sums[r][t][0]);
                sums[r][t][1] = _mm256_fmadd_ps(weights[r][1], x[1], sums[r][t][1]);
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            let mut lanes = [0.0; LANES];
            // SAFETY: two times 8 of the 16 floats.
            unsafe {
                _mm256_storeu_ps(lanes.as_mut_ptr(), sums[r][t][0]);
                _mm256_storeu_ps(lanes.as_mut_ptr().add(8), sums[r][t][1]);
            }
            for (lane, i) in (k - k % LANES..k).enumerate() {
                lanes[lane] = w[r * k + i].mul_add(x[t * k + i], lanes[lane]);
            }
            put(r, t, tree_sum(lanes));
        }
    }
}

/// Sixteen values from `at` on.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn load(values: &[f32], at: usize) -> [__m256; 2] {
    debug_assert!(at + LANES <= values.len());
    // SAFETY: the caller's `at` is a whole 16 before the end of a row of `values`.
    unsafe { [_mm256_loadu_ps(values.as_ptr().add(at)), _mm256_loadu_ps(values.as_ptr().add(at + 8))] }
}
