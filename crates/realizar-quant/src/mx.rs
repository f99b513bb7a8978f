//! Four-bit floats with a small float as scale: `MXFP4` (OCP Microscaling formats 1.0) and `NVFP4`.
//!
//! ```text
//! MXFP4  17 bytes: exponent e | 16 bytes of two codes, as Q4_0
//! NVFP4  36 bytes: 4 scales (unsigned e4m3) | 4 x 8 bytes of two codes: 4 x 16 elements
//! ```
//! Codes are E2M1: sign, two bits of exponent, one of mantissa. Their values are kept doubled, as integers, so the
//! scales here are half of what the formats say.

use crate::block::{decode_blocks, encode_blocks, magnitude};

/// The values of the sixteen codes, doubled.
pub const FP4_VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Half of `2^(e - 127)`. The exponent 255, NaN in the standard, counts like any other.
#[inline]
#[must_use]
pub const fn half_e8m0(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e as u32 - 1) << 23 })
}

/// Half the value of an unsigned e4m3 number; the NaN code 127 counts as zero.
#[inline]
#[must_use]
pub fn half_ue4m3(code: u8) -> f32 {
    let (exponent, mantissa) = (code >> 3 & 15, f32::from(code & 7));
    match (code, exponent) {
        (127, _) => 0.0,
        (_, 0) => mantissa * (1.0 / 1024.0),
        _ => (1.0 + mantissa / 8.0) * f32::from_bits((u32::from(exponent) + 127 - 8) << 23),
    }
}

/// Pairs of codes: the low halves first, then the high ones.
#[inline]
fn codes(bytes: &[u8], out: &mut [f32], step: f32) {
    let (low, high) = out.split_at_mut(bytes.len());
    for ((low, high), &q) in low.iter_mut().zip(high).zip(bytes) {
        *low = f32::from(FP4_VALUES[usize::from(q & 15)]) * step;
        *high = f32::from(FP4_VALUES[usize::from(q >> 4)]) * step;
    }
}

/// `MXFP4`: `2^(e - 127) code`.
pub(crate) fn decode_mxfp4(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 17], out: &mut [f32; 32]| {
        codes(&block[1..], out, half_e8m0(block[0]));
    });
}

/// `NVFP4`: `scale code`, a scale for 16 elements.
pub(crate) fn decode_nvfp4(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 36], out: &mut [f32; 64]| {
        let groups = block[4..].as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<16>().0);
        for ((bytes, out), &scale) in groups.zip(&block[..4]) {
            codes(bytes, out, half_ue4m3(scale));
        }
    });
}

/// Codes of the nearest values, the first of equals, packed as [`codes`] reads them.
fn pack_codes<const N: usize>(x: &[f32; N], out: &mut [u8], step: f32) {
    // The second eight values are the first ones with the other sign; both zeros count as the first.
    let mut nearest = [0u32; N];
    let mut least = x.map(f32::abs);
    for (code, &value) in FP4_VALUES.iter().enumerate().take(8).skip(1) {
        let value = f32::from(value) * step;
        for ((&x, least), nearest) in x.iter().zip(&mut least).zip(&mut nearest) {
            let error = (value - x.abs()).abs();
            *nearest = if error < *least { code as u32 } else { *nearest };
            *least = if error < *least { error } else { *least };
        }
    }
    for (&x, nearest) in x.iter().zip(&mut nearest) {
        *nearest |= if x < 0.0 && *nearest > 0 { 8 } else { 0 };
    }
    for (i, out) in out.iter_mut().enumerate() {
        *out = (nearest[i] | nearest[i + N / 2] << 4) as u8;
    }
}

/// `floor(log2(x))` of a positive number, where the logarithm is rounded to f32 first: just below a power of two it
/// gives that power, as the C library's `log2f` does.
fn floor_log2(x: f32) -> i32 {
    let x = f64::from(x);
    let exponent = (x.to_bits() >> 52) as i32 - 1023;
    let next = exponent + 1;
    // How far x is below the next power of two, exactly; log2(1 - s) = -(s + s^2 / 2 + ..) / ln 2.
    let shortfall = 1.0 - x / f64::from_bits(((next + 1023) as u64) << 52);
    let log = f64::from(next) - shortfall * (1.0 + shortfall / 2.0) * std::f64::consts::LOG2_E;
    if log as f32 == next as f32 { next } else { exponent }
}

pub(crate) fn encode_mxfp4(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |x: &[f32; 32], _, block: &mut [u8; 17]| {
        let magnitude = magnitude(x);
        // The largest code stands for 6 = 1.5 * 2^2. Exponents too small for the byte wrap around.
        let e = if magnitude > 0.0 { (floor_log2(magnitude) - 2 + 127) as u8 } else { 0 };
        block[0] = e;
        pack_codes(x, &mut block[1..], half_e8m0(e));
    });
}

/// The unsigned e4m3 number for a scale: mantissa rounded by its next bit; from 248 on the largest number, 448.
fn to_ue4m3(x: f32) -> u8 {
    let exponent = (x.to_bits() >> 23) as i32 - 127 + 7;
    // A mantissa that rounds up to 8 carries into the exponent.
    let rounded = (x.to_bits() >> 20 & 7) as i32 + (x.to_bits() >> 19 & 1) as i32 + 8 * exponent;
    match (x > 0.0, exponent) {
        (false, _) => 0,
        (true, ..=0) => ((x * 512.0 + 0.5) as u8).min(7),
        (true, _) if rounded >= 8 * 15 => 0x7e,
        (true, _) => rounded as u8,
    }
}

pub(crate) fn encode_nvfp4(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 64], _, block: &mut [u8; 36]| {
        for (i, x) in row.as_chunks::<16>().0.iter().enumerate() {
            let scale = to_ue4m3(magnitude(x) / 6.0);
            block[i] = scale;
            pack_codes(x, &mut block[4 + 8 * i..][..8], half_ue4m3(scale));
        }
    });
}
