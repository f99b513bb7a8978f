//! Every format against ggml's reference: some rows in `tests/data/golden` always, the full folder where it is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the data is the test's own; a skipped suite says so"
)]

use std::path::{Path, PathBuf};

use realizar_quant::{DType, bf16_to_f32, decode, encode, f16_to_f32, f32_to_bf16, f32_to_f16};

const COLUMNS: usize = 512;

/// The folders that are there, with the number of decoded files in them.
fn folders(suite: &str) -> Vec<(PathBuf, usize)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![(home.join("tests/data/golden"), 29)];
    let full = home.join("../../../shared/data/quant");
    if full.is_dir() {
        folders.push((full, 58));
    } else {
        eprintln!("SKIPPED (no shared/data): {suite}");
    }
    folders
}

fn floats(path: &Path) -> Vec<f32> {
    std::fs::read(path).unwrap().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn decoding_is_bit_exact() {
    for (folder, expected_files) in folders("quant decoding") {
        let mut files = 0;
        for dtype in DType::ALL {
            for (blocks, values) in [("enc", "dec"), ("encw", "decw"), ("rand.bin", "rand")] {
                let name = format!("{dtype}.{blocks}");
                let values = folder.join(format!("{dtype}.{values}.f32"));
                if !values.exists() {
                    continue;
                }
                let expected = floats(&values);
                let mut found = vec![0.0; expected.len()];
                decode(dtype, &std::fs::read(folder.join(&name)).unwrap(), &mut found).unwrap();
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(found.to_bits(), expected.to_bits(), "{name} element {i}: {found} {expected}");
                }
                files += 1;
            }
        }
        assert_eq!(files, expected_files, "{}", folder.display());
    }
}

/// In `IQ3_S` the reference forgets to step over a group of zeros: the points and signs of all groups after it land in
/// the wrong place. Ours stay in place, so the bytes differ and the error is smaller.
fn reference_is_wrong(dtype: DType, row: &[f32]) -> bool {
    let gap = |block: &[f32]| {
        let zero: Vec<bool> = block.chunks(32).map(|group| group.iter().all(|&x| x == 0.0)).collect();
        zero.windows(2).any(|pair| pair[0] && !pair[1])
    };
    dtype == DType::IQ3_S && row.chunks(256).any(gap)
}

fn error(dtype: DType, row: &[f32], blocks: &[u8]) -> f64 {
    let mut back = [0.0; COLUMNS];
    decode(dtype, blocks, &mut back).unwrap();
    row.iter().zip(back).map(|(x, y)| f64::from(x - y).powi(2)).sum()
}

#[test]
fn encoding_is_byte_exact() {
    for (folder, _) in folders("quant encoding") {
        let input = floats(&folder.join("input.f32"));
        let importance = floats(&folder.join("imatrix.f32"));
        let mut files = 0;
        for dtype in DType::ALL {
            for (suffix, weights) in [("enc", None), ("encw", Some(&importance[..]))] {
                let name = format!("{dtype}.{suffix}");
                let Ok(expected) = std::fs::read(folder.join(&name)) else { continue };
                let bytes = dtype.row_bytes(COLUMNS).unwrap();
                let mut found = vec![0; bytes];
                for (i, (row, expected)) in input.chunks(COLUMNS).zip(expected.chunks(bytes)).enumerate() {
                    encode(dtype, row, weights, &mut found).unwrap();
                    if reference_is_wrong(dtype, row) && found != expected {
                        assert!(error(dtype, row, &found) < error(dtype, row, expected), "{name} row {i}");
                        continue;
                    }
                    let different = found.iter().zip(expected).position(|(a, b)| a != b);
                    assert_eq!(different, None, "{name} row {i}: first byte that differs");
                }
                files += 1;
            }
        }
        assert_eq!(files, 44, "{}", folder.display());
    }
}

/// The formats of one to three bits promise less than bytes: errors, weighed by importance, not above the reference's. A row
/// with a gap of zeros in the middle of a block is among them in the full folder.
#[test]
fn coarse_formats_are_no_worse_than_the_reference() {
    const COARSE: [DType; 7] = [
        DType::IQ1_S,
        DType::IQ1_M,
        DType::IQ2_XXS,
        DType::IQ2_XS,
        DType::IQ2_S,
        DType::IQ3_XXS,
        DType::IQ3_S,
    ];
    for (folder, _) in folders("quant errors") {
        let input = floats(&folder.join("input.f32"));
        let importance = floats(&folder.join("imatrix.f32"));
        for dtype in COARSE {
            let bytes = dtype.row_bytes(COLUMNS).unwrap();
            let expected = std::fs::read(folder.join(format!("{dtype}.encw"))).unwrap();
            let (mut found, mut rows) = (vec![0; bytes], 0);
            for (row, expected) in input.chunks(COLUMNS).zip(expected.chunks(bytes)) {
                encode(dtype, row, Some(&importance), &mut found).unwrap();
                let [ours, theirs] = [&found[..], expected].map(|blocks| {
                    let mut back = [0.0; COLUMNS];
                    decode(dtype, blocks, &mut back).unwrap();
                    let errors = row.iter().zip(back).zip(&importance);
                    errors.map(|((x, y), w)| f64::from(*w) * f64::from(x - y).powi(2)).sum::<f64>()
                });
                // Rows too large for any scale are infinitely wrong in both.
                assert!(ours <= theirs || theirs.is_nan(), "{dtype} row {rows}: {ours} above {theirs}");
                rows += 1;
            }
            assert_eq!(rows, input.len() / COLUMNS, "{dtype}");
        }
    }
}

/// Eleven blocks: encoders that take eight at once have three left over.
#[test]
fn odd_rows_are_byte_exact() {
    const ODD: usize = 352;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let input = floats(&folder.join("input.f32"));
    let importance = &floats(&folder.join("imatrix.f32"))[..ODD];
    for dtype in [DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::IQ4_NL] {
        let expected = std::fs::read(folder.join(format!("{dtype}.odd.encw"))).unwrap();
        let mut found = vec![0; dtype.row_bytes(ODD).unwrap()];
        for (i, (row, expected)) in input.chunks(COLUMNS).zip(expected.chunks(found.len())).enumerate() {
            encode(dtype, &row[..ODD], Some(importance), &mut found).unwrap();
            assert_eq!(found, expected, "{dtype} row {i}");
        }
    }
}

#[test]
fn importance_is_ignored_where_the_format_ignores_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let row = &floats(&folder.join("input.f32"))[..COLUMNS];
    for dtype in [DType::Q8_0, DType::TQ1_0, DType::MXFP4, DType::F16] {
        let mut found = vec![0; dtype.row_bytes(COLUMNS).unwrap()];
        // Its length and values do not matter either.
        encode(dtype, row, Some(&[f32::NAN]), &mut found).unwrap();
        let expected = std::fs::read(folder.join(format!("{dtype}.enc"))).unwrap();
        assert_eq!(found, expected[..found.len()], "{dtype}");
    }
}

#[test]
fn halves_round_as_the_reference_does() {
    for (folder, _) in folders("quant halves") {
        for record in std::fs::read(folder.join("f32_to_half.bin")).unwrap().as_chunks::<8>().0 {
            let [a, b, c, d, f16_low, f16_high, bf16_low, bf16_high] = *record;
            let value = f32::from_le_bytes([a, b, c, d]);
            let bits = value.to_bits();
            assert_eq!(f32_to_f16(value), u16::from_le_bytes([f16_low, f16_high]), "f16 of {bits:08x}");
            assert_eq!(f32_to_bf16(value), u16::from_le_bytes([bf16_low, bf16_high]), "bf16 of {bits:08x}");
        }
    }
}

#[test]
fn all_halves_widen_exactly() {
    for bits in 0..=u16::MAX {
        let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f32::from(bits & 1023));
        let magnitude = match exponent {
            31 if fraction == 0.0 => f32::INFINITY,
            31 => f32::NAN,
            0 => fraction / 1024.0 * 2f32.powi(-14),
            _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
        };
        let value = f16_to_f32(bits);
        if magnitude.is_nan() {
            assert!(value.is_nan() && f32_to_f16(value) & 0x7fff == 0x7e00, "{bits:04x}");
        } else {
            assert_eq!(value.abs(), magnitude, "{bits:04x}");
            assert_eq!(value.is_sign_negative(), sign == 1, "{bits:04x}");
            assert_eq!(f32_to_f16(value), bits);
        }
        let value = bf16_to_f32(bits);
        if !value.is_nan() {
            assert_eq!(f32_to_bf16(value), bits, "{bits:04x}");
        }
    }
}

/// The bytes of a type that only `.apr` or safetensors files have, and what they mean.
const FOREIGN: &[(&str, DType, &[u8], &[f32])] = &[
    (
        "e4m3: zero, smallest, 1, largest, negative",
        DType::F8_E4M3,
        &[0x00, 0x01, 0x38, 0x7e, 0xb8, 0x80],
        &[0.0, 1.0 / 512.0, 1.0, 448.0, -1.0, -0.0],
    ),
    (
        "e5m2: zero, smallest, 1, largest, infinity",
        DType::F8_E5M2,
        &[0x00, 0x01, 0x3c, 0x7b, 0x7c, 0xbc],
        &[0.0, 1.0 / 65536.0, 1.0, 57344.0, f32::INFINITY, -1.0],
    ),
    ("apr q8: scale 1/4", DType::APR_Q8, &[0, 0, 0x80, 0x3e, 4, 0xfc, 127], &[1.0, -1.0, 31.75]),
    ("apr q8: empty", DType::APR_Q8, &[], &[]),
    (
        "apr q4: scale 1/2, low half first, cut in the second block",
        DType::APR_Q4,
        &[
            0x00, 0x38, 0x98, 0x0f, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88,
            0x88, 0x88, 0x00, 0x3c, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
        &[
            0.0, 0.5, 3.5, -4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0,
        ],
    ),
    ("f64", DType::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0xbf], &[-1.5]),
    ("f32", DType::F32, &[0, 0, 0xc0, 0xbf], &[-1.5]),
];

#[test]
fn foreign_types_decode() {
    for (case, dtype, bytes, expected) in FOREIGN {
        let mut found = vec![0.0; expected.len()];
        decode(*dtype, bytes, &mut found).unwrap();
        assert_eq!(found, *expected, "{case}");
    }
    let mut nan = [0.0; 2];
    decode(DType::F8_E4M3, &[0x7f, 0xff], &mut nan).unwrap();
    assert!(nan.iter().all(|x| x.is_nan()));
}
