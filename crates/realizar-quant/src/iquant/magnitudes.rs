//! Making IQ2 and IQ3 blocks: signs apart, then points of a grid for the magnitudes and a scale for the group.

use super::lattice::{Found, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, Lattice};
use crate::block::{encode_blocks, write_f16};
use crate::round::{clamp, nearest};
use crate::search::{NOTHING, positive};

/// What differs between the formats.
#[derive(Debug)]
struct Plan {
    /// Levels of a coordinate; the values are the odd numbers `2 level + 1`.
    levels: u8,
    /// The mean square of the block counts so many times.
    sigma: f32,
    /// Weights without importance: `share * sigma2 + x^2`.
    share: f32,
    /// The signs of eight elements are made even in number.
    even: bool,
    /// Groups whose magnitudes are all below this are zero.
    nothing: f32,
    /// Scales are tried on so many rungs to each side, `step` apart in units of the largest value.
    rungs: i8,
    step: f32,
    /// The first scale comes from a search without the grid.
    presearch: bool,
    refine: Refine,
    /// What the block's scale is multiplied with before it is stored.
    fudge: f32,
}

/// Which points are chosen anew once the scale is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refine {
    /// Those whose levels were no point.
    OffGrid,
    /// All, unless all levels were points.
    AllIfOffGrid,
    Always,
}

const IQ2_XXS_PLAN: Plan = Plan {
    levels: 3,
    sigma: 1.0,
    share: 0.0,
    even: true,
    nothing: NOTHING,
    rungs: 6,
    step: 0.1,
    presearch: true,
    refine: Refine::Always,
    fudge: 1.0,
};
const IQ2_XS_PLAN: Plan = Plan { rungs: 9, presearch: false, refine: Refine::OffGrid, ..IQ2_XXS_PLAN };
const IQ2_S_PLAN: Plan =
    Plan { sigma: 2.0, share: 0.25, even: false, nothing: 1e-8, fudge: 0.9875, ..IQ2_XS_PLAN };
const IQ3_XXS_PLAN: Plan =
    Plan { levels: 8, sigma: 2.0, nothing: 1e-8, rungs: 15, step: 0.2, fudge: 1.0125, ..IQ2_XS_PLAN };
const IQ3_S_PLAN: Plan = Plan {
    even: false,
    nothing: f32::from_bits(1),
    rungs: 9,
    refine: Refine::AllIfOffGrid,
    fudge: 1.033,
    ..IQ3_XXS_PLAN
};

/// A group's choice: up to eight points, a sign byte for each eight elements, and the scale.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    points: [u16; 8],
    signs: [u8; 4],
    scale: f32,
}

/// A block's choice.
#[derive(Debug)]
struct Choice<const N: usize> {
    groups: [Group; N],
    /// The largest scale is `31 d`; absent where all scales are 0.
    d: Option<f32>,
}

/// `N` groups of `G` elements over points of `D` coordinates.
fn choose<const N: usize, const G: usize, const D: usize>(
    row: &[f32; 256],
    importance: Option<&[f32]>,
    plan: &Plan,
    lattice: &Lattice<D>,
) -> Choice<N> {
    let sum = row.iter().fold(0.0, |sum, x| sum + x * x);
    let sigma2 = plan.sigma * sum / 256.0;
    let mut groups = [Group::default(); N];
    let mut largest = 0.0;
    for (i, (group, x)) in groups.iter_mut().zip(row.as_chunks::<G>().0).enumerate() {
        let weights: [f32; G] = std::array::from_fn(|j| match importance {
            Some(importance) => importance[i * G + j] * (sigma2 + x[j] * x[j]).sqrt(),
            None if plan.share > 0.0 => plan.share * sigma2 + x[j] * x[j],
            None => x[j] * x[j],
        });
        *group = choose_group(x, &weights, plan, lattice);
        largest = if largest > group.scale { largest } else { group.scale };
    }
    Choice { groups, d: (largest > 0.0).then_some(largest / 31.0) }
}

fn choose_group<const G: usize, const D: usize>(
    x: &[f32; G],
    weights: &[f32; G],
    plan: &Plan,
    lattice: &Lattice<D>,
) -> Group {
    let mut group = Group::default();
    let mut magnitudes = x.map(|x| if x >= 0.0 { x } else { -x });
    for (j, signs) in group.signs.iter_mut().enumerate().take(G / 8) {
        let (x, w) = (&x[8 * j..][..8], &weights[8 * j..][..8]);
        *signs = x.iter().rev().fold(0, |bits, &x| bits << 1 | u8::from(x < 0.0));
        if plan.even && signs.count_ones() % 2 == 1 {
            // The element that matters least gets the wrong sign: its magnitude becomes negative instead.
            let loss = |i: usize| w[i] * x[i] * x[i];
            let least = (1..8).fold(0, |least, i| if loss(i) < loss(least) { i } else { least });
            magnitudes[8 * j + least] = -magnitudes[8 * j + least];
            *signs ^= 1 << least;
        }
    }
    let max = magnitudes.iter().fold(magnitudes[0], |max, &x| if max > x { max } else { x });
    if max < plan.nothing {
        return Group::default();
    }
    let fit = Fit { magnitudes: &magnitudes, weights, roots: weights.map(f32::sqrt), plan, lattice };
    let Some((points, scale)) = fit.search(max) else { return Group::default() };
    group.points = points;
    group.scale = scale;
    if scale < 0.0 {
        group.scale = -scale;
        group.signs = group.signs.map(|signs| !signs);
    }
    group
}

/// The search for one group's points and scale.
#[derive(Debug)]
struct Fit<'a, const G: usize, const D: usize> {
    magnitudes: &'a [f32; G],
    weights: &'a [f32; G],
    /// The square roots of the weights, by which neighbours on the grid are compared.
    roots: [f32; G],
    plan: &'a Plan,
    lattice: &'a Lattice<D>,
}

impl<const G: usize, const D: usize> Fit<'_, G, D> {
    fn search(&self, max: f32) -> Option<([u16; 8], f32)> {
        let highest = f32::from(2 * self.plan.levels - 1);
        let (mut scale, reach) = if self.plan.presearch {
            let scale = positive(self.magnitudes, self.weights, self.plan.levels + 1, &mut [0; G]);
            let reach = scale * f32::from(self.plan.levels);
            if reach <= 0.0 {
                return None;
            }
            (scale, reach)
        } else {
            (max / highest, max)
        };
        let mut points = [0; 8];
        let mut on_grid = [self.plan.refine == Refine::OffGrid; 8];
        let mut best = 0.0;
        for rung in -self.plan.rungs..=self.plan.rungs {
            let inverse = (highest + f32::from(rung) * self.plan.step) / reach;
            let tried: [(u16, bool); 8] = self.each_cell(|cell| self.point(cell, inverse, 1.0 / inverse));
            let tried_points = tried.map(|(point, _)| point);
            let (sum_qx, sum_q2) = self.products(&tried_points);
            if sum_q2 > 0.0 && sum_qx * sum_qx > best * sum_q2 {
                scale = sum_qx / sum_q2;
                best = scale * sum_qx;
                points = tried_points;
                on_grid = tried.map(|(_, on_grid)| on_grid);
            }
        }
        let off_grid = on_grid[..G / D].contains(&false);
        if scale > 0.0 && (off_grid || self.plan.refine == Refine::Always) {
            let inverse = 1.0 / scale;
            points = self.each_cell(|cell| match (self.plan.refine, on_grid[cell]) {
                (Refine::OffGrid, true) => points[cell],
                _ => self.point(cell, inverse, scale).0,
            });
            let (sum_qx, sum_q2) = self.products(&points);
            if sum_q2 > 0.0 {
                scale = sum_qx / sum_q2;
            }
        }
        Some((points, scale))
    }

    fn each_cell<T: Copy + Default>(&self, of: impl Fn(usize) -> T) -> [T; 8] {
        std::array::from_fn(|cell| if cell < G / D { of(cell) } else { T::default() })
    }

    /// The point for the cell at this scale, and whether the rounded levels were one.
    fn point(&self, cell: usize, inverse: f32, scale: f32) -> (u16, bool) {
        let x = &self.magnitudes[cell * D..][..D];
        let roots = &self.roots[cell * D..][..D];
        let top = f32::from(self.plan.levels - 1);
        let levels = std::array::from_fn(|i| clamp(nearest(0.5 * (inverse * x[i] - 1.0)), 0.0, top) as u8);
        match self.lattice.find(&levels) {
            Found::Point(index) => (index, true),
            Found::Near(near) => {
                let best = self.lattice.best(near, |point| {
                    self.lattice.odd(point).iter().zip(x).zip(roots).fold(0.0, |error, ((&q, &x), &root)| {
                        let difference = scale * q - x;
                        error + root * difference * difference
                    })
                });
                (best, false)
            }
        }
    }

    /// `sum w x q` and `sum w q q`.
    fn products(&self, points: &[u16; 8]) -> (f32, f32) {
        let (mut sum_qx, mut sum_q2) = (0.0, 0.0);
        for (cell, &index) in points.iter().enumerate().take(G / D) {
            for (i, &q) in self.lattice.odd(index).iter().enumerate() {
                let w = self.weights[cell * D + i];
                sum_qx += w * self.magnitudes[cell * D + i] * q;
                sum_q2 += w * q * q;
            }
        }
        (sum_qx, sum_q2)
    }
}

/// The four-bit code of a group's scale.
fn scale_code(d: f32, scale: f32) -> u8 {
    clamp(nearest(0.5 * (1.0 / d * scale - 1.0)), 0.0, 15.0) as u8
}

pub(crate) fn encode_iq2_xxs(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 66]| {
        block.fill(0);
        let choice = choose::<8, 32, 8>(row, importance, &IQ2_XXS_PLAN, &IQ2_XXS);
        let Some(d) = choice.d else { return };
        write_f16(block, 0, d * IQ2_XXS_PLAN.fudge);
        for (out, group) in block[2..].as_chunks_mut::<8>().0.iter_mut().zip(&choice.groups) {
            for (out, point) in out.iter_mut().zip(&group.points[..4]) {
                *out = *point as u8;
            }
            out[4..].copy_from_slice(&signs_and_scale(group, d));
        }
    });
}

/// Four times seven sign bits and a scale of four.
fn signs_and_scale(group: &Group, d: f32) -> [u8; 4] {
    let signs = group.signs.iter().rev().fold(0, |bits, &signs| bits << 7 | u32::from(signs & 127));
    (signs | u32::from(scale_code(d, group.scale)) << 28).to_le_bytes()
}

/// Two scale codes in a byte.
fn pack_scales(out: &mut [u8], groups: &[Group], d: f32) {
    for (out, groups) in out.iter_mut().zip(groups.as_chunks::<2>().0) {
        *out = scale_code(d, groups[0].scale) | scale_code(d, groups[1].scale) << 4;
    }
}

pub(crate) fn encode_iq2_xs(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 74]| {
        block.fill(0);
        let choice = choose::<16, 16, 8>(row, importance, &IQ2_XS_PLAN, &IQ2_XS);
        let Some(d) = choice.d else { return };
        write_f16(block, 0, d * IQ2_XS_PLAN.fudge);
        for (i, out) in block[2..66].as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let group = &choice.groups[i / 2];
            *out = (group.points[i % 2] | u16::from(group.signs[i % 2] & 127) << 9).to_le_bytes();
        }
        pack_scales(&mut block[66..], &choice.groups, d);
    });
}

pub(crate) fn encode_iq2_s(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 82]| {
        block.fill(0);
        let choice = choose::<16, 16, 8>(row, importance, &IQ2_S_PLAN, &IQ2_S);
        for i in 0..32 {
            let group = &choice.groups[i / 2];
            let point = group.points[i % 2];
            block[2 + i] = point as u8;
            block[34 + i] = group.signs[i % 2];
            block[66 + i / 4] |= ((point >> 8) as u8) << (i % 4 * 2);
        }
        if let Some(d) = choice.d {
            write_f16(block, 0, d * IQ2_S_PLAN.fudge);
            pack_scales(&mut block[74..], &choice.groups, d);
        }
    });
}

pub(crate) fn encode_iq3_xxs(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 98]| {
        block.fill(0);
        let choice = choose::<8, 32, 4>(row, importance, &IQ3_XXS_PLAN, &IQ3_XXS);
        let Some(d) = choice.d else { return };
        write_f16(block, 0, d * IQ3_XXS_PLAN.fudge);
        for (i, group) in choice.groups.iter().enumerate() {
            block[2 + 8 * i..][..8].copy_from_slice(&group.points.map(|point| point as u8));
            block[66 + 4 * i..][..4].copy_from_slice(&signs_and_scale(group, d));
        }
    });
}

pub(crate) fn encode_iq3_s(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    encode_blocks(row, importance, out, |row: &[f32; 256], importance, block: &mut [u8; 110]| {
        block.fill(0);
        let choice = choose::<8, 32, 4>(row, importance, &IQ3_S_PLAN, &IQ3_S);
        for (i, group) in choice.groups.iter().enumerate() {
            block[2 + 8 * i..][..8].copy_from_slice(&group.points.map(|point| point as u8));
            block[66 + i] = group.points.iter().rev().fold(0, |bits, point| bits << 1 | (point >> 8) as u8);
            block[74 + 4 * i..][..4].copy_from_slice(&group.signs);
        }
        if let Some(d) = choice.d {
            write_f16(block, 0, d * IQ3_S_PLAN.fudge);
            pack_scales(&mut block[106..], &choice.groups, d);
        }
    });
}
