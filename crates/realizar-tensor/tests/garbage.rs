//! Weights that no encoder would write: any bytes at all, and scales that are not finite. Nothing hangs or leaves its
//! bounds, NaN and infinity show where they belong, and a token still does not depend on its neighbours.

#![expect(clippy::expect_used, reason = "a failure panics")]

mod kit;

use kit::{FLOAT, INTEGER, Random, compute, each_table, empty, product, rows_of};
use realizar_quant::DType;
use realizar_tensor::{QMatrix, Rows};

/// Every type that a matrix can have.
fn types() -> impl Iterator<Item = DType> {
    DType::ALL.into_iter().filter(|&dtype| {
        let bytes = dtype.row_bytes(dtype.block_elems()).unwrap_or(0);
        QMatrix::new(dtype, 1, dtype.block_elems(), vec![0; bytes].into()).is_ok()
    })
}

fn garbage(random: &mut Random, dtype: DType, rows: usize, cols: usize) -> Vec<u8> {
    let count = rows * dtype.row_bytes(cols).expect("whole blocks");
    (0..count).map(|_| random.next() as u8).collect()
}

/// Equal bits; every NaN is as good as another.
fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

#[test]
fn any_bytes_are_weights() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for dtype in types() {
            let cols = 256usize.next_multiple_of(dtype.block_elems());
            for rows in [1, 17] {
                let mut random = Random::new(43 + rows as u64);
                let bytes = garbage(&mut random, dtype, rows, cols);
                let weight = QMatrix::new(dtype, rows, cols, bytes.into()).expect("matrix");
                let x = random.rows(6, cols);
                let together = product(&mut compute, &x, &weight, None);
                for token in 0..6 {
                    let alone = product(&mut compute, &rows_of(cols, x.row(token)), &weight, None);
                    let of = &together[token * rows..][..rows];
                    assert!(same(of, &alone), "{dtype}, {rows} rows on {}", kernels.name());
                }
                let mut out = empty(rows, cols);
                let ids: Vec<u32> = (0..rows as u32).collect();
                compute.embed(&weight, &ids, 1.0, &mut out);
                assert_eq!(out.rows(), rows, "{dtype} on {}", kernels.name());
            }
        }
    });
}

/// The tables agree on garbage as on everything else. WebAssembly's vectors round once more.
#[cfg(not(target_family = "wasm"))]
#[test]
fn tables_agree_on_any_bytes() {
    for &dtype in INTEGER {
        let mut random = Random::new(47);
        let bytes = garbage(&mut random, dtype, 33, 768);
        let weight = QMatrix::new(dtype, 33, 768, bytes.into()).expect("matrix");
        // One, a few and many go different ways.
        for tokens in [1, 5, 20] {
            let x = random.rows(tokens, 768);
            let mut results = Vec::new();
            each_table(|kernels| results.push(product(&mut compute(kernels, 1), &x, &weight, None)));
            assert!(results.iter().all(|found| same(found, &results[0])), "{dtype}, {tokens} tokens");
        }
    }
}

/// A weight's NaN or infinity is seen by every token, in the row that has it and in no other.
#[test]
fn weights_that_are_not_finite_spoil_their_row_only() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for &dtype in INTEGER.iter().chain(FLOAT) {
            // Where the scale (or, without blocks, a value) is an f16, an f32 or a bf16.
            let (at, bad): (usize, &[&[u8]]) = match dtype {
                DType::F32 => (8, &[&[0, 0, 0xc0, 0x7f], &[0, 0, 0x80, 0x7f], &[0, 0, 0x80, 0xff]]),
                DType::BF16 => (8, &[&[0xc0, 0x7f], &[0x80, 0x7f], &[0x80, 0xff]]),
                DType::Q6_K => (208, HALVES),
                DType::Q3_K => (108, HALVES),
                DType::Q2_K => (80, HALVES),
                DType::TQ2_0 => (64, HALVES),
                // Scales that cannot be NaN or infinite: the ends of their range, and what would be NaN elsewhere.
                DType::MXFP4 | DType::NVFP4 => (0, &[&[0x00], &[0x7f], &[0xff]]),
                _ => (0, HALVES),
            };
            let (rows, cols) = (19, 768);
            let row_bytes = dtype.row_bytes(cols).expect("whole blocks");
            let mut random = Random::new(53);
            let clean = kit::encoded(dtype, rows, cols, &random.values(rows * cols));
            let several = [1, 7, 20].map(|tokens| random.rows(tokens, cols));
            let run = |compute: &mut _, bytes: Vec<u8>, x: &Rows| {
                product(compute, x, &QMatrix::new(dtype, rows, cols, bytes.into()).expect("matrix"), None)
            };
            for (x, bad) in several.iter().flat_map(|x| bad.iter().map(move |bad| (x, bad))) {
                let expected = run(&mut compute, clean.clone(), x);
                let mut bytes = clean.clone();
                bytes[5 * row_bytes + at..][..bad.len()].copy_from_slice(bad);
                let found = run(&mut compute, bytes, x);
                for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let place = format!("{bad:x?} at {index}, {dtype} on {}", kernels.name());
                    if index % rows != 5 {
                        assert_eq!(found.to_bits(), expected.to_bits(), "{place}");
                    } else if matches!(dtype, DType::MXFP4 | DType::NVFP4) {
                        assert_ne!(found.to_bits(), expected.to_bits(), "{place}");
                    } else {
                        assert!(!found.is_finite(), "{found}: {place}");
                    }
                }
            }
        }
    });
}

/// NaN and both infinities as f16.
const HALVES: &[&[u8]] = &[&[0x00, 0x7e], &[0x00, 0x7c], &[0x00, 0xfc]];
