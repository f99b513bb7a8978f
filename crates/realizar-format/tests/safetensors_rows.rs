//! The reliability catalogue, rows 65 to 81: safetensors files.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use raw::assert_refused;
use realizar_format::{
    DType, Format, FormatError, Safetensors, SafetensorsWriter, Shape, TensorSource, Value, open, parse,
};

/// A file with this header and so many bytes of data: 0, 1, 2 ...
fn file(header: impl AsRef<[u8]>, data: usize) -> Bytes {
    let header = header.as_ref();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend((0..data).map(|byte| byte as u8));
    bytes.into()
}

fn refuse(bytes: Bytes) -> FormatError {
    Safetensors::parse(bytes).expect_err("must be refused")
}

const GOOD: &str = r#"{"__metadata__":{"format":"pt","b":"größe"},"b":{"dtype":"I8","shape":[],"data_offsets":[24,25]},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"empty":{"dtype":"F16","shape":[0,7],"data_offsets":[25,25]}}"#;

#[test]
fn tensors_and_metadata_are_read() {
    let source = parse(file(GOOD, 25)).unwrap();
    assert_eq!((source.format(), source.path()), (Format::Safetensors, None));
    let names: Vec<_> =
        source.tensors().map(|tensor| (tensor.name, tensor.dtype, tensor.shape.to_vec())).collect();
    let expected =
        [("a", DType::F32, vec![2, 3]), ("b", DType::I8, vec![]), ("empty", DType::F16, vec![0, 7])];
    assert_eq!(names, expected);
    let start = 8 + GOOD.len() as u64;
    let b = source.tensor("b").unwrap();
    assert_eq!((b.offset, &b.data[..]), (start + 24, &[24][..]));
    assert!(source.tensor("c").is_none() && source.tensor("__metadata__").is_none());
    assert_eq!(source.metadata_keys().collect::<Vec<_>>(), ["format", "b"]);
    assert_eq!(source.require_str("b").unwrap(), "größe");
    assert_eq!(source.metadata("c"), None);
}

#[test]
fn row_065_too_short() {
    for len in 0..8 {
        assert_refused("short", &refuse(file("{}", 0).slice(..len)), "Truncated", "header_len", 0);
    }
}

#[test]
fn row_066_header_too_large() {
    for len in [u64::MAX, 100_000_001] {
        let bytes = [&len.to_le_bytes()[..], b"{}"].concat();
        assert_refused("limit", &refuse(bytes.into()), "TooLarge", "header_len", 0);
    }
    // The one door knows such a file as well.
    for len in [100_000_001_u64, 1 << 39] {
        let bytes = [&len.to_le_bytes()[..], b"{}"].concat();
        let error = parse(bytes.into()).unwrap_err();
        assert_refused("limit, sniffed", &error, "TooLarge", "header_len", 0);
    }
}

#[test]
fn row_067_header_past_the_end() {
    let error = refuse(file("{}", 0).slice(..9));
    assert_refused("end of file", &error, "Truncated", "header_len", 0);
    let FormatError::Truncated { needed, left, .. } = error else { panic!("{error}") };
    assert_eq!((needed, left), (2, 1));
}

#[test]
fn row_068_nearly_nothing() {
    for header in ["{}", "  {}", "{}   ", "\n\t{ }\r\n ", r#"{"__metadata__":{}}"#] {
        assert_eq!(parse(file(header, 0)).unwrap().tensors().count(), 0, "{header:?}");
    }
    assert_refused("no header", &refuse(file("", 0)), "Json", "header", 8);
    assert_refused("only space", &refuse(file("   ", 0)), "Json", "header", 8);
    assert_refused("data of nothing", &refuse(file("{}", 1)), "Invalid", "data", 10);
}

#[test]
fn row_069_header_that_is_not_utf8() {
    assert_refused("bad byte", &refuse(file(b"{\"a\xff\":1}", 0)), "Invalid", "header", 11);
}

#[test]
fn row_070_header_that_is_not_json() {
    let cases: &[(&str, usize, usize, &str)] = &[
        ("{", 1, 1, "EOF"),
        ("[]", 1, 0, "an object"),
        ("{}{}", 1, 3, "trailing"),
        ("{}x", 1, 3, "trailing"),
        ("{\n\"a\":NaN}", 2, 5, "expected value"),
        ("null", 1, 0, "an object"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],}}"#, 1, 54, "trailing comma"),
    ];
    for (header, line, column, words) in cases {
        let error = refuse(file(header, 0));
        assert_refused(header, &error, "Json", "header", 8);
        let FormatError::Json { line: l, column: c, reason, .. } = &error else { panic!("{error}") };
        assert!((l, reason.contains(words)) == (line, true) && c.abs_diff(*column) <= 4, "{header}: {error}");
    }
}

#[test]
fn row_071_nesting() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [65, 1_000_000] {
            let header = format!("{{\"a\":{}{}}}", open.repeat(depth - 1), close.repeat(depth - 1));
            let at = if open == "[" { 8 + 5 + 63 } else { 8 + 64 * 5 };
            let error = refuse(file(header.replace("{\"a\":}", "{\"a\":0}"), 0));
            assert_refused(open, &error, "TooLarge", "json_depth", at);
        }
    }
    // Brackets in strings are no nesting.
    let header = format!(r#"{{"__metadata__":{{"a":"\"{}"}}}}"#, "[".repeat(200));
    parse(file(header, 0)).unwrap();
}

#[test]
fn row_072_duplicate_names() {
    let header = r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#;
    let error = refuse(file(header, 2));
    let second = 8 + header.rfind("\"a\"").unwrap() as u64;
    assert_refused("tensor", &error, "Duplicate", "duplicate_tensor", second);
    assert!(error.to_string().contains("`a`") && error.to_string().ends_with("byte 9"), "{error}");

    let header = r#"{"__metadata__":{"k":"1","k":"2"}}"#;
    assert_refused("key", &refuse(file(header, 0)), "Duplicate", "duplicate_key", 8 + 25);
    let twice = refuse(file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0));
    assert!(twice.to_string().contains("duplicate `__metadata__`"), "{twice}");
    // Written with an escape the names are still the same.
    let header = r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(matches!(refuse(file(header, 2)), FormatError::Duplicate { .. }));
}

#[test]
fn row_073_very_many_tensors() {
    let header = |count: usize| {
        let mut header = String::from("{");
        for index in 0..count {
            let comma = if index == 0 { "" } else { "," };
            write!(header, r#"{comma}"{index}":{{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#).unwrap();
        }
        header + "}"
    };
    let bound = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 2 });
    let file_of = |count| file(header(count), 0);
    let (most, more) = (file_of(1_048_576), file_of(1_048_577));
    let start = Instant::now();
    assert_eq!(parse(most).unwrap().tensors().count(), 1_048_576);
    assert!(start.elapsed() < bound, "{:?}", start.elapsed());
    let error = refuse(more);
    assert!(error.to_string().contains("more than 1048576 tensors"), "{error}");

    let name = "x".repeat(1_025);
    let header = format!(r#"{{"{name}":{{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}}}"#);
    assert_refused("name", &refuse(file(header, 0)), "TooLarge", "tensor_name_len", 9);
}

#[test]
fn row_074_metadata_of_other_types() {
    for (text, word) in [
        (r#"{"__metadata__":{"key":1}}"#, "`__metadata__`: `key`"),
        (r#"{"__metadata__":{"key":null}}"#, "`key`"),
        (r#"{"__metadata__":[]}"#, "`__metadata__`"),
        (r#"{"__metadata__":"text"}"#, "`__metadata__`"),
    ] {
        let error = refuse(file(text, 0));
        assert_refused(text, &error, "Json", "header", 8);
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
}

/// A header with one tensor `t`.
fn one(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

#[test]
fn row_075_types() {
    for (dtype, variant) in [("F33", "Invalid"), ("", "Invalid"), ("f32", "Invalid")] {
        assert_refused(dtype, &refuse(file(one(dtype, "[4]", "[0,4]"), 4)), variant, "dtype", 9);
    }
    assert_refused("half a byte", &refuse(file(one("F4", "[3]", "[0,1]"), 1)), "Invalid", "shape", 9);
    assert_refused("F6", &refuse(file(one("F6_E2M3", "[3]", "[0,2]"), 2)), "Invalid", "shape", 9);
    let all = [
        (DType::F64, 64),
        (DType::F32, 32),
        (DType::F16, 16),
        (DType::BF16, 16),
        (DType::F8_E4M3, 8),
        (DType::F8_E5M2, 8),
        (DType::F8_E8M0, 8),
        (DType::F8_E4M3FNUZ, 8),
        (DType::F8_E5M2FNUZ, 8),
        (DType::F6_E2M3, 6),
        (DType::F6_E3M2, 6),
        (DType::F4, 4),
        (DType::C64, 64),
        (DType::I64, 64),
        (DType::I32, 32),
        (DType::I16, 16),
        (DType::I8, 8),
        (DType::U64, 64),
        (DType::U32, 32),
        (DType::U16, 16),
        (DType::U8, 8),
        (DType::BOOL, 8),
    ];
    for (dtype, bits) in all {
        let name = dtype.name();
        let bytes = file(one(name, "[4,2]", &format!("[0,{bits}]")), bits);
        assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok(), "{name}");
        let source = parse(bytes.clone()).unwrap();
        let tensor = source.tensor("t").unwrap();
        assert_eq!((tensor.dtype, tensor.data.len()), (dtype, bits), "{name}");
        assert_eq!(dtype.row_bytes(8), Some(bits), "{name}");
        // What is read can be written.
        let mut writer = SafetensorsWriter::new();
        writer.tensor("t", dtype, tensor.shape).unwrap();
        let mut data = writer.begin(Vec::new()).unwrap();
        data.write(&tensor.data).unwrap();
        let again = Safetensors::parse(data.finish().unwrap().into()).unwrap();
        assert_eq!(again.tensor("t").unwrap().dtype, dtype, "{name}");
    }
}

#[test]
fn files_of_other_writers_are_read() {
    let f32s = |name: &str, shape: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let cases = [
        ("empty metadata", format!(r#"{{"__metadata__":{{}},{}}}"#, f32s("a", "[1]", 0, 4)), 4, 1),
        ("a scalar", format!("{{{}}}", f32s("a", "[]", 0, 4)), 4, 1),
        (
            "not in the order of the data",
            format!("{{{},{}}}", f32s("a", "[1]", 4, 8), f32s("b", "[1]", 0, 4)),
            8,
            2,
        ),
        (
            "tensors without elements between others",
            [
                f32s("a", "[1]", 0, 4),
                f32s("b", "[0,7]", 4, 4),
                f32s("c", "[2]", 4, 12),
                f32s("d", "[0]", 0, 0),
                f32s("e", "[3,0]", 12, 12),
            ]
            .join(","),
            12,
            5,
        ),
        ("names with escapes", format!("{{{}}}", f32s("\\u00e9\\n", "[1]", 0, 4)), 4, 1),
        ("padded", format!("{{{}}}   \n", f32s("a", "[1]", 0, 4)), 4, 1),
        ("spaced", format!("{{\r\n\t{} }}", f32s("a", "[ 1 ]", 0, 4)), 4, 1),
        ("metadata last", format!(r#"{{{},"__metadata__":{{"k":"v"}}}}"#, f32s("a", "[1]", 0, 4)), 4, 1),
    ];
    for (name, header, data, count) in cases {
        let header = if header.starts_with('{') { header } else { format!("{{{header}}}") };
        let bytes = file(&header, data);
        let theirs = safetensors::SafeTensors::deserialize(&bytes);
        assert_eq!(theirs.map(|file| file.len()).ok(), Some(count), "{name}");
        let ours = parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(ours.tensors().count(), count, "{name}");
    }
    let null = file(format!(r#"{{"__metadata__":null,{}}}"#, f32s("a", "[1]", 0, 4)), 4);
    assert_eq!(safetensors::SafeTensors::deserialize(&null).is_ok(), parse(null).is_ok());
}

#[test]
fn row_076_numbers() {
    for (shape, offsets, field) in [
        ("[-1]", "[0,4]", "shape"),
        ("[1.5]", "[0,4]", "shape"),
        ("[1e3]", "[0,4]", "shape"),
        ("[18446744073709551616]", "[0,4]", "shape"),
        ("1", "[0,4]", "shape"),
        ("[\"1\"]", "[0,4]", "shape"),
        ("[1]", "[-4,0]", "data_offsets"),
        ("[1]", "[0,4.0]", "data_offsets"),
        ("[1]", "[0]", "data_offsets"),
        ("[1]", "[0,4,8]", "data_offsets"),
        ("[1]", "null", "data_offsets"),
    ] {
        let error = refuse(file(one("F32", shape, offsets), 4));
        assert_refused(shape, &error, "Json", "header", 8);
        let shown = error.to_string();
        assert!(shown.contains("`t`") && shown.contains(field), "{shape} {offsets}: {shown}");
    }
    assert_refused("reversed", &refuse(file(one("F32", "[1]", "[4,0]"), 4)), "Invalid", "data_offsets", 9);
    let huge = (1_u64 << 53) + 1;
    assert_refused(
        "shape",
        &refuse(file(one("F32", &format!("[0,{huge}]"), "[0,0]"), 0)),
        "TooLarge",
        "shape",
        9,
    );
    let error = refuse(file(one("F32", "[1]", &format!("[0,{huge}]")), 4));
    assert_refused("offset", &error, "TooLarge", "data_offsets", 9);
    assert_refused(
        "rank",
        &refuse(file(one("I8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1)),
        "TooLarge",
        "n_dims",
        9,
    );
    let missing =
        [r#"{"t":{"dtype":"I8","shape":[1]}}"#, r#"{"t":{"shape":[1],"data_offsets":[0,1]}}"#, r#"{"t":{}}"#];
    for header in missing {
        assert!(refuse(file(header, 1)).to_string().contains("missing field"), "{header}");
    }
    let twice = r#"{"t":{"dtype":"I8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(refuse(file(twice, 1)).to_string().contains("given twice"));
    let more = r#"{"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"more":[{}]}}"#;
    parse(file(more, 1)).unwrap();
}

#[test]
fn row_077_sizes_that_overflow() {
    let dim = 1_u64 << 40;
    let error = refuse(file(one("I8", &format!("[{dim},{dim}]"), "[0,4]"), 4));
    assert_refused("elements", &error, "Overflow", "elements", 9);
    assert!(error.to_string().contains(&format!("[{dim}, {dim}]")), "{error}");
    let error = refuse(file(one("F64", &format!("[{dim},8388608]"), "[0,4]"), 4));
    assert_refused("bytes", &error, "Overflow", "bytes", 9);
}

#[test]
fn row_078_shape_against_span() {
    for offsets in ["[0,3]", "[0,5]", "[0,0]"] {
        let error = refuse(file(one("F32", "[1]", offsets), 4));
        assert_refused(offsets, &error, "Invalid", "data_offsets", 9);
        assert!(
            error.to_string().contains("`t`") && error.to_string().contains("expected 4 for F32 [1]"),
            "{error}"
        );
    }
}

/// A header with two tensors of four bytes.
fn two(first: [u64; 2], second: [u64; 2]) -> String {
    format!(
        r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":{first:?}}},"b":{{"dtype":"F32","shape":[1],"data_offsets":{second:?}}}}}"#
    )
}

#[test]
fn row_079_gaps() {
    let header = two([0, 4], [5, 9]);
    let at = 8 + header.find("\"b\"").unwrap() as u64;
    let error = refuse(file(&header, 9));
    assert_refused("between", &error, "Invalid", "data_offsets", at);
    assert!(error.to_string().contains("a gap") && error.to_string().contains("`b`"), "{error}");
    assert_refused("before", &refuse(file(two([1, 5], [5, 9]), 9)), "Invalid", "data_offsets", 9);
}

#[test]
fn row_080_overlaps() {
    for second in [[0, 4], [2, 6]] {
        let header = two([0, 4], second);
        let error = refuse(file(&header, 8));
        assert_refused(
            "overlap",
            &error,
            "Invalid",
            "data_offsets",
            8 + header.find("\"b\"").unwrap() as u64,
        );
        assert!(error.to_string().contains("an overlap"), "{error}");
    }
}

#[test]
fn row_081_data_of_another_length() {
    let header = two([0, 4], [4, 8]);
    for data in [0, 7, 9] {
        let error = refuse(file(&header, data));
        assert_refused("data", &error, "Invalid", "data", 8 + header.len() as u64);
        assert!(error.to_string().contains(&format!("found {data} bytes of data, expected 8")), "{error}");
    }
}

#[test]
fn every_prefix_and_every_flipped_bit_is_survived() {
    let whole = file(GOOD, 25);
    for len in 0..whole.len() {
        assert!(Safetensors::parse(whole.slice(..len)).is_err(), "{len} bytes");
        assert!(parse(whole.slice(..len)).is_err(), "{len} bytes");
    }
    for bit in 0..(8 + GOOD.len()) * 8 {
        let mut bytes = whole.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(source) = parse(bytes.into()) {
            for tensor in source.tensors() {
                assert!(source.tensor(tensor.name).is_some());
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        metadata in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..5),
        tensors in prop::collection::btree_map(".{1,8}", (0..5_usize, prop::collection::vec(0..4_usize, 0..4)), 0..6),
    ) {
        let types = [DType::F64, DType::F32, DType::BF16, DType::BOOL, DType::F8_E5M2];
        let mut writer = SafetensorsWriter::new();
        for (key, text) in &metadata {
            writer.metadata(key, text).unwrap();
        }
        for (name, (kind, dims)) in &tensors {
            writer.tensor(name, types[*kind], Shape::new(dims).unwrap()).unwrap();
        }
        let mut data = writer.begin(Vec::new()).unwrap();
        while let Some(left) = data.due().map(|(_, left)| left) {
            data.write(&vec![left as u8; usize::try_from(left).unwrap()]).unwrap();
        }
        let bytes = data.finish().unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        prop_assert_eq!(theirs.len(), tensors.len());
        let ours = Safetensors::parse(bytes.clone().into()).unwrap();
        prop_assert_eq!(ours.tensors().count(), tensors.len());
        for (name, (kind, dims)) in &tensors {
            let tensor = ours.tensor(name).unwrap();
            prop_assert_eq!((tensor.dtype, &*tensor.shape), (types[*kind], &**dims));
            let theirs = theirs.tensor(name).unwrap();
            prop_assert_eq!((theirs.data(), theirs.shape()), (&tensor.data[..], &**dims));
        }
        for (key, text) in &metadata {
            prop_assert_eq!(ours.metadata(key), Some(Value::from(&**text)));
        }
    }
}

#[test]
fn what_the_reader_would_refuse_is_not_written() {
    let shape = |dims: &[usize]| Shape::new(dims).unwrap();
    let mut writer = SafetensorsWriter::new();
    writer.metadata("a", "b").unwrap();
    assert_refused("key", &writer.metadata("a", "c").unwrap_err(), "Invalid", "duplicate_key", 8);
    writer.tensor("t", DType::I8, shape(&[1])).unwrap();
    let long = "x".repeat(1_025);
    for (name, dtype, dims, variant, field) in [
        ("t", DType::I8, &[1][..], "Invalid", "duplicate_tensor"),
        ("__metadata__", DType::I8, &[1], "Invalid", "duplicate_tensor"),
        (&*long, DType::I8, &[1], "TooLarge", "tensor_name_len"),
        ("q", DType::Q4_0, &[32], "Invalid", "dtype"),
        ("half a byte", DType::F4, &[3], "Invalid", "shape"),
        ("elements", DType::I8, &[1 << 40, 1 << 40], "Overflow", "elements"),
        ("bytes", DType::F64, &[1 << 31, 1 << 30], "Overflow", "bytes"),
        ("total", DType::U8, &[usize::MAX], "Overflow", "total_bytes"),
    ] {
        assert_refused(name, &writer.tensor(name, dtype, shape(dims)).unwrap_err(), variant, field, 8);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut data = writer.create(&path).unwrap();
    data.write(&[7]).unwrap();
    data.finish().unwrap().commit().unwrap();
    for source in [open(&path).unwrap(), Box::new(Safetensors::open(&path).unwrap())] {
        assert_eq!((source.tensor("t").unwrap().data[0], source.path()), (7, Some(&*path)));
    }
    std::fs::write(&path, file(one("F32", "[1]", "[0,3]"), 3)).unwrap();
    assert!(open(&path).unwrap_err().to_string().contains("model.safetensors: `data_offsets` of `t`"));

    let mut writer = SafetensorsWriter::new();
    writer.metadata("long", &"x".repeat(100_000_000)).unwrap();
    assert_refused("header", &writer.begin(Vec::new()).unwrap_err(), "TooLarge", "header_len", 0);
}

/// The next number of a small generator; quality hardly matters here.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Damages a file in a few places, and sets the length of the header right again most of the time.
fn damage(bytes: &mut Vec<u8>, state: &mut u64) {
    const PIECES: [&str; 16] =
        ["0", "1", "8", "-1", "[", "]", "{", "}", ",", ":", "\"", "\"F16\"", "\"a\"", "null", "1e2", "[0,4]"];
    for _ in 0..=next(state) % 3 {
        let at = 8 + next(state) as usize % (bytes.len() - 8);
        match next(state) % 5 {
            0 => bytes[at] ^= 1 << (next(state) % 8),
            1 => drop(bytes.drain(at..(at + 1 + next(state) as usize % 6).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, PIECES[next(state) as usize % PIECES.len()].bytes())),
            3 => {
                let from = 8 + next(state) as usize % (bytes.len() - 8);
                let piece = bytes[from..(from + 1 + next(state) as usize % 60).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => bytes[at] = b"0123456789"[next(state) as usize % 10],
        }
        if bytes.len() < 10 {
            return;
        }
    }
    if !next(state).is_multiple_of(8) {
        // The header ends at the last closing brace, if there is one.
        let end = bytes.iter().rposition(|byte| *byte == b'}').map_or(bytes.len(), |at| (at + 1).max(8));
        bytes[..8].copy_from_slice(&((end - 8) as u64).to_le_bytes());
    }
}

/// Our verdict and the reference's on damaged files. Where we differ, we are stricter, for a reason that is listed.
#[test]
fn verdicts_are_those_of_the_reference() {
    let cases =
        std::env::var("REALIZAR_DIFFERENTIAL_CASES").map_or(50_000, |cases| cases.parse::<u64>().unwrap());
    let seeds =
        [file(GOOD, 25), file(two([0, 4], [4, 8]), 8), file(one("F4", "[2,4]", "[0,4]"), 4), file("{}", 0)];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut accepted = 0_u64;
    let mut stricter = [0_u64; STRICTER.len()];
    for case in 0..cases {
        let mut bytes = seeds[next(&mut state) as usize % seeds.len()].to_vec();
        damage(&mut bytes, &mut state);
        let theirs = safetensors::SafeTensors::deserialize(&bytes).map(|file| file.len());
        let ours = Safetensors::parse(bytes.clone().into()).map(|file| file.tensors().count());
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours, theirs, "case {case}: {shown}");
                accepted += 1;
            }
            (Err(_), Err(_)) => {}
            (Err(error), Ok(_)) => {
                let reason = STRICTER.iter().position(|words| error.to_string().contains(words));
                let reason =
                    reason.unwrap_or_else(|| panic!("case {case}: only we refuse: {error}: {shown}"));
                stricter[reason] += 1;
            }
            (Ok(_), Err(error)) => panic!("case {case}: only they refuse: {error}: {shown}"),
        }
    }
    println!("{cases} cases, {accepted} accepted by both, only we refuse: {STRICTER:?} {stricter:?}");
    assert!(accepted > cases / 100, "{accepted}");
}

/// Words of the messages with which we refuse what the reference accepts.
const STRICTER: [&str; 4] = ["duplicate_key", "n_dims", "tensor_name_len", "duplicate_tensor"];
