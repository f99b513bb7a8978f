//! What lies in a block of each format with an integer product, as signed bytes, scales and minima.

use realizar_quant::{FP4_VALUES, IQ4_VALUES, f16_to_f32, half_e8m0, half_ue4m3, k_scales, q3_k_scales};

use crate::acts::SUPER;

/// A format with blocks of 32.
pub(crate) trait Block {
    const BYTES: usize;
    /// Whether blocks have minima.
    const MINS: bool = false;
    /// The block's integers; returns its scale.
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32;
    /// What is added to all values of the block.
    fn min(_: &[u8]) -> f32 {
        0.0
    }
}

/// f16 d, then 16 bytes of two 4-bit values: the low halves are the first 16.
pub(crate) struct Q4_0;
/// f16 d, then 32 signed bytes.
pub(crate) struct Q8_0;

impl Block for Q4_0 {
    const BYTES: usize = 18;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        for (i, &byte) in bytes[2..].iter().enumerate() {
            q[i] = (byte & 15) as i8 - 8;
            q[i + 16] = (byte >> 4) as i8 - 8;
        }
        half_at(bytes, 0)
    }
}

impl Block for Q8_0 {
    const BYTES: usize = 34;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        for (q, &byte) in q.iter_mut().zip(&bytes[2..]) {
            *q = byte as i8;
        }
        half_at(bytes, 0)
    }
}

/// f16 d, f16 m, then as Q4_0, but without an offset.
pub(crate) struct Q4_1;
/// f16 d, 32 fifth bits, then as Q4_0.
pub(crate) struct Q5_0;
/// f16 d, f16 m, 32 fifth bits, then as Q4_0, but without an offset.
pub(crate) struct Q5_1;

impl Block for Q4_1 {
    const BYTES: usize = 20;
    const MINS: bool = true;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        for (i, &byte) in bytes[4..20].iter().enumerate() {
            q[i] = (byte & 15) as i8;
            q[i + 16] = (byte >> 4) as i8;
        }
        half_at(bytes, 0)
    }
    #[inline(always)]
    fn min(bytes: &[u8]) -> f32 {
        half_at(bytes, 2)
    }
}

impl Block for Q5_0 {
    const BYTES: usize = 22;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        five_bits(&bytes[2..6], &bytes[6..22], q);
        for q in q {
            *q -= 16;
        }
        half_at(bytes, 0)
    }
}

impl Block for Q5_1 {
    const BYTES: usize = 24;
    const MINS: bool = true;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        five_bits(&bytes[4..8], &bytes[8..24], q);
        half_at(bytes, 0)
    }
    #[inline(always)]
    fn min(bytes: &[u8]) -> f32 {
        half_at(bytes, 2)
    }
}

/// The 4 lower bits as in Q4_0, and the fifth ones, the lowest bit for the first value.
#[inline(always)]
fn five_bits(fifth: &[u8], low: &[u8], q: &mut [i8; 32]) {
    let fifth = u32::from_le_bytes([fifth[0], fifth[1], fifth[2], fifth[3]]);
    for (i, &byte) in low.iter().enumerate() {
        q[i] = (byte & 15 | ((fifth >> i & 1) as u8) << 4) as i8;
        q[i + 16] = (byte >> 4 | ((fifth >> (i + 16) & 1) as u8) << 4) as i8;
    }
}

/// As Q4_0, but the 4 bits choose from a table.
pub(crate) struct Iq4Nl;

impl Block for Iq4Nl {
    const BYTES: usize = 18;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        chosen(&IQ4_VALUES, &bytes[2..18], q);
        half_at(bytes, 0)
    }
}

/// The exponent of a power of two, then as IQ4_NL.
pub(crate) struct Mxfp4;

impl Block for Mxfp4 {
    const BYTES: usize = 17;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32 {
        chosen(&FP4_VALUES, &bytes[1..17], q);
        half_e8m0(bytes[0])
    }
}

/// f16 d, the upper two bits of eight scales, their lower halves, then eight times 16 bytes as in IQ4_NL.
pub(crate) struct Iq4Xs;

/// Four times: four small floats as scales, then four times 8 bytes of two indices, the low halves first.
pub(crate) struct Nvfp4;

/// A type of 256-blocks whose parts are added up in floats.
pub(crate) trait Scaled {
    const BYTES: usize;
    /// 8 parts of 32 values, or 16 of 16 that lie in the lower and the upper half by turns, with zeros in the other.
    const PARTS: usize;
    /// What lies behind a row that ends inside a block is zero.
    fn unpack(bytes: &[u8], q: &mut [[i8; 32]; 16], scales: &mut [f32; 16]);
}

impl Scaled for Iq4Xs {
    const BYTES: usize = 136;
    const PARTS: usize = 8;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [[i8; 32]; 16], scales: &mut [f32; 16]) {
        let d = half_at(bytes, 0);
        let high = u16::from_le_bytes([bytes[2], bytes[3]]);
        for b in 0..8 {
            let low = bytes[4 + b / 2] >> (4 * (b % 2)) & 15;
            let scale = i32::from(low) | i32::from(high >> (2 * b) & 3) << 4;
            scales[b] = (scale - 32) as f32 * d;
            chosen(&IQ4_VALUES, &bytes[8 + b * 16..][..16], &mut q[b]);
        }
    }
}

impl Scaled for Nvfp4 {
    const BYTES: usize = 144;
    const PARTS: usize = 16;
    #[inline(always)]
    fn unpack(bytes: &[u8], q: &mut [[i8; 32]; 16], scales: &mut [f32; 16]) {
        (*q, *scales) = ([[0; 32]; 16], [0.0; 16]);
        for (block, bytes) in bytes.as_chunks::<36>().0.iter().enumerate() {
            for (i, codes) in bytes[4..].as_chunks::<8>().0.iter().enumerate() {
                let part = block * 4 + i;
                scales[part] = half_ue4m3(bytes[i]);
                let q = &mut q[part][part % 2 * 16..][..16];
                for (j, &byte) in codes.iter().enumerate() {
                    q[j] = FP4_VALUES[usize::from(byte & 15)];
                    q[j + 8] = FP4_VALUES[usize::from(byte >> 4)];
                }
            }
        }
    }
}

/// 16 bytes of two indices into the table: the low halves are the first 16.
#[inline(always)]
fn chosen(table: &[i8; 16], bytes: &[u8], q: &mut [i8; 32]) {
    for (i, &byte) in bytes.iter().enumerate() {
        q[i] = table[usize::from(byte & 15)];
        q[i + 16] = table[usize::from(byte >> 4)];
    }
}

/// 256 weights of a K type.
pub(crate) struct Super {
    pub(crate) q: [i8; SUPER],
    /// Scales of 16 values each.
    pub(crate) scales: [i32; 16],
    /// Minima of 32 or of 16 values each.
    pub(crate) mins: [i32; 16],
    pub(crate) d: f32,
    pub(crate) d_min: f32,
}

impl Super {
    pub(crate) const ZERO: Self = Self { q: [0; SUPER], scales: [0; 16], mins: [0; 16], d: 0.0, d_min: 0.0 };
}

/// Which blocks of a K type have minima.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Minima {
    None,
    /// Those of 16 values.
    Of16,
    /// Those of 32 values.
    Of32,
}

/// A K type.
pub(crate) trait KType {
    const BYTES: usize;
    const MINS: Minima;
    fn unpack(bytes: &[u8], out: &mut Super);
}

pub(crate) struct Q2K;
pub(crate) struct Q3K;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

impl KType for Q2K {
    const BYTES: usize = 84;
    const MINS: Minima = Minima::Of16;
    #[inline(always)]
    fn unpack(bytes: &[u8], out: &mut Super) {
        for (b, &byte) in bytes[..16].iter().enumerate() {
            out.scales[b] = i32::from(byte & 15);
            out.mins[b] = i32::from(byte >> 4);
        }
        two_bits(&bytes[16..80], &mut out.q);
        out.d = half_at(bytes, 80);
        out.d_min = half_at(bytes, 82);
    }
}

impl KType for Q3K {
    const BYTES: usize = 110;
    const MINS: Minima = Minima::None;
    #[inline(always)]
    fn unpack(bytes: &[u8], out: &mut Super) {
        two_bits(&bytes[32..96], &mut out.q);
        for (b, q) in out.q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (q, third) in q.iter_mut().zip(&bytes[..32]) {
                *q += (third >> b & 1) as i8 * 4 - 4;
            }
        }
        let mut packed = [0; 12];
        packed.copy_from_slice(&bytes[96..108]);
        out.scales = q3_k_scales(&packed).map(i32::from);
        out.d = half_at(bytes, 108);
    }
}

/// Halves of 128: four times 32 values, two bits of each in 32 bytes, the lowest first.
#[inline(always)]
fn two_bits(bytes: &[u8], q: &mut [i8; SUPER]) {
    for (half, bytes) in q.as_chunks_mut::<128>().0.iter_mut().zip(bytes.as_chunks::<32>().0) {
        for (quarter, q) in half.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (q, byte) in q.iter_mut().zip(bytes) {
                *q = (byte >> (2 * quarter) & 3) as i8;
            }
        }
    }
}

impl KType for Q4K {
    const BYTES: usize = 144;
    const MINS: Minima = Minima::Of32;
    #[inline(always)]
    fn unpack(bytes: &[u8], out: &mut Super) {
        head_with_mins(bytes, out);
        for (q, bytes) in out.q.as_chunks_mut::<64>().0.iter_mut().zip(bytes[16..].as_chunks::<32>().0) {
            for (i, &byte) in bytes.iter().enumerate() {
                q[i] = (byte & 15) as i8;
                q[i + 32] = (byte >> 4) as i8;
            }
        }
    }
}

impl KType for Q5K {
    const BYTES: usize = 176;
    const MINS: Minima = Minima::Of32;
    #[inline(always)]
    fn unpack(bytes: &[u8], out: &mut Super) {
        head_with_mins(bytes, out);
        let (high, low) = bytes[16..].split_at(32);
        for (part, (q, bytes)) in
            out.q.as_chunks_mut::<64>().0.iter_mut().zip(low.as_chunks::<32>().0).enumerate()
        {
            for (i, &byte) in bytes.iter().enumerate() {
                q[i] = (byte & 15 | (high[i] >> (2 * part) & 1) << 4) as i8;
                q[i + 32] = (byte >> 4 | (high[i] >> (2 * part + 1) & 1) << 4) as i8;
            }
        }
    }
}

impl KType for Q6K {
    const BYTES: usize = 210;
    const MINS: Minima = Minima::None;
    #[inline(always)]
    fn unpack(bytes: &[u8], out: &mut Super) {
        for half in 0..2 {
            let (low, high) = (&bytes[half * 64..][..64], &bytes[128 + half * 32..][..32]);
            let q = &mut out.q[half * 128..][..128];
            for i in 0..32 {
                q[i] = (low[i] & 15 | (high[i] & 3) << 4) as i8 - 32;
                q[i + 32] = (low[i + 32] & 15 | (high[i] >> 2 & 3) << 4) as i8 - 32;
                q[i + 64] = (low[i] >> 4 | (high[i] >> 4 & 3) << 4) as i8 - 32;
                q[i + 96] = (low[i + 32] >> 4 | high[i] >> 6 << 4) as i8 - 32;
            }
        }
        for (scale, &byte) in out.scales.iter_mut().zip(&bytes[192..208]) {
            *scale = i32::from(byte as i8);
        }
        out.d = half_at(bytes, 208);
    }
}

/// f16 d, f16 dmin and 12 bytes of 6-bit scales and minima.
fn head_with_mins(bytes: &[u8], out: &mut Super) {
    out.d = half_at(bytes, 0);
    out.d_min = half_at(bytes, 2);
    let mut packed = [0; 12];
    packed.copy_from_slice(&bytes[4..16]);
    let (scales, mins) = k_scales(&packed);
    for b in 0..8 {
        out.scales[2 * b] = i32::from(scales[b]);
        out.scales[2 * b + 1] = i32::from(scales[b]);
        out.mins[b] = i32::from(mins[b]);
    }
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}
