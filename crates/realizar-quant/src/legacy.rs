//! Blocks of 32 with one scale, and one minimum where the name ends in 1.
//!
//! ```text
//! Q4_0  18 bytes: d f16 | 16 bytes, element i in the low half of byte i, i + 16 in the high half
//! Q4_1  20 bytes: d f16, m f16 | 16 bytes as Q4_0
//! Q5_0  22 bytes: d f16 | 32 fifth bits, lowest first | 16 bytes as Q4_0
//! Q5_1  24 bytes: d f16, m f16 | 32 fifth bits | 16 bytes as Q4_0
//! Q8_0  34 bytes: d f16 | 32 signed bytes
//! Q8_1  36 bytes: d f16, s f16 = d times the sum of the quants | 32 signed bytes
//! ```

use crate::block::{decode_blocks, spread_bits};
use crate::float::read_f16;

pub(crate) mod encode;

/// `map` of the 32 values below 16 or 32 that `quants` and the fifth bits hold.
#[inline]
fn nibbles(quants: &[u8], fifth: [u8; 32], out: &mut [f32; 32], map: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(16);
    let (fifth_low, fifth_high) = fifth.split_at(16);
    for ((out, &q), &h) in low.iter_mut().zip(quants).zip(fifth_low) {
        *out = map(q & 15 | h);
    }
    for ((out, &q), &h) in high.iter_mut().zip(quants).zip(fifth_high) {
        *out = map(q >> 4 | h);
    }
}

/// The fifth bits at their place in a value.
#[inline]
fn fifth_bits(bytes: &[u8]) -> [u8; 32] {
    let mut fifth = [0; 32];
    for (fifth, &byte) in fifth.as_chunks_mut::<8>().0.iter_mut().zip(bytes) {
        *fifth = (spread_bits(byte) >> 3).to_le_bytes();
    }
    fifth
}

/// `Q4_0`: `(q - 8) d`.
pub(crate) fn decode_q4_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
        let d = read_f16(block, 0);
        nibbles(&block[2..], [0; 32], out, |q| f32::from(q as i8 - 8) * d);
    });
}

/// `Q4_1`: `q d + m`.
pub(crate) fn decode_q4_1(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 20], out: &mut [f32; 32]| {
        let (d, m) = (read_f16(block, 0), read_f16(block, 2));
        nibbles(&block[4..], [0; 32], out, |q| f32::from(q) * d + m);
    });
}

/// `Q5_0`: `(q - 16) d`.
pub(crate) fn decode_q5_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 22], out: &mut [f32; 32]| {
        let d = read_f16(block, 0);
        nibbles(&block[6..], fifth_bits(&block[2..6]), out, |q| f32::from(q as i8 - 16) * d);
    });
}

/// `Q5_1`: `q d + m`.
pub(crate) fn decode_q5_1(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 24], out: &mut [f32; 32]| {
        let (d, m) = (read_f16(block, 0), read_f16(block, 2));
        nibbles(&block[8..], fifth_bits(&block[4..8]), out, |q| f32::from(q) * d + m);
    });
}

#[inline]
fn signed_bytes(quants: &[u8], out: &mut [f32; 32], d: f32) {
    for (out, &q) in out.iter_mut().zip(quants) {
        *out = f32::from(q as i8) * d;
    }
}

/// `Q8_0`: `q d`.
pub(crate) fn decode_q8_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 34], out: &mut [f32; 32]| {
        signed_bytes(&block[2..], out, read_f16(block, 0));
    });
}

/// `Q8_1`: `q d`.
pub(crate) fn decode_q8_1(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 36], out: &mut [f32; 32]| {
        signed_bytes(&block[4..], out, read_f16(block, 0));
    });
}
