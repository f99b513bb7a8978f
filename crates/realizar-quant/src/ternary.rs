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

use crate::block::{decode_blocks, spread_bits};
use crate::float::read_f16;

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
