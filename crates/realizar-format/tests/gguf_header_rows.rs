//! The reliability catalogue, rows 1 to 11: the first 24 bytes of a GGUF file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use bytes::Bytes;
use raw::{Raw, assert_refused, seed};
use realizar_format::{FormatError, Gguf, GgufHeader, TensorSource, open, parse};

fn refuse(bytes: impl Into<Bytes>) -> FormatError {
    parse(bytes.into()).expect_err("must be refused")
}

#[track_caller]
fn assert_magic(case: &str, bytes: &[u8], found: &str, hint: &str) {
    let error = refuse(bytes.to_vec());
    let FormatError::Magic { found: shown, hint: shown_hint } = &error else { panic!("{case}: {error}") };
    assert!(shown.contains(found), "{case}: {error}");
    assert!(shown_hint.contains(hint), "{case}: {error}");
    assert!(error.to_string().starts_with("`magic` at byte 0: "), "{case}: {error}");
}

#[test]
fn row_001_too_short_for_a_magic() {
    for len in 0..4 {
        assert_magic("short", &b"GGU"[..len], &format!("{len} bytes"), "expected");
    }
    let error = refuse(&b"GGUF"[..]);
    assert_refused("magic alone", &error, "Truncated", "version", 4);
}

#[test]
fn row_002_wrong_magic() {
    let cases: &[(&str, &[u8], &str, &str)] = &[
        ("reversed", b"FUGG\0\0\0\0", "FUGG", "expected"),
        ("control characters", b"\n\x1b[2J", "\\u{a}\\u{1b}[2", "expected"),
        ("ggml", b"lmgg\x01\0\0\0", "lmgg", "old ggml file"),
        ("ggjt", b"tjgg\x03\0\0\0", "tjgg", "old ggjt file"),
        ("zip", b"PK\x03\x04\x14\0", "PK", "zip archive"),
        ("pickle", b"\x80\x02\x8a\n", "\\x80", "pickle"),
        ("web page", b"<!DOCTYPE html><html>", "<!DO", "web page"),
        ("json", b"{\"weight_map\":{}}", "{", "the model's folder"),
        ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "vers", "git lfs pull"),
    ];
    for (case, bytes, found, hint) in cases {
        assert_magic(case, bytes, found, hint);
    }
}

#[track_caller]
fn assert_version(bytes: impl Into<Bytes>, version: u64, in_hint: &str) {
    let error = refuse(bytes);
    assert_refused("version", &error, "Version", "version", 4);
    let FormatError::Version { found, hint, .. } = error else { panic!("{error}") };
    assert_eq!(found, version);
    assert!(hint.contains(in_hint), "{hint}");
}

#[test]
fn row_003_version_0() {
    assert_version(Raw::header(0, 0, 0).build(), 0, "no file");
}

#[test]
fn row_004_version_1() {
    assert_version(Raw::header(1, 0, 0).build(), 1, "convert the original model again");
}

#[test]
fn row_005_version_of_the_future() {
    for version in [4, 5, 0xffff, 0x0001_0002] {
        assert_version(Raw::header(version, 0, 0).build(), version.into(), "newer");
    }
}

/// A big-endian file is read, not refused; what cannot be swapped is refused by its own field.
#[test]
fn row_006_big_endian() {
    for version in [1, 2, 4] {
        assert_version(Raw::big_endian(version, 0, 0).build(), version.into(), "only version 3");
    }
    let file = Raw::big_endian(3, 4, 2)
        .kv_u32("answer", 42)
        .key("floats", raw::ARRAY)
        .u32(raw::F32)
        .u64(2)
        .f32(0.5)
        .f32(-3.0)
        .tensor("f32", &[2], 0, 0)
        .tensor("q4_0", &[32], 2, 32)
        .tensor("q6_k", &[256], 14, 64)
        .tensor("f16", &[1], 1, 288)
        .pad(32)
        .f32(1.25)
        .f32(-2.0)
        .pad(32)
        .u16(0x3c00)
        .raw(&[7; 16])
        .pad(32)
        .raw(&[9; 208])
        .u16(0x4000)
        .zeros(14)
        .u16(0x1234)
        .build();
    let gguf = Gguf::parse(file).unwrap();
    assert!(gguf.header().is_big_endian());
    assert_eq!(gguf.metadata("answer").unwrap().as_u32(), Some(42));
    assert_eq!(gguf.metadata("floats").unwrap().as_array().unwrap().to_f32s(), Some(vec![0.5, -3.0]));
    let data = |name| gguf.tensor(name).unwrap().data;
    assert_eq!(data("f32"), [1.25_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
    assert_eq!(data("q4_0"), [&[0x00, 0x3c][..], &[7; 16]].concat());
    assert_eq!(data("q6_k"), [&[9; 208][..], &[0x00, 0x40]].concat());
    assert_eq!(data("f16"), [0x34, 0x12].as_slice());

    let file = Raw::big_endian(3, 1, 0).tensor("iq", &[256], 16, 0);
    let error = refuse(file.clone().pad(32).zeros(96).build());
    assert_refused("IQ2_XXS", &error, "Unsupported", "endianness", file.at() - 8);
    assert!(error.to_string().contains("IQ2_XXS"), "{error}");
}

#[test]
fn row_007_tensor_count() {
    for count in [u64::MAX, 1 << 63, 1_048_577] {
        let error = refuse(Raw::header(3, count, 0).build());
        assert_refused("count", &error, "TooLarge", "tensor_count", 8);
    }
}

#[test]
fn row_008_kv_count() {
    for count in [u64::MAX, 1 << 63, 65_537] {
        let error = refuse(Raw::header(3, 0, count).build());
        assert_refused("count", &error, "TooLarge", "kv_count", 16);
    }
}

/// The memory side of this row is in `allocation.rs`.
#[test]
fn row_009_counts_that_the_file_cannot_hold() {
    let error = refuse(Raw::header(3, 1_000_000, 0).zeros(176).build());
    assert_refused("tensors", &error, "Truncated", "tensor_count", 8);
    let error = refuse(Raw::header(3, 0, 60_000).zeros(176).build());
    assert_refused("entries", &error, "Truncated", "kv_count", 16);
}

#[test]
fn row_010_nothing_in_it() {
    let model = parse(Raw::header(3, 0, 0).build()).unwrap();
    assert_eq!((model.metadata_keys().count(), model.tensors().count()), (0, 0));
    assert!(matches!(model.require_str("general.architecture"), Err(FormatError::MissingKey { .. })));
}

#[test]
fn row_011_cut_inside_the_header() {
    let fields = [(4, "version", 4), (8, "tensor_count", 8), (16, "kv_count", 8)];
    for len in 4..24 {
        let error = refuse(seed().bytes[..len].to_vec());
        let (at, field, width) = fields.into_iter().rfind(|(at, ..)| *at <= len).unwrap();
        assert_refused(&format!("{len} bytes"), &error, "Truncated", field, at as u64);
        let FormatError::Truncated { needed, left, .. } = error else { panic!("{error}") };
        assert_eq!((needed, left), (width, (len - at) as u64), "{len} bytes");
    }
}

#[test]
fn a_path_is_part_of_every_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a\nb.gguf");
    std::fs::write(&path, &seed().bytes[..20]).unwrap();
    for error in [open(&path).err().unwrap(), Gguf::open(&path).unwrap_err()] {
        assert_eq!(error.path(), Some(&*path));
        let shown = error.to_string();
        assert!(
            shown.contains("a\\u{a}b.gguf: `kv_count` at byte 16: needs 8 bytes, the file has 4 left"),
            "{shown}"
        );
    }
    let header = GgufHeader::parse(seed().build()).unwrap();
    assert_eq!((header.version(), header.alignment(), header.tensor_count()), (3, 32, 3));
    assert!(!header.is_big_endian());
}
