//! Numbers: how products and sums are joined, fixed reduction trees, and exp.

use std::f32::consts::LN_2;
use std::hint::black_box;

/// How a product is added: in one rounding where the instruction set can, else in two.
pub(crate) trait Arith {
    /// `a * b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Two roundings, on any machine.
#[derive(Debug)]
pub(crate) struct Plain;

/// One rounding; only for tables whose instruction set has FMA.
#[derive(Debug)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) struct Fused;

impl Arith for Plain {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Arith for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Lanes of the float kernels, whatever the width of the machine's vectors: element k belongs to lane k mod 16.
pub(crate) const LANES: usize = 16;

/// Sum of the lanes: halves onto halves, 16 to 8 to 4 to 2 to 1.
#[inline(always)]
pub(crate) fn tree_sum(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `e^x`: within 2 units of the last place; 0 below -87.3, infinite above 88.7, NaN for NaN.
///
/// `x = n ln 2 + f` with `|f| <= ln 2 / 2`; `e^f` by a polynomial of degree 7. The integer n is taken from the low bits
/// of a float that is large enough to have no fraction, which needs no conversion and thus widens on every machine.
#[inline(always)]
pub(crate) fn exp<A: Arith>(x: f32) -> f32 {
    let clamped = if x < -87.3 { -87.3 } else { x };
    let clamped = if clamped > 88.7 { 88.7 } else { clamped };
    let shifted = A::mul_add(clamped, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    // ln 2 in two parts, the first exact in few bits.
    let f = A::mul_add(n, -0.693_359_4, clamped);
    let f = A::mul_add(n, 2.121_944_4e-4, f);
    let p = A::mul_add(1.987_569_1e-4, f, 1.398_2e-3);
    let p = A::mul_add(p, f, 8.333_452e-3);
    let p = A::mul_add(p, f, 4.166_579_6e-2);
    let p = A::mul_add(p, f, 0.166_666_65);
    let p = A::mul_add(p, f, 0.5);
    let p = A::mul_add(p, f * f, f + 1.0);
    // 2^n in two factors, as n = 128 has no float of its own.
    let half = shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as i32 >> 1;
    let rest = (shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as i32).wrapping_sub(half);
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let y = p * power(half) * power(rest);
    let y = if x < -87.3 { 0.0 } else { y };
    if x > 88.7 { f32::INFINITY } else { y }
}

/// Coefficients of `2^f` for `|f| <= 1/2`, from the sixth power down to the first; that of the zeroth is 1, so that `2^0` is exact.
pub(crate) const EXP2: [f32; 6] =
    [1.545_316_3e-4, 1.339_086_3e-3, 9.618_083e-3, 5.550_357e-2, 0.240_226_5, LN_2];
/// A float so large that adding it to a small number rounds this to an integer, which then stands in its low bits.
pub(crate) const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23
/// Where [`exp2_falling`] becomes zero.
pub(crate) const EXP2_LEAST: f32 = -126.0;

/// `2^x` for `x <= 0`: within 2 units of the last place; 0 below -126, NaN for NaN.
#[inline(always)]
pub(crate) fn exp2_falling<A: Arith>(x: f32) -> f32 {
    let shifted = x + SHIFT;
    let f = x - (shifted - SHIFT);
    let p = EXP2[1..].iter().fold(EXP2[0], |p, &c| A::mul_add(p, f, c));
    let p = A::mul_add(p, f, 1.0);
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if x < EXP2_LEAST { 0.0 } else { p * power }
}

/// `tanh(x)`: within a few units of the last place.
#[inline(always)]
pub(crate) fn tanh<A: Arith>(x: f32) -> f32 {
    // Near zero `1 - 2 / (e^2x + 1)` cancels; there a short odd series is exact enough.
    let square = x * x;
    let p = A::mul_add(square, 2.186_948_8e-2, -5.396_825_4e-2);
    let p = A::mul_add(p, square, 0.133_333_33);
    let p = A::mul_add(p, square, -0.333_333_33);
    let near = A::mul_add(p * square, x, x);
    let far = 1.0 - 2.0 / (exp::<A>(2.0 * x) + 1.0);
    if x.abs() < 0.25 { near } else { far }
}

/// `erfc(x)` by the Chebyshev fit of Press et al., Numerical Recipes, section 6.2: relative error below 1.2e-7 and a few
/// roundings.
#[inline(always)]
pub(crate) fn erfc<A: Arith>(x: f32) -> f32 {
    const TERMS: [f32; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ];
    let z = x.abs();
    let t = 1.0 / A::mul_add(z, 0.5, 1.0);
    let mut p = TERMS[0];
    for &term in &TERMS[1..] {
        p = A::mul_add(p, t, term);
    }
    let y = t * exp::<A>(A::mul_add(-z, z, p));
    if x >= 0.0 { y } else { 2.0 - y }
}

/// Rounds of the loops below.
const ROUNDS: usize = 20_000;

/// See [`Peak`](crate::kernels::Peak): f32 multiply-adds in eight chains of four lanes.
pub(crate) fn f32_peak() -> f64 {
    const CHAINS: usize = 8;
    let mut sums = [[1.0f32; 4]; CHAINS];
    let (a, b) = black_box(([0.5f32; 4], [0.25f32; 4]));
    for _ in 0..ROUNDS {
        for chain in &mut sums {
            *chain = std::array::from_fn(|i| chain[i] * a[i] + b[i]);
        }
    }
    black_box(sums);
    (ROUNDS * CHAINS * 4) as f64
}

/// See [`Peak`](crate::kernels::Peak): the loop of the plain kernels on values in the L1 cache.
#[inline(always)]
pub(crate) fn int8_peak() -> f64 {
    let (a, b) = black_box(([1i8; 256], [2i8; 256]));
    let mut total = 0;
    for _ in 0..ROUNDS {
        let a = black_box(&a);
        total += a.iter().zip(&b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
    }
    black_box(total);
    (ROUNDS * a.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::{Plain, erfc, exp, exp2_falling, tanh, tree_sum};

    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for i in -870_000..887_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp::<Plain>(x)) - exact).abs() / exact);
        }
        assert!(worst < 3e-7, "{worst:e}");
        for (x, y) in [
            (0.0, 1.0),
            (-88.0, 0.0),
            (f32::NEG_INFINITY, 0.0),
            (89.0, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(exp::<Plain>(x), y, "exp({x})");
        }
        assert!(exp::<Plain>(f32::NAN).is_nan());
    }

    #[test]
    fn powers_of_two_are_accurate() {
        let mut worst = 0.0f64;
        for i in 0..1_260_000 {
            let x = i as f32 * -1e-4;
            let exact = f64::from(x).exp2();
            worst = worst.max((f64::from(exp2_falling::<Plain>(x)) - exact).abs() / exact);
        }
        assert!(worst < 1.3e-7, "{worst:e}");
        for (x, y) in [
            (0.0, 1.0),
            (-0.0, 1.0),
            (-1.0, 0.5),
            (-126.0, f32::MIN_POSITIVE),
            (-126.1, 0.0),
            (-1e9, 0.0),
            (f32::MIN, 0.0),
            (f32::NEG_INFINITY, 0.0),
        ] {
            assert_eq!(exp2_falling::<Plain>(x), y, "2^{x}");
        }
        for bits in [0x7fc0_0000, 0x7fc0_0001, 0xffff_ffff] {
            assert!(exp2_falling::<Plain>(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn tanh_is_accurate() {
        for i in -100_000..100_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).tanh();
            let error = (f64::from(tanh::<Plain>(x)) - exact).abs();
            assert!(error <= 6e-7 * exact.abs(), "tanh({x}) is off by {error:e}");
        }
        assert!(tanh::<Plain>(f32::NAN).is_nan());
    }

    #[test]
    fn erfc_is_accurate() {
        // From tables: x, erfc(x).
        for (x, y) in [
            (0.0, 1.0),
            (0.5, 0.479_500_12),
            (1.0, 0.157_299_21),
            (2.0, 0.004_677_735),
            (-1.0, 1.842_700_8f64),
        ] {
            let error = (f64::from(erfc::<Plain>(x)) - y).abs();
            assert!(error < 5e-7 * y, "erfc({x}) is off by {error:e}");
        }
    }

    #[test]
    fn the_tree_adds_all_lanes() {
        assert_eq!(tree_sum(std::array::from_fn(|i| i as f32)), 120.0);
    }
}
