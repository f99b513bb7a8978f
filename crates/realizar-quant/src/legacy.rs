//! Blocks of 32 with one scale: `Q4_0`, `Q8_0`.
//!
//! ```text
//! Q4_0  18 bytes: d f16 | 16 bytes, element i in the low half of byte i, i + 16 in the high half
//! Q8_0  34 bytes: d f16 | 32 signed bytes
//! ```

use crate::block::decode_blocks;
use crate::float::read_f16;

/// `Q4_0`: `(q - 8) d`.
pub(crate) fn decode_q4_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
        let d = read_f16(block, 0);
        let (low, high) = out.split_at_mut(16);
        for ((low, high), &q) in low.iter_mut().zip(high).zip(&block[2..]) {
            *low = f32::from((q & 15) as i8 - 8) * d;
            *high = f32::from((q >> 4) as i8 - 8) * d;
        }
    });
}

/// `Q8_0`: `q d`.
pub(crate) fn decode_q8_0(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 34], out: &mut [f32; 32]| {
        let d = read_f16(block, 0);
        for (out, &q) in out.iter_mut().zip(&block[2..]) {
            *out = f32::from(q as i8) * d;
        }
    });
}
