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

    #[inline]
    pub(crate) fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Self(self.0.map(f))
    }

    #[inline]
    pub(crate) fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(from_fn(|g| f(self.0[g], other.0[g])))
    }

    /// The smaller; `other` where they are equal or one is NaN.
    #[inline]
    pub(crate) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    /// The larger; `other` where they are equal or one is NaN.
    #[inline]
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline]
    pub(crate) fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline]
    pub(crate) fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    /// The nearest integers between `low` and `high`.
    #[inline]
    pub(crate) fn levels(self, low: f32, high: f32) -> Self {
        self.map(|x| round::clamp(round::nearest(x), low, high))
    }

    #[inline]
    pub(crate) fn gt(self, other: Self) -> Mask<N> {
        Mask(from_fn(|g| if self.0[g] > other.0[g] { !0 } else { 0 }))
    }

    /// Where the values differ; NaN differs from everything.
    #[inline]
    pub(crate) fn ne(self, other: Self) -> Mask<N> {
        Mask(from_fn(|g| if self.0[g] != other.0[g] { !0 } else { 0 }))
    }
}

impl<const N: usize> Mask<N> {
    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(from_fn(|g| self.0[g] & other.0[g]))
    }

    #[inline]
    pub(crate) fn any(self) -> bool {
        self.0.iter().fold(0, |any, &lane| any | lane) != 0
    }

    /// `yes` where the mask is set, `no` elsewhere.
    #[inline]
    pub(crate) fn select(self, yes: Lanes<N>, no: Lanes<N>) -> Lanes<N> {
        Lanes(from_fn(|g| f32::from_bits(self.0[g] & yes.0[g].to_bits() | !self.0[g] & no.0[g].to_bits())))
    }
}

impl<const N: usize> From<f32> for Lanes<N> {
    #[inline]
    fn from(value: f32) -> Self {
        Self([value; N])
    }
}

impl<const N: usize> Add for Lanes<N> {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl<const N: usize> Sub for Lanes<N> {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl<const N: usize> Mul for Lanes<N> {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl<const N: usize> Div for Lanes<N> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
}

impl<const N: usize> Neg for Lanes<N> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}
