//! The vectors of [`crate::quads`] in NEON registers, with the dot products of bytes.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, vaddq_f32, vandq_s32, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s8,
    vdupq_n_s32, vfmaq_f32, vfmsq_f32, vld1q_f32, vld1q_s8, vld1q_s32, vld1q_u8, vmlaq_s32, vmovn_u32,
    vmulq_f32, vorrq_s32, vqtbl1q_s8, vreinterpretq_s8_s32, vreinterpretq_s32_s8, vreinterpretq_s32_s64,
    vreinterpretq_s32_u8, vreinterpretq_s32_u32, vreinterpretq_s64_s32, vreinterpretq_u8_s32,
    vreinterpretq_u32_s32, vshlq_s32, vshlq_u8, vshlq_u32, vst1q_f32, vsubq_s8, vtrn1q_s32, vtrn1q_s64,
    vtrn2q_s32, vtrn2q_s64,
};
use std::arch::asm;
use std::hint::black_box;

use crate::quads::{Dots, Vector};

/// A register. Its products are only for functions that are compiled for `dotprod`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon(int32x4_t);

impl Vector for Neon {
    type Floats = float32x4_t;
    const ROWS: usize = 4;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u8; 16], first: usize) -> Self {
        // SAFETY: NEON belongs to the architecture; 16 bytes.
        unsafe { Self(vreinterpretq_s32_u8(vld1q_u8(row(first).as_ptr()))) }
    }

    #[inline(always)]
    fn splat8(byte: i8) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vreinterpretq_s32_s8(vdupq_n_s8(byte))) }
    }

    #[inline(always)]
    fn splat32(lane: i32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vdupq_n_s32(lane)) }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vandq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vorrq_s32(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub8(self, other: Self) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vreinterpretq_s32_s8(vsubq_s8(self.bytes(), other.bytes()))) }
    }

    #[inline(always)]
    fn shr8(self, count: u32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe {
            let count = vdupq_n_s8(-(count as i8));
            Self(vreinterpretq_s32_u8(vshlq_u8(vreinterpretq_u8_s32(self.0), count)))
        }
    }

    #[inline(always)]
    fn shl8(self, count: u32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vreinterpretq_s32_u8(vshlq_u8(vreinterpretq_u8_s32(self.0), vdupq_n_s8(count as i8)))) }
    }

    #[inline(always)]
    fn shr32(self, count: u32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe {
            let count = vdupq_n_s32(-(count as i32));
            Self(vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(self.0), count)))
        }
    }

    #[inline(always)]
    fn shl32(self, count: u32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vshlq_s32(self.0, vdupq_n_s32(count as i32))) }
    }

    #[inline(always)]
    fn sar32(self, count: u32) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vshlq_s32(self.0, vdupq_n_s32(-(count as i32)))) }
    }

    #[inline(always)]
    fn mul_add32(self, a: Self, b: Self) -> Self {
        // SAFETY: NEON belongs to the architecture.
        unsafe { Self(vmlaq_s32(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16]) -> Self {
        // SAFETY: NEON belongs to the architecture; 16 bytes.
        unsafe {
            Self(vreinterpretq_s32_s8(vqtbl1q_s8(vld1q_s8(table.as_ptr()), vreinterpretq_u8_s32(self.0))))
        }
    }

    #[inline(always)]
    fn transpose(rows: [Self; 4]) -> [Self; 4] {
        // SAFETY: NEON belongs to the architecture.
        unsafe {
            let [a, b, c, d] = rows.map(|row| row.0);
            let wide = vreinterpretq_s64_s32;
            let (ab, cd) = (wide(vtrn1q_s32(a, b)), wide(vtrn1q_s32(c, d)));
            let (odd_ab, odd_cd) = (wide(vtrn2q_s32(a, b)), wide(vtrn2q_s32(c, d)));
            [vtrn1q_s64(ab, cd), vtrn1q_s64(odd_ab, odd_cd), vtrn2q_s64(ab, cd), vtrn2q_s64(odd_ab, odd_cd)]
                .map(|row| Self(vreinterpretq_s32_s64(row)))
        }
    }

    #[inline(always)]
    fn halves(self) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { super::float::widen(vmovn_u32(vreinterpretq_u32_s32(self.0))) }
    }

    #[inline(always)]
    fn to_floats(self) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vcvtq_f32_s32(self.0) }
    }

    #[inline(always)]
    fn half_of(row: impl Fn(usize) -> u16) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture; four lanes.
        unsafe { Self(vld1q_s32(std::array::from_fn::<_, 4, _>(|i| i32::from(row(i))).as_ptr())) }.halves()
    }

    #[inline(always)]
    fn float_of(row: impl Fn(usize) -> f32) -> float32x4_t {
        Self::load_floats(&std::array::from_fn(row))
    }

    #[inline(always)]
    fn splat(float: f32) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vdupq_n_f32(float) }
    }

    #[inline(always)]
    fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vmulq_f32(a, b) }
    }
}

impl Dots for Neon {
    type Bytes = int8x16_t;
    type Token = int8x16_t;
    type Sums = int32x4_t;

    #[inline(always)]
    fn load_floats(floats: &[f32; 4]) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture; four floats.
        unsafe { vld1q_f32(floats.as_ptr()) }
    }

    #[inline(always)]
    fn store_floats(floats: float32x4_t, out: &mut [f32; 4]) {
        // SAFETY: NEON belongs to the architecture; four floats.
        unsafe { vst1q_f32(out.as_mut_ptr(), floats) }
    }

    #[inline(always)]
    fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn mul_sub(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vfmsq_f32(c, a, b) }
    }

    #[inline(always)]
    fn bytes(self) -> int8x16_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vreinterpretq_s8_s32(self.0) }
    }

    #[inline(always)]
    fn token(word: i32) -> int8x16_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(word)) }
    }

    #[inline(always)]
    fn no_sums() -> int32x4_t {
        // SAFETY: NEON belongs to the architecture.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    fn dot(sums: int32x4_t, weights: int8x16_t, token: int8x16_t) -> int32x4_t {
        // SAFETY: the callers are compiled for `dotprod`.
        unsafe { sdot(sums, weights, token) }
    }

    #[inline(always)]
    fn total(sums: int32x4_t) -> Self {
        Self(sums)
    }
}

/// Each lane of `sums` gets the products of its four bytes. By hand, since the intrinsic is not stable.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers in, a register out; the feature is enabled for this function.
    unsafe {
        asm!("sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b", sums = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// See [`Peak`](crate::kernels::Peak): sixteen chains, as the instruction takes several cycles.
#[target_feature(enable = "neon,dotprod")]
#[expect(clippy::needless_range_loop, reason = "an index keeps registers apart")]
pub(super) fn int8_peak() -> f64 {
    const ROUNDS: usize = 20_000;
    const CHAINS: usize = 16;
    let mut sums = [vdupq_n_s32(0); CHAINS];
    let (a, b) = black_box((vdupq_n_s8(1), vdupq_n_s8(2)));
    for _ in 0..ROUNDS {
        for i in 0..CHAINS {
            sums[i] = sdot(sums[i], a, b);
        }
    }
    black_box(sums);
    (ROUNDS * CHAINS * 16) as f64
}
