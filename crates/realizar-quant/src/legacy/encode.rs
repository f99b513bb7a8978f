//! Making blocks of 32: by the extremes of the block, or by a weighted search where weights have importance.

use crate::block::{encode_blocks, write_f16};
use crate::lanes::Lanes;
use crate::round::{away, truncate};
use crate::search::{Ladder, affine, extreme, symmetric};

/// Halves and fifth bits of 32 levels: 16 bytes as in `Q4_0`.
fn pack(levels: &[u8; 32], out: &mut [u8]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = levels[i] & 15 | levels[i + 16] << 4;
    }
}

fn pack_fifth(levels: &[u8; 32], out: &mut [u8]) {
    for (levels, out) in levels.as_chunks::<8>().0.iter().zip(out) {
        *out = levels.iter().rev().fold(0, |bits, level| bits << 1 | level >> 4);
    }
}

fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// `importance * sqrt(sigma2 + x^2)` with the mean square of the whole row.
fn weigh(x: &[f32; 32], importance: &[f32], sigma2: f32) -> [Lanes<1>; 32] {
    std::array::from_fn(|i| Lanes([importance[i] * (sigma2 + x[i] * x[i]).sqrt()]))
}

fn mean_square(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |sum, x| sum + x * x) / row.len() as f32
}

/// Scale and levels of a block without minimum: the extreme becomes `-half`.
fn by_extreme(x: &[f32; 32], half: f32) -> (f32, [u8; 32]) {
    let (extreme, _) = extreme(&x.map(|x| Lanes([x])));
    let d = extreme.0[0] / -half;
    let inverse = reciprocal(d);
    // The cast keeps the low byte, as the reference does with what does not fit.
    let levels = x.map(|x| (truncate(x * inverse + (half + 0.5)) as i8).min((2.0 * half - 1.0) as i8) as u8);
    (d, levels)
}

fn by_search(x: &[f32; 32], importance: &[f32], sigma2: f32, half: f32) -> (f32, [u8; 32]) {
    let (levels, scale) = symmetric(&x.map(|x| Lanes([x])), &weigh(x, importance, sigma2), half);
    (scale.0[0], levels.map(|level| level.0[0] as u8))
}

fn without_minimum(x: &[f32; 32], importance: Option<&[f32]>, sigma2: f32, half: f32) -> (f32, [u8; 32]) {
    match importance {
        None => by_extreme(x, half),
        Some(importance) => by_search(x, importance, sigma2, half),
    }
}

/// Scale, minimum and levels of a block with minimum.
fn with_minimum(x: &[f32; 32], importance: Option<&[f32]>, sigma2: f32, top: f32) -> (f32, f32, [u8; 32]) {
    let Some(importance) = importance else {
        let (mut min, mut max) = (f32::MAX, -f32::MAX);
        for &x in x {
            min = if x < min { x } else { min };
            max = if x > max { x } else { max };
        }
        let d = (max - min) / top;
        let inverse = reciprocal(d);
        let levels = x.map(|x| (truncate((x - min) * inverse + 0.5) as u8).min(top as u8));
        return (d, min, levels);
    };
    let ladder = Ladder { first: -0.9, step: 0.05, count: 36, absolute: false };
    let found = affine(&x.map(|x| Lanes([x])), &weigh(x, importance, sigma2), top, ladder);
    (found.scale.0[0], -found.min.0[0], found.levels.map(|level| level.0[0] as u8))
}

pub(crate) fn encode_q4_0(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let sigma2 = importance.map_or(0.0, |_| mean_square(row));
    encode_blocks(row, importance, out, |x: &[f32; 32], importance, block: &mut [u8; 18]| {
        let (d, levels) = without_minimum(x, importance, sigma2, 8.0);
        write_f16(block, 0, d);
        pack(&levels, &mut block[2..]);
    });
}

pub(crate) fn encode_q4_1(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let sigma2 = importance.map_or(0.0, |_| mean_square(row));
    encode_blocks(row, importance, out, |x: &[f32; 32], importance, block: &mut [u8; 20]| {
        let (d, min, levels) = with_minimum(x, importance, sigma2, 15.0);
        write_f16(block, 0, d);
        write_f16(block, 2, min);
        pack(&levels, &mut block[4..]);
    });
}

pub(crate) fn encode_q5_0(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let sigma2 = importance.map_or(0.0, |_| mean_square(row));
    encode_blocks(row, importance, out, |x: &[f32; 32], importance, block: &mut [u8; 22]| {
        let (d, levels) = without_minimum(x, importance, sigma2, 16.0);
        write_f16(block, 0, d);
        pack_fifth(&levels, &mut block[2..6]);
        pack(&levels, &mut block[6..]);
    });
}

pub(crate) fn encode_q5_1(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let sigma2 = importance.map_or(0.0, |_| mean_square(row));
    encode_blocks(row, importance, out, |x: &[f32; 32], importance, block: &mut [u8; 24]| {
        let (d, min, levels) = with_minimum(x, importance, sigma2, 31.0);
        write_f16(block, 0, d);
        write_f16(block, 2, min);
        pack_fifth(&levels, &mut block[4..8]);
        pack(&levels, &mut block[8..]);
    });
}

/// Scale and quants of 8 bits: the largest magnitude becomes 127.
fn bytes(x: &[f32; 32]) -> (f32, [i8; 32]) {
    let magnitude = x.iter().fold(0.0f32, |max, x| if max > x.abs() { max } else { x.abs() });
    let d = magnitude / 127.0;
    let inverse = reciprocal(d);
    (d, x.map(|x| away(x * inverse) as i8))
}

pub(crate) fn encode_q8_0(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |x: &[f32; 32], _, block: &mut [u8; 34]| {
        let (d, quants) = bytes(x);
        write_f16(block, 0, d);
        block[2..].copy_from_slice(&quants.map(|q| q as u8));
    });
}

pub(crate) fn encode_q8_1(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |x: &[f32; 32], _, block: &mut [u8; 36]| {
        let (d, quants) = bytes(x);
        let sum: i16 = quants.iter().map(|&q| i16::from(q)).sum();
        write_f16(block, 0, d);
        write_f16(block, 2, f32::from(sum) * d);
        block[4..].copy_from_slice(&quants.map(|q| q as u8));
    });
}
