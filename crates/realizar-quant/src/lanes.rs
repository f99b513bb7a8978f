//! Several groups of a block side by side: lane `g` holds a value of group `g`.
//!
//! The encoders' sums must run in the order of the elements, one after the other, so a single group cannot be made
//! fast; but the groups of a block do not depend on each other. Written over lanes, the same scalar operations in the
//! same order become vector code.

use std::array::from_fn;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::round;

/// One value for each of `N` groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes<const N: usize>(pub(crate) [f32; N]);

/// All bits set in the lanes where something holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<const N: usize>([u32; N]);

impl<const N: usize> Lanes<N> {
    pub(crate) const ZERO: Self = Self([0.0; N]);

    /// The elements of `N` groups of `G`: entry `i` holds the groups' element `i`.
    pub(crate) fn transpose<const G: usize>(values: &[f32]) -> [Self; G] {
        let groups = values.as_chunks::<G>().0;
        from_fn(|i| Self(from_fn(|g| groups[g][i])))
    }

    // Loops, because `array::map` and `from_fn` do not always become vector code.
    #[inline(always)]
    pub(crate) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for lane in &mut self.0 {
            *lane = f(*lane);
        }
        self
    }

    #[inline(always)]
    pub(crate) fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane = f(*lane, other);
        }
        self
    }

    #[inline(always)]
    fn test(self, other: Self, holds: impl Fn(f32, f32) -> bool) -> Mask<N> {
        let mut mask = Mask([0; N]);
        for (mask, (a, b)) in mask.0.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            *mask = if holds(a, b) { !0 } else { 0 };
        }
        mask
    }

    /// The smaller; `other` where they are equal or one is NaN.
    #[inline(always)]
    pub(crate) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    /// The larger; `other` where they are equal or one is NaN.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    /// The nearest integers between `low` and `high`.
    #[inline(always)]
    pub(crate) fn levels(self, low: f32, high: f32) -> Self {
        self.map(|x| round::clamp(round::nearest(x), low, high))
    }

    /// [`Lanes::levels`] where all lanes that count are below 2^22.
    #[inline(always)]
    pub(crate) fn small_levels(self, low: f32, high: f32) -> Self {
        self.map(|x| round::clamp(round::nearest_small(x), low, high))
    }

    #[inline(always)]
    pub(crate) fn gt(self, other: Self) -> Mask<N> {
        self.test(other, |a, b| a > b)
    }

    /// Where the values differ; NaN differs from everything.
    #[inline(always)]
    pub(crate) fn ne(self, other: Self) -> Mask<N> {
        self.test(other, |a, b| a != b)
    }
}

impl<const N: usize> Mask<N> {
    #[inline(always)]
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane &= other;
        }
        self
    }

    #[inline(always)]
    pub(crate) fn any(self) -> bool {
        self.0.iter().fold(0, |any, &lane| any | lane) != 0
    }

    /// `yes` where the mask is set, `no` elsewhere.
    #[inline(always)]
    pub(crate) fn select(self, yes: Lanes<N>, mut no: Lanes<N>) -> Lanes<N> {
        for ((lane, yes), mask) in no.0.iter_mut().zip(yes.0).zip(self.0) {
            *lane = f32::from_bits(mask & yes.to_bits() | !mask & lane.to_bits());
        }
        no
    }
}

impl<const N: usize> From<f32> for Lanes<N> {
    #[inline(always)]
    fn from(value: f32) -> Self {
        Self([value; N])
    }
}

impl<const N: usize> Add for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl<const N: usize> Sub for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl<const N: usize> Mul for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl<const N: usize> Div for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
}

impl<const N: usize> Neg for Lanes<N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}
