//! The IQ formats: grids of points (IQ1, IQ2, IQ3) and uneven steps (IQ4).
//!
//! ```text
//! IQ1_S    50 bytes: d f16 | 32 low index bytes | 8 x u16: 4 x 3 upper index bits, scale 3 bits, shift sign
//! IQ1_M    56 bytes: 32 low index bytes | 16 bytes of 2 x (3 upper index bits, shift sign) | 8 bytes of scales
//! IQ2_XXS  66 bytes: d f16 | 8 x (4 index bytes, u32: 4 x 7 sign bits, scale 4 bits)
//! IQ2_XS   74 bytes: d f16 | 32 x u16: index 9 bits, signs 7 bits | 8 bytes of two scales
//! IQ2_S    82 bytes: d f16 | 32 low index bytes | 32 sign bytes | 8 bytes of upper index bits | 8 bytes of two scales
//! IQ3_XXS  98 bytes: d f16 | 64 index bytes | 8 x u32: 4 x 7 sign bits, scale 4 bits
//! IQ3_S   110 bytes: d f16 | 64 low index bytes | 8 bytes of ninth bits | 32 sign bytes | 4 bytes of two scales
//! IQ4_NL   18 bytes: d f16 | 16 bytes of two indices, as Q4_0
//! IQ4_XS  136 bytes: d f16 | u16: upper scale bits | 4 bytes of lower scale halves | 128 bytes of two indices
//! ```

use crate::block::decode_blocks;
use crate::float::{f16_to_f32, read_f16};
use grids::{IQ1_GRID, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID, even_signs};

pub(crate) mod grids;
mod lattice;
pub(crate) mod magnitudes;
pub(crate) mod nonlinear;
pub(crate) mod trits;

/// The uneven steps of `IQ4_NL` and `IQ4_XS`.
pub const IQ4_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// How far the values of the IQ1 formats are shifted, up or down.
const SHIFT: f32 = 0.125;

/// Eight elements from their magnitudes; bit `i` of `signs` makes element `i` negative.
#[inline]
fn signed<'a>(out: &mut [f32], step: f32, magnitudes: impl IntoIterator<Item = &'a u8>, signs: u8) {
    for (i, (out, &magnitude)) in out.iter_mut().zip(magnitudes).enumerate() {
        let value = step * f32::from(magnitude);
        *out = f32::from_bits(value.to_bits() ^ u32::from(signs >> i & 1) << 31);
    }
}

#[inline]
fn shifted(out: &mut [f32], step: f32, index: usize, shift: f32) {
    for (out, &value) in out.iter_mut().zip(&IQ1_GRID[index]) {
        *out = step * (f32::from(value) + shift);
    }
}

const fn shift(negative: bool) -> f32 {
    if negative { -SHIFT } else { SHIFT }
}

fn u16_at(bytes: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]])
}

fn u32_at(bytes: &[u8], index: usize) -> u32 {
    u32::from(u16_at(bytes, 2 * index)) | u32::from(u16_at(bytes, 2 * index + 1)) << 16
}

/// `IQ1_S`: `d (2 s + 1) (point ± 1/8)`, scale and shift for 32 elements.
pub(crate) fn decode_iq1_s(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 50], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let high = u16_at(&block[34..], i);
            let step = d * f32::from(2 * (high >> 12 & 7) + 1);
            for (j, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let index = usize::from(block[2 + 4 * i + j]) | usize::from(high >> (3 * j) & 7) << 8;
                shifted(out, step, index, shift(high & 0x8000 != 0));
            }
        }
    });
}

/// The f16 that the upper four bits of the four scale words of an `IQ1_M` block make, lowest first.
pub(crate) fn iq1_m_d(scales: &[u8]) -> f32 {
    f16_to_f32((0..4).fold(0, |bits, i| bits | u16_at(scales, i) >> 12 << (4 * i)))
}

/// `IQ1_M`: `d (2 s + 1) (point ± 1/8)`, a scale for 16 elements, a shift for 8.
pub(crate) fn decode_iq1_m(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 56], out: &mut [f32; 256]| {
        let scales = &block[48..];
        let d = iq1_m_d(scales);
        for (i, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = u16_at(scales, i / 4) >> (3 * (i % 4)) & 7;
            let step = d * f32::from(2 * scale + 1);
            for (j, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let high = block[32 + i] >> (4 * j);
                let index = usize::from(block[2 * i + j]) | usize::from(high & 7) << 8;
                shifted(out, step, index, shift(high & 8 != 0));
            }
        }
    });
}

/// The step of an IQ2 group: `d (s + 1/2) / 4`.
fn iq2_step(d: f32, scale: u32) -> f32 {
    d * (0.5 + scale as f32) * 0.25
}

/// `IQ2_XXS`: a scale for 32 elements.
pub(crate) fn decode_iq2_xxs(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 66], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (group, out) in block[2..].as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let signs = u32_at(group, 1);
            let step = iq2_step(d, signs >> 28);
            for (j, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let point = &IQ2_XXS_GRID[usize::from(group[j])];
                signed(out, step, point, even_signs((signs >> (7 * j)) as u8));
            }
        }
    });
}

/// `IQ2_XS`: a scale for 16 elements.
pub(crate) fn decode_iq2_xs(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 74], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (i, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let step = iq2_step(d, u32::from(block[66 + i / 4] >> (i / 2 % 2 * 4) & 15));
            let code = u16_at(&block[2..], i);
            signed(out, step, &IQ2_XS_GRID[usize::from(code & 511)], even_signs((code >> 9) as u8));
        }
    });
}

/// `IQ2_S`: a scale for 16 elements.
pub(crate) fn decode_iq2_s(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 82], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (i, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let step = iq2_step(d, u32::from(block[74 + i / 4] >> (i / 2 % 2 * 4) & 15));
            let index = usize::from(block[2 + i]) | usize::from(block[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
            signed(out, step, &IQ2_S_GRID[index], block[34 + i]);
        }
    });
}

/// `IQ3_XXS`: `d (s + 1/2) / 2`, a scale for 32 elements.
pub(crate) fn decode_iq3_xxs(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 98], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let signs = u32_at(&block[66..], i);
            let step = d * (0.5 + (signs >> 28) as f32) * 0.5;
            let pairs = block[2 + 8 * i..].as_chunks::<2>().0;
            for (j, (out, pair)) in out.as_chunks_mut::<8>().0.iter_mut().zip(pairs).enumerate() {
                let points = pair.map(|index| IQ3_XXS_GRID[usize::from(index)]);
                signed(out, step, points.as_flattened(), even_signs((signs >> (7 * j)) as u8));
            }
        }
    });
}

/// `IQ3_S`: `d (2 s + 1)`, a scale for 32 elements.
pub(crate) fn decode_iq3_s(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 110], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        for (i, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let scale = block[106 + i / 8] >> (i / 4 % 2 * 4) & 15;
            let step = d * f32::from(2 * scale + 1);
            let ninth = block[66 + i / 4] >> (i % 4 * 2);
            let points = [0, 1]
                .map(|j| IQ3_S_GRID[usize::from(block[2 + 2 * i + j]) | usize::from(ninth >> j & 1) << 8]);
            signed(out, step, points.as_flattened(), block[74 + i]);
        }
    });
}

/// 32 elements from 16 bytes of two indices.
fn uneven(quants: &[u8], out: &mut [f32; 32], step: f32) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &q) in low.iter_mut().zip(high).zip(quants) {
        *low = step * f32::from(IQ4_VALUES[usize::from(q & 15)]);
        *high = step * f32::from(IQ4_VALUES[usize::from(q >> 4)]);
    }
}

/// `IQ4_NL`: `d value`.
pub(crate) fn decode_iq4_nl(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
        uneven(&block[2..], out, read_f16(block, 0));
    });
}

/// The 6-bit scales of an `IQ4_XS` block, one for 32 elements; they stand for themselves minus 32.
pub(crate) fn iq4_xs_scales(block: &[u8; 136]) -> [i8; 8] {
    let high = u16_at(&block[2..], 0);
    std::array::from_fn(|i| {
        let low = block[4 + i / 2] >> (i % 2 * 4) & 15;
        (low | ((high >> (2 * i)) as u8 & 3) << 4) as i8 - 32
    })
}

/// `IQ4_XS`: `d (s - 32) value`, a scale for 32 elements.
pub(crate) fn decode_iq4_xs(bytes: &[u8], out: &mut [f32]) {
    decode_blocks(bytes, out, |block: &[u8; 136], out: &mut [f32; 256]| {
        let d = read_f16(block, 0);
        let groups = block[8..].as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<32>().0);
        for ((quants, out), scale) in groups.zip(iq4_xs_scales(block)) {
            uneven(quants, out, d * f32::from(scale));
        }
    });
}
