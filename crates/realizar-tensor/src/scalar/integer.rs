//! Integer products of quantised weights with int8 activations: the reference.
//!
//! Per weight row and token: the products of one block are summed exactly in integers. Types with blocks of 32 then add
//! `sum * (weight scale * activation scale)` in one rounding to a partial of 256 values, block by block, then, where
//! blocks have minima, their part in the same way, and the partials one after the other. K types sum `block scale * block sum` of 256 values in integers, turn that into a
//! float once, multiply by d, take off the minima, and add the result times the activations' scale in one rounding.
//! IQ4_XS, whose block sums are too large for that, and NVFP4, whose scales are floats, add `sum * (d * block scale)`
//! block by block in floats instead.
//! Every table follows this order.

use realizar_quant::DType;

use super::formats::{
    Block, Iq4Nl, Iq4Xs, KType, Minima, Mxfp4, Nvfp4, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
    Scaled, Super,
};
use crate::acts::{ActKind, Acts, SUPER, word};
use crate::kernels::IntegerFormat;
use crate::matrix::Weights;
use crate::pool::Tile;
use crate::scratch::Scratch;

/// The formats with an integer product.
pub(crate) static FORMATS: &[IntegerFormat] = &[
    IntegerFormat { dtype: DType::Q4_0, kind: ActKind::Block32, product: by_block::<Q4_0> },
    IntegerFormat { dtype: DType::Q4_1, kind: ActKind::Block32, product: by_block::<Q4_1> },
    IntegerFormat { dtype: DType::Q5_0, kind: ActKind::Block32, product: by_block::<Q5_0> },
    IntegerFormat { dtype: DType::Q5_1, kind: ActKind::Block32, product: by_block::<Q5_1> },
    IntegerFormat { dtype: DType::Q8_0, kind: ActKind::Block32, product: by_block::<Q8_0> },
    IntegerFormat { dtype: DType::IQ4_NL, kind: ActKind::Block32, product: by_block::<Iq4Nl> },
    IntegerFormat { dtype: DType::MXFP4, kind: ActKind::Block32, product: by_block::<Mxfp4> },
    IntegerFormat { dtype: DType::Q2_K, kind: ActKind::Super256, product: by_super::<Q2K> },
    IntegerFormat { dtype: DType::Q3_K, kind: ActKind::Super256, product: by_super::<Q3K> },
    IntegerFormat { dtype: DType::Q4_K, kind: ActKind::Super256, product: by_super::<Q4K> },
    IntegerFormat { dtype: DType::Q5_K, kind: ActKind::Super256, product: by_super::<Q5K> },
    IntegerFormat { dtype: DType::Q6_K, kind: ActKind::Super256, product: by_super::<Q6K> },
    IntegerFormat { dtype: DType::IQ4_XS, kind: ActKind::Super256, product: by_scaled::<Iq4Xs> },
    IntegerFormat { dtype: DType::NVFP4, kind: ActKind::Super256, product: by_scaled::<Nvfp4> },
];

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

/// The sum of `scale * (q . a)` over the sixteen blocks of 256 values.
#[inline(always)]
fn dot_super(w: &Super, a: &[i32; 64]) -> i32 {
    let a = bytemuck::cast_ref::<_, [i8; SUPER]>(a).as_chunks::<16>().0;
    let blocks = w.q.as_chunks::<16>().0.iter().zip(a).zip(&w.scales);
    blocks.map(|((q, a), scale)| scale * dot(q, a)).sum()
}

/// `q . a` of 32 values; `a` is 8 words of four.
#[inline(always)]
fn dot32(q: &[i8; 32], a: &[i32; 8]) -> i32 {
    dot(q, bytemuck::cast_ref::<_, [i8; 32]>(a))
}

#[inline(always)]
fn dot<const N: usize>(q: &[i8; N], a: &[i8; N]) -> i32 {
    q.iter().zip(a).map(|(&q, &a)| i32::from(q) * i32::from(a)).sum()
}

fn by_block<F: Block>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    let mut q = [[0; 32]; 8];
    let (mut scales, mut mins) = ([0.0; 8], [0.0; 8]);
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks(8 * F::BYTES).enumerate() {
            let mut blocks = 0;
            for (b, bytes) in bytes.chunks_exact(F::BYTES).enumerate() {
                scales[b] = F::unpack(bytes, &mut q[b]);
                // The record has the sums of 32 times -8.
                mins[b] = F::min(bytes) * -0.125;
                blocks += 1;
            }
            for (token, record) in records(acts, block).enumerate() {
                let mut partial = 0.0;
                for b in 0..blocks {
                    let sum = dot32(&q[b], words(record, b * 8)) as f32;
                    partial = sum.mul_add(scales[b] * float(record[word::B32_SCALE + b]), partial);
                }
                if F::MINS {
                    for b in 0..blocks {
                        let sum = record[word::B32_MINUS_8 + b] as f32;
                        partial = sum.mul_add(mins[b] * float(record[word::B32_SCALE + b]), partial);
                    }
                }
                let out = &mut out.row(token)[row];
                *out = if block == 0 { 0.0 } else { *out } + partial;
            }
        }
    }
}

fn by_super<F: KType>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    let mut w = Super::ZERO;
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks_exact(F::BYTES).enumerate() {
            F::unpack(bytes, &mut w);
            for (token, record) in records(acts, block).enumerate() {
                let mut value = dot_super(&w, words(record, 0)) as f32 * w.d;
                let minima = match F::MINS {
                    Minima::None => None,
                    Minima::Of16 => Some((&record[word::S16_MINUS_32..][..16], -32)),
                    Minima::Of32 => Some((&record[word::S32_MINUS_16..][..8], -16)),
                };
                if let Some((sums, factor)) = minima {
                    let mins: i32 = sums.iter().zip(&w.mins).map(|(sum, min)| sum / factor * min).sum();
                    value = (-(mins as f32)).mul_add(w.d_min, value);
                }
                let out = &mut out.row(token)[row];
                *out = value.mul_add(float(record[word::S_SCALE]), if block == 0 { 0.0 } else { *out });
            }
        }
    }
}

fn by_scaled<F: Scaled>(weights: &Weights<'_>, acts: &Acts<'_>, _: &mut Scratch, out: &mut Tile<'_, f32>) {
    let (mut q, mut scales) = ([[0; 32]; 16], [0.0; 16]);
    for row in 0..weights.rows {
        for (block, bytes) in weights.row(row).chunks(F::BYTES).enumerate() {
            F::unpack(bytes, &mut q, &mut scales);
            for (token, record) in records(acts, block).enumerate() {
                let mut value = 0.0;
                for b in 0..F::PARTS {
                    let sum = dot32(&q[b], words(record, b * 8 / F::PARTS * 8)) as f32;
                    value = sum.mul_add(scales[b], value);
                }
                let out = &mut out.row(token)[row];
                *out = value.mul_add(float(record[word::S_SCALE]), if block == 0 { 0.0 } else { *out });
            }
        }
    }
}
