//! Four-bit floats with a small float as scale: `MXFP4` (OCP Microscaling formats 1.0) and `NVFP4`.
//!
//! ```text
//! MXFP4  17 bytes: exponent e | 16 bytes of two codes, as Q4_0
//! NVFP4  36 bytes: 4 scales (unsigned e4m3) | 4 x 8 bytes of two codes: 4 x 16 elements
//! ```
//! Codes are E2M1: sign, two bits of exponent, one of mantissa. Their values are kept doubled, as integers, so the
//! scales here are half of what the formats say.

use crate::block::decode_blocks;

/// The values of the sixteen codes, doubled.
pub const FP4_VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Half of `2^(e - 127)`. The exponent 255, NaN in the standard, counts like any other.
#[inline]
pub(crate) const fn half_e8m0(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e as u32 - 1) << 23 })
}

/// Half the value of an unsigned e4m3 number; the NaN code 127 counts as zero.
#[inline]
pub(crate) fn half_ue4m3(code: u8) -> f32 {
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
