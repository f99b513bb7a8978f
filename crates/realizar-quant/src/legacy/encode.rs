//! Making blocks of 32: by the extremes of the block, or by a weighted search where weights have importance.

use crate::block::{eights, encode_blocks, magnitude, write_f16};
use crate::lanes::Lanes;
use crate::round::{away, away_small, truncate};
use crate::search::{Ladder, affine, symmetric};

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

fn mean_square(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |sum, x| sum + x * x) / row.len() as f32
}

/// `array::map` as a loop, which becomes vector code.
#[inline(always)]
fn each(x: &[f32; 32], level: impl Fn(f32) -> u8) -> [u8; 32] {
    let mut levels = [0; 32];
    for (out, &x) in levels.iter_mut().zip(x) {
        *out = level(x);
    }
    levels
}

/// Scale, minimum (0 where the format has none) and levels of a block.
type Block = (f32, f32, [u8; 32]);

/// Without a minimum the extreme becomes `-half`.
fn by_extreme(x: &[f32; 32], half: f32) -> Block {
    let magnitude = magnitude(x);
    // The first of equals; a zero is positive.
    let extreme = x.iter().find(|x| magnitude > 0.0 && x.abs() == magnitude).unwrap_or(&0.0);
    let d = extreme / -half;
    let inverse = reciprocal(d);
    let top = (2.0 * half - 1.0) as u8;
    let levels = if inverse.is_finite() {
        each(x, |x| ((x * inverse + (half + 0.5)) as u8).min(top))
    } else {
        // The low byte, as the reference has it for what does not fit.
        each(x, |x| truncate(x * inverse + (half + 0.5)) as u8)
    };
    (d, 0.0, levels)
}

/// With a minimum the range of the block becomes 0 to `top`.
fn by_range(x: &[f32; 32], top: f32) -> Block {
    let min = eights(x, f32::MAX, |min, x| if x < min { x } else { min });
    let max = eights(x, -f32::MAX, |max, x| if x > max { x } else { max });
    // Of zeros the first counts: its sign is stored.
    let first =
        |extreme: f32| if extreme == 0.0 { *x.iter().find(|&&x| x == 0.0).unwrap_or(&0.0) } else { extreme };
    let (min, max) = (first(min), first(max));
    let d = (max - min) / top;
    let inverse = reciprocal(d);
    let levels = if inverse.is_finite() {
        each(x, |x| (((x - min) * inverse + 0.5) as u8).min(top as u8))
    } else {
        each(x, |x| truncate((x - min) * inverse + 0.5) as u8)
    };
    (d, min, levels)
}

/// How the levels of a format lie.
#[derive(Clone, Copy, Debug)]
enum Levels {
    /// From `-half` to `half - 1`.
    Around { half: f32 },
    /// From 0 to `top`, above a minimum.
    From { top: f32 },
}

/// Searches `N` blocks at once, weighted by `importance * sqrt(sigma2 + x^2)`.
fn by_search<const N: usize>(x: &[f32], importance: &[f32], sigma2: f32, levels: Levels) -> [Block; N] {
    let x = Lanes::<N>::transpose::<32>(x);
    let importance = Lanes::<N>::transpose::<32>(importance);
    let weights = std::array::from_fn(|i| importance[i] * (Lanes::from(sigma2) + x[i] * x[i]).sqrt());
    let (levels, scale, min) = match levels {
        Levels::Around { half } => {
            let (levels, scale) = symmetric(&x, &weights, half);
            (levels, scale, Lanes::ZERO)
        }
        Levels::From { top } => {
            let ladder = Ladder { first: -0.9, step: 0.05, count: 36, absolute: false };
            let found = affine(&x, &weights, top, ladder);
            (found.levels, found.scale, -found.min)
        }
    };
    std::array::from_fn(|g| (scale.0[g], min.0[g], levels.map(|level| level.0[g] as u8)))
}

/// Finds scale, minimum and levels of every block and has them written.
#[inline]
fn encode<const B: usize>(
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
    levels: Levels,
    write: impl Fn(Block, &mut [u8; B]),
) {
    let out = out.as_chunks_mut::<B>().0;
    let Some(importance) = importance else {
        for (x, out) in row.as_chunks::<32>().0.iter().zip(out) {
            let block = match levels {
                Levels::Around { half } => by_extreme(x, half),
                Levels::From { top } => by_range(x, top),
            };
            write(block, out);
        }
        return;
    };
    let sigma2 = mean_square(row);
    for ((x, importance), out) in row.chunks(256).zip(importance.chunks(256)).zip(out.chunks_mut(8)) {
        if let Some(out) = out.as_mut_array::<8>() {
            for (block, out) in by_search::<8>(x, importance, sigma2, levels).into_iter().zip(out) {
                write(block, out);
            }
        } else {
            let blocks = x.as_chunks::<32>().0.iter().zip(importance.as_chunks::<32>().0);
            for ((x, importance), out) in blocks.zip(out) {
                let [block] = by_search::<1>(x, importance, sigma2, levels);
                write(block, out);
            }
        }
    }
}

pub(crate) fn encode_q4_0(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode(row, importance, out, Levels::Around { half: 8.0 }, |(d, _, levels), block: &mut [u8; 18]| {
        write_f16(block, 0, d);
        pack(&levels, &mut block[2..]);
    });
}

pub(crate) fn encode_q4_1(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode(row, importance, out, Levels::From { top: 15.0 }, |(d, min, levels), block: &mut [u8; 20]| {
        write_f16(block, 0, d);
        write_f16(block, 2, min);
        pack(&levels, &mut block[4..]);
    });
}

pub(crate) fn encode_q5_0(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode(row, importance, out, Levels::Around { half: 16.0 }, |(d, _, levels), block: &mut [u8; 22]| {
        write_f16(block, 0, d);
        pack_fifth(&levels, &mut block[2..6]);
        pack(&levels, &mut block[6..]);
    });
}

pub(crate) fn encode_q5_1(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode(row, importance, out, Levels::From { top: 31.0 }, |(d, min, levels), block: &mut [u8; 24]| {
        write_f16(block, 0, d);
        write_f16(block, 2, min);
        pack_fifth(&levels, &mut block[4..8]);
        pack(&levels, &mut block[8..]);
    });
}

/// Scale and quants of 8 bits: the largest magnitude becomes 127.
fn bytes(x: &[f32; 32]) -> (f32, [i8; 32]) {
    let d = magnitude(x) / 127.0;
    let inverse = reciprocal(d);
    let quants = if inverse.is_finite() {
        x.map(|x| away_small(x * inverse))
    } else {
        x.map(|x| away(x * inverse) as i8)
    };
    (d, quants)
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
