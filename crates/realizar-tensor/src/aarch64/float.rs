//! Floats: the conversion from f16, and the loop that measures the peak.

use std::arch::aarch64::{float32x4_t, uint16x4_t, vdupq_n_f32, vfmaq_f32, vld1_u16, vst1q_f32};
use std::arch::asm;
use std::hint::black_box;

/// See [`Kernels::widen_f16`](crate::Kernels).
pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    let (parts, rest) = bytes.as_chunks::<8>();
    let (out, out_rest) = out.as_chunks_mut::<4>();
    for (out, part) in out.iter_mut().zip(parts) {
        // SAFETY: 8 bytes to read, 4 floats to write.
        unsafe { vst1q_f32(out.as_mut_ptr(), widen(vld1_u16(part.as_ptr().cast()))) };
    }
    crate::scalar::float::widen_f16(rest, out_rest);
}

/// Four f16 as f32. The conversion belongs to every processor of this architecture.
#[inline(always)]
pub(super) fn widen(halves: uint16x4_t) -> float32x4_t {
    let out;
    // SAFETY: registers in, a register out, and no feature beyond NEON.
    unsafe {
        asm!("fcvtl {out:v}.4s, {halves:v}.4h", out = lateout(vreg) out, halves = in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// See [`Peak`](crate::kernels::Peak): sixteen chains, as the instruction takes several cycles.
#[target_feature(enable = "neon")]
pub(super) fn f32_peak() -> f64 {
    const ROUNDS: usize = 20_000;
    const CHAINS: usize = 16;
    let mut sums = [vdupq_n_f32(1.0); CHAINS];
    let (a, b) = black_box((vdupq_n_f32(0.5), vdupq_n_f32(0.25)));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = vfmaq_f32(*sum, a, b);
        }
    }
    black_box(sums);
    (ROUNDS * CHAINS * 4) as f64
}
