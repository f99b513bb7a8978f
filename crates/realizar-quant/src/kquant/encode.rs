//! Making K blocks: search a scale (and minimum) for every group, quantise those, then round the elements to what
//! the quantised ones leave.

use super::{k_scales, q3_k_scales};
use crate::block::{encode_blocks, write_f16};
use crate::lanes::Lanes;
use crate::round::{clamp, nearest};
use crate::search::{Affine, Ladder, NOTHING, affine, descend, positive, symmetric};

/// The ladder of every K format where weights have importance.
const WITH_IMPORTANCE: Ladder = Ladder { first: -0.9, step: 0.05, count: 36, absolute: false };

/// `importance * sqrt(sigma2 + x^2)`, `sigma2` being `factor` times the mean square of the block.
fn weigh<const N: usize, const G: usize>(
    row: &[f32; 256],
    x: &[Lanes<N>; G],
    importance: &[f32],
    factor: f32,
) -> [Lanes<N>; G] {
    let sum = row.iter().fold(0.0, |sum, x| sum + x * x);
    let sigma2 = Lanes::from(factor * sum / 256.0);
    let importance = Lanes::transpose::<G>(importance);
    std::array::from_fn(|i| importance[i] * (sigma2 + x[i] * x[i]).sqrt())
}

/// The groups' sums of weights.
fn totals<const N: usize>(weights: &[Lanes<N>]) -> Lanes<N> {
    weights.iter().fold(Lanes::ZERO, |sum, &w| sum + w)
}

/// The levels of the elements given the groups' final steps and minima; groups of step 0 keep what the search found.
fn requantise<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    found: &mut [Lanes<N>; G],
    step: Lanes<N>,
    min: Lanes<N>,
    top: f32,
) {
    let stepped = step.ne(Lanes::ZERO);
    for (level, &x) in found.iter_mut().zip(x) {
        *level = stepped.select(((x + min) / step).levels(0.0, top), *level);
    }
}

/// The same for levels from `-half` to `half - 1`, stored plus `half`.
fn requantise_symmetric(x: &[Lanes<16>; 16], found: &mut [Lanes<16>; 16], step: Lanes<16>, half: f32) {
    let stepped = step.ne(Lanes::ZERO);
    for (level, &x) in found.iter_mut().zip(x) {
        let new = (x / step).levels(-half, half - 1.0) + Lanes::from(half);
        *level = stepped.select(new, *level);
    }
}

/// The levels in the order of the elements.
fn flatten<const N: usize, const G: usize>(levels: &[Lanes<N>; G]) -> [u8; 256] {
    std::array::from_fn(|i| levels[i % G].0[i / G] as u8)
}

/// Two bits of four elements 32 apart in a byte, for each half of the block.
fn pack_quarters(levels: &[u8; 256], out: &mut [u8]) {
    for (half, out) in levels.as_chunks::<128>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = half[i] | half[i + 32] << 2 | half[i + 64] << 4 | half[i + 96] << 6;
        }
    }
}

/// The largest scale; 0 if none is positive.
fn largest(scales: &[f32]) -> f32 {
    scales.iter().fold(0.0, |max, &scale| if scale > max { scale } else { max })
}

pub(crate) fn encode_q2_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 84]| {
        let x = Lanes::<16>::transpose::<16>(row);
        let (mut found, d, dmin);
        match importance {
            None => {
                let ladder = Ladder { first: -0.5, step: 0.1, count: 15, absolute: true };
                found = affine(&x, &x.map(Lanes::abs), 3.0, ladder);
                let (max_scale, max_min) = (largest(&found.scale.0), largest(&found.min.0));
                let quantise = |value: f32, max: f32| {
                    if max > 0.0 { nearest(15.0 / max * value) as i32 as u8 } else { 0 }
                };
                for (code, (scale, min)) in block.iter_mut().zip(found.scale.0.into_iter().zip(found.min.0)) {
                    *code = quantise(scale, max_scale) | quantise(min, max_min) << 4;
                }
                d = write_f16(block, 80, max_scale / 15.0);
                dmin = write_f16(block, 82, max_min / 15.0);
            }
            Some(importance) => {
                let weights = weigh(row, &x, importance, 1.0);
                found = affine(&x, &weights, 3.0, WITH_IMPORTANCE);
                let totals = totals(&weights).0;
                let (mut scales, mut minima) = ([0; 16], [0; 16]);
                d = write_f16(block, 80, positive(&found.scale.0, &totals, 15, &mut scales));
                dmin = write_f16(block, 82, positive(&found.min.0, &totals, 15, &mut minima));
                for (code, (scale, min)) in block.iter_mut().zip(scales.into_iter().zip(minima)) {
                    *code = scale | min << 4;
                }
            }
        }
        let step = Lanes(std::array::from_fn(|i| d * f32::from(block[i] & 15)));
        let min = Lanes(std::array::from_fn(|i| dmin * f32::from(block[i] >> 4)));
        requantise(&x, &mut found.levels, step, min, 3.0);
        pack_quarters(&flatten(&found.levels), &mut block[16..80]);
    });
}

pub(crate) fn encode_q3_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 110]| {
        let x = Lanes::<16>::transpose::<16>(row);
        let (mut levels, d);
        let mut codes = [0u8; 16];
        match importance {
            None => {
                // Four groups at a time: of more, one is nearly always being improved, and no step is skipped.
                let quarters = row.as_chunks::<64>().0;
                let found: [([Lanes<4>; 16], Lanes<4>); 4] =
                    std::array::from_fn(|q| descend(&Lanes::transpose(&quarters[q]), 4.0));
                levels = std::array::from_fn(|i| Lanes(std::array::from_fn(|g| found[g / 4].0[i].0[g % 4])));
                let scales: [f32; 16] = std::array::from_fn(|g| found[g / 4].1.0[g % 4]);
                let extreme = scales.iter().fold(0.0f32, |e, &s| if s.abs() > e.abs() { s } else { e });
                d = if extreme == 0.0 {
                    write_f16(block, 108, 0.0)
                } else {
                    let inverse = -32.0 / extreme;
                    for (code, scale) in codes.iter_mut().zip(scales) {
                        *code = (clamp(nearest(inverse * scale), -32.0, 31.0) + 32.0) as u8;
                    }
                    write_f16(block, 108, 1.0 / inverse)
                };
            }
            Some(importance) => {
                let weights = weigh(row, &x, importance, 2.0);
                let scales;
                (levels, scales) = symmetric(&x, &weights, 4.0);
                let (scale_levels, scale) =
                    symmetric(&scales.0.map(|s| Lanes([s])), &totals(&weights).0.map(|w| Lanes([w])), 32.0);
                codes = scale_levels.map(|level| level.0[0] as u8);
                d = write_f16(block, 108, scale.0[0]);
            }
        }
        let packed = pack_q3_k_scales(&codes);
        block[96..108].copy_from_slice(&packed);
        let step = Lanes(q3_k_scales(&packed).map(|scale| d * f32::from(scale)));
        requantise_symmetric(&x, &mut levels, step, 4.0);
        let levels = flatten(&levels);
        for (i, third) in block[..32].iter_mut().enumerate() {
            *third = (0..8).fold(0, |bits, group| bits | levels[32 * group + i] >> 2 << group);
        }
        pack_quarters(&levels.map(|level| level & 3), &mut block[32..96]);
    });
}

/// The inverse of [`q3_k_scales`], from scales with 32 added. A group of nothing in a block of nothing has code 0.
fn pack_q3_k_scales(codes: &[u8; 16]) -> [u8; 12] {
    let mut packed = [0; 12];
    for (i, &code) in codes.iter().enumerate() {
        packed[i % 8] |= (code & 15) << (4 * (i / 8));
        packed[8 + i % 4] |= code >> 4 << (2 * (i / 4));
    }
    packed
}

/// Scales, minima and levels of a `Q4_K` or `Q5_K` block, whose heads are the same: writes the head, returns the
/// levels.
fn encode_k_head(
    row: &[f32; 256],
    importance: Option<&[f32]>,
    top: f32,
    ladder: Ladder,
    head: &mut [u8],
) -> [u8; 256] {
    let x = Lanes::<8>::transpose::<32>(row);
    let (mut scales, mut minima) = ([0; 8], [0; 8]);
    let (mut found, d, dmin): (Affine<8, 32>, f32, f32);
    match importance {
        None => {
            let mean = x.iter().fold(Lanes::ZERO, |sum, &x| sum + x * x) / Lanes::from(32.0);
            let rms = mean.sqrt();
            found = affine(&x, &x.map(|x| rms + x.abs()), top, ladder);
            let quantise = |values: [f32; 8], codes: &mut [u8; 8]| {
                let max = largest(&values);
                let inverse = if max > 0.0 { 63.0 / max } else { 0.0 };
                *codes = values.map(|value| (nearest(inverse * value) as i32 as u8).min(63));
                max / 63.0
            };
            d = quantise(found.scale.0, &mut scales);
            dmin = quantise(found.min.0, &mut minima);
        }
        Some(importance) => {
            let weights = weigh(row, &x, importance, 2.0);
            found = affine(&x, &weights, top, WITH_IMPORTANCE);
            let totals = totals(&weights).0;
            d = positive(&found.scale.0, &totals, 63, &mut scales);
            dmin = positive(&found.min.0, &totals, 63, &mut minima);
        }
    }
    let packed = pack_k_scales(scales, minima);
    head[4..16].copy_from_slice(&packed);
    let (d, dmin) = (write_f16(head, 0, d), write_f16(head, 2, dmin));
    let (scales, minima) = k_scales(&packed);
    let step = Lanes(scales.map(|scale| d * f32::from(scale)));
    let min = Lanes(minima.map(|min| dmin * f32::from(min)));
    requantise(&x, &mut found.levels, step, min, top);
    flatten(&found.levels)
}

/// The inverse of [`k_scales`].
fn pack_k_scales(scales: [u8; 8], minima: [u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for i in 0..4 {
        packed[i] = scales[i] | scales[i + 4] >> 4 << 6;
        packed[i + 4] = minima[i] | minima[i + 4] >> 4 << 6;
        packed[i + 8] = scales[i + 4] & 15 | minima[i + 4] << 4;
    }
    packed
}

pub(crate) fn encode_q4_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 144]| {
        let ladder = Ladder { first: -1.0, step: 0.1, count: 20, absolute: false };
        let levels = encode_k_head(row, importance, 15.0, ladder, block);
        pack_halves(&levels, &mut block[16..]);
    });
}

/// Four bits of two elements 32 apart in a byte.
fn pack_halves(levels: &[u8; 256], out: &mut [u8]) {
    for (levels, out) in levels.as_chunks::<64>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = levels[i] & 15 | levels[i + 32] << 4;
        }
    }
}

pub(crate) fn encode_q5_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 176]| {
        let ladder = Ladder { first: -0.5, step: 0.1, count: 15, absolute: false };
        let levels = encode_k_head(row, importance, 31.0, ladder, block);
        for (i, fifth) in block[16..48].iter_mut().enumerate() {
            *fifth = (0..8).fold(0, |bits, group| bits | levels[32 * group + i] >> 4 << group);
        }
        pack_halves(&levels, &mut block[48..]);
    });
}

pub(crate) fn encode_q6_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 210]| {
        let x = Lanes::<16>::transpose::<16>(row);
        let weights = match importance {
            None => x.map(|x| x * x),
            Some(importance) => Lanes::transpose(importance),
        };
        let (mut levels, scales) = symmetric(&x, &weights, 32.0);
        let extreme = scales.0.iter().fold(0.0f32, |e, &s| if s.abs() > e.abs() { s } else { e });
        if extreme.abs() < NOTHING {
            block.fill(0);
            return;
        }
        let inverse = -128.0 / extreme;
        let d = write_f16(block, 208, 1.0 / inverse);
        let codes = scales.0.map(|scale| (nearest(inverse * scale) as i32).min(127) as i8);
        for (byte, code) in block[192..208].iter_mut().zip(codes) {
            *byte = code as u8;
        }
        requantise_symmetric(&x, &mut levels, Lanes(codes.map(|code| d * f32::from(code))), 32.0);
        let levels = flatten(&levels);
        for (half, levels) in levels.as_chunks::<128>().0.iter().enumerate() {
            for i in 0..32 {
                block[64 * half + i] = levels[i] & 15 | levels[i + 64] << 4;
                block[64 * half + 32 + i] = levels[i + 32] & 15 | levels[i + 96] << 4;
            }
        }
        pack_quarters(&levels.map(|level| level >> 4), &mut block[128..192]);
    });
}

/// Made for activations: the largest magnitude becomes -127, and the sums of 16 quants follow them.
pub(crate) fn encode_q8_k(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, None, out, |row: &[f32; 256], _, block: &mut [u8; 292]| {
        block.fill(0);
        let extreme = row.iter().fold(0.0f32, |e, &x| if x.abs() > e.abs() { x } else { e });
        if extreme == 0.0 {
            return;
        }
        let inverse = -127.0 / extreme;
        block[..4].copy_from_slice(&(1.0 / inverse).to_le_bytes());
        for (group, x) in row.as_chunks::<16>().0.iter().enumerate() {
            let quants = x.map(|x| (nearest(inverse * x) as i32).min(127) as i8);
            block[4 + 16 * group..][..16].copy_from_slice(&quants.map(|q| q as u8));
            let sum: i16 = quants.iter().map(|&q| i16::from(q)).sum();
            block[260 + 2 * group..][..2].copy_from_slice(&sum.to_le_bytes());
        }
    });
}
