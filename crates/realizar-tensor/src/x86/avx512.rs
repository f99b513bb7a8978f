//! AVX-512 with VNNI.

mod along;
mod attention;
mod few;
mod float;
mod fold;
mod half;
mod many;
mod panel;
mod quantise;
mod rows;
mod unpack;

use super::level::plain_loops;
use crate::acts::Acts;
use crate::attend::{Attend, Block};
use crate::kernels::{ALONG_MOST, Dots, IntegerFormat, Peak};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scratch::Scratch;
use crate::{Isa, Kernels};

/// The table, if this processor has the instructions.
pub(super) fn table() -> Option<&'static Kernels> {
    let present = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    present.then_some(&TABLE)
}

plain_loops!("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c");

/// Only [`table`] hands this out, after it has detected the features that the functions below are compiled for.
static TABLE: Kernels = Kernels {
    isa: Isa::Avx512,
    name: "avx512",
    group: many::GROUP,
    few: &[(ALONG_MOST, 1), (few::MOST, few::GROUP)],
    integer: &[
        format::<{ unpack::Q4_0 }>(),
        format::<{ unpack::Q4_1 }>(),
        format::<{ unpack::Q5_0 }>(),
        format::<{ unpack::Q5_1 }>(),
        format::<{ unpack::Q8_0 }>(),
        format::<{ unpack::IQ4_NL }>(),
        format::<{ unpack::MXFP4 }>(),
        format::<{ unpack::Q2_K }>(),
        format::<{ unpack::Q3_K }>(),
        format::<{ unpack::Q4_K }>(),
        format::<{ unpack::Q5_K }>(),
        format::<{ unpack::Q6_K }>(),
        format::<{ unpack::IQ4_XS }>(),
        format::<{ unpack::NVFP4 }>(),
    ],
    quantise: |kind, x, width, block, words| {
        // SAFETY: see `TABLE`.
        unsafe { quantise::quantise(kind, x, width, block, words) }
    },
    widen_f16: |bytes, out| {
        // SAFETY: see `TABLE`.
        unsafe { float::widen_f16(bytes, out) }
    },
    narrow_f16: |x, out| {
        // SAFETY: see `TABLE`.
        unsafe { float::narrow_f16(x, out) }
    },
    dots: |task: Dots<'_>, out: &mut Tile<'_, f32>| {
        // SAFETY: see `TABLE`.
        unsafe { float::dots(task, out) }
    },
    half: Some(|weights: &Weights<'_>, x, sums, out: &mut Tile<'_, f32>| {
        // SAFETY: see `TABLE`.
        unsafe { half::dots(weights, x, sums, out) }
    }),
    attend: |block: Block<'_, f32>, task: Attend<'_>| {
        // SAFETY: see `TABLE`.
        unsafe { attention::attend(block, task) }
    },
    attend_f16: Some(|block: Block<'_, [u8; 2]>, task: Attend<'_>| {
        // SAFETY: see `TABLE`.
        unsafe { attention::attend_f16(block, task) }
    }),
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

const fn format<const F: usize>() -> IntegerFormat {
    IntegerFormat { dtype: unpack::FACTS[F].dtype, kind: unpack::FACTS[F].kind, product: product::<F> }
}

fn product<const F: usize>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    out: &mut Tile<'_, f32>,
) {
    // SAFETY: see `TABLE`.
    unsafe { panel::product::<F>(weights, acts, scratch, out) }
}

/// Loops at the machine's bounds.
#[expect(clippy::needless_range_loop, reason = "an index keeps registers apart")]
mod gated {
    /// Rounds of the loops that measure peaks.
    const ROUNDS: usize = 20_000;

    /// Sixteen chains, as the instruction takes several cycles.
    #[target_feature(enable = "avx512f")]
    pub(super) fn f32_peak() -> f64 {
        use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
        const CHAINS: usize = 16;
        let mut sums = [_mm512_set1_ps(1.0); CHAINS];
        let (a, b) = std::hint::black_box((_mm512_set1_ps(0.5), _mm512_set1_ps(0.25)));
        for _ in 0..ROUNDS {
            for i in 0..CHAINS {
                sums[i] = _mm512_fmadd_ps(sums[i], a, b);
            }
        }
        std::hint::black_box(sums);
        (ROUNDS * CHAINS * 16) as f64
    }

    /// Twenty chains, as the instruction takes several cycles.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn int8_peak() -> f64 {
        use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi8, _mm512_setzero_si512};
        const CHAINS: usize = 20;
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        let (a, b) = std::hint::black_box((_mm512_set1_epi8(1), _mm512_set1_epi8(2)));
        for _ in 0..ROUNDS {
            for i in 0..CHAINS {
                sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
            }
        }
        std::hint::black_box(sums);
        (ROUNDS * CHAINS * 64) as f64
    }
}
