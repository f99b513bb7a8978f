//! AVX2 with FMA and F16C: the plain loops, widened by the compiler.

mod float;
mod integer8;

use crate::acts::{ActKind, Acts};
use crate::attend::Attend;
use crate::kernels::{Dots, Peak};
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scalar::formats::{Block, KType, Scaled};
use crate::scalar::math::Fused;
use crate::scalar::{activation, attention, integer, norm, quantise};
use crate::scratch::Scratch;
use crate::{Gate, Isa, Kernels};

/// The table, if this processor has the instructions.
pub(super) fn table() -> Option<&'static Kernels> {
    let present = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    present.then_some(&TABLE)
}

/// Only [`table`] hands this out, after it has detected the features that the functions below are compiled for.
static TABLE: Kernels = Kernels {
    isa: Isa::Avx2,
    name: "avx2",
    group: 1,
    few: (0, 1),
    integer: integer::formats!(by_block, by_super, by_scaled),
    quantise: |kind, x, width, block, words| {
        // SAFETY: see `TABLE`.
        unsafe { gated::quantise(kind, x, width, block, words) }
    },
    widen_f16: |bytes, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::widen_f16(bytes, out) }
    },
    widen_bf16: |bytes, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::widen_bf16(bytes, out) }
    },
    dots: |task: Dots<'_>, out: &mut Tile<'_, f32>| {
        // SAFETY: see `TABLE`.
        unsafe { gated::dots(task, out) }
    },
    rms_norm: |x, gain, eps, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::rms_norm(x, gain, eps, out) }
    },
    layer_norm: |x, gain, bias, eps, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::layer_norm(x, gain, bias, eps, out) }
    },
    gate: |kind, gate, up| {
        // SAFETY: see `TABLE`.
        unsafe { gated::gate(kind, gate, up) }
    },
    softcap: |x, cap| {
        // SAFETY: see `TABLE`.
        unsafe { gated::softcap(x, cap) }
    },
    add: |x, scale, into| {
        // SAFETY: see `TABLE`.
        unsafe { gated::add(x, scale, into) }
    },
    attend: |task: Attend<'_>| {
        // SAFETY: see `TABLE`.
        unsafe { gated::attend(task) }
    },
    scan: |task, state, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::scan(task, state, out) }
    },
    scan_channels: |task, state, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::scan_channels(task, state, out) }
    },
    convolve: |task, state, out| {
        // SAFETY: see `TABLE`.
        unsafe { gated::convolve(task, state, out) }
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
};

fn by_block<F: Block>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    // SAFETY: see `TABLE`.
    unsafe { gated::by_block::<F>(weights, acts, out) }
}

fn by_super<F: KType>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    // SAFETY: see `TABLE`.
    unsafe { gated::by_super::<F>(weights, acts, out) }
}

fn by_scaled<F: Scaled>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    // SAFETY: see `TABLE`.
    unsafe { gated::by_scaled::<F>(weights, acts, out) }
}

/// The plain loops, compiled for these instructions.
mod gated {
    use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};

    use super::integer8::Vectors;
    use super::{ActKind, Acts, Attend, Dots, Fused, Gate, Tile, Weights};
    use super::{activation, attention, integer, norm};
    use crate::scalar::formats::{Block, KType, Scaled};
    use crate::scalar::scan::{self, ChannelScan, Convolve, Scan};

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
    pub(super) fn by_block<F: Block>(weights: &Weights<'_>, acts: &Acts<'_>, out: &mut Tile<'_, f32>) {
        integer::by_block::<F, Vectors>(weights, acts, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn by_scaled<F: Scaled>(weights: &Weights<'_>, acts: &Acts<'_>, out: &mut Tile<'_, f32>) {
        integer::by_scaled::<F, Vectors>(weights, acts, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn by_super<F: KType>(weights: &Weights<'_>, acts: &Acts<'_>, out: &mut Tile<'_, f32>) {
        integer::by_super::<F, Vectors>(weights, acts, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn quantise(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
        super::quantise::quantise(kind, x, width, block, words);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
        crate::scalar::float::widen_bf16(bytes, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dots(task: Dots<'_>, out: &mut Tile<'_, f32>) {
        super::float::dots(task, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn scan(task: &Scan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
        scan::scan::<Fused>(task, state, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn scan_channels(task: &ChannelScan<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
        scan::scan_channels::<Fused>(task, state, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn convolve(task: &Convolve<'_>, state: &mut [f32], out: &mut Tile<'_, f32>) {
        scan::convolve::<Fused>(task, state, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn rms_norm(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]) {
        norm::rms_norm::<Fused>(x, gain, eps, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn layer_norm(x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
        norm::layer_norm::<Fused>(x, gain, bias, eps, out);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn gate(kind: Gate, gate: &mut [f32], up: Option<&[f32]>) {
        activation::gate::<Fused>(kind, gate, up);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn softcap(x: &mut [f32], cap: f32) {
        activation::softcap::<Fused>(x, cap);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn add(x: &[f32], scale: f32, into: &mut [f32]) {
        activation::add::<Fused>(x, scale, into);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn attend(task: Attend<'_>) {
        attention::attend::<Fused, 4, 16, 16>(task);
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

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn int8_peak() -> f64 {
        crate::scalar::math::int8_peak()
    }
}
