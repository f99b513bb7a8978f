//! AVX2 with FMA and F16C: products of integers by hand, the rest are the plain loops, widened by the compiler.

mod float;
mod half;
mod panel;
mod vector;

use self::panel::Bytes;
use super::level::plain_loops;
use crate::acts::{ActKind, Acts};
use crate::attend::{Attend, Block};
use crate::kernels::{Dots, Peak};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::quads;
use crate::scalar::math::Fused;
use crate::scalar::{attention, quantise};
use crate::scratch::Scratch;
use crate::{Isa, Kernels};

/// The table, if this processor has the instructions.
pub(super) fn table() -> Option<&'static Kernels> {
    let present = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    present.then_some(&TABLE)
}

plain_loops!("avx2,fma,f16c");

/// Only [`table`] hands this out, after it has detected the features that the functions below are compiled for.
static TABLE: Kernels = Kernels {
    isa: Isa::Avx2,
    name: "avx2",
    group: 4,
    few: &[],
    integer: quads::formats!(product),
    quantise: |kind, x, width, block, words| {
        // SAFETY: see `TABLE`.
        unsafe { gated::quantise(kind, x, width, block, words) }
    },
    widen_f16: |bytes, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::widen_f16(bytes, out) }
    },
    narrow_f16: |x, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::narrow_f16(x, out) }
    },
    dots: |task: Dots<'_>, out: &mut Tile<'_, f32>| {
        // SAFETY: see `TABLE`.
        unsafe { gated::dots(task, out) }
    },
    half: Some(|weights: &Weights<'_>, x: &[f32], sums: &mut [f32], out: &mut Tile<'_, f32>| {
        // SAFETY: see `TABLE`.
        unsafe { half::dots(weights, x, sums, out) }
    }),
    attend: |block: Block<'_, f32>, task: Attend<'_>| {
        // SAFETY: see `TABLE`.
        unsafe { gated::attend(block, task) }
    },
    peak: Peak {
        int8: || {
            // SAFETY: see `TABLE`.
            unsafe { gated::int8_peak() }
        },
        f32: || {
            // SAFETY: see `TABLE`.
            unsafe { gated::f32_peak() }
        },
    },
    ..WIDENED
};

fn product<F: Bytes>(weights: &Weights<'_>, acts: &Acts<'_>, scratch: &mut Scratch, out: &mut Tile<'_, f32>) {
    // SAFETY: see `TABLE`.
    unsafe { gated::product::<F>(weights, acts, scratch, out) }
}

/// The plain loops, compiled for these instructions.
mod gated {
    use std::arch::x86_64::{
        _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_cvtph_ps, _mm256_cvtps_ph,
        _mm256_loadu_ps, _mm256_storeu_ps,
    };

    use super::vector::Ymm;
    use super::{ActKind, Acts, Attend, Block, Bytes, Dots, Fused, Scratch, Tile, Weights, attention, quads};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
        let (parts, rest) = bytes.as_chunks::<16>();
        let (out, out_rest) = out.as_chunks_mut::<8>();
        for (out, part) in out.iter_mut().zip(parts) {
            // SAFETY: 16 bytes to read, 8 floats to write.
            unsafe {
                _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(part.as_ptr().cast())))
            };
        }
        crate::scalar::float::widen_f16(rest, out_rest);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn narrow_f16(x: &[f32], out: &mut [[u8; 2]]) {
        let (parts, rest) = x.as_chunks::<8>();
        let (out, out_rest) = out.as_chunks_mut::<8>();
        for (out, part) in out.iter_mut().zip(parts) {
            // SAFETY: 8 floats to read, 16 bytes to write.
            unsafe {
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(part.as_ptr()));
                _mm_storeu_si128(out.as_mut_ptr().cast(), halves);
            }
        }
        crate::scalar::float::narrow_f16(rest, out_rest);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn product<F: Bytes>(
        weights: &Weights<'_>,
        acts: &Acts<'_>,
        scratch: &mut Scratch,
        out: &mut Tile<'_, f32>,
    ) {
        quads::product::<Ymm, F>(weights, acts, scratch, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn quantise(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
        super::quantise::quantise(kind, x, width, block, words);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dots(task: Dots<'_>, out: &mut Tile<'_, f32>) {
        super::float::dots(task, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn attend(block: Block<'_, f32>, task: Attend<'_>) {
        attention::attend::<Fused, 4, 16, 16>(block, task);
    }

    /// Twelve chains, as the instruction takes several cycles.
    #[target_feature(enable = "avx2,fma")]
    #[expect(clippy::needless_range_loop, reason = "an index keeps registers apart")]
    pub(super) fn f32_peak() -> f64 {
        use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
        const ROUNDS: usize = 20_000;
        const CHAINS: usize = 12;
        let mut sums = [_mm256_set1_ps(1.0); CHAINS];
        let (a, b) = std::hint::black_box((_mm256_set1_ps(0.5), _mm256_set1_ps(0.25)));
        for _ in 0..ROUNDS {
            for i in 0..CHAINS {
                sums[i] = _mm256_fmadd_ps(sums[i], a, b);
            }
        }
        std::hint::black_box(sums);
        (ROUNDS * CHAINS * 8) as f64
    }

    /// Twelve chains of pairs of products in 16 bits.
    #[target_feature(enable = "avx2")]
    #[expect(clippy::needless_range_loop, reason = "an index keeps registers apart")]
    pub(super) fn int8_peak() -> f64 {
        use std::arch::x86_64::{_mm256_maddubs_epi16, _mm256_set1_epi8};
        const ROUNDS: usize = 20_000;
        const CHAINS: usize = 12;
        let (mut sums, a) = std::hint::black_box(([_mm256_set1_epi8(1); CHAINS], _mm256_set1_epi8(2)));
        for _ in 0..ROUNDS {
            for i in 0..CHAINS {
                sums[i] = _mm256_maddubs_epi16(a, sums[i]);
            }
        }
        std::hint::black_box(sums);
        (ROUNDS * CHAINS * 32) as f64
    }
}
