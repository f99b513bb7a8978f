//! Rounding as ggml's encoders round, on every input, whatever the platform.

/// To the nearest integer, ties to even, as a float; exact for `|x| < 2^22`. Outside of that, for infinities and for
/// NaN the result is what the bit trick gives, which encoders of degenerate blocks run into.
#[inline]
pub(crate) fn nearest(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the integer in the lower mantissa bits.
    (((x + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000) as f32
}

/// [`nearest`] for `|x| < 2^22` alone, in half the time.
#[inline]
pub(crate) fn nearest_small(x: f32) -> f32 {
    x + 12_582_912.0 - 12_582_912.0
}

/// Towards zero; what no `i32` holds, and NaN, becomes `i32::MIN`, as x86 has it.
#[inline]
pub(crate) fn truncate(x: f32) -> i32 {
    if x.abs() < 2_147_483_648.0 { x as i32 } else { i32::MIN }
}

/// To the nearest integer, ties away from zero; `i32::MIN` as in [`truncate`].
#[inline]
pub(crate) fn away(x: f32) -> i32 {
    truncate(x + BELOW_HALF.copysign(x))
}

/// [`away`] for what fits into a byte.
#[inline]
pub(crate) fn away_small(x: f32) -> i8 {
    (x + BELOW_HALF.copysign(x)) as i8
}

/// The number before 1/2: added to one that is a hair below a half it does not reach the next integer, added to a
/// half it rounds up to it.
const BELOW_HALF: f32 = 0.499_999_97;

#[inline]
pub(crate) fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > low { x } else { low };
    if x < high { x } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rounding_has_its_ties() {
        // Input, nearest, truncate, away.
        for (x, n, t, a) in [
            (0.0, 0.0, 0, 0),
            (0.5, 0.0, 0, 1),
            (-0.5, 0.0, 0, -1),
            (1.5, 2.0, 1, 2),
            (-2.5, -2.0, -2, -3),
            (0.499_999_97, 0.0, 0, 0),
            (127.6, 128.0, 127, 128),
            (f32::INFINITY, -4_194_304.0, i32::MIN, i32::MIN),
            (f32::NEG_INFINITY, -4_194_304.0, i32::MIN, i32::MIN),
            (f32::NAN, 0.0, i32::MIN, i32::MIN),
        ] {
            assert_eq!(nearest(x), n, "nearest {x}");
            if x.is_finite() {
                assert_eq!(nearest_small(x), n, "nearest_small {x}");
                assert_eq!(i32::from(away_small(x)), a.min(127), "away_small {x}");
            }
            assert_eq!(truncate(x), t, "truncate {x}");
            assert_eq!(away(x), a, "away {x}");
        }
    }
}
