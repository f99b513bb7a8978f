//! The reliability catalogue, rows 31 to 45 and 47: tensors of a GGUF file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use bytes::Bytes;
use proptest::prelude::*;
use raw::{Raw, assert_refused, seed};
use realizar_format::{DType, FormatError, Gguf, GgufHeader, TensorSource, parse};

const F32: u32 = 0;
const Q4_0: u32 = 2;

/// One tensor is the whole content; its entry begins at byte 24.
fn one() -> Raw {
    Raw::header(3, 1, 0)
}

fn refuse(bytes: impl Into<Bytes>) -> FormatError {
    parse(bytes.into()).expect_err("must be refused")
}

#[test]
fn tensors_are_views_of_the_file() {
    let file = seed().build();
    let gguf = Gguf::parse(file.clone()).unwrap();
    let names: Vec<_> =
        gguf.tensors().map(|tensor| (tensor.name, tensor.dtype, tensor.shape.to_vec())).collect();
    let expected = [
        ("matrix", DType::F32, vec![3, 4]),
        ("blocks", DType::Q4_0, vec![2, 32]),
        ("scalar", DType::F16, vec![]),
    ];
    assert_eq!(names, expected);
    let start = gguf.header().data_start();
    let blocks = gguf.tensor("blocks").unwrap();
    assert_eq!((blocks.offset, blocks.data.len()), (start + 64, 36));
    assert_eq!(blocks.data[0], 64);
    // A view, not a copy.
    let at = usize::try_from(blocks.offset).unwrap();
    assert_eq!(blocks.data.as_ptr(), file[at..].as_ptr());
    assert!(gguf.tensor("nothing").is_none());
    drop((file, names));
    let data = { gguf.tensor("matrix").unwrap().data };
    drop(gguf);
    assert_eq!(data[47], 47);
}

#[test]
fn row_031_tensor_name() {
    for len in [u64::MAX, 64] {
        let error = refuse(one().u64(len).zeros(100).build());
        assert_refused("limit", &error, "TooLarge", "tensor_name_len", 24);
        assert_eq!(error.place().unwrap().index, Some(0));
    }
    let error = refuse(one().tensor("", &[1], F32, 0).zeros(32).build());
    assert_refused("empty", &error, "Invalid", "tensor_name", 24);
    let error = refuse(one().text(b"a\xff").u32(0).u32(F32).u64(0).zeros(32).build());
    assert_refused("not UTF-8", &error, "Invalid", "tensor_name", 33);
    let longest = "x".repeat(63);
    assert!(
        parse(one().tensor(&longest, &[1], F32, 0).pad(32).zeros(4).build())
            .unwrap()
            .tensor(&longest)
            .is_some()
    );
}

#[test]
fn row_032_duplicate_tensor() {
    let raw = Raw::header(3, 3, 0).tensor("t", &[8], F32, 0).tensor("a", &[8], F32, 32);
    let second = raw.at();
    let error = refuse(raw.tensor("t", &[8], F32, 64).pad(32).zeros(96).build());
    assert_refused("twice", &error, "Duplicate", "duplicate_tensor", second);
    assert!(error.to_string().contains("`t` (entry 2)") && error.to_string().contains("byte 24"), "{error}");
}

#[test]
fn row_033_number_of_dimensions() {
    for count in [5, u32::MAX] {
        let error = refuse(one().text(b"t").u32(count).zeros(100).build());
        assert_refused("limit", &error, "TooLarge", "n_dims", 33);
    }
    let model = parse(one().tensor("t", &[], F32, 0).pad(32).zeros(4).build()).unwrap();
    let scalar = model.tensor("t").unwrap();
    assert_eq!((scalar.shape.len(), scalar.shape.elements(), scalar.data.len()), (0, Some(1), 4));
}

#[test]
fn row_034_negative_dimension() {
    let error = refuse(one().tensor("t", &[1, u64::MAX], F32, 0).zeros(64).build());
    assert_refused("-1", &error, "Invalid", "dim", 45);
    assert!(error.to_string().contains("`t`") && error.to_string().contains("-1 on axis 1"), "{error}");
}

#[test]
fn row_035_zero_dimension() {
    for dims in [&[0][..], &[32, 0], &[0, 1 << 62, 1 << 62]] {
        let model = parse(one().tensor("t", dims, F32, 0).pad(32).build()).unwrap();
        let empty = model.tensor("t").unwrap();
        assert_eq!((empty.data.len(), empty.shape.elements()), (0, Some(0)), "{dims:?}");
    }
}

#[test]
fn row_036_too_many_elements() {
    for dims in [&[1 << 62, 2][..], &[1 << 32, 1 << 32], &[1 << 31, 1 << 31, 4]] {
        let error = refuse(one().tensor("t", dims, F32, 0).zeros(64).build());
        assert_refused("product", &error, "Overflow", "elements", 33);
        assert!(error.to_string().contains(&format!("{dims:?}")), "{error}");
    }
}

#[test]
fn row_037_too_many_bytes() {
    let error = refuse(one().tensor("t", &[1 << 62], F32, 0).zeros(64).build());
    assert_refused("2^64 bytes", &error, "Overflow", "bytes", 33);
}

#[test]
fn row_038_padding_that_wraps() {
    // 2^64 - 4 bytes: not a multiple of 32, and the next one is past the end of the numbers.
    let raw = one().tensor("t", &[(1 << 62) - 1], F32, 0);
    let offset = raw.at() - 8;
    let error = refuse(raw.zeros(64).build());
    assert_refused("wrap", &error, "Overflow", "padded_bytes", offset);
}

#[test]
fn row_039_tensor_type() {
    for id in [43, u32::MAX, 4, 5, 31, 32, 33, 36, 37, 38] {
        let error = refuse(one().tensor("t", &[32], id, 0).zeros(64).build());
        assert_refused("type", &error, "Invalid", "tensor_type", 45);
        assert!(
            error.to_string().contains("`t`") && error.to_string().contains(&id.cast_signed().to_string())
        );
    }
    for (id, words) in
        [(4, "4 (Q4_2)"), (31, "31 (Q4_0_4_4)"), (33, "take the model as Q4_0"), (38, "as IQ4_NL")]
    {
        let error = refuse(one().tensor("t", &[32], id, 0).zeros(64).build()).to_string();
        assert!(error.contains(words) && error.contains("taken out of the format"), "{error}");
    }
}

#[test]
fn row_040_row_of_broken_blocks() {
    for dims in [&[33, 2][..], &[16], &[], &[31, 0]] {
        let error = refuse(one().tensor("t", dims, Q4_0, 0).zeros(64).build());
        assert_refused("row", &error, "Invalid", "row_len", 33);
        assert!(error.to_string().contains("a multiple of the 32 elements of a Q4_0 block"), "{error}");
    }
}

#[test]
fn row_041_offset() {
    for offset in [u64::MAX, 1, 31, 32, 1 << 40] {
        let raw = one().tensor("t", &[8], F32, offset);
        let at = raw.at() - 8;
        let error = refuse(raw.pad(32).zeros(96).build());
        assert_refused("offset", &error, "Invalid", "offset", at);
        assert!(
            error.to_string().contains(&offset.to_string()) && error.to_string().contains("expected 0"),
            "{error}"
        );
    }
}

#[test]
fn row_042_overlap_gap_disorder() {
    for (case, offset) in [("overlap", 0), ("gap", 96), ("unpadded", 40)] {
        let raw = Raw::header(3, 2, 0).tensor("a", &[10], F32, 0).tensor("b", &[8], F32, offset);
        let at = raw.at() - 8;
        let error = refuse(raw.pad(32).zeros(200).build());
        assert_refused(case, &error, "Invalid", "offset", at);
        assert!(error.to_string().contains("expected 64"), "{error}");
    }
    // Offsets made for an alignment of 32 in a file that declares 64, and the other way round.
    for (declared, offset) in [(64, 32), (8, 64)] {
        let raw = Raw::header(3, 2, 1)
            .kv_u32("general.alignment", declared)
            .tensor("a", &[8], F32, 0)
            .tensor("b", &[8], F32, offset);
        let at = raw.at() - 8;
        let error = refuse(raw.pad(64).zeros(200).build());
        assert_refused("alignment", &error, "Invalid", "offset", at);
    }
}

#[test]
fn row_043_bad_alignment_comes_before_tensors() {
    let raw = Raw::header(3, 1, 1).kv_u32("general.alignment", 13);
    let error = refuse(raw.clone().tensor("t", &[8], F32, 0).pad(32).zeros(32).build());
    assert_refused("good tensor", &error, "Invalid", "alignment", 24);
    let error = refuse(raw.tensor("t", &[u64::MAX], 99, 7).zeros(32).build());
    assert_refused("bad tensor", &error, "Invalid", "alignment", 24);
}

#[test]
fn row_044_data_cut_short() {
    let raw = Raw::header(3, 2, 0).tensor("a", &[8], F32, 0).tensor("b", &[16], F32, 32).pad(32);
    let start = raw.at();
    for (len, tensor, offset) in
        [(0, "a", start), (31, "a", start), (32, "b", start + 32), (95, "b", start + 32)]
    {
        let error = refuse(raw.clone().zeros(len).build());
        assert_refused(tensor, &error, "Truncated", "tensor_range", offset);
        assert!(error.to_string().contains(&format!("`{tensor}`")), "{error}");
    }
    parse(raw.zeros(96).build()).unwrap();
    // The data section itself begins past the end.
    let error = refuse(one().tensor("a", &[8], F32, 0).build());
    assert_refused("no padding", &error, "Truncated", "tensor_range", 64);
}

#[test]
fn row_045_sizes_that_wrap_together() {
    let half = 1_u64 << 61;
    let raw = Raw::header(3, 3, 0).tensor("a", &[half], F32, 0).tensor("b", &[half - 8], F32, half * 4);
    let raw = raw.tensor("c", &[8], F32, (half * 4).wrapping_mul(2).wrapping_sub(32));
    let at = raw.at() - 8;
    let error = refuse(raw.zeros(64).build());
    assert_refused("sum", &error, "Overflow", "total_bytes", at);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The verdict on the sizes is that of the same sum in 128 bits.
    #[test]
    fn row_045_sizes_agree_with_128_bit_arithmetic(
        tensors in prop::collection::vec((prop::collection::vec(0..63_u32, 0..=4), 0..4_usize), 1..6),
        alignment in 0..21_u32,
    ) {
        // Type id, elements and bytes of a block.
        let types = [(0_u32, 1_u128, 4_u128), (24, 1, 1), (2, 32, 18), (28, 1, 8)];
        let pad = 1_u128 << alignment;
        let mut raw = Raw::header(3, tensors.len() as u64, 1).kv_u32("general.alignment", 1 << alignment);
        let mut total = 0_u128;
        let mut fits = true;
        for (index, (exponents, kind)) in tensors.iter().enumerate() {
            let (id, block, block_bytes) = types[*kind];
            let mut dims: Vec<u64> = exponents.iter().map(|exponent| 1 << exponent).collect();
            if block > 1 {
                dims.insert(0, 32);
                dims.truncate(4);
            }
            let elements = dims.iter().fold(1_u128, |product, dim| product.saturating_mul((*dim).into()));
            let bytes = (elements / block).saturating_mul(block_bytes);
            let padded = bytes.checked_next_multiple_of(pad).unwrap_or(u128::MAX);
            raw = raw.tensor(&index.to_string(), &dims, id, total as u64);
            total = total.saturating_add(padded);
            fits &= elements <= i64::MAX as u128 && bytes <= u64::MAX.into() && total <= u64::MAX.into();
        }
        let header = GgufHeader::parse(raw.build());
        let shown = header.as_ref().map(|header| u128::from(header.data_bytes())).map_err(|error| error.to_string());
        // The start of the data section may push the last bytes over the edge; nothing else may.
        if fits {
            prop_assert_eq!(shown, Ok(total));
        } else {
            prop_assert!(shown.is_err(), "{:?}", shown);
        }
    }
}

#[test]
fn row_047_files_that_must_load() {
    let kv = || Raw::header(3, 0, 2).kv_u32("a", 1).kv_str("b", "c");
    let tensors = || Raw::header(3, 2, 0).tensor("a", &[10], F32, 0).tensor("b", &[8], F32, 64);
    let custom = |alignment: u32, second| {
        Raw::header(3, 2, 1).kv_u32("general.alignment", alignment).tensor("a", &[10], F32, 0).tensor(
            "b",
            &[8],
            F32,
            second,
        )
    };
    // Case, file, data bytes.
    let accepted = [
        ("KV_SUCCESS", kv(), 0),
        ("TENSORS_SUCCESS", tensors(), 96),
        ("TENSORS_CUSTOM_ALIGN", custom(64, 64), 128),
        ("alignment 1", custom(1, 40), 72),
        ("version 2", Raw::header(2, 1, 0).tensor("a", &[8], F32, 0), 32),
    ];
    for (case, raw, data_bytes) in accepted {
        let header = GgufHeader::parse(raw.clone().build()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(header.data_bytes(), data_bytes, "{case}");
        if data_bytes > 0 {
            let error = refuse(raw.clone().build());
            assert_eq!(error.place().unwrap().field, "tensor_range", "{case}");
        }
        let alignment = usize::try_from(header.alignment()).unwrap();
        let whole = raw.pad(alignment).zeros(usize::try_from(data_bytes).unwrap());
        let gguf = Gguf::parse(whole.clone().build()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(gguf.warnings(), [] as [String; 0], "{case}");
        let gguf = Gguf::parse(whole.zeros(5).build()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(gguf.warnings().concat().starts_with("5 bytes behind"), "{case}");
    }
}
