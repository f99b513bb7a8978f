//! One or two bits an element: signs (`Q1_0`), quarters (`Q2_0`), and the ternary formats of BitNet and TriLM.
//!
//! ```text
//! Q1_0   18 bytes: d f16 | 128 bits, lowest first, 1 for positive
//! Q2_0   18 bytes: d f16 | 64 x 2 bits, lowest first
//! TQ1_0  54 bytes: 48 bytes of five base-3 digits | 4 bytes of four digits | d f16
//! TQ2_0  66 bytes: 64 bytes of four 2-bit digits | d f16
//! ```
//! A byte of base-3 digits holds the number `ceil(256 n / 243)`, so that multiplying by 3 pushes the digits out at
//! the top, first element first.

use crate::block::{decode_blocks, encode_blocks, magnitude, spread_bits, write_f16};
use crate::float::read_f16;
use crate::round::away;

/// `Q1_0`: `±d`.
pub(crate) fn decode_q1_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 128]| {
        let d = read_f16(block, 0);
        for (&bits, out) in block[2..].iter().zip(out.as_chunks_mut::<8>().0) {
            for (out, sign) in out.iter_mut().zip(spread_bits(!bits).to_le_bytes()) {
                *out = f32::from_bits(d.to_bits() ^ u32::from(sign) << 24);
            }
        }
    });
}

/// `Q2_0`: `(q - 1) d`.
pub(crate) fn decode_q2_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 64]| {
        let d = read_f16(block, 0);
        for (&bits, out) in block[2..].iter().zip(out.as_chunks_mut::<4>().0) {
            for (i, out) in out.iter_mut().enumerate() {
                *out = f32::from((bits >> (2 * i) & 3) as i8 - 1) * d;
            }
        }
    });
}

/// `out.len() / bytes.len()` digits of each byte, digit by digit.
fn digits(bytes: &[u8], out: &mut [f32], d: f32) {
    let mut power = 1u8;
    for out in out.chunks_exact_mut(bytes.len()) {
        for (out, &byte) in out.iter_mut().zip(bytes) {
            let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
            *out = f32::from(digit as i16 - 1) * d;
        }
        power = power.wrapping_mul(3);
    }
}

/// `TQ1_0`: `(digit - 1) d`.
pub(crate) fn decode_tq1_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 54], out: &mut [f32; 256]| {
        let d = read_f16(block, 52);
        digits(&block[..32], &mut out[..160], d);
        digits(&block[32..48], &mut out[160..240], d);
        digits(&block[48..52], &mut out[240..], d);
    });
}

/// `TQ2_0`: `(digit - 1) d`.
pub(crate) fn decode_tq2_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 66], out: &mut [f32; 256]| {
        let d = read_f16(block, 64);
        for (bytes, out) in block.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<128>().0) {
            for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                for (out, &byte) in out.iter_mut().zip(bytes) {
                    *out = f32::from((byte >> (2 * i) & 3) as i8 - 1) * d;
                }
            }
        }
    });
}

/// Scale: the mean magnitude.
pub(crate) fn encode_q1_0(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 128], _, block: &mut [u8; 18]| {
        let sum = row.iter().fold(0.0, |sum, x| sum + x.abs());
        write_f16(block, 0, sum / 128.0);
        for (byte, x) in block[2..].iter_mut().zip(row.as_chunks::<8>().0) {
            *byte = x.iter().rev().fold(0, |bits, &x| bits << 1 | u8::from(x >= 0.0));
        }
    });
}

/// The largest magnitude, which is the scale of the formats below, and its reciprocal; writes the scale.
fn scale(row: &[f32], block: &mut [u8], at: usize) -> f32 {
    let d = magnitude(row);
    write_f16(block, at, d);
    if d > 0.0 { 1.0 / d } else { 0.0 }
}

pub(crate) fn encode_q2_0(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 64], _, block: &mut [u8; 18]| {
        let inverse = scale(row, block, 0);
        for (byte, x) in block[2..].iter_mut().zip(row.as_chunks::<4>().0) {
            let code = |x: f32| away(x * inverse).saturating_add(1).clamp(0, 3) as u8;
            *byte = x.iter().rev().fold(0, |bits, &x| bits << 2 | code(x));
        }
    });
}

/// Base-3 digits, one from each stretch of `out.len()` elements; missing ones are 0.
fn pack_digits(row: &[f32], out: &mut [u8], inverse: f32) {
    let stride = out.len();
    for (i, out) in out.iter_mut().enumerate() {
        let number = (0..5).fold(0u8, |number, digit| {
            let x = row.get(i + digit * stride);
            let digit = x.map_or(0, |x| away(x * inverse).wrapping_add(1) as u8);
            number.wrapping_mul(3).wrapping_add(digit)
        });
        *out = (u16::from(number) * 256).div_ceil(243) as u8;
    }
}

pub(crate) fn encode_tq1_0(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 256], _, block: &mut [u8; 54]| {
        let inverse = scale(row, block, 52);
        pack_digits(&row[..160], &mut block[..32], inverse);
        pack_digits(&row[160..240], &mut block[32..48], inverse);
        pack_digits(&row[240..], &mut block[48..52], inverse);
    });
}

pub(crate) fn encode_tq2_0(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 256], _, block: &mut [u8; 66]| {
        let inverse = scale(row, block, 64);
        for (row, out) in row.as_chunks::<128>().0.iter().zip(block.as_chunks_mut::<32>().0) {
            for (i, out) in out.iter_mut().enumerate() {
                *out = (0..4).fold(0, |bits, digit| {
                    let code = away(row[i + 32 * digit] * inverse).wrapping_add(1) as u8 & 3;
                    bits | code << (2 * digit)
                });
            }
        }
    });
}
