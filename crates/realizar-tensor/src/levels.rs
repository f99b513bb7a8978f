//! Every table of this machine against the plain loops: the same bits.
//!
//! A product joins its sum in one rounding where the instruction set can, else in two ([`Arith`](crate::scalar::math::Arith)).
//! A table has the bits of the plain loops that round as it does, so that it differs from the scalar table by that rounding
//! alone. (Quantised products have the bits of the scalar table itself, which `tests/determinism.rs` holds.)

mod attention;
mod recurrent;

use std::sync::OnceLock;

use realizar_quant::{DType, encode};

use crate::scalar;
use crate::{
    Compute, Gate, GroupScore, Isa, Kernels, PairOrder, Pool, Product, QMatrix, Rope, RouteSpec, Routes,
    Rows, Scoring, Vector,
};

/// Largest difference from the scalar table, relative to the root mean square of what it gives; the worst of what is held
/// here has 2.2e-6.
const NEAR: f32 = 5e-6;

/// The plain loops in one rounding.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static FUSED: Kernels = {
    use crate::scalar::math::Fused;
    use crate::scalar::{activation, attention, float, norm, scan};
    Kernels {
        name: "the plain loops, fused",
        dots: |dots, out| float::dots::<Fused, 1, 4>(dots, out),
        rms_norm: norm::rms_norm::<Fused>,
        layer_norm: norm::layer_norm::<Fused>,
        gate: activation::gate::<Fused>,
        softcap: activation::softcap::<Fused>,
        add: activation::add::<Fused>,
        attend: attention::attend::<Fused, 1, 16, 16>,
        scan: scan::scan::<Fused>,
        scan_channels: scan::scan_channels::<Fused>,
        convolve: scan::convolve::<Fused>,
        ..scalar::TABLE
    }
};
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use crate::scalar::TABLE as FUSED;

/// The plain loops that round as this table does. Trueno's own parts are Trueno's own loops: of those, only the distance from
/// the scalar table is known.
fn plain(table: &'static Kernels) -> &'static Kernels {
    static WITH_TRUENO: OnceLock<Kernels> = OnceLock::new();
    let Kernels { isa, name, dots, rms_norm, layer_norm, .. } = *table;
    match isa {
        _ if name.ends_with("+trueno") => {
            WITH_TRUENO.get_or_init(|| Kernels { dots, rms_norm, layer_norm, ..FUSED })
        }
        Isa::Scalar | Isa::Simd128 => &scalar::TABLE,
        _ => &FUSED,
    }
}

/// Runs `operation` on every table, on the plain loops that round as it does, and on the scalar table.
fn hold(name: &str, operation: impl Fn(&mut Compute) -> Vec<f32>) {
    let on = |kernels| operation(&mut Compute::new(Pool::new(1).unwrap(), kernels));
    let scalar = on(&scalar::TABLE);
    let size = (scalar.iter().map(|x| x * x).sum::<f32>() / scalar.len() as f32).sqrt();
    assert!(size.is_normal(), "{name}: nothing to compare");
    // Tables that round alike are compared with one run.
    let mut run: Option<(&'static Kernels, Vec<f32>)> = None;
    for &table in Kernels::available() {
        let level = table.name;
        let found = on(table);
        let loops = plain(table);
        if run.as_ref().is_none_or(|(last, _)| !std::ptr::eq(*last, loops)) {
            run = Some((loops, on(loops)));
        }
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let same = run.as_ref().is_some_and(|(_, expected)| bits(expected) == bits(&found));
        assert!(same, "{name} on {level}: not the plain loops' bits");
        let worst = found.iter().zip(&scalar).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size;
        assert!(worst < NEAR, "{name} on {level}: {worst:e} from the scalar table");
    }
}

/// Numbers between -1 and 1 that look random.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn rows(count: usize, width: usize, seed: u32) -> Rows {
    let mut rows = Rows::with_capacity(count, width);
    rows.write(&noise(count * width, seed));
    rows
}

fn vector(len: usize, seed: u32) -> Vector {
    Vector::from_vec(noise(len, seed))
}

fn matrix(dtype: DType, count: usize, cols: usize) -> QMatrix {
    let mut bytes = vec![0; count * dtype.row_bytes(cols).unwrap()];
    let row_bytes = bytes.len() / count;
    for (row, values) in bytes.chunks_exact_mut(row_bytes).zip(noise(count * cols, 3).chunks_exact(cols)) {
        encode(dtype, values, None, row).unwrap();
    }
    QMatrix::new(dtype, count, cols, bytes.into()).unwrap()
}

/// Rows and widths: below a register, ragged, several tiles.
const SHAPES: &[(usize, usize)] = &[(1, 1), (3, 7), (2, 64), (5, 100), (9, 2050)];

#[test]
fn products_of_floats_are_the_plain_loops() {
    let floats = [DType::F32, DType::F16, DType::BF16].map(|dtype| (dtype, [1, 7, 100, 304, 1040]));
    let decoded = [DType::TQ2_0, DType::Q2_0].map(|dtype| (dtype, [256; 5]));
    for (dtype, widths) in floats.into_iter().chain(decoded) {
        for cols in widths {
            let weight = matrix(dtype, 71, cols);
            for tokens in [1, 2, 5, 49] {
                hold(&format!("{dtype} [71, {cols}] x {tokens}"), |compute| {
                    let (x, mut out) = (rows(tokens, cols, 4), Rows::with_capacity(tokens, 71));
                    compute.matmul(&x, &mut [Product { weight: &weight, bias: None, out: &mut out }]);
                    out.read().to_vec()
                });
            }
        }
    }
}

#[test]
fn norms_are_the_plain_loops() {
    for &(count, width) in SHAPES {
        let (x, gain, bias) = (rows(count, width, 5), vector(width, 6), vector(width, 7));
        let name = |norm: &str| format!("{norm} of {count} x {width}");
        let run = |norm: &dyn Fn(&mut Compute, &mut Rows), compute: &mut Compute| {
            let mut out = x.clone();
            norm(compute, &mut out);
            out.read().to_vec()
        };
        hold(&name("rms"), |compute| run(&|compute, out| compute.rms_norm(&x, &gain, 1e-5, out), compute));
        // One value less its mean is nothing.
        if width > 1 {
            hold(&name("layer"), |compute| {
                run(&|compute, out| compute.layer_norm(&x, &gain, None, 1e-5, out), compute)
            });
        }
        hold(&name("layer and bias"), |compute| {
            run(&|compute, out| compute.layer_norm(&x, &gain, Some(&bias), 1e-5, out), compute)
        });
        let heads = if width % 2 == 0 { 2 } else { 1 };
        hold(&name("rms of heads"), |compute| {
            run(&|compute, out| compute.rms_norm_heads(out, heads, &gain, 1e-6), compute)
        });
        hold(&name("layer of heads"), |compute| {
            run(&|compute, out| compute.layer_norm_heads(out, heads, &gain, Some(&bias), 1e-6), compute)
        });
    }
}

#[test]
fn activations_are_the_plain_loops() {
    let kinds = [
        Gate::Silu,
        Gate::GeluTanh,
        Gate::GeluErf,
        Gate::Relu,
        Gate::Relu2,
        Gate::Sigmoid,
        Gate::ClampedSilu { limit: 0.7 },
        Gate::Xielu { positive: 0.8, negative: 0.6, beta: 0.5, eps: -1e-6 },
        Gate::ClampedSwiglu { alpha: 1.702, limit: 0.7 },
    ];
    for &(count, width) in &SHAPES[1..] {
        let (x, up) = (rows(count, width, 8), rows(count, width, 9));
        for kind in kinds {
            let name = format!("{kind:?} of {count} x {width}");
            hold(&name, |compute| {
                let mut out = x.clone();
                compute.scale(&mut out, 9.0);
                compute.activate(kind, &mut out);
                out.read().to_vec()
            });
            hold(&format!("{name}, gated"), |compute| {
                let mut out = x.clone();
                compute.gate(kind, &mut out, &up);
                out.read().to_vec()
            });
        }
        hold(&format!("soft-cap of {count} x {width}"), |compute| {
            let mut out = x.clone();
            compute.softcap(&mut out, 0.5);
            out.read().to_vec()
        });
        hold(&format!("sum of {count} x {width}"), |compute| {
            let mut out = x.clone();
            compute.add(&up, 0.7, &mut out);
            out.read().to_vec()
        });
    }
}

/// What reads no kernel of a table today: should it, it is held as well.
#[test]
fn rotations_and_choices_are_the_plain_loops() {
    for (order, rotary_dim) in [(PairOrder::Adjacent, 24), (PairOrder::Halves, 24), (PairOrder::Halves, 10)] {
        hold(&format!("rope, {order:?}, {rotary_dim} of 24"), |compute| {
            let mut x = rows(5, 3 * 24, 10);
            let inv_freq = vector(rotary_dim / 2, 11);
            let rope = Rope { head_dim: 24, rotary_dim, offset: 0, order, inv_freq, magnitude: 1.25 };
            compute.rope(&mut x, 3, &rope, &[0, 1, 9, 77, 4095]);
            x.read().to_vec()
        });
    }
    for scoring in [Scoring::Softmax, Scoring::Sigmoid, Scoring::SoftmaxOfChosen] {
        hold(&format!("experts by {scoring:?}"), |compute| {
            let spec = RouteSpec {
                experts: 24,
                used: 5,
                scoring,
                selection_bias: None,
                groups: 4,
                groups_used: 3,
                group_score: GroupScore::BestTwo,
                normalise: true,
                scale: 2.5,
            };
            let (mut routes, mut sums) = (Routes::with_capacity(40, 5), Rows::with_capacity(40, 33));
            compute.route(&rows(40, 24, 12), &spec, &mut routes);
            compute.combine(&rows(200, 33, 13), &routes, &mut sums);
            let experts = routes.experts().iter().map(|expert| *expert as f32);
            experts.chain(routes.weights().iter().copied()).chain(sums.read().iter().copied()).collect()
        });
    }
    hold("the largest", |compute| {
        let mut best = [0; 70];
        compute.argmax(&rows(70, 50, 14), &mut best);
        best.iter().map(|index| *index as f32).collect()
    });
}
