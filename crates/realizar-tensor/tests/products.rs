//! Products: against f64, and the same bits whatever surrounds them.

mod kit;

use kit::{
    FLOAT, INTEGER, Random, bits, compute, decoded, each_table, empty, encoded, error, product, rows_of,
};
use realizar_quant::DType;
use realizar_tensor::{Product, QMatrix, Rows, Vector};

/// Name, rows, columns (K types take the next multiple of 256), tokens.
const SHAPES: &[(&str, usize, usize, usize)] = &[
    ("one row", 1, 256, 3),
    ("below a register of rows", 15, 256, 5),
    ("a ragged last register", 37, 512, 1),
    ("blocks of 32 only", 20, 96, 7),
    ("a partial 256-block", 64, 288, 2),
    ("several tiles", 300, 256, 4),
    ("several groups of tokens", 48, 256, 29),
    ("several stretches of tokens", 33, 256, 270),
    ("several blocks of several stretches", 80, 768, 262),
];

fn cols_for(dtype: DType, cols: usize) -> usize {
    cols.next_multiple_of(dtype.block_elems())
}

/// What the kernels compute on: weights as decoded, activations as quantised by the rule of the type.
fn reference(dtype: DType, rows: usize, cols: usize, bytes: &[u8], x: &[f32]) -> Vec<f64> {
    let weights = decoded(dtype, rows, cols, bytes);
    let mut out = Vec::new();
    for x in x.chunks_exact(cols) {
        for w in weights.chunks_exact(cols) {
            out.push(w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum());
        }
    }
    out
}

#[test]
fn products_agree_with_f64() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &dtype in INTEGER.iter().chain(FLOAT) {
            for &(name, rows, cols, tokens) in SHAPES {
                let cols = cols_for(dtype, cols);
                let mut random = Random::new(7 + rows as u64);
                let values = random.values(rows * cols);
                let bytes = encoded(dtype, rows, cols, &values);
                let x = random.rows(tokens, cols);
                let expected = reference(dtype, rows, cols, &bytes, x.read());
                let weight = QMatrix::new(dtype, rows, cols, bytes.into()).expect("matrix");
                let found = product(&mut compute, &x, &weight, None);
                // int8 activations: half a step of amax / 127 per value, over the root of k values.
                let limit = if INTEGER.contains(&dtype) { 4e-2 } else { 3e-6 };
                let error = error(&found, &expected);
                assert!(error < limit, "{name}, {dtype} on {}: {error:e}", kernels.name());
            }
        }
    });
}

/// With activations that int8 holds exactly, only f32 rounding is left.
#[test]
fn integer_products_are_exact_on_exact_activations() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER {
            let (rows, cols, tokens) = (40, 768, 6);
            let mut random = Random::new(3);
            let bytes = encoded(dtype, rows, cols, &random.values(rows * cols));
            // Integers with one value of 127 per 32, light enough for every sum of 16.
            let x: Vec<f32> = (0..tokens * cols)
                .map(|i| if i.is_multiple_of(32) { 127.0 } else { (random.next() % 101) as f32 - 50.0 })
                .collect();
            let expected = reference(dtype, rows, cols, &bytes, &x);
            let weight = QMatrix::new(dtype, rows, cols, bytes.into()).expect("matrix");
            let error = error(&product(&mut compute, &rows_of(cols, &x), &weight, None), &expected);
            assert!(error < 2e-6, "{dtype} on {}: {error:e}", kernels.name());
        }
    });
}

#[test]
fn a_batch_equals_its_tokens_bit_for_bit() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &dtype in INTEGER.iter().chain(FLOAT) {
            let (rows, cols) = (83, cols_for(dtype, 544));
            let mut random = Random::new(11);
            let weight = random.matrix(dtype, rows, cols);
            let bias = random.vector(rows);
            let x = random.rows(32, cols);
            let single: Vec<f32> = (0..32)
                .flat_map(|token| product(&mut compute, &rows_of(cols, x.row(token)), &weight, Some(&bias)))
                .collect();
            for batch in 1..=32 {
                let part = rows_of(cols, &x.read()[..batch * cols]);
                let found = product(&mut compute, &part, &weight, Some(&bias));
                assert_eq!(
                    bits(&found),
                    bits(&single[..batch * rows]),
                    "{batch} x {dtype} on {}",
                    kernels.name()
                );
            }
        }
    });
}

/// Whether rows of F16 are multiplied where they lie or widened first, some tokens or many, whole registers or not.
#[test]
fn halves_multiply_as_the_floats_that_they_are() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for (rows, cols, tokens) in [(7, 5, 9), (70, 331, 3), (70, 331, 50), (66, 1040, 25), (9, 512, 8)] {
            let mut random = Random::new(13 + cols as u64);
            let bytes = encoded(DType::F16, rows, cols, &random.values(rows * cols));
            let values = decoded(DType::F16, rows, cols, &bytes);
            let halves = QMatrix::new(DType::F16, rows, cols, bytes.into()).expect("matrix");
            let floats =
                QMatrix::new(DType::F32, rows, cols, encoded(DType::F32, rows, cols, &values).into());
            let floats = floats.expect("matrix");
            let x = random.rows(tokens, cols);
            let found = bits(&product(&mut compute, &x, &halves, None));
            let expected = bits(&product(&mut compute, &x, &floats, None));
            assert_eq!(found, expected, "{tokens} x [{rows}, {cols}] on {}", kernels.name());
        }
    });
}

#[test]
fn threads_do_not_show() {
    each_table(|kernels| {
        for &dtype in INTEGER.iter().chain(FLOAT) {
            let (rows, cols) = (500, cols_for(dtype, 256));
            let mut random = Random::new(13);
            let weight = random.matrix(dtype, rows, cols);
            let x = random.rows(19, cols);
            let results: Vec<_> = [1, 2, 4]
                .map(|threads| bits(&product(&mut compute(kernels, threads), &x, &weight, None)))
                .into();
            assert!(results.iter().all(|found| *found == results[0]), "{dtype} on {}", kernels.name());
        }
    });
}

/// The quantised products follow one order of operations on every table. WebAssembly has no multiply-add in one rounding,
/// so there the vectors round once more.
#[cfg(not(target_family = "wasm"))]
#[test]
fn tables_agree_bit_for_bit_on_integers() {
    for &dtype in INTEGER {
        let (rows, cols) = (50, 512);
        let mut random = Random::new(17);
        let weight = random.matrix(dtype, rows, cols);
        let x = random.rows(9, cols);
        let mut results = Vec::new();
        each_table(|kernels| results.push(bits(&product(&mut compute(kernels, 1), &x, &weight, None))));
        assert!(results.iter().all(|found| *found == results[0]), "{dtype}");
    }
}

/// Weights and activations at the ends of their ranges: nothing saturates or wraps.
#[test]
fn extremes_do_not_overflow() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER {
            let (rows, cols) = (16, 512);
            for (name, sign) in [("constant", 1.0), ("alternating", -1.0f32)] {
                let pattern = |i: usize| if i.is_multiple_of(2) { 1.0 } else { sign };
                let values: Vec<f32> = (0..rows * cols)
                    .map(|i: usize| if (i / cols).is_multiple_of(2) { pattern(i) } else { -pattern(i) })
                    .collect();
                let bytes = encoded(dtype, rows, cols, &values);
                let x: Vec<f32> = (0..5 * cols).map(|i| 1000.0 * pattern(i)).collect();
                let expected = reference(dtype, rows, cols, &bytes, &x);
                let weight = QMatrix::new(dtype, rows, cols, bytes.into()).expect("matrix");
                let error = error(&product(&mut compute, &rows_of(cols, &x), &weight, None), &expected);
                assert!(error < 1e-2, "{name} {dtype} on {}: {error:e}", kernels.name());
            }
        }
    });
}

#[test]
fn what_is_not_finite_shows_in_its_own_row_only() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER.iter().chain(FLOAT) {
            let cols = cols_for(dtype, 256);
            let mut random = Random::new(19);
            let weight = random.matrix(dtype, 18, cols);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = random.values(3 * cols);
                let clean = product(&mut compute, &rows_of(cols, &x), &weight, None);
                x[cols + 5] = bad;
                let found = product(&mut compute, &rows_of(cols, &x), &weight, None);
                assert!(found[18..36].iter().all(|y| !y.is_finite()), "{bad} {dtype} on {}", kernels.name());
                assert_eq!(bits(&found[..18]), bits(&clean[..18]), "{bad} {dtype} on {}", kernels.name());
                assert_eq!(bits(&found[36..]), bits(&clean[36..]), "{bad} {dtype} on {}", kernels.name());
            }
        }
    });
}

#[test]
fn zeros_and_denormals_give_zero_or_less_than_can_be_seen() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER {
            let weight = Random::new(23).matrix(dtype, 16, 256);
            for x in [0.0, -0.0, 1e-42] {
                let found = product(&mut compute, &rows_of(256, &[x; 256]), &weight, None);
                assert!(found.iter().all(|y| y.abs() < 1e-38), "{x} {dtype} on {}", kernels.name());
            }
        }
    });
}

#[test]
fn a_group_equals_its_products() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let mut random = Random::new(29);
        let dtypes =
            [DType::Q4_K, DType::Q6_K, DType::Q8_0, DType::F32, DType::F16, DType::Q4_0, DType::Q5_K];
        // More than one phase of products.
        let weights: Vec<_> = (0..10).map(|i| random.matrix(dtypes[i % 7], 20 + i, 256)).collect();
        let x = random.rows(3, 256);
        let mut outs: Vec<Rows> = weights.iter().map(|weight| empty(3, weight.rows())).collect();
        let mut products: Vec<_> =
            weights.iter().zip(&mut outs).map(|(weight, out)| Product { weight, bias: None, out }).collect();
        compute.matmul(&x, &mut products);
        for (index, (weight, out)) in weights.iter().zip(&outs).enumerate() {
            let alone = product(&mut compute, &x, weight, None);
            assert_eq!(bits(out.read()), bits(&alone), "product {index} on {}", kernels.name());
        }
    });
}

#[test]
fn no_rows_are_no_work() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        let weight = Random::new(31).matrix(DType::Q4_K, 16, 256);
        assert!(product(&mut compute, &empty(1, 256), &weight, None).is_empty());
    });
}

#[test]
fn misaligned_weights_are_the_same_weights() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER.iter().chain(FLOAT) {
            let mut random = Random::new(37);
            let bytes = encoded(dtype, 17, 256, &random.values(17 * 256));
            let x = random.rows(6, 256);
            let mut results = Vec::new();
            for shift in [0, 1, 3] {
                let mut moved = vec![0; shift];
                moved.extend_from_slice(&bytes);
                let moved = bytes::Bytes::from(moved).slice(shift..);
                let weight = QMatrix::new(dtype, 17, 256, moved).expect("matrix");
                results.push(bits(&product(&mut compute, &x, &weight, None)));
            }
            assert!(results.iter().all(|found| *found == results[0]), "{dtype} on {}", kernels.name());
        }
    });
}

#[test]
fn slices_are_the_rows_they_name() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        let mut random = Random::new(41);
        let weight = random.matrix(DType::Q5_K, 40, 256);
        let x = random.rows(2, 256);
        let whole = product(&mut compute, &x, &weight, None);
        let part = product(&mut compute, &x, &weight.slice_rows(7..29).expect("rows"), None);
        for token in 0..2 {
            assert_eq!(
                bits(&part[token * 22..][..22]),
                bits(&whole[token * 40 + 7..][..22]),
                "{}",
                kernels.name()
            );
        }
    });
}

#[test]
#[should_panic(expected = "a matrix [4, 32] and rows of 64")]
fn widths_must_fit() {
    let weight = Random::new(1).matrix(DType::F32, 4, 32);
    product(&mut compute(realizar_tensor::Kernels::detect(), 1), &empty(1, 64), &weight, None);
}

#[test]
#[should_panic(expected = "a matrix of 4 rows and outputs of 3")]
fn outputs_must_fit() {
    let weight = Random::new(1).matrix(DType::F32, 4, 32);
    let mut out = empty(1, 3);
    compute(realizar_tensor::Kernels::detect(), 1)
        .matmul(&empty(1, 32), &mut [Product { weight: &weight, bias: None, out: &mut out }]);
}

#[test]
#[should_panic(expected = "a bias for 4 outputs")]
fn biases_must_fit() {
    let weight = Random::new(1).matrix(DType::F32, 4, 32);
    let bias = Vector::from_vec(vec![0.0; 3]);
    product(&mut compute(realizar_tensor::Kernels::detect(), 1), &empty(1, 32), &weight, Some(&bias));
}
