//! Norms, rotations, activations and moves: against f64, on every table, whatever the threads.

mod kit;

use kit::{Random, bits, compute, each_table, empty, error, rows_of};
use realizar_quant::DType;
use realizar_tensor::{Gate, HeadCols, PairOrder, Rope, Rows, Vector};

/// Rows and widths: below a register, ragged, one tile, several tiles.
const SHAPES: &[(usize, usize)] = &[(1, 1), (3, 7), (2, 64), (5, 100), (70, 2050), (40, 4096)];

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn norm(x: &[f64], gain: &[f32], bias: Option<&[f32]>, eps: f64, centre: bool) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = if centre { x.iter().sum::<f64>() / count } else { 0.0 };
    let factor = 1.0 / (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count + eps).sqrt();
    let bias = |i: usize| bias.map_or(0.0, |bias| f64::from(bias[i]));
    x.iter().enumerate().map(|(i, x)| (x - mean) * factor * f64::from(gain[i]) + bias(i)).collect()
}

#[test]
fn norms_agree_with_f64() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &(rows, width) in SHAPES {
            let mut random = Random::new(5);
            let (x, gain, bias) = (random.rows(rows, width), random.vector(width), random.vector(width));
            let mut out = empty(rows, width);
            let expected = |bias: Option<&[f32]>, centre| -> Vec<f64> {
                f64s(x.read())
                    .chunks(width)
                    .flat_map(|x| norm(x, gain.as_slice(), bias, 1e-5, centre))
                    .collect()
            };
            compute.rms_norm(&x, &gain, 1e-5, &mut out);
            assert!(
                error(out.read(), &expected(None, false)) < 2e-6,
                "rms {rows} x {width} on {}",
                kernels.name()
            );
            compute.layer_norm(&x, &gain, None, 1e-5, &mut out);
            assert!(
                error(out.read(), &expected(None, true)) < 4e-6,
                "layer {rows} x {width} on {}",
                kernels.name()
            );
            compute.layer_norm(&x, &gain, Some(&bias), 1e-5, &mut out);
            let expected = expected(Some(bias.as_slice()), true);
            assert!(
                error(out.read(), &expected) < 4e-6,
                "layer + bias {rows} x {width} on {}",
                kernels.name()
            );
        }
    });
}

#[test]
fn heads_are_normed_one_by_one() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        let (rows, heads, dim) = (3, 4, 24);
        let mut random = Random::new(6);
        let x = random.rows(rows, heads * dim);
        let own: Vec<f32> = random.values(heads * dim);
        for (name, gain) in
            [("shared", Vector::from_vec(own[..dim].to_vec())), ("own", Vector::from_vec(own.clone()))]
        {
            let part = |head: usize| if gain.len() == dim { 0 } else { head * dim };
            let expected = |centre: bool| -> Vec<f64> {
                let heads = f64s(x.read());
                let heads = heads.chunks(dim).enumerate();
                heads
                    .flat_map(|(i, x)| {
                        let gain = &gain.as_slice()[part(i % 4)..][..dim];
                        norm(x, gain, centre.then_some(gain), 1e-6, centre)
                    })
                    .collect()
            };
            let mut rms = x.clone();
            compute.rms_norm_heads(&mut rms, heads, &gain, 1e-6);
            assert!(error(rms.read(), &expected(false)) < 2e-6, "rms, {name} gain on {}", kernels.name());
            let mut layer = x.clone();
            compute.layer_norm_heads(&mut layer, heads, &gain, Some(&gain), 1e-6);
            assert!(error(layer.read(), &expected(true)) < 4e-6, "layer, {name} gain on {}", kernels.name());
        }
    });
}

/// Kind, and the function in f64 (the error function by its series).
fn exact(kind: Gate, x: f64) -> f64 {
    match kind {
        Gate::Silu => x / (1.0 + (-x).exp()),
        Gate::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Gate::GeluErf => {
            let z = x / 2f64.sqrt();
            let (mut term, mut sum) = (z, z);
            for n in 1..200 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
        }
        Gate::Relu => x.max(0.0),
        Gate::Relu2 => x.max(0.0).powi(2),
        Gate::ClampedSwiglu { alpha, limit } => {
            let x = x.min(f64::from(limit));
            x / (1.0 + (-f64::from(alpha) * x).exp())
        }
        _ => panic!("{kind:?} has no reference"),
    }
}

#[test]
fn activations_agree_with_f64() {
    let clamped = Gate::ClampedSwiglu { alpha: 1.702, limit: 2.0 };
    for kind in [Gate::Silu, Gate::GeluTanh, Gate::GeluErf, Gate::Relu, Gate::Relu2, clamped] {
        each_table(|kernels| {
            let mut compute = compute(kernels, 2);
            for &(rows, width) in SHAPES {
                let mut random = Random::new(9);
                let (x, up) = (random.rows(rows, width), random.rows(rows, width));
                let plain: Vec<f64> = x.read().iter().map(|&x| exact(kind, f64::from(x))).collect();
                let mut out = x.clone();
                compute.activate(kind, &mut out);
                assert!(error(out.read(), &plain) < 2e-6, "{kind:?} {rows} x {width} on {}", kernels.name());
                let gated: Vec<f64> = plain
                    .iter()
                    .zip(up.read())
                    .map(|(y, &up)| match kind {
                        Gate::ClampedSwiglu { .. } => y * (f64::from(up).clamp(-2.0, 2.0) + 1.0),
                        _ => y * f64::from(up),
                    })
                    .collect();
                let mut out = x.clone();
                compute.gate(kind, &mut out, &up);
                assert!(
                    error(out.read(), &gated) < 3e-6,
                    "{kind:?} * up {rows} x {width} on {}",
                    kernels.name()
                );
            }
            for bad in [f32::NAN, f32::INFINITY, -1000.0, 1000.0] {
                let mut x = rows_of(1, &[bad]);
                compute.activate(kind, &mut x);
                assert_eq!(x.read()[0].is_nan(), bad.is_nan(), "{kind:?}({bad}) on {}", kernels.name());
            }
        });
    }
}

#[test]
fn simple_arithmetic_is_exact() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &(rows, width) in SHAPES {
            let mut random = Random::new(10);
            let (x, y) = (random.rows(rows, width), random.rows(rows, width));
            let name = format!("{rows} x {width} on {}", kernels.name());
            let map = |f: &dyn Fn(usize, f32) -> f32| -> Vec<u32> {
                x.read().iter().enumerate().map(|(i, &x)| f(i, x).to_bits()).collect()
            };
            let mut out = x.clone();
            compute.add(&y, 0.5, &mut out);
            let sums = map(&|i, x| y.read()[i] * 0.5 + x);
            assert_eq!(bits(out.read()), sums, "add {name}");
            let mut out = x.clone();
            compute.scale(&mut out, 3.0);
            assert_eq!(bits(out.read()), map(&|_, x| x * 3.0), "scale {name}");
            let factors = random.values(rows);
            let mut out = x.clone();
            compute.scale_rows(&mut out, &factors);
            assert_eq!(bits(out.read()), map(&|i, x| x * factors[i / width]), "scale_rows {name}");
            let mut out = x.clone();
            compute.gate_rows(&mut out, &rows_of(1, &factors));
            let gates: Vec<f64> = x
                .read()
                .iter()
                .enumerate()
                .map(|(i, &x)| f64::from(x) / (1.0 + (-f64::from(factors[i / width])).exp()))
                .collect();
            assert!(error(out.read(), &gates) < 1e-6, "gate_rows {name}");
            let mut out = x.clone();
            compute.softcap(&mut out, 0.7);
            let capped: Vec<f64> = x.read().iter().map(|&x| 0.7 * (f64::from(x) / 0.7).tanh()).collect();
            assert!(error(out.read(), &capped) < 2e-6, "softcap {name}");
        }
    });
}

#[test]
fn rope_rotates_pairs() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let (rows, heads, head_dim) = (5, 3, 12);
        let mut random = Random::new(12);
        let positions = [0, 1, 7, 100, 4095];
        for (order, rotary_dim, offset, magnitude) in [
            (PairOrder::Adjacent, 12, 0, 1.0),
            (PairOrder::Halves, 12, 0, 1.0),
            (PairOrder::Halves, 8, 0, 1.5),
            (PairOrder::Adjacent, 4, 8, 1.0),
            (PairOrder::Halves, 0, 0, 1.0),
            (PairOrder::Adjacent, 520, 4, 1.0),
        ] {
            let head_dim = if rotary_dim > head_dim { 1024 } else { head_dim };
            let pairs = rotary_dim / 2;
            let inv_freq: Vec<f32> = (0..pairs).map(|i| 10000f32.powf(-(i as f32) / pairs as f32)).collect();
            let rope = Rope {
                head_dim,
                rotary_dim,
                offset,
                order,
                inv_freq: Vector::from_vec(inv_freq.clone()),
                magnitude,
            };
            let x = random.rows(rows, heads * head_dim);
            let before = f64s(x.read());
            let mut expected = before.clone();
            for (head, part) in expected.chunks_mut(head_dim).enumerate() {
                let before = &before[head * head_dim..][..head_dim];
                for (pair, &freq) in inv_freq.iter().enumerate() {
                    let (i, j) = match order {
                        PairOrder::Adjacent => (2 * pair, 2 * pair + 1),
                        PairOrder::Halves => (pair, pair + pairs),
                    };
                    let angle = f64::from(positions[head / heads] as f32 * freq);
                    let (a, b) = (before[offset + i], before[offset + j]);
                    part[offset + pair] = (a * angle.cos() - b * angle.sin()) * f64::from(magnitude);
                    part[offset + pair + pairs] = (a * angle.sin() + b * angle.cos()) * f64::from(magnitude);
                }
            }
            let mut out = x.clone();
            compute.rope(&mut out, heads, &rope, &positions);
            let name = format!("{order:?} {rotary_dim} at {offset} on {}", kernels.name());
            assert!(error(out.read(), &expected) < 1e-6, "{name}");
            // Other positions, and the same once more from the table that is kept.
            let mut other = x.clone();
            compute.rope(&mut other, heads, &rope, &[9; 5]);
            let mut again = x.clone();
            compute.rope(&mut again, heads, &rope, &positions);
            assert_eq!(bits(out.read()), bits(again.read()), "{name}");
        }
    });
}

#[test]
fn rows_are_looked_up() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let mut random = Random::new(14);
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::Q4_K, DType::Q8_0] {
            let values = random.values(10 * 256);
            let bytes = kit::encoded(dtype, 10, 256, &values);
            let decoded = kit::decoded(dtype, 10, 256, &bytes);
            let table = realizar_tensor::QMatrix::new(dtype, 10, 256, bytes.into()).expect("table");
            for factor in [1.0, 2.0f32] {
                let mut out = empty(3, 256);
                compute.embed(&table, &[9, 0, 9], factor, &mut out);
                for (row, id) in [9, 0, 9].into_iter().enumerate() {
                    let expected: Vec<f32> = decoded[id * 256..][..256].iter().map(|x| x * factor).collect();
                    assert_eq!(
                        bits(out.row(row)),
                        bits(&expected),
                        "{dtype} x {factor} on {}",
                        kernels.name()
                    );
                }
            }
        }
        let mut best = [9; 3];
        let x = rows_of(3, &[1.0, 3.0, 3.0, f32::NAN, -1.0, -2.0, f32::NAN, f32::NAN, f32::NAN]);
        compute.argmax(&x, &mut best);
        assert_eq!(best, [1, 1, 0]);
    });
}

#[test]
fn columns_move_between_heads() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let x = rows_of(6, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut out = rows_of(5, &[0.0; 5]);
        let (from, to) = (HeadCols { stride: 3, offset: 1 }, HeadCols { stride: 2, offset: 0 });
        compute.copy_cols(&x, from, 2, 2, &mut out, to);
        assert_eq!(out.read(), [2.0, 3.0, 5.0, 6.0, 0.0]);
    });
}

#[test]
fn heads_have_their_own_matrices() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let (rows, heads, d_in, d_out) = (5, 3, 256, 20);
        for dtype in [DType::F32, DType::Q4_K, DType::Q8_0] {
            let mut random = Random::new(15);
            let weight = random.matrix(dtype, heads * d_out, d_in);
            let (x_cols, out_cols) =
                (HeadCols { stride: 300, offset: 7 }, HeadCols { stride: 25, offset: 2 });
            let x = random.rows(rows, 2 * 300 + 7 + d_in);
            let mut out = rows_of(77, &[0.5; 5 * 77]);
            compute.matmul_heads(&x, x_cols, &weight, heads, &mut out, out_cols);
            for head in 0..heads {
                let part: Vec<f32> =
                    (0..rows).flat_map(|row| x.row(row)[head * 300 + 7..][..d_in].to_vec()).collect();
                let one = weight.slice_rows(head * d_out..(head + 1) * d_out).expect("rows");
                let expected = kit::product(&mut compute, &rows_of(d_in, &part), &one, None);
                for row in 0..rows {
                    let found = &out.row(row)[head * 25 + 2..][..d_out];
                    let expected = &expected[row * d_out..][..d_out];
                    assert_eq!(bits(found), bits(expected), "head {head} of {dtype} on {}", kernels.name());
                }
            }
            assert_eq!((out.row(0)[0], out.row(4)[76]), (0.5, 0.5), "columns between heads");
            compute.matmul_heads(&empty(1, 863), x_cols, &weight, heads, &mut out, out_cols);
            assert_eq!(out.rows(), 0);
        }
    });
}

#[test]
#[should_panic(expected = "in rows of 6")]
fn columns_stay_inside_rows() {
    let (x, cols) = (rows_of(6, &[0.0; 6]), HeadCols { stride: 3, offset: 2 });
    compute(realizar_tensor::Kernels::detect(), 1).copy_cols(&x, cols, 2, 2, &mut x.clone(), cols);
}

#[test]
fn threads_do_not_show() {
    each_table(|kernels| {
        let mut random = Random::new(16);
        let (x, up, gain) = (random.rows(33, 3000), random.rows(33, 3000), random.vector(3000));
        let rope = Rope {
            head_dim: 100,
            rotary_dim: 100,
            offset: 0,
            order: PairOrder::Halves,
            inv_freq: Vector::from_vec(random.values(50)),
            magnitude: 1.0,
        };
        let positions: Vec<u32> = (0..33).collect();
        let run = |threads| -> Vec<u32> {
            let mut compute = compute(kernels, threads);
            let mut out: Rows = empty(33, 3000);
            compute.rms_norm(&x, &gain, 1e-5, &mut out);
            compute.gate(Gate::Silu, &mut out, &up);
            compute.add(&x, 1.0, &mut out);
            compute.rope(&mut out, 30, &rope, &positions);
            let mut more = empty(33, 3000);
            compute.layer_norm(&out, &gain, Some(&gain), 1e-5, &mut more);
            compute.activate(Gate::GeluErf, &mut more);
            compute.softcap(&mut more, 3.0);
            bits(&[out.read(), more.read()].concat())
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3) && one == run(4), "{}", kernels.name());
    });
}
