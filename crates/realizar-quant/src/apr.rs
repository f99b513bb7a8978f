//! The two block formats of `.apr` files. They know no rows: blocks run through the whole tensor.
//!
//! ```text
//! APR_Q4  18 bytes for 32 elements: scale f16 | 16 bytes, elements 2 i (low half) and 2 i + 1 in byte i
//! APR_Q8  scale f32 | one signed byte an element
//! ```

use crate::float::read_f16;

/// `APR_Q4`: `(q - 8) scale`; the last block is padded, `out` says how many of its elements count.
pub(crate) fn decode_apr_q4(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.chunks_mut(32)) {
        let scale = read_f16(block, 0);
        for (out, &q) in out.chunks_mut(2).zip(&block[2..]) {
            for (out, q) in out.iter_mut().zip([q & 15, q >> 4]) {
                *out = f32::from(q as i8 - 8) * scale;
            }
        }
    }
}

/// `APR_Q8`: `q scale`.
pub(crate) fn decode_apr_q8(bytes: &[u8], out: &mut [f32]) {
    if let Some((scale, quants)) = bytes.split_first_chunk() {
        let scale = f32::from_le_bytes(*scale);
        for (out, &q) in out.iter_mut().zip(quants) {
            *out = f32::from(q as i8) * scale;
        }
    }
}
