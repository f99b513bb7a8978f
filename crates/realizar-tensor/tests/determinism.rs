//! Products give the same bits whatever surrounds them, for every type that a matrix can have, and every level of integer
//! products gives those of the plain one.

mod kit;

use kit::{INTEGER, Random, compute, each_table, empty, product, rows_of};
use realizar_quant::{DType, encode};
use realizar_tensor::{Gate, Isa, Product, QMatrix};

/// Below a register of rows and ragged behind two of them; what is left of 256 values where the type allows it.
const ROWS: usize = 35;
const COLS: usize = 288;

/// Weights of every type, encoded where there is an encoder, else of any bytes.
fn matrices(rows: usize) -> Vec<QMatrix> {
    let of = |dtype: DType| -> Option<QMatrix> {
        let cols = COLS.next_multiple_of(dtype.block_elems());
        let row_bytes = dtype.row_bytes(cols)?;
        let mut random = Random::new(61);
        let mut bytes = vec![0; rows * row_bytes];
        for row in bytes.chunks_exact_mut(row_bytes) {
            if encode(dtype, &random.values(cols), None, row).is_err() {
                row.iter_mut().for_each(|byte| *byte = random.next() as u8);
            }
        }
        QMatrix::new(dtype, rows, cols, bytes.into()).ok()
    };
    let all: Vec<QMatrix> = DType::ALL.into_iter().filter_map(of).collect();
    assert!(INTEGER.iter().all(|dtype| all.iter().any(|weight| weight.dtype() == *dtype)));
    all
}

/// The bits, with one NaN for all of them: any bytes are weights as well.
fn seen(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

#[test]
fn batches_of_1_to_32_do_not_show() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for weight in matrices(ROWS) {
            let x = Random::new(67).rows(32, weight.cols());
            let alone = |token: usize| rows_of(weight.cols(), x.row(token));
            let single: Vec<f32> =
                (0..32).flat_map(|token| product(&mut compute, &alone(token), &weight, None)).collect();
            for batch in 1..=32 {
                let part = rows_of(weight.cols(), &x.read()[..batch * weight.cols()]);
                let found = product(&mut compute, &part, &weight, None);
                let expected = seen(&single[..batch * ROWS]);
                assert!(seen(&found) == expected, "{batch} x {} on {}", weight.dtype(), kernels.name());
            }
        }
    });
}

/// Few rows go from the gate into a product as they are, many piece by piece as integers.
#[test]
fn a_gate_into_a_product_is_a_gate_and_a_product() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for weight in matrices(ROWS) {
            for (tokens, kind) in [(1, Gate::Silu), (60, Gate::GeluTanh), (61, Gate::Silu)] {
                let mut random = Random::new(83);
                let (gate, up) = (random.rows(tokens, weight.cols()), random.rows(tokens, weight.cols()));
                let mut joined = gate.clone();
                compute.gate(kind, &mut joined, &up);
                let expected = product(&mut compute, &joined, &weight, None);
                let (mut gate, mut out) = (gate, empty(tokens, ROWS));
                let products = &mut [Product { weight: &weight, bias: None, out: &mut out }];
                compute.matmul_gated(kind, &mut gate, &up, products);
                let (dtype, name) = (weight.dtype(), kernels.name());
                assert!(seen(out.read()) == seen(&expected), "{tokens} x {dtype}, {kind:?} on {name}");
            }
        }
    });
}

/// A prompt at once, or cut into pieces of any length.
#[test]
fn chunks_do_not_show() {
    const TOKENS: usize = 300;
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for weight in matrices(ROWS) {
            let x = Random::new(71).rows(TOKENS, weight.cols());
            let whole = seen(&product(&mut compute, &x, &weight, None));
            for chunk in [7, 33, 64, 256] {
                let mut found = Vec::new();
                for part in x.read().chunks(chunk * weight.cols()) {
                    found.extend(product(&mut compute, &rows_of(weight.cols(), part), &weight, None));
                }
                assert!(seen(&found) == whole, "by {chunk}, {} on {}", weight.dtype(), kernels.name());
            }
        }
    });
}

#[test]
fn threads_1_to_4_do_not_show() {
    each_table(|kernels| {
        let mut several = [1, 2, 3, 4].map(|threads| compute(kernels, threads));
        for weight in matrices(300) {
            for tokens in [1, 5, 19] {
                let x = Random::new(73).rows(tokens, weight.cols());
                let [one, more @ ..] =
                    several.each_mut().map(|compute| seen(&product(compute, &x, &weight, None)));
                let same = more.iter().all(|found| *found == one);
                assert!(same, "{tokens} x {} on {}", weight.dtype(), kernels.name());
            }
        }
    });
}

/// WebAssembly has no multiply-add in one rounding, so there the vectors round once more.
#[cfg(not(target_family = "wasm"))]
#[test]
fn integer_products_are_those_of_the_plain_kernel() {
    use kit::bits;
    let plain = realizar_tensor::Kernels::for_isa(Isa::Scalar).expect("on every machine");
    for &dtype in INTEGER {
        for (rows, cols, tokens) in [(1, 256, 1), (8, 768, 2), (50, 544, 9), (19, 512, 70), (33, 288, 270)] {
            let mut random = Random::new(79);
            let weight = random.matrix(dtype, rows, usize::next_multiple_of(cols, dtype.block_elems()));
            let x = random.rows(tokens, weight.cols());
            let expected = bits(&product(&mut compute(plain, 1), &x, &weight, None));
            each_table(|kernels| {
                let found = bits(&product(&mut compute(kernels, 1), &x, &weight, None));
                assert!(found == expected, "{dtype} [{rows}, {cols}] x {tokens} on {}", kernels.name());
            });
        }
    }
}

/// What `each_table` runs on: nothing that this processor has is left out.
#[test]
fn every_level_of_this_machine_is_there() {
    let mut levels = vec![Isa::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            levels.push(Isa::Avx2);
        }
        if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
            levels.push(Isa::Avx512);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        levels.push(Isa::Neon);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    levels.push(Isa::Simd128);
    let mut found = Vec::new();
    each_table(|kernels| found.push(kernels.isa()));
    found.sort();
    found.dedup();
    assert_eq!(found, levels);
}
