//! Activation functions and other work element by element.

use super::math::{Arith, erfc, exp, tanh};
use crate::Gate;

/// `x / (1 + e^(-alpha x))`.
#[inline(always)]
fn swish<A: Arith>(x: f32, alpha: f32) -> f32 {
    x / (1.0 + exp::<A>(-alpha * x))
}

/// `e^x - 1` for `x <= 0`: near 0 by its series, where the difference would lose digits.
#[inline(always)]
fn expm1<A: Arith>(x: f32) -> f32 {
    let series = x * A::mul_add(x, A::mul_add(x, A::mul_add(x, 1.0 / 24.0, 1.0 / 6.0), 0.5), 1.0);
    if x > -0.03 { series } else { exp::<A>(x) - 1.0 }
}

/// See [`Kernels::gate`](crate::Kernels).
#[inline(always)]
pub(crate) fn gate<A: Arith>(kind: Gate, gate: &mut [f32], up: Option<&[f32]>) {
    match kind {
        Gate::Silu => each(gate, up, |x| swish::<A>(x, 1.0)),
        // 0.5 x (1 + tanh u) = x / (1 + e^(-2u)).
        Gate::GeluTanh => each(gate, up, |x| {
            let u = 0.797_884_6 * A::mul_add(0.044_715 * x * x, x, x);
            x / (1.0 + exp::<A>(-2.0 * u))
        }),
        Gate::GeluErf => each(gate, up, |x| 0.5 * x * erfc::<A>(-x * std::f32::consts::FRAC_1_SQRT_2)),
        Gate::Relu => each(gate, up, |x| if x < 0.0 { 0.0 } else { x }),
        Gate::Relu2 => each(gate, up, |x| if x < 0.0 { 0.0 } else { x * x }),
        Gate::Sigmoid => each(gate, up, |x| 1.0 / (1.0 + exp::<A>(-x))),
        Gate::Xielu { positive, negative, beta, eps } => each(gate, up, |x| {
            let low = if x < eps { x } else { eps };
            let curve = if x > 0.0 { positive * x * x } else { negative * (expm1::<A>(low) - x) };
            A::mul_add(beta, x, curve)
        }),
        Gate::ClampedSilu { limit } => {
            let act = |x: f32| {
                let x = swish::<A>(x, 1.0);
                if x > limit { limit } else { x }
            };
            match up {
                None => each(gate, None, act),
                Some(up) => {
                    for (gate, &up) in gate.iter_mut().zip(up) {
                        let up = if up > limit { limit } else { up };
                        let up = if up < -limit { -limit } else { up };
                        *gate = act(*gate) * up;
                    }
                }
            }
        }
        Gate::ClampedSwiglu { alpha, limit } => {
            let act = |x: f32| swish::<A>(if x > limit { limit } else { x }, alpha);
            match up {
                None => each(gate, None, act),
                Some(up) => {
                    for (gate, &up) in gate.iter_mut().zip(up) {
                        let up = if up > limit { limit } else { up };
                        let up = if up < -limit { -limit } else { up };
                        *gate = act(*gate) * (up + 1.0);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn each(gate: &mut [f32], up: Option<&[f32]>, act: impl Fn(f32) -> f32) {
    match up {
        None => gate.iter_mut().for_each(|gate| *gate = act(*gate)),
        Some(up) => gate.iter_mut().zip(up).for_each(|(gate, &up)| *gate = act(*gate) * up),
    }
}

/// See [`Kernels::softcap`](crate::Kernels).
#[inline(always)]
pub(crate) fn softcap<A: Arith>(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * tanh::<A>(*x / cap));
}

/// See [`Kernels::add`](crate::Kernels).
#[inline(always)]
pub(crate) fn add<A: Arith>(x: &[f32], scale: f32, into: &mut [f32]) {
    into.iter_mut().zip(x).for_each(|(into, &x)| *into = A::mul_add(x, scale, *into));
}
