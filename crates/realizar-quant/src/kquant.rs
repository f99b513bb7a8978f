//! Super-blocks of 256 with quantised scales: the K formats.
//!
//! ```text
//! Q2_K  84 bytes: 16 bytes of scale (low half) and minimum | 64 bytes of quants | d f16, dmin f16
//! Q3_K 110 bytes: 32 bytes of third bits | 64 bytes of quants | 12 bytes of scales | d f16
//! Q4_K 144 bytes: d f16, dmin f16 | 12 bytes of scales | 128 bytes of quants
//! Q5_K 176 bytes: d f16, dmin f16 | 12 bytes of scales | 32 bytes of fifth bits | 128 bytes of quants
//! Q6_K 210 bytes: 128 bytes of low halves | 64 bytes of upper two bits | 16 signed scales | d f16
//! Q8_K 292 bytes: d f32 | 256 signed bytes | 16 x i16, the sums of 16 quants
//! ```

use crate::block::decode_blocks;
use crate::float::read_f16;

pub(crate) mod encode;

/// Unpacks the 12 bytes of 6-bit scales and minima that `Q4_K` and `Q5_K` share: `(scales, minima)`, one of each
/// for 32 elements.
///
/// Bytes 0 to 3 hold scales 0 to 3 in their lower six bits, bytes 4 to 7 minima 0 to 3; bytes 8 to 11 hold the
/// lower halves of scales and minima 4 to 7, whose upper two bits are the top bits of bytes 0 to 3 and 4 to 7.
#[inline]
pub const fn k_scales(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut minima) = ([0; 8], [0; 8]);
    let mut i = 0;
    while i < 4 {
        scales[i] = packed[i] & 63;
        minima[i] = packed[i + 4] & 63;
        scales[i + 4] = packed[i + 8] & 15 | packed[i] >> 6 << 4;
        minima[i + 4] = packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4;
        i += 1;
    }
    (scales, minima)
}

/// Unpacks the 12 bytes of 6-bit scales of a `Q3_K` block, one for 16 elements; 32 is already taken off.
///
/// Scale `i` has its lower half in byte `i` (low half) or `i - 8` (high half), and its upper two bits in byte
/// `8 + i % 4`, at bit `2 (i / 4)`.
#[inline]
pub const fn q3_k_scales(packed: &[u8; 12]) -> [i8; 16] {
    let mut scales = [0; 16];
    let mut i = 0;
    while i < 16 {
        let low = packed[i % 8] >> (4 * (i / 8)) & 15;
        let high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
        scales[i] = (low | high << 4) as i8 - 32;
        i += 1;
    }
    scales
}

/// `Q2_K`: `d sc q - dmin m`, scale and minimum for 16 elements.
pub(crate) fn decode_q2_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 84], out: &mut [f32; 256]| {
        let (d, dmin) = (read_f16(block, 80), read_f16(block, 82));
        for (i, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = block[i];
            let (step, min) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
            let (half, shift, side) = (i / 8, i / 2 % 4 * 2, i % 2);
            for (out, &q) in out.iter_mut().zip(&block[16 + 32 * half + 16 * side..][..16]) {
                *out = step * f32::from(q >> shift & 3) - min;
            }
        }
    });
}

/// `Q3_K`: `d sc (q - 4)`, a scale for 16 elements; bit `i` of byte `j` of the third bits belongs to element
/// `32 i + j`.
pub(crate) fn decode_q3_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 110], out: &mut [f32; 256]| {
        let d = read_f16(block, 108);
        let mut packed = [0; 12];
        packed.copy_from_slice(&block[96..108]);
        let scales = q3_k_scales(&packed);
        for (i, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let step = d * f32::from(scales[i]);
            let (half, shift, side) = (i / 8, i / 2 % 4 * 2, i % 2);
            let low = &block[32 + 32 * half + 16 * side..][..16];
            let third = &block[16 * side..][..16];
            for ((out, &q), &h) in out.iter_mut().zip(low).zip(third) {
                let q = q >> shift & 3 | (h >> (i / 2) & 1) << 2;
                *out = step * f32::from(q as i8 - 4);
            }
        }
    });
}

/// The steps and offsets of the eight 32-element groups of a `Q4_K` or `Q5_K` block.
#[inline]
fn k_steps(block: &[u8]) -> [(f32, f32); 8] {
    let (d, dmin) = (read_f16(block, 0), read_f16(block, 2));
    let mut packed = [0; 12];
    packed.copy_from_slice(&block[4..16]);
    let (scales, minima) = k_scales(&packed);
    std::array::from_fn(|i| (d * f32::from(scales[i]), dmin * f32::from(minima[i])))
}

/// `Q4_K`: `d sc q - dmin m`.
pub(crate) fn decode_q4_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 144], out: &mut [f32; 256]| {
        let steps = k_steps(block);
        let groups = block[16..].as_chunks::<32>().0;
        for ((quants, out), step) in groups.iter().zip(out.as_chunks_mut::<64>().0).zip(steps.as_chunks().0) {
            let [(d1, m1), (d2, m2)] = *step;
            let (low, high) = out.split_at_mut(32);
            for ((low, high), &q) in low.iter_mut().zip(high).zip(quants) {
                *low = d1 * f32::from(q & 15) - m1;
                *high = d2 * f32::from(q >> 4) - m2;
            }
        }
    });
}

/// `Q5_K`: `d sc q - dmin m`, bit `i` of byte `j` of the fifth bits belongs to element `32 i + j`.
pub(crate) fn decode_q5_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 176], out: &mut [f32; 256]| {
        let steps = k_steps(block);
        let fifth = &block[16..48];
        let groups = block[48..].as_chunks::<32>().0;
        for (i, (quants, out)) in groups.iter().zip(out.as_chunks_mut::<64>().0).enumerate() {
            let ((d1, m1), (d2, m2)) = (steps[2 * i], steps[2 * i + 1]);
            let (low, high) = out.split_at_mut(32);
            for (((low, high), &q), &h) in low.iter_mut().zip(high).zip(quants).zip(fifth) {
                let h = h >> (2 * i);
                *low = d1 * f32::from(q & 15 | (h & 1) << 4) - m1;
                *high = d2 * f32::from(q >> 4 | (h & 2) << 3) - m2;
            }
        }
    });
}

/// `Q6_K`: `d sc (q - 32)`, a scale for 16 elements.
pub(crate) fn decode_q6_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 210], out: &mut [f32; 256]| {
        let d = read_f16(block, 208);
        for (half, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
            let low = &block[64 * half..][..64];
            let high = &block[128 + 32 * half..][..32];
            let scales = &block[192 + 8 * half..][..8];
            for (quarter, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                // Quarters 0 and 2 share the first 32 low bytes, 1 and 3 the others.
                let low = &low[32 * (quarter % 2)..][..32];
                let shift = 4 * (quarter / 2);
                for (i, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                    let step = d * f32::from(scales[2 * quarter + i] as i8);
                    for ((out, &l), &h) in out.iter_mut().zip(&low[16 * i..]).zip(&high[16 * i..]) {
                        let q = (l >> shift) & 15 | ((h >> (2 * quarter)) & 3) << 4;
                        *out = step * f32::from(q as i8 - 32);
                    }
                }
            }
        }
    });
}

/// `Q8_K`: `d q`.
pub(crate) fn decode_q8_k(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 292], out: &mut [f32; 256]| {
        let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        for (out, &q) in out.iter_mut().zip(&block[4..]) {
            *out = d * f32::from(q as i8);
        }
    });
}
