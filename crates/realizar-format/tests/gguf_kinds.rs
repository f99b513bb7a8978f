//! The handcrafted kinds of llama.cpp's own test of its GGUF reader, by their names there, and the one that it leaves
//! out. Each is read in every way that a file can come: as it is, at an offset of a larger buffer, mapped, read.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use bytes::Bytes;
use raw::{ARRAY, I32, Raw, STRING, U32};
use realizar_format::{Access, FormatError, Gguf, GgufHeader, open_with};

const ALIGNMENT: &str = "general.alignment";

/// What is to come of it: whether it is judged as a whole file (`Data`) or as a header, and of a refusal the variant of
/// the error, the field and the offset.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Header(&'static str, &'static str, u64),
    HeaderAccepted,
    Data(&'static str, &'static str, u64),
    DataAccepted,
}
use Verdict::{Data, DataAccepted, Header, HeaderAccepted};

fn header(tensors: u64, kvs: u64) -> Raw {
    Raw::header(3, tensors, kvs)
}

fn kv() -> Raw {
    header(0, 2).kv_u32("first", 1)
}

/// Two tensors in a file that may declare an alignment; the second begins at `second`.
fn tensors(alignment: Option<u32>, second: u64) -> Raw {
    let raw = match alignment {
        Some(alignment) => header(2, 1).kv_u32(ALIGNMENT, alignment),
        None => header(2, 0),
    };
    raw.tensor("a", &[10], 0, 0).tensor("b", &[8], 0, second)
}

fn one(name: &str, dims: &[u64], dtype: u32, offset: u64) -> Raw {
    header(1, 0).tensor(name, dims, dtype, offset)
}

fn header_kinds() -> Vec<(&'static str, Raw, Verdict)> {
    let magic = Raw::default().raw(b"FUGG").raw(&header(0, 0).bytes[4..]);
    vec![
        ("HEADER_BAD_MAGIC", magic, Header("Magic", "", 0)),
        ("HEADER_BAD_VERSION_0", Raw::header(0, 0, 0), Header("Version", "version", 4)),
        ("HEADER_BAD_VERSION_1", Raw::header(1, 0, 0), Header("Version", "version", 4)),
        ("HEADER_BAD_VERSION_FUTURE", Raw::header(4, 0, 0), Header("Version", "version", 4)),
        ("HEADER_BAD_N_TENSORS", header(u64::MAX, 0), Header("TooLarge", "tensor_count", 8)),
        ("HEADER_BAD_N_KV", header(0, u64::MAX), Header("TooLarge", "kv_count", 16)),
        ("HEADER_EMPTY", header(0, 0), HeaderAccepted),
    ]
}

fn kv_kinds() -> Vec<(&'static str, Raw, Verdict)> {
    vec![
        (
            "KV_BAD_KEY_SIZE",
            kv().u64(u64::MAX).raw(b"key").u32(U32).u32(1),
            Header("TooLarge", "key_len", 45),
        ),
        ("KV_EMPTY_KEY", kv().kv_u32("", 1).zeros(8), Header("Invalid", "key", 45)),
        ("KV_BAD_TYPE", kv().key("key", 13).u32(1), Header("Invalid", "value_type", 56)),
        (
            "KV_BAD_VALUE_SIZE",
            kv().key("key", STRING).u64(u64::MAX).raw(b"value"),
            Header("TooLarge", "string_len", 60),
        ),
        (
            "KV_BAD_VALUE_SIZE",
            kv().key("key", ARRAY).u32(U32).u64(u64::MAX).u32(1),
            Header("TooLarge", "array_len", 64),
        ),
        ("KV_DUPLICATE_KEY", kv().kv_u32("first", 1), Header("Duplicate", "duplicate_key", 45)),
        ("KV_BAD_ALIGN", kv().kv_u32(ALIGNMENT, 13), Header("Invalid", "alignment", 45)),
        ("KV_WRONG_TYPE_ALIGN", kv().key(ALIGNMENT, I32).u32(32), Header("Invalid", "alignment", 45)),
        ("KV_SUCCESS", kv().kv_str("second", "text"), HeaderAccepted),
    ]
}

fn tensor_kinds() -> Vec<(&'static str, Raw, Verdict)> {
    let quarter = 1 << 62;
    vec![
        (
            "TENSORS_BAD_NAME_SIZE",
            one(&"x".repeat(64), &[8], 0, 0),
            Header("TooLarge", "tensor_name_len", 24),
        ),
        ("TENSORS_BAD_N_DIMS", one("t", &[1; 5], 0, 0), Header("TooLarge", "n_dims", 33)),
        ("TENSORS_BAD_SHAPE", one("t", &[8, u64::MAX], 0, 0), Header("Invalid", "dim", 45)),
        ("TENSORS_ZERO_DIM", one("t", &[8, 0], 0, 0), HeaderAccepted),
        ("TENSORS_NE_TOO_BIG", one("t", &[quarter, 2], 0, 0), Header("Overflow", "elements", 33)),
        ("TENSORS_NBYTES_TOO_BIG", one("t", &[quarter], 0, 0), Header("Overflow", "bytes", 33)),
        ("TENSORS_NBYTES_PAD_WRAP", one("t", &[quarter - 1], 0, 0), Header("Overflow", "padded_bytes", 49)),
        ("TENSORS_BAD_TYPE", one("t", &[8], 43, 0), Header("Invalid", "tensor_type", 45)),
        ("TENSORS_BAD_OFFSET", one("t", &[8], 0, u64::MAX), Header("Invalid", "offset", 49)),
        (
            "TENSORS_DUPLICATE_NAME",
            header(2, 0).tensor("t", &[8], 0, 0).tensor("t", &[8], 0, 32),
            Header("Duplicate", "duplicate_tensor", 57),
        ),
        ("TENSORS_BAD_ALIGN", tensors(Some(13), 52), Header("Invalid", "alignment", 24)),
        ("TENSORS_INCONSISTENT_ALIGN", tensors(Some(1), 64), Header("Invalid", "offset", 115)),
        ("TENSORS_SUCCESS", tensors(None, 64), HeaderAccepted),
        ("TENSORS_CUSTOM_ALIGN", tensors(Some(8), 40), HeaderAccepted),
    ]
}

fn data_kinds() -> Vec<(&'static str, Raw, Verdict)> {
    let half = 1 << 61;
    let overflow = header(3, 0).tensor("a", &[half], 0, 0).tensor("b", &[half - 8], 0, half * 4).tensor(
        "c",
        &[8],
        0,
        u64::MAX - 31,
    );
    vec![
        ("DATA_NOT_ENOUGH_DATA", tensors(None, 64).pad(32).zeros(95), Data("Truncated", "tensor_range", 160)),
        ("DATA_BAD_ALIGN", tensors(Some(13), 52).zeros(200), Data("Invalid", "alignment", 24)),
        ("DATA_INCONSISTENT_ALIGN", tensors(Some(1), 64).zeros(200), Data("Invalid", "offset", 115)),
        ("DATA_MEM_SIZE_OVERFLOW", overflow.pad(32).zeros(64), Data("Overflow", "total_bytes", 115)),
        ("DATA_SUCCESS", tensors(None, 64).pad(32).zeros(96), DataAccepted),
        ("DATA_CUSTOM_ALIGN", tensors(Some(8), 40).pad(8).zeros(72), DataAccepted),
    ]
}

#[track_caller]
fn judge(kind: &str, way: &str, result: Result<(), FormatError>, refusal: Option<(&str, &str, u64)>) {
    match (result, refusal) {
        (Ok(()), None) => {}
        (Err(error), Some(refusal)) => {
            let debug = format!("{:?}", error.root());
            let variant = debug.split([' ', '{', '(']).next().unwrap();
            let (field, offset) = error.place().map_or(("", 0), |place| (place.field, place.offset));
            assert_eq!((variant, field, offset), refusal, "{kind}, {way}: {error}");
        }
        (result, refusal) => panic!("{kind}, {way}: {result:?}, wanted {refusal:?}"),
    }
}

#[test]
fn verdicts_are_those_of_llama_cpp() {
    let kinds = [header_kinds(), kv_kinds(), tensor_kinds(), data_kinds()].concat();
    let mut names: Vec<_> = kinds.iter().map(|(kind, ..)| *kind).collect();
    names.dedup();
    assert_eq!(names.len(), 34 + 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kind.gguf");
    for (kind, raw, verdict) in kinds {
        let refusal = match verdict {
            Header(variant, field, offset) | Data(variant, field, offset) => Some((variant, field, offset)),
            HeaderAccepted | DataAccepted => None,
        };
        let bytes = Bytes::from(raw.bytes);
        let inside = Bytes::from([&[0xaa; 7][..], &bytes, &[]].concat()).slice(7..);
        let is_data = matches!(verdict, Data(..) | DataAccepted);
        for (way, bytes) in [("as it is", &bytes), ("at an offset", &inside)] {
            if is_data {
                judge(kind, way, Gguf::parse(bytes.clone()).map(drop), refusal);
            } else {
                judge(kind, way, GgufHeader::parse(bytes.clone()).map(drop), refusal);
            }
        }
        // Whole files only: a header that is accepted may lack its data.
        if verdict == HeaderAccepted && kind.starts_with("TENSORS") && kind != "TENSORS_ZERO_DIM" {
            let data_start = GgufHeader::parse(bytes.clone()).unwrap().data_start();
            judge(
                kind,
                "without its data",
                Gguf::parse(bytes).map(drop),
                Some(("Truncated", "tensor_range", data_start)),
            );
            continue;
        }
        std::fs::write(&path, &bytes).unwrap();
        for access in [Access::Map, Access::Read] {
            judge(kind, &format!("{access:?}"), open_with(&path, access).map(drop), refusal);
        }
    }
}
