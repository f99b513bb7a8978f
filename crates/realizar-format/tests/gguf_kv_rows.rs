//! The reliability catalogue, rows 12 to 30: metadata of a GGUF file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use std::time::{Duration, Instant};

use bytes::Bytes;
use raw::{ARRAY, BOOL, F32, I32, Raw, STRING, U8, U32, assert_refused, seed};
use realizar_format::{Array, FormatError, Value, ValueType, parse};

/// One metadata entry is the whole content; it begins at byte 24.
fn one() -> Raw {
    Raw::header(3, 0, 1)
}

fn refuse(bytes: impl Into<Bytes>) -> FormatError {
    parse(bytes.into()).expect_err("must be refused")
}

#[test]
fn every_value_type_is_read() {
    let model = parse(seed().build()).unwrap();
    let cases = [
        ("u8", Value::U8(8)),
        ("i8", Value::I8(-8)),
        ("u16", Value::U16(16)),
        ("i16", Value::I16(-16)),
        ("u32", Value::U32(32)),
        ("i32", Value::I32(-32)),
        ("f32", Value::F32(1.5)),
        ("bool", Value::Bool(true)),
        ("u64", Value::U64(64)),
        ("i64", Value::I64(-64)),
        ("f64", Value::F64(2.5)),
    ];
    for (key, value) in cases {
        assert_eq!(model.metadata(key), Some(value), "{key}");
        assert_eq!(model.metadata(key).unwrap().value_type().name(), key);
    }
    let array = |key| model.require_array(key).unwrap();
    let strings: Vec<_> = array("strings").strings().unwrap().collect();
    assert_eq!(strings, ["a".as_bytes(), b"", "größe".as_bytes()]);
    assert_eq!(array("numbers").to_u32s(), Some(vec![7, 9]));
    assert_eq!(array("numbers").to_i32s(), Some(vec![7, 9]));
    assert_eq!(array("bools").to_bools(), Some(vec![false, true]));
    assert_eq!(array("bools").elem_type(), ValueType::Bool);
    assert!(array("numbers").strings().is_none() && array("numbers").to_f32s().is_none());
    assert_eq!(array("numbers").into_iter().len(), 2);
    assert!(!array("numbers").is_empty());
    let keys: Vec<_> = model.metadata_keys().collect();
    assert_eq!((keys.len(), keys[0], keys[14]), (15, "general.architecture", "bools"));
    assert_eq!(model.metadata("u9"), None);
    assert_eq!(model.metadata(""), None);
}

#[test]
fn values_are_shown_on_one_line() {
    let model = parse(seed().build()).unwrap();
    let shown: Vec<_> = model.metadata_keys().map(|key| model.metadata(key).unwrap().to_string()).collect();
    let expected = [
        "\"llama\"",
        "8",
        "-8",
        "16",
        "-16",
        "32",
        "-32",
        "1.5",
        "true",
        "64",
        "-64",
        "2.5",
        "[string; 3]",
        "[u32; 2]",
        "[bool; 2]",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn row_012_key_length() {
    for len in [u64::MAX, 65_536] {
        let error = refuse(one().u64(len).zeros(100).build());
        assert_refused("limit", &error, "TooLarge", "key_len", 24);
        assert_eq!(error.place().unwrap().index, Some(0));
    }
    let error = refuse(one().u64(93).zeros(92).build());
    assert_refused("end of file", &error, "Truncated", "key_len", 32);
}

#[test]
fn row_013_empty_key() {
    let error = refuse(one().key("", U32).u32(1).build());
    assert_refused("empty", &error, "Invalid", "key", 24);
    // The 37 bytes that end llama.cpp.
    let error = refuse(one().u64(0).u32(BOOL).u8(1).build());
    assert_refused("37 bytes", &error, "Truncated", "kv_count", 16);
}

#[test]
fn row_014_key_that_is_not_text() {
    let error = refuse(one().text(b"ab\xffcd").u32(U32).u32(1).build());
    assert_refused("not UTF-8", &error, "Invalid", "key", 34);
    assert!(error.to_string().contains("`ab\\xffcd`"), "{error}");

    let model = parse(one().key("a\n\x1b\0", U32).u32(1).build()).unwrap();
    let error = model.require_str("a\n\x1b\0").unwrap_err().to_string();
    assert!(error.contains("`a\\u{a}\\u{1b}\\u{0}`"), "{error}");
}

#[test]
fn row_015_duplicate_key() {
    let raw = Raw::header(3, 0, 3).kv_u32("twice", 1).kv_u32("other", 2);
    let second = raw.at();
    let error = refuse(raw.kv_u32("twice", 1).build());
    assert_refused("twice", &error, "Duplicate", "duplicate_key", second);
    assert!(
        error.to_string().contains("`twice` (entry 2)") && error.to_string().contains("byte 24"),
        "{error}"
    );
}

#[test]
fn row_016_value_type() {
    for id in [13, 14, u32::MAX, 1 << 31] {
        let error = refuse(one().key("key", id).u64(0).build());
        assert_refused("type", &error, "Invalid", "value_type", 35);
        assert!(
            error.to_string().contains(&id.to_string()) && error.to_string().contains("`key`"),
            "{error}"
        );
    }
}

#[test]
fn row_017_string_length() {
    for len in [u64::MAX, 1 << 40, (64 << 20) + 1] {
        let error = refuse(one().key("key", STRING).u64(len).zeros(8).build());
        assert_refused("string", &error, "TooLarge", "string_len", 39);
        let error = refuse(one().key("key", ARRAY).u32(STRING).u64(1).u64(len).zeros(8).build());
        assert_refused("string in an array", &error, "TooLarge", "string_len", 51);
    }
}

#[test]
fn row_018_string_past_the_end() {
    let error = refuse(one().key("key", STRING).u64(9).zeros(8).build());
    assert_refused("string", &error, "Truncated", "string_len", 47);
    let FormatError::Truncated { needed, left, .. } = error else { panic!("{error}") };
    assert_eq!((needed, left), (9, 8));
}

#[test]
fn row_019_string_that_is_not_utf8() {
    let model = parse(one().key("key", STRING).text(b"a\xffb").build()).unwrap();
    let value = model.metadata("key").unwrap();
    assert_eq!(value.as_text().unwrap().as_bytes(), b"a\xffb");
    assert!(value.as_text().unwrap().as_str().is_err());
    let error = model.require_str("key").unwrap_err();
    assert!(matches!(&error, FormatError::WrongType { key, .. } if key == "key"), "{error}");
    assert!(error.to_string().contains("\"a\\xffb\""), "{error}");
}

#[test]
fn row_020_bool() {
    for byte in [2, 255] {
        let error = refuse(one().key("key", BOOL).u8(byte).build());
        assert_refused("scalar", &error, "Invalid", "bool", 39);
        let error = refuse(one().key("key", ARRAY).u32(BOOL).u64(2).u8(1).u8(byte).build());
        assert_refused("array", &error, "Invalid", "bool", 52);
    }
}

#[test]
fn row_021_nested_array() {
    let error = refuse(one().key("key", ARRAY).u32(ARRAY).u64(1).u32(U8).u64(1).u8(1).build());
    assert_refused("nested", &error, "Invalid", "nested_array", 39);
}

#[test]
fn row_022_array_type() {
    let error = refuse(one().key("key", ARRAY).u32(13).u64(1).zeros(8).build());
    assert_refused("type", &error, "Invalid", "array_type", 39);
}

#[test]
fn row_023_array_length() {
    for len in [u64::MAX, u64::MAX / 4 + 1, 16_777_217] {
        let error = refuse(one().key("key", ARRAY).u32(U32).u64(len).zeros(16).build());
        assert_refused("limit", &error, "TooLarge", "array_len", 43);
    }
    let error = refuse(one().key("key", ARRAY).u32(U32).u64(5).zeros(16).build());
    assert_refused("end of file", &error, "Truncated", "array_len", 43);
    let error = refuse(one().key("key", ARRAY).u32(STRING).u64(3).zeros(16).build());
    assert_refused("strings", &error, "Truncated", "array_len", 43);
}

/// The memory side of this row is in `allocation.rs`.
#[test]
fn row_024_ten_million_empty_strings() {
    const COUNT: usize = 10_000_000;
    let file = one().key("key", ARRAY).u32(STRING).u64(COUNT as u64).zeros(8 * COUNT).build();
    let model = parse(file).unwrap();
    let strings = model.require_array("key").unwrap();
    assert_eq!((strings.len(), strings.iter().count()), (COUNT, COUNT));
}

#[test]
fn row_025_a_million_short_strings_parse_quickly() {
    const COUNT: u64 = 1_000_000;
    let mut raw = one().key("key", ARRAY).u32(STRING).u64(COUNT);
    for _ in 0..COUNT {
        raw = raw.text(b"token");
    }
    let file = raw.build();
    // The bound is for a release build; a debug build on a busy machine gets twenty times as long.
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 250 });
    let start = Instant::now();
    parse(file).unwrap();
    assert!(start.elapsed() <= bound, "{:?}", start.elapsed());
}

#[test]
fn row_026_cut_anywhere() {
    for (case, raw) in raw::seeds() {
        let whole = Bytes::from(raw.bytes);
        let model = parse(whole.clone()).unwrap_or_else(|error| panic!("{case}: {error}"));
        // The padding behind the last tensor may be missing.
        let last = model
            .tensors()
            .last()
            .map_or(whole.len(), |last| usize::try_from(last.offset).unwrap() + last.data.len());
        for len in 0..last {
            let error = refuse(whole.slice(..len));
            if len >= 4 {
                let place = error.place().unwrap_or_else(|| panic!("{case}, {len} bytes: {error}"));
                assert!(format!("{error:?}").starts_with("Truncated"), "{case}, {len} bytes: {error}");
                assert!(place.offset <= whole.len() as u64, "{case}, {len} bytes: {error}");
            }
        }
        for len in last..=whole.len() {
            parse(whole.slice(..len)).unwrap_or_else(|error| panic!("{case}, {len} bytes: {error}"));
        }
    }
}

#[test]
fn row_027_known_key_of_the_wrong_type() {
    let key = "llama.block_count";
    let wrong: [(&str, Raw); 6] = [
        ("string \"2\"", one().kv_str(key, "2")),
        ("array [u32; 1]", one().key(key, ARRAY).u32(U32).u64(1).u32(2)),
        ("i32 -1", one().key(key, I32).u32(u32::MAX)),
        ("f32 3.5", one().key(key, F32).f32(3.5)),
        ("bool true", one().key(key, BOOL).u8(1)),
        ("u64 4294967296", one().key(key, 10).u64(1 << 32)),
    ];
    for (found, raw) in wrong {
        let model = parse(raw.build()).unwrap();
        let error = model.require_u32(key).unwrap_err();
        let expected = format!("metadata key `{key}`: found {found}, expected an unsigned 32-bit integer");
        assert_eq!(error.to_string(), expected);
        assert!(error.place().is_none());
    }
    for (id, raw) in
        [(0, one().key(key, 0).u8(2)), (5, one().key(key, 5).u32(2)), (11, one().key(key, 11).u64(2))]
    {
        assert_eq!(parse(raw.build()).unwrap().require_u32(key).unwrap(), 2, "type {id}");
    }
}

#[test]
fn typed_getters_tell_missing_from_wrong() {
    let model = parse(seed().build()).unwrap();
    assert_eq!(model.get_u32("nothing").unwrap(), None);
    assert_eq!(model.get_u64("u64").unwrap(), Some(64));
    assert_eq!(model.require_u64("u8").unwrap(), 8);
    assert_eq!(model.require_f32("f32").unwrap(), 1.5);
    assert_eq!(model.get_f32("f64").unwrap(), Some(2.5));
    assert_eq!(model.get_bool("bool").unwrap(), Some(true));
    assert_eq!(model.get_str("general.architecture").unwrap(), Some("llama"));
    assert_eq!(model.get_array("numbers").unwrap().map(|array| array.len()), Some(2));
    for error in [
        model.require_u32("nothing").unwrap_err(),
        model.require_u64("nothing").unwrap_err(),
        model.require_f32("nothing").unwrap_err(),
        model.require_str("nothing").unwrap_err(),
        model.require_array("nothing").unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "metadata key `nothing` is missing");
    }
    for error in [
        model.get_u64("i8").unwrap_err(),
        model.get_f32("u32").unwrap_err(),
        model.get_bool("u8").unwrap_err(),
        model.get_str("u8").unwrap_err(),
        model.get_array("u8").map(|array: Option<Array<'_>>| array.is_some()).unwrap_err(),
    ] {
        assert!(matches!(error, FormatError::WrongType { .. }), "{error}");
    }
}

#[test]
fn row_028_alignment_of_no_use() {
    for alignment in [0, 13, 3] {
        let error = refuse(one().kv_u32("general.alignment", alignment).build());
        assert_refused("alignment", &error, "Invalid", "alignment", 24);
        assert!(error.to_string().contains("a power of two from 1 to 1048576"), "{error}");
    }
    for alignment in [1, 8, 1 << 20] {
        parse(one().kv_u32("general.alignment", alignment).build()).unwrap();
    }
}

#[test]
fn row_029_alignment_of_another_type() {
    let key = "general.alignment";
    let wrong = [
        one().key(key, I32).u32(32),
        one().key(key, 10).u64(32),
        one().key(key, ARRAY).u32(U32).u64(1).u32(32),
        one().kv_str(key, "32"),
    ];
    for raw in wrong {
        assert_refused("type", &refuse(raw.build()), "Invalid", "alignment", 24);
    }
}

#[test]
fn row_030_alignment_too_large() {
    for alignment in [1 << 31, 1 << 21] {
        let error = refuse(one().kv_u32("general.alignment", alignment).build());
        assert_refused("alignment", &error, "Invalid", "alignment", 24);
    }
}
