//! Norms over one row.

use super::math::{Arith, LANES, tree_sum};

/// Sum of `value(x)` over a row, in 16 lanes.
#[inline(always)]
fn lane_sum(x: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for part in whole {
        for i in 0..LANES {
            lanes[i] = add(lanes[i], part[i]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = add(*lane, value);
    }
    tree_sum(lanes)
}

/// See [`Kernels::rms_norm`](crate::Kernels).
#[inline(always)]
pub(crate) fn rms_norm<A: Arith>(x: &[f32], gain: &[f32], eps: f32, out: &mut [f32]) {
    let squares = lane_sum(x, |sum, value| A::mul_add(value, value, sum));
    let factor = 1.0 / (squares / x.len() as f32 + eps).sqrt();
    for ((out, &x), &gain) in out.iter_mut().zip(x).zip(gain) {
        *out = x * factor * gain;
    }
}

/// See [`Kernels::layer_norm`](crate::Kernels).
#[inline(always)]
pub(crate) fn layer_norm<A: Arith>(x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    let mean = lane_sum(x, |sum, value| sum + value) / x.len() as f32;
    let squares = lane_sum(x, |sum, value| A::mul_add(value - mean, value - mean, sum));
    let factor = 1.0 / (squares / x.len() as f32 + eps).sqrt();
    for ((out, &x), &gain) in out.iter_mut().zip(x).zip(gain) {
        *out = (x - mean) * factor * gain;
    }
    if let Some(bias) = bias {
        for (out, &bias) in out.iter_mut().zip(bias) {
            *out += bias;
        }
    }
}
