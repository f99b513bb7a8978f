//! Making IQ1 blocks: values of -1, 0 and 1, shifted up or down by an eighth.
//!
//! In sorted order the elements of a group fall into three runs, so every way to cut them is tried, for both shifts;
//! then the levels go to points of the grid.

use super::SHIFT;
use super::lattice::{Found, IQ1};
use crate::block::{encode_blocks, write_f16};
use crate::float::f32_to_f16;
use crate::round::{clamp, nearest};

/// The three values when shifted up, and when shifted down.
const VALUES: [[f32; 3]; 2] = [[-1.0 + SHIFT, SHIFT, 1.0 + SHIFT], [-1.0 - SHIFT, -SHIFT, 1.0 - SHIFT]];

/// The weights of a group: from the importance, or the squares.
fn weigh<const G: usize>(x: &[f32; G], importance: Option<&[f32]>, sigma2: f32) -> [f32; G] {
    std::array::from_fn(|i| match importance {
        Some(importance) => importance[i] * (sigma2 + x[i] * x[i]).sqrt(),
        None => x[i] * x[i],
    })
}

fn twice_mean_square(row: &[f32; 256]) -> f32 {
    2.0 * row.iter().fold(0.0, |sum, x| sum + x * x) / 256.0
}

fn magnitude(x: &[f32]) -> f32 {
    x.iter().fold(x[0].abs(), |max, x| if max > x.abs() { max } else { x.abs() })
}

/// The elements in ascending order, the first of equals first.
fn ascending<const G: usize>(x: &[f32; G]) -> [usize; G] {
    let mut order = std::array::from_fn(|i| i);
    order.sort_by(|&a, &b| x[a].partial_cmp(&x[b]).unwrap_or(std::cmp::Ordering::Equal));
    order
}

/// The best cut into three runs, the shift of each half (0 up, 1 down), and the scale.
#[derive(Clone, Copy, Debug)]
struct Cut {
    first: usize,
    second: usize,
    shifts: [usize; 2],
    scale: f32,
}

/// Keeps the cut of highest score.
#[derive(Debug)]
struct Best {
    cut: Option<Cut>,
    score: f32,
}

impl Best {
    const NONE: Best = Best { cut: None, score: -f32::MAX };

    fn offer(&mut self, (first, second): (usize, usize), shifts: [usize; 2], sum_qx: f32, sum_q2: f32) {
        if sum_q2 > 0.0 && sum_qx * sum_qx > self.score * sum_q2 {
            let scale = sum_qx / sum_q2;
            self.score = scale * sum_qx;
            self.cut = Some(Cut { first, second, shifts, scale });
        }
    }
}

/// The cuts of `G` elements in order of `first`, then `second`.
fn cuts<const G: usize>() -> impl Iterator<Item = (usize, usize)> {
    (0..=G).flat_map(|first| (first..=G).map(move |second| (first, second)))
}

/// One shift for the whole group.
fn cut_group(x: &[f32; 32], weights: &[f32; 32], order: &[usize; 32]) -> Option<Cut> {
    let (mut sum_x, mut sum_w) = ([0.0; 33], [0.0; 33]);
    for (j, &i) in order.iter().enumerate() {
        sum_x[j + 1] = sum_x[j] + weights[i] * x[i];
        sum_w[j + 1] = sum_w[j] + weights[i];
    }
    let mut best = Best::NONE;
    for (first, second) in cuts::<32>() {
        for (shift, v) in VALUES.iter().enumerate() {
            let runs =
                |sum: &[f32; 33]| [sum[first] - sum[0], sum[second] - sum[first], sum[32] - sum[second]];
            let (x, w) = (runs(&sum_x), runs(&sum_w));
            let sum_qx = x[0] * v[0] + x[1] * v[1] + x[2] * v[2];
            let sum_q2 = w[0] * v[0] * v[0] + w[1] * v[1] * v[1] + w[2] * v[2] * v[2];
            best.offer((first, second), [shift; 2], sum_qx, sum_q2);
        }
    }
    best.cut
}

/// Each half of the group has its shift. As neighbouring values are 1 apart, the three runs' sum collapses to the
/// total times the highest value, less what lies below each cut.
fn cut_halves(x: &[f32; 16], weights: &[f32; 16], order: &[usize; 16]) -> Option<Cut> {
    let (mut sum_x, mut sum_w) = ([[0.0; 17]; 2], [[0.0; 17]; 2]);
    for (j, &i) in order.iter().enumerate() {
        for half in 0..2 {
            sum_x[half][j + 1] = sum_x[half][j];
            sum_w[half][j + 1] = sum_w[half][j];
        }
        sum_x[i / 8][j + 1] += weights[i] * x[i];
        sum_w[i / 8][j + 1] += weights[i];
    }
    let mut best = Best::NONE;
    for (first, second) in cuts::<16>() {
        let sums = |half: usize, shift: usize| {
            let [low, middle, high] = VALUES[shift];
            let (x, w) = (&sum_x[half], &sum_w[half]);
            let sum_qx = x[16] * high - (x[first] + x[second]);
            let sum_q2 = w[16] * high * high
                + w[first] * (low * low - middle * middle)
                + w[second] * (middle * middle - high * high);
            (sum_qx, sum_q2)
        };
        for shifts in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let (a, b) = (sums(0, shifts[0]), sums(1, shifts[1]));
            best.offer((first, second), shifts, a.0 + b.0, a.1 + b.1);
        }
    }
    best.cut
}

/// The points of the group's cells (eight elements each), and the final shifts and scale.
fn place<const G: usize>(
    x: &[f32; G],
    weights: &[f32; G],
    order: &[usize; G],
    mut cut: Cut,
) -> ([u16; 4], Cut) {
    let mut levels = [1u8; G];
    for (j, &i) in order.iter().enumerate() {
        levels[i] = u8::from(j >= cut.first) + u8::from(j >= cut.second);
    }
    if cut.scale < 0.0 {
        levels = levels.map(|level| 2 - level);
        cut.scale = -cut.scale;
        cut.shifts = cut.shifts.map(|shift| 1 - shift);
    }
    // Two cells share a shift in IQ1_S, where both shifts are the same; in IQ1_M each has its own.
    let values = |cell: usize| &VALUES[cut.shifts[cell % 2]];
    let mut points = [0; 4];
    let mut all_on_grid = true;
    for (cell, levels) in levels.as_chunks::<8>().0.iter().enumerate() {
        let (x, w) = (&x[8 * cell..][..8], &weights[8 * cell..][..8]);
        points[cell] = match IQ1.find(levels) {
            Found::Point(index) => index,
            Found::Near(near) => {
                all_on_grid = false;
                IQ1.best(near, |point| {
                    IQ1.point(point).iter().zip(x).zip(w).fold(0.0, |error, ((&level, &x), &w)| {
                        let difference = cut.scale * values(cell)[usize::from(level)] - x;
                        error + w * difference * difference
                    })
                })
            }
        };
    }
    if !all_on_grid {
        let (mut sum_qx, mut sum_q2) = (0.0, 0.0);
        for (cell, &point) in points.iter().enumerate().take(G / 8) {
            add_products(
                &x[8 * cell..],
                &weights[8 * cell..],
                point,
                values(cell),
                1.0,
                &mut sum_qx,
                &mut sum_q2,
            );
        }
        if sum_qx > 0.0 && sum_q2 > 0.0 {
            cut.scale = sum_qx / sum_q2;
        }
    }
    (points, cut)
}

/// Adds `w q x` and `w q q` of eight elements, `q` being the point's values times `scale`.
fn add_products(
    x: &[f32],
    weights: &[f32],
    point: u16,
    values: &[f32; 3],
    scale: f32,
    sum_qx: &mut f32,
    sum_q2: &mut f32,
) {
    for ((&level, &x), &w) in IQ1.point(point).iter().zip(x).zip(weights) {
        let q = values[usize::from(level)] * scale;
        *sum_qx += w * q * x;
        *sum_q2 += w * q * q;
    }
}

/// The three-bit code of a group's scale.
fn scale_code(d: f32, scale: f32) -> u8 {
    clamp(nearest(0.5 * (1.0 / d * scale - 1.0)), 0.0, 7.0) as u8
}

pub(crate) fn encode_iq1_s(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 50]| {
        block.fill(0);
        let sigma2 = twice_mean_square(row);
        let mut groups = [None; 8];
        let mut largest = 0.0;
        for (i, (x, group)) in row.as_chunks::<32>().0.iter().zip(&mut groups).enumerate() {
            let weights = weigh(x, importance.map(|importance| &importance[32 * i..]), sigma2);
            if magnitude(x) < 1e-12 {
                continue;
            }
            let order = ascending(x);
            let Some(cut) = cut_group(x, &weights, &order) else { continue };
            let (points, cut) = place(x, &weights, &order, cut);
            largest = if largest > cut.scale { largest } else { cut.scale };
            *group = Some((points, cut));
        }
        let d = (largest > 0.0).then_some(largest / 15.0);
        for (i, group) in groups.iter().enumerate() {
            let Some((points, cut)) = group else { continue };
            let mut high = points.iter().rev().fold(0, |bits, point| bits << 3 | point >> 8);
            if let Some(d) = d {
                high |= u16::from(scale_code(d, cut.scale)) << 12 | (cut.shifts[0] as u16) << 15;
            }
            for (j, point) in points.iter().enumerate() {
                block[2 + 4 * i + j] = *point as u8;
            }
            block[34 + 2 * i..][..2].copy_from_slice(&high.to_le_bytes());
        }
        if let Some(d) = d {
            write_f16(block, 0, d * 1.125);
        }
    });
}

/// A group of nothing counts as one of scale 0 at the first point.
const NO_GROUP: ([u16; 4], Cut) = ([0; 4], Cut { first: 0, second: 0, shifts: [0; 2], scale: 0.0 });

pub(crate) fn encode_iq1_m(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 56]| {
        block.fill(0);
        let sigma2 = twice_mean_square(row);
        let weights_of =
            |i: usize, x: &[f32; 16]| weigh(x, importance.map(|weights| &weights[16 * i..]), sigma2);
        let mut groups = [NO_GROUP; 16];
        let mut largest = 0.0;
        for (i, (x, group)) in row.as_chunks::<16>().0.iter().zip(&mut groups).enumerate() {
            if magnitude(x) < 1e-7 {
                continue;
            }
            let weights = weights_of(i, x);
            let order = ascending(x);
            let Some(cut) = cut_halves(x, &weights, &order) else { continue };
            *group = place(x, &weights, &order, cut);
            largest = if largest > group.1.scale { largest } else { group.1.scale };
        }
        for (i, (points, cut)) in groups.iter().enumerate() {
            block[2 * i] = points[0] as u8;
            block[2 * i + 1] = points[1] as u8;
            block[32 + i] = (points[0] >> 8 | points[1] >> 8 << 4) as u8;
            if largest > 0.0 {
                block[32 + i] |= (cut.shifts[0] << 3 | cut.shifts[1] << 7) as u8;
            }
        }
        if largest > 0.0 {
            let scales = block_scale(row, &groups, largest / 15.0, weights_of);
            block[48..].copy_from_slice(&scales);
        }
    });
}

/// The scale codes of all groups, and in the upper four bits of each word the block's scale that suits them best.
fn block_scale(
    row: &[f32; 256],
    groups: &[([u16; 4], Cut); 16],
    mut d: f32,
    weights_of: impl Fn(usize, &[f32; 16]) -> [f32; 16],
) -> [u8; 8] {
    let mut words = [0u16; 4];
    let (mut sum_qx, mut sum_q2) = (0.0, 0.0);
    for (i, (x, (points, cut))) in row.as_chunks::<16>().0.iter().zip(groups).enumerate() {
        let code = scale_code(d, cut.scale);
        words[i / 4] |= u16::from(code) << (3 * (i % 4));
        let weights = weights_of(i, x);
        for cell in 0..2 {
            let (x, weights) = (&x[8 * cell..], &weights[8 * cell..]);
            let (values, scale) = (&VALUES[cut.shifts[cell]], f32::from(2 * code + 1));
            add_products(x, weights, points[cell], values, scale, &mut sum_qx, &mut sum_q2);
        }
    }
    if sum_q2 > 0.0 {
        d = sum_qx / sum_q2;
    }
    let bits = f32_to_f16(d * 1.1125);
    let mut scales = [0; 8];
    for (i, (out, word)) in scales.as_chunks_mut::<2>().0.iter_mut().zip(words).enumerate() {
        *out = (word | (bits >> (4 * i) & 15) << 12).to_le_bytes();
    }
    scales
}
