//! The vectors of [`crate::quads`] in WebAssembly.
//!
//! Bytes are widened to 16 bits when a panel is made; `i32x4.dot_i16x8_s` then multiplies two rows at a time and leaves
//! two sums per row, which are joined at the end of a block.

use std::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_mul, f32x4_splat, f32x4_sub, i8x16_shl, i8x16_splat, i8x16_sub,
    i8x16_swizzle, i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i16x8_splat, i32x4_add, i32x4_dot_i16x8,
    i32x4_eq, i32x4_mul, i32x4_shl, i32x4_shr, i32x4_shuffle, i32x4_splat, u8x16_shr,
    u32x4_load_extend_u16x4, u32x4_shr, v128, v128_and, v128_load, v128_or, v128_store,
};
use std::hint::black_box;

use crate::quads::{Dots, Vector};

/// A register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Simd128(v128);

/// Rows 0 and 1 of a quad in the first, rows 2 and 3 in the second.
type Pair = (v128, v128);

impl Vector for Simd128 {
    type Floats = v128;
    const ROWS: usize = 4;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u8; 16], first: usize) -> Self {
        // SAFETY: 16 bytes, of any alignment.
        Self(unsafe { v128_load(row(first).as_ptr().cast()) })
    }

    #[inline(always)]
    fn splat8(byte: i8) -> Self {
        Self(i8x16_splat(byte))
    }

    #[inline(always)]
    fn splat32(lane: i32) -> Self {
        Self(i32x4_splat(lane))
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(v128_and(self.0, other.0))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    #[inline(always)]
    fn sub8(self, other: Self) -> Self {
        Self(i8x16_sub(self.0, other.0))
    }

    #[inline(always)]
    fn shr8(self, count: u32) -> Self {
        Self(u8x16_shr(self.0, count))
    }

    #[inline(always)]
    fn shl8(self, count: u32) -> Self {
        Self(i8x16_shl(self.0, count))
    }

    #[inline(always)]
    fn shr32(self, count: u32) -> Self {
        Self(u32x4_shr(self.0, count))
    }

    #[inline(always)]
    fn shl32(self, count: u32) -> Self {
        Self(i32x4_shl(self.0, count))
    }

    #[inline(always)]
    fn sar32(self, count: u32) -> Self {
        Self(i32x4_shr(self.0, count))
    }

    #[inline(always)]
    fn mul_add32(self, a: Self, b: Self) -> Self {
        Self(i32x4_add(self.0, i32x4_mul(a.0, b.0)))
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16]) -> Self {
        // SAFETY: 16 bytes, of any alignment.
        Self(i8x16_swizzle(unsafe { v128_load(table.as_ptr().cast()) }, self.0))
    }

    #[inline(always)]
    fn transpose(rows: [Self; 4]) -> [Self; 4] {
        let [a, b, c, d] = rows.map(|row| row.0);
        let (low_ab, low_cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (high_ab, high_cd) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        [
            i32x4_shuffle::<0, 1, 4, 5>(low_ab, low_cd),
            i32x4_shuffle::<2, 3, 6, 7>(low_ab, low_cd),
            i32x4_shuffle::<0, 1, 4, 5>(high_ab, high_cd),
            i32x4_shuffle::<2, 3, 6, 7>(high_ab, high_cd),
        ]
        .map(Self)
    }

    #[inline(always)]
    fn halves(self) -> v128 {
        widen(v128_and(self.0, i32x4_splat(0xffff)))
    }

    #[inline(always)]
    fn to_floats(self) -> v128 {
        f32x4_convert_i32x4(self.0)
    }

    #[inline(always)]
    fn half_of(row: impl Fn(usize) -> u16) -> v128 {
        let lanes: [i32; 4] = std::array::from_fn(|i| i32::from(row(i)));
        // SAFETY: four lanes.
        Self(unsafe { v128_load(lanes.as_ptr().cast()) }).halves()
    }

    #[inline(always)]
    fn float_of(row: impl Fn(usize) -> f32) -> v128 {
        Self::load_floats(&std::array::from_fn(row))
    }

    #[inline(always)]
    fn splat(float: f32) -> v128 {
        f32x4_splat(float)
    }

    #[inline(always)]
    fn mul(a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }
}

impl Dots for Simd128 {
    type Bytes = Pair;
    type Token = v128;
    type Sums = Pair;

    #[inline(always)]
    fn load_floats(floats: &[f32; 4]) -> v128 {
        // SAFETY: four floats.
        unsafe { v128_load(floats.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_floats(floats: v128, out: &mut [f32; 4]) {
        // SAFETY: four floats.
        unsafe { v128_store(out.as_mut_ptr().cast(), floats) }
    }

    #[inline(always)]
    fn add(a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn mul_add(a: v128, b: v128, c: v128) -> v128 {
        f32x4_add(c, f32x4_mul(a, b))
    }

    #[inline(always)]
    fn mul_sub(a: v128, b: v128, c: v128) -> v128 {
        f32x4_sub(c, f32x4_mul(a, b))
    }

    #[inline(always)]
    fn bytes(self) -> Pair {
        (i16x8_extend_low_i8x16(self.0), i16x8_extend_high_i8x16(self.0))
    }

    #[inline(always)]
    fn token(word: i32) -> v128 {
        i16x8_extend_low_i8x16(i32x4_splat(word))
    }

    #[inline(always)]
    fn no_sums() -> Pair {
        (i32x4_splat(0), i32x4_splat(0))
    }

    #[inline(always)]
    fn dot(sums: Pair, weights: Pair, token: v128) -> Pair {
        (
            i32x4_add(sums.0, i32x4_dot_i16x8(weights.0, token)),
            i32x4_add(sums.1, i32x4_dot_i16x8(weights.1, token)),
        )
    }

    #[inline(always)]
    fn total(sums: Pair) -> Self {
        let even = i32x4_shuffle::<0, 2, 4, 6>(sums.0, sums.1);
        Self(i32x4_add(even, i32x4_shuffle::<1, 3, 5, 7>(sums.0, sums.1)))
    }
}

/// Four f16 in the low halves of lanes (the high ones are zero) as f32.
///
/// The bits of exponent and fraction lie 13 bits higher in an f32, whose exponent is larger by 112 for the same number: a
/// product by 2^112 is exact, and right for numbers without a leading bit too.
#[inline(always)]
fn widen(halves: v128) -> v128 {
    let magnitude = v128_and(halves, i32x4_splat(0x7fff));
    let sign = i32x4_shl(v128_and(halves, i32x4_splat(0x8000)), 16);
    let number = f32x4_mul(i32x4_shl(magnitude, 13), f32x4_splat(f32::from_bits((112 + 127) << 23)));
    let exponent = i32x4_splat(0x7c00);
    let not_finite = i32x4_eq(v128_and(halves, exponent), exponent);
    v128_or(v128_or(number, sign), v128_and(not_finite, i32x4_splat(0x7f80_0000)))
}

/// See [`Kernels::widen_f16`](crate::Kernels).
pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    let (parts, rest) = bytes.as_chunks::<8>();
    let (out, out_rest) = out.as_chunks_mut::<4>();
    for (out, part) in out.iter_mut().zip(parts) {
        // SAFETY: 8 bytes to read, 4 floats to write.
        unsafe {
            v128_store(out.as_mut_ptr().cast(), widen(u32x4_load_extend_u16x4(part.as_ptr().cast())));
        }
    }
    crate::scalar::float::widen_f16(rest, out_rest);
}

/// See [`Peak`](crate::kernels::Peak): eight chains.
pub(super) fn int8_peak() -> f64 {
    const ROUNDS: usize = 20_000;
    const CHAINS: usize = 8;
    let mut sums = [i32x4_splat(0); CHAINS];
    let (a, b) = black_box((i16x8_splat(1), i16x8_splat(2)));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = i32x4_add(*sum, i32x4_dot_i16x8(a, b));
        }
    }
    black_box(sums);
    (ROUNDS * CHAINS * 8) as f64
}

#[cfg(test)]
mod tests {
    use super::widen_f16;

    #[test]
    fn every_half_is_widened_exactly() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut out = vec![0.0; 1 << 16];
        widen_f16(&bytes, &mut out);
        for (half, found) in (0..=u16::MAX).zip(out) {
            let expected = realizar_quant::f16_to_f32(half);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{half:#x}"
            );
        }
    }
}
