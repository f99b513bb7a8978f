//! Integer products of quantised weights with int8 activations: the reference.
//!
//! Per weight row and token: the products of one block are summed exactly in integers. Types with blocks of 32 then add
//! `sum * (weight scale * activation scale)` in one rounding to a partial of 256 values, block by block, and the
//! partials one after the other. K types sum `block scale * block sum` of 256 values in integers, turn that into a
//! float once, multiply by d, take off the minima, and add the result times the activations' scale in one rounding.
//! IQ4_XS, whose block sums are too large for that, and NVFP4, whose scales are floats, add `sum * (d * block scale)`
//! block by block in floats instead.
//! Every table follows this order.

use realizar_quant::{DType, FP4_VALUES, IQ4_VALUES, f16_to_f32, half_e8m0, half_ue4m3, k_scales};

use super::math::Plain;
use crate::acts::{ActKind, Acts, SUPER, word};
use crate::kernels::IntegerFormat;
use crate::matrix::Weights;
use crate::pool::Tile;

/// The formats with an integer product.
pub(crate) static FORMATS: &[IntegerFormat] = &[
    IntegerFormat {
        dtype: DType::Q4_0,
        kind: ActKind::Block32,
        product: |w, a, _, out| by_block::<Q4_0, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::Q8_0,
        kind: ActKind::Block32,
        product: |w, a, _, out| by_block::<Q8_0, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::Q4_K,
        kind: ActKind::Super256,
        product: |w, a, _, out| by_super::<Q4K, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::Q5_K,
        kind: ActKind::Super256,
        product: |w, a, _, out| by_super::<Q5K, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::Q6_K,
        kind: ActKind::Super256,
        product: |w, a, _, out| by_super::<Q6K, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::IQ4_NL,
        kind: ActKind::Block32,
        product: |w, a, _, out| by_block::<Iq4Nl, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::IQ4_XS,
        kind: ActKind::Super256,
        product: |w, a, _, out| by_scaled::<Iq4Xs, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::MXFP4,
        kind: ActKind::Block32,
        product: |w, a, _, out| by_block::<Mxfp4, Plain>(w, a, out),
    },
    IntegerFormat {
        dtype: DType::NVFP4,
        kind: ActKind::Super256,
        product: |w, a, _, out| by_scaled::<Nvfp4, Plain>(w, a, out),
    },
];

/// A format with blocks of 32.
pub(crate) trait Block {
    const BYTES: usize;
    /// The block's integers; returns its scale.
    fn unpack(bytes: &[u8], q: &mut [i8; 32]) -> f32;
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
    /// Minima of 32 values each.
    mins: [i32; 8],
    d: f32,
    d_min: f32,
}

/// A K type.
pub(crate) trait KType {
    const BYTES: usize;
    /// Whether it has minima.
    const MINS: bool;
    fn unpack(bytes: &[u8], out: &mut Super);
}

pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

impl KType for Q4K {
    const BYTES: usize = 144;
    const MINS: bool = true;
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
    const MINS: bool = true;
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
    const MINS: bool = false;
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

/// The records of one 256-block, token by token. This table's groups are of one token, so a record lies in one piece.
fn records<'a>(acts: &Acts<'a>, block: usize) -> impl Iterator<Item = &'a [i32]> {
    debug_assert_eq!(acts.group, 1);
    acts.group(block, 0, acts.tokens).chunks_exact(acts.kind.words())
}

/// `N` words of a record.
#[inline(always)]
fn words<const N: usize>(record: &[i32], at: usize) -> &[i32; N] {
    let Some(words) = record[at..].first_chunk() else { panic!("a record of {} words", record.len()) };
    words
}

fn float(word: i32) -> f32 {
    f32::from_bits(word as u32)
}

/// Exact sums of int8 products.
pub(crate) trait Dots8 {
    /// `q . a` of 32 values; `a` is 8 words of four.
    fn dot32(q: &[i8; 32], a: &[i32; 8]) -> i32;
    /// The sum of `scale * (q . a)` over the sixteen blocks of 256 values.
    fn dot_super(w: &Super, a: &[i32; 64]) -> i32;
}

impl Dots8 for Plain {
    #[inline(always)]
    fn dot32(q: &[i8; 32], a: &[i32; 8]) -> i32 {
        dot(q, bytemuck::cast_ref::<_, [i8; 32]>(a))
    }

    #[inline(always)]
    fn dot_super(w: &Super, a: &[i32; 64]) -> i32 {
        let a = bytemuck::cast_ref::<_, [i8; SUPER]>(a).as_chunks::<16>().0;
        let blocks = w.q.as_chunks::<16>().0.iter().zip(a).zip(&w.scales);
        blocks.map(|((q, a), scale)| scale * dot(q, a)).sum()
    }
}

#[inline(always)]
fn dot<const N: usize>(q: &[i8; N], a: &[i8; N]) -> i32 {
    q.iter().zip(a).map(|(&q, &a)| i32::from(q) * i32::from(a)).sum()
}

#[inline(always)]
pub(crate) fn by_block<F: Block, D: Dots8>(weights: &Weights<'_>, acts: &Acts<'_>, out: &mut Tile<'_, f32>) {
    let mut q = [[0; 32]; 8];
    let mut scales = [0.0; 8];
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks(8 * F::BYTES).enumerate() {
            let mut blocks = 0;
            for ((q, scale), bytes) in q.iter_mut().zip(&mut scales).zip(bytes.chunks_exact(F::BYTES)) {
                *scale = F::unpack(bytes, q);
                blocks += 1;
            }
            for (token, record) in records(acts, block).enumerate() {
                let mut partial = 0.0;
                for b in 0..blocks {
                    let sum = D::dot32(&q[b], words(record, b * 8)) as f32;
                    partial = sum.mul_add(scales[b] * float(record[word::B32_SCALE + b]), partial);
                }
                let out = &mut out.row(token)[row];
                *out = if block == 0 { 0.0 } else { *out } + partial;
            }
        }
    }
}

#[inline(always)]
pub(crate) fn by_super<F: KType, D: Dots8>(weights: &Weights<'_>, acts: &Acts<'_>, out: &mut Tile<'_, f32>) {
    let mut w = Super { q: [0; SUPER], scales: [0; 16], mins: [0; 8], d: 0.0, d_min: 0.0 };
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks_exact(F::BYTES).enumerate() {
            F::unpack(bytes, &mut w);
            for (token, record) in records(acts, block).enumerate() {
                let mut value = D::dot_super(&w, words(record, 0)) as f32 * w.d;
                if F::MINS {
                    let starts = &record[word::S32_MINUS_16..][..8];
                    let mins: i32 = starts.iter().zip(&w.mins).map(|(start, min)| start / -16 * min).sum();
                    value = (-(mins as f32)).mul_add(w.d_min, value);
                }
                let out = &mut out.row(token)[row];
                *out = value.mul_add(float(record[word::S_SCALE]), if block == 0 { 0.0 } else { *out });
            }
        }
    }
}

#[inline(always)]
pub(crate) fn by_scaled<F: Scaled, D: Dots8>(
    weights: &Weights<'_>,
    acts: &Acts<'_>,
    out: &mut Tile<'_, f32>,
) {
    let (mut q, mut scales) = ([[0; 32]; 16], [0.0; 16]);
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks(F::BYTES).enumerate() {
            F::unpack(bytes, &mut q, &mut scales);
            for (token, record) in records(acts, block).enumerate() {
                let mut value = 0.0;
                for b in 0..F::PARTS {
                    let sum = D::dot32(&q[b], words(record, b * 8 / F::PARTS * 8)) as f32;
                    value = sum.mul_add(scales[b], value);
                }
                let out = &mut out.row(token)[row];
                *out = value.mul_add(float(record[word::S_SCALE]), if block == 0 { 0.0 } else { *out });
            }
        }
    }
}
