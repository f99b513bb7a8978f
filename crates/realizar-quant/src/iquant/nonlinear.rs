//! Making `IQ4_NL` and `IQ4_XS`: a scale for 32 elements whose uneven steps fit best.

use super::IQ4_VALUES;
use crate::block::{encode_blocks, write_f16};
use crate::lanes::Lanes;
use crate::round::{clamp, nearest};
use crate::search::{NOTHING, extreme};

/// Half way between neighbours of [`IQ4_VALUES`], and the distance to the upper one; exact in f32.
const STEPS: [(f32, f32); 15] = {
    let mut steps = [(0.0, 0.0); 15];
    let mut i = 0;
    while i < 15 {
        let (low, high) = (IQ4_VALUES[i] as f32, IQ4_VALUES[i + 1] as f32);
        steps[i] = ((low + high) / 2.0, high - low);
        i += 1;
    }
    steps
};

/// The nearest of the uneven values, the upper one half way between two.
#[inline]
fn nearest_value<const N: usize>(x: Lanes<N>) -> Lanes<N> {
    STEPS.iter().fold(Lanes::from(f32::from(IQ4_VALUES[0])), |value, &(middle, step)| {
        value + Lanes::from(middle).gt(x).select(Lanes::ZERO, Lanes::from(step))
    })
}

/// The index of the nearest of the uneven values.
fn nearest_index(x: f32) -> u8 {
    STEPS.iter().map(|&(middle, _)| 1 - u8::from(x < middle)).sum()
}

/// The scale of each group of 32.
fn scales<const N: usize>(x: &[Lanes<N>; 32], weights: &[Lanes<N>; 32]) -> Lanes<N> {
    let zero = Lanes::ZERO;
    let (extreme, magnitude) = extreme(x);
    let fit = |inverse: Lanes<N>| {
        let (mut sum_qx, mut sum_q2) = (zero, zero);
        for (&x, &w) in x.iter().zip(weights) {
            let q = nearest_value(inverse * x);
            sum_qx = sum_qx + w * q * x;
            sum_q2 = sum_q2 + w * q * q;
        }
        (sum_qx, sum_q2)
    };
    let lowest = f32::from(IQ4_VALUES[0]);
    let (sum_qx, sum_q2) = fit(Lanes::from(1.0) / (-extreme / Lanes::from(lowest)));
    let mut scale = sum_q2.gt(zero).select(sum_qx / sum_q2, zero);
    let mut best = scale * sum_qx;
    for i in -7i8..=7 {
        let (sum_qx, sum_q2) = fit(Lanes::from(f32::from(i) + lowest) / extreme);
        let better = (sum_qx * sum_qx).gt(best * sum_q2).and(sum_q2.gt(zero));
        let this = sum_qx / sum_q2;
        scale = better.select(this, scale);
        best = better.select(this * sum_qx, best);
    }
    Lanes::from(NOTHING).gt(magnitude).select(zero, scale)
}

/// The weights of the elements: their squares, or the importance times `sqrt(sigma2 + x^2)`, `sigma2` being twice the
/// mean square of the block that the group belongs to.
fn weigh<'a, const N: usize>(
    x: &[Lanes<N>; 32],
    block: impl Fn(usize) -> &'a [f32],
    importance: Option<&[f32]>,
) -> [Lanes<N>; 32] {
    let Some(importance) = importance else { return x.map(|x| x * x) };
    let sigma2 = Lanes(std::array::from_fn(|g| {
        let block = block(g);
        block.iter().fold(0.0, |sum, x| sum + x * x) * (2.0 / block.len() as f32)
    }));
    let importance = Lanes::transpose::<32>(importance);
    std::array::from_fn(|i| importance[i] * (sigma2 + x[i] * x[i]).sqrt())
}

fn reciprocal(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// Two indices in a byte, of elements 16 apart.
fn pack(x: &[f32], inverse: f32, out: &mut [u8]) {
    let (low, high) = x.split_at(16);
    for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
        *out = nearest_index(inverse * low) | nearest_index(inverse * high) << 4;
    }
}

/// `N` blocks at once.
fn encode_blocks_nl<const N: usize>(row: &[f32], importance: Option<&[f32]>, out: &mut [[u8; 18]]) {
    let x = Lanes::<N>::transpose::<32>(row);
    let weights = weigh(&x, |g| &row[32 * g..][..32], importance);
    for ((x, block), scale) in row.as_chunks::<32>().0.iter().zip(out).zip(scales(&x, &weights).0) {
        write_f16(block, 0, scale);
        pack(x, reciprocal(scale), &mut block[2..]);
    }
}

pub(crate) fn encode_iq4_nl(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (i, (x, out)) in row.chunks(256).zip(out.as_chunks_mut::<18>().0.chunks_mut(8)).enumerate() {
        let importance = importance.map(|weights| &weights[256 * i..][..x.len()]);
        if out.len() == 8 {
            encode_blocks_nl::<8>(x, importance, out);
        } else {
            for (j, (x, out)) in x.chunks(32).zip(out.chunks_mut(1)).enumerate() {
                encode_blocks_nl::<1>(x, importance.map(|weights| &weights[32 * j..]), out);
            }
        }
    }
}

pub(crate) fn encode_iq4_xs(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 136]| {
        block[..8].fill(0);
        let x = Lanes::<8>::transpose::<32>(row);
        let scales = scales(&x, &weigh(&x, |_| row, importance)).0;
        let extreme = scales.iter().fold(0.0f32, |e, &s| if s.abs() > e.abs() { s } else { e });
        let d = -extreme / 32.0;
        write_f16(block, 0, d);
        let inverse = reciprocal(d);
        let mut high = 0u16;
        for (i, (x, scale)) in row.as_chunks::<32>().0.iter().zip(scales).enumerate() {
            let level = clamp(nearest(inverse * scale), -32.0, 31.0);
            pack(x, reciprocal(d * level), &mut block[8 + 16 * i..][..16]);
            let code = (level + 32.0) as u8;
            block[4 + i / 2] |= (code & 15) << (i % 2 * 4);
            high |= u16::from(code >> 4) << (2 * i);
        }
        block[2..4].copy_from_slice(&high.to_le_bytes());
    });
}
