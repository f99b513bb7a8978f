//! The searches for the scale of a group (and its minimum) that leave the least weighted error.
//!
//! All of them try a ladder of scales around the obvious one, round to levels, and solve for the best scale given
//! those levels. `x[i]` holds element `i` of every group, `weights[i]` its importance. The order of every float
//! operation is ggml's: files come out equal to the last bit.

use crate::lanes::Lanes;
use crate::round::nearest;

/// Groups below this magnitude count as zero.
pub(crate) const NOTHING: f32 = 1e-15;

/// The scales that [`affine`] tries: `(first + step i + top) / (max - min)` for `i` from 0 to `count`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    pub(crate) first: f32,
    pub(crate) step: f32,
    pub(crate) count: u8,
    /// Measure the absolute error rather than its square.
    pub(crate) absolute: bool,
}

/// Levels, scale and minimum (as a positive number) of every group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<const N: usize, const G: usize> {
    pub(crate) levels: [Lanes<N>; G],
    pub(crate) scale: Lanes<N>,
    pub(crate) min: Lanes<N>,
}

/// Searches `scale level - min` with levels from 0 to `top`.
pub(crate) fn affine<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    weights: &[Lanes<N>; G],
    top: f32,
    ladder: Ladder,
) -> Affine<N, G> {
    let zero = Lanes::ZERO;
    let (mut min, mut max, mut sum_w) = (x[0], x[0], weights[0]);
    let mut sum_x = sum_w * x[0];
    for (&x, &w) in x.iter().zip(weights).skip(1) {
        min = x.min(min);
        max = x.max(max);
        sum_w = sum_w + w;
        sum_x = sum_x + w * x;
    }
    // A minimum above zero is not stored: it would need a sign.
    min = zero.min(min);
    let lowest = min;
    let spread = max.ne(min);
    let error = |scale: Lanes<N>, min: Lanes<N>, levels: &[Lanes<N>; G]| {
        let mut error = zero;
        for ((&x, &w), &level) in x.iter().zip(weights).zip(levels) {
            let difference = scale * level + min - x;
            error = error + w * if ladder.absolute { difference.abs() } else { difference * difference };
        }
        error
    };
    let mut inverse = Lanes::from(top) / (max - min);
    let mut scale = Lanes::from(1.0) / inverse;
    let full = (max - min) * Lanes::from(1e-3);
    let mut levels = x.map(|x| (inverse * (x - min)).levels(0.0, top));
    let mut best_error = error(scale, min, &levels);
    // The levels are not copied at each step up: they follow from these two.
    let mut offset = min;
    for i in 0..=ladder.count {
        let tried = Lanes::from(ladder.first + ladder.step * f32::from(i) + top) / (max - min);
        // Where a group is almost nothing, or the minimum has come close to the maximum, numbers may get out of hand.
        let odd = full.max(Lanes::from(1e-30)).gt(max - min).and(spread).any();
        let [sum_l, sum_l2, sum_xl] = if odd {
            level_sums(x, weights, &mut levels, |x| (tried * (x - min)).levels(0.0, top))
        } else {
            level_sums(x, weights, &mut levels, |x| (tried * (x - min)).small_levels(0.0, top))
        };
        let determinant = sum_w * sum_l2 - sum_l * sum_l;
        let this_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        let this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
        let above = this_min.gt(zero);
        let this_min = above.select(zero, this_min);
        let this_scale = above.select(sum_xl / sum_l2, this_scale);
        let this_error = error(this_scale, this_min, &levels);
        let better = best_error.gt(this_error).and(determinant.gt(zero));
        inverse = better.select(tried, inverse);
        offset = better.select(min, offset);
        best_error = better.select(this_error, best_error);
        scale = better.select(this_scale, scale);
        min = better.select(this_min, min);
    }
    for (level, &x) in levels.iter_mut().zip(x) {
        *level = spread.select((inverse * (x - offset)).levels(0.0, top), zero);
    }
    Affine { levels, scale: spread.select(scale, zero), min: -spread.select(min, lowest) }
}

/// Sets the levels; gives `sum w l`, `sum w l l` and `sum w l x`.
#[inline]
fn level_sums<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    weights: &[Lanes<N>; G],
    levels: &mut [Lanes<N>; G],
    level: impl Fn(Lanes<N>) -> Lanes<N>,
) -> [Lanes<N>; 3] {
    let [mut sum_l, mut sum_l2, mut sum_xl] = [Lanes::ZERO; 3];
    for ((&x, &w), stored) in x.iter().zip(weights).zip(levels) {
        let l = level(x);
        *stored = l;
        let wl = w * l;
        sum_l = sum_l + wl;
        sum_l2 = sum_l2 + wl * l;
        sum_xl = sum_xl + wl * x;
    }
    [sum_l, sum_l2, sum_xl]
}

/// The value of largest magnitude in every group, the first of equals, and that magnitude.
pub(crate) fn extreme<const N: usize, const G: usize>(x: &[Lanes<N>; G]) -> (Lanes<N>, Lanes<N>) {
    let (mut extreme, mut magnitude) = (Lanes::ZERO, Lanes::ZERO);
    for &x in x {
        let larger = x.abs().gt(magnitude);
        extreme = larger.select(x, extreme);
        magnitude = larger.select(x.abs(), magnitude);
    }
    (extreme, magnitude)
}

/// `sum w x l` and `sum w l l`.
#[inline]
fn products<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    weights: &[Lanes<N>; G],
    weighted: &[Lanes<N>; G],
    level: impl Fn(Lanes<N>) -> Lanes<N>,
) -> (Lanes<N>, Lanes<N>) {
    let (mut sum_lx, mut sum_l2) = (Lanes::ZERO, Lanes::ZERO);
    for ((&x, &w), &wx) in x.iter().zip(weights).zip(weighted) {
        let l = level(x);
        sum_lx = sum_lx + wx * l;
        sum_l2 = sum_l2 + w * l * l;
    }
    (sum_lx, sum_l2)
}

/// Searches `scale level` with levels from `-half` to `half - 1`; gives them plus `half`, and the scales.
///
/// A group of nothing has scale and levels 0.
pub(crate) fn symmetric<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    weights: &[Lanes<N>; G],
    half: f32,
) -> ([Lanes<N>; G], Lanes<N>) {
    let zero = Lanes::ZERO;
    let (extreme, magnitude) = extreme(x);
    let nothing = Lanes::from(NOTHING).gt(magnitude);
    // Apart from groups of nothing, whose results are not used, no product is larger than `half + 1`.
    let level = |inverse: Lanes<N>| move |x: Lanes<N>| (inverse * x).small_levels(-half, half - 1.0);
    let weighted = std::array::from_fn(|i| weights[i] * x[i]);
    let mut inverse = Lanes::from(-half) / extreme;
    let (sum_lx, sum_l2) = products(x, weights, &weighted, level(inverse));
    let mut scale = sum_l2.ne(zero).select(sum_lx / sum_l2, zero);
    let mut best = scale * sum_lx;
    for i in (-9i8..=9).filter(|&i| i != 0) {
        let tried = Lanes::from(-(half + 0.1 * f32::from(i))) / extreme;
        let (sum_lx, sum_l2) = products(x, weights, &weighted, level(tried));
        let better = (sum_lx * sum_lx).gt(best * sum_l2).and(sum_l2.gt(zero));
        let this_scale = sum_lx / sum_l2;
        inverse = better.select(tried, inverse);
        scale = better.select(this_scale, scale);
        best = better.select(this_scale * sum_lx, best);
    }
    let levels = x.map(|x| nothing.select(zero, level(inverse)(x) + Lanes::from(half)));
    (levels, nothing.select(zero, scale))
}

/// Searches `scale level` like [`symmetric`], weighted by the squares of `x`, changing one level at a time as long
/// as that helps, at most five rounds.
pub(crate) fn descend<const N: usize, const G: usize>(
    x: &[Lanes<N>; G],
    half: f32,
) -> ([Lanes<N>; G], Lanes<N>) {
    let zero = Lanes::ZERO;
    let (extreme, magnitude) = extreme(x);
    let nothing = Lanes::from(NOTHING).gt(magnitude);
    let inverse = Lanes::from(-half) / extreme;
    let mut levels = x.map(|x| (inverse * x).levels(-half, half - 1.0));
    let (mut sum_lx, mut sum_l2) = (zero, zero);
    for (&x, &l) in x.iter().zip(&levels) {
        let w = x * x;
        sum_lx = sum_lx + w * x * l;
        sum_l2 = sum_l2 + w * l * l;
    }
    for _ in 0..5 {
        let mut changed = false;
        for (&x, level) in x.iter().zip(&mut levels) {
            let (w, l) = (x * x, *level);
            let without_lx = sum_lx - w * x * l;
            let without_l2 = sum_l2 - w * l * l;
            let new = (x * without_l2 / without_lx).levels(-half, half - 1.0);
            let other = new.ne(l).and(without_lx.gt(zero));
            if !other.any() {
                continue;
            }
            let new_lx = without_lx + w * x * new;
            let new_l2 = without_l2 + w * new * new;
            let better = (new_lx * new_lx * sum_l2).gt(sum_lx * sum_lx * new_l2);
            let better = better.and(new_l2.gt(zero)).and(other);
            *level = better.select(new, l);
            sum_lx = better.select(new_lx, sum_lx);
            sum_l2 = better.select(new_l2, sum_l2);
            changed |= better.any();
        }
        if !changed {
            break;
        }
    }
    let scale = sum_l2.gt(zero).select(sum_lx / sum_l2, zero);
    let levels = levels.map(|l| nothing.select(zero, l + Lanes::from(half)));
    (levels, nothing.select(zero, scale))
}

/// Searches `scale level` with levels from 0 to `top` for values that are not negative; gives the scale.
///
/// Levels are bytes, as in the reference, where a negative value wraps around.
pub(crate) fn positive(x: &[f32], weights: &[f32], top: u8, levels: &mut [u8]) -> f32 {
    let max = x.iter().fold(0.0, |max, &x| if max > x { max } else { x });
    if max < NOTHING {
        levels.fill(0);
        return 0.0;
    }
    let top = f32::from(top);
    let level = |inverse: f32, x: f32| {
        let l = nearest(inverse * x);
        if top < l { top } else { l }
    };
    let error = |inverse: f32, level: &dyn Fn(f32) -> f32| {
        let scale = 1.0 / inverse;
        x.iter().zip(weights).fold(0.0, |error, (&x, &w)| {
            let difference = x - scale * level(x);
            error + w * difference * difference
        })
    };
    let mut inverse = top / max;
    let mut best = error(inverse, &|x| f32::from(nearest(inverse * x) as i32 as u8));
    for i in (-4i8..=4).filter(|&i| i != 0) {
        let tried = (0.1 * f32::from(i) + top) / max;
        let error = error(tried, &|x| level(tried, x));
        if error < best {
            (best, inverse) = (error, tried);
        }
    }
    let (mut sum_lx, mut sum_l2) = (0.0, 0.0);
    for ((&x, &w), stored) in x.iter().zip(weights).zip(&mut *levels) {
        let l = level(inverse, x);
        *stored = l as i32 as u8;
        sum_lx += w * x * l;
        sum_l2 += w * l * l;
    }
    for _ in 0..5 {
        let mut changed = false;
        for ((&x, &w), stored) in x.iter().zip(weights).zip(&mut *levels) {
            let l = f32::from(*stored);
            let without_lx = sum_lx - w * x * l;
            let without_l2 = sum_l2 - w * l * l;
            if without_lx > 0.0 && without_l2 > 0.0 {
                let new = nearest(x * without_l2 / without_lx);
                let new = if top < new { top } else { new };
                if new != l {
                    let new_lx = without_lx + w * x * new;
                    let new_l2 = without_l2 + w * new * new;
                    if new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2 {
                        *stored = new as i32 as u8;
                        (sum_lx, sum_l2) = (new_lx, new_l2);
                        changed = true;
                    }
                }
            }
        }
        if !changed {
            break;
        }
    }
    if sum_l2 > 0.0 { sum_lx / sum_l2 } else { 0.0 }
}
