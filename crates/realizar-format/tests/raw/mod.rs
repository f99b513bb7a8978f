//! Builds GGUF files byte by byte, right or wrong, and checks refusals.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test code, of which each suite uses a part"
)]

use bytes::Bytes;
use realizar_format::FormatError;

/// Numbers of value types in a GGUF file.
pub const U8: u32 = 0;
pub const I32: u32 = 5;
pub const U32: u32 = 4;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const STRING: u32 = 8;
pub const ARRAY: u32 = 9;

/// A file under construction.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    pub bytes: Vec<u8>,
    big: bool,
}

impl Raw {
    /// Magic, version and counts.
    pub fn header(version: u32, tensors: u64, kvs: u64) -> Self {
        Self::default().raw(b"GGUF").u32(version).u64(tensors).u64(kvs)
    }

    /// As [`Raw::header`], with every number big-endian from here on.
    pub fn big_endian(version: u32, tensors: u64, kvs: u64) -> Self {
        Self { big: true, ..Self::default() }.raw(b"GGUF").u32(version).u64(tensors).u64(kvs)
    }

    /// Where the next byte goes.
    pub fn at(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn number<const N: usize>(self, mut little_endian: [u8; N]) -> Self {
        if self.big {
            little_endian.reverse();
        }
        self.raw(&little_endian)
    }

    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub fn u16(self, value: u16) -> Self {
        self.number(value.to_le_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.number(value.to_le_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.number(value.to_le_bytes())
    }

    pub fn f32(self, value: f32) -> Self {
        self.number(value.to_le_bytes())
    }

    /// A length and so many bytes.
    pub fn text(self, text: &[u8]) -> Self {
        self.u64(text.len() as u64).raw(text)
    }

    /// Key and type; the value comes next.
    pub fn key(self, key: &str, value_type: u32) -> Self {
        self.text(key.as_bytes()).u32(value_type)
    }

    pub fn kv_u32(self, key: &str, value: u32) -> Self {
        self.key(key, U32).u32(value)
    }

    pub fn kv_str(self, key: &str, value: &str) -> Self {
        self.key(key, STRING).text(value.as_bytes())
    }

    /// A tensor's entry; `dims` innermost first, as the file has them.
    pub fn tensor(self, name: &str, dims: &[u64], dtype: u32, offset: u64) -> Self {
        let head = self.text(name.as_bytes()).u32(u32::try_from(dims.len()).unwrap());
        dims.iter().fold(head, |raw, dim| raw.u64(*dim)).u32(dtype).u64(offset)
    }

    pub fn zeros(mut self, count: usize) -> Self {
        self.bytes.resize(self.bytes.len() + count, 0);
        self
    }

    pub fn pad(mut self, alignment: usize) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self
    }

    pub fn build(self) -> Bytes {
        self.bytes.into()
    }
}

/// A correct file with every value type, two arrays and three tensors.
pub fn seed() -> Raw {
    let raw = Raw::header(3, 3, 15)
        .kv_str("general.architecture", "llama")
        .key("u8", 0)
        .u8(8)
        .key("i8", 1)
        .u8(0xf8)
        .key("u16", 2)
        .u16(16)
        .key("i16", 3)
        .u16(0xfff0)
        .kv_u32("u32", 32)
        .key("i32", 5)
        .u32(0xffff_ffe0)
        .key("f32", 6)
        .f32(1.5)
        .key("bool", 7)
        .u8(1)
        .key("u64", 10)
        .u64(64)
        .key("i64", 11)
        .u64(64_u64.wrapping_neg())
        .key("f64", 12)
        .u64(2.5_f64.to_bits())
        .key("strings", ARRAY)
        .u32(STRING)
        .u64(3)
        .text(b"a")
        .text(b"")
        .text("größe".as_bytes())
        .key("numbers", ARRAY)
        .u32(U32)
        .u64(2)
        .u32(7)
        .u32(9)
        .key("bools", ARRAY)
        .u32(BOOL)
        .u64(2)
        .u8(0)
        .u8(1)
        .tensor("matrix", &[4, 3], 0, 0)
        .tensor("blocks", &[32, 2], 2, 64)
        .tensor("scalar", &[], 1, 128)
        .pad(32);
    (0..160_u8).fold(raw, Raw::u8)
}

/// Correct files that the cutting and flipping tests start from.
pub fn seeds() -> [(&'static str, Raw); 4] {
    [
        ("all types", seed()),
        ("version 2", Raw::header(2, 1, 1).kv_u32("a", 1).tensor("t", &[3], 0, 0).pad(32).zeros(12)),
        (
            "alignment 1",
            Raw::header(3, 2, 1)
                .kv_u32("general.alignment", 1)
                .tensor("a", &[3], 24, 0)
                .tensor("b", &[1], 0, 3)
                .zeros(7),
        ),
        (
            "big-endian",
            Raw::big_endian(3, 1, 1).kv_str("a", "b").tensor("t", &[2, 1], 0, 0).pad(32).f32(1.0).f32(2.0),
        ),
    ]
}

/// Asserts variant, field and offset of a refusal, and that its message is one line that names them.
#[track_caller]
pub fn assert_refused(case: &str, error: &FormatError, variant: &str, field: &str, offset: u64) {
    let shown = error.to_string();
    let debug = format!("{:?}", error.root());
    assert!(debug.starts_with(variant), "{case}: {shown} is not {variant}: {debug}");
    let place = error.place().unwrap_or_else(|| panic!("{case}: no place in {shown}"));
    assert_eq!((place.field, place.offset), (field, offset), "{case}: {shown}");
    assert!(shown.contains(field) && shown.contains(&format!("byte {offset}")), "{case}: {shown}");
    assert!(!shown.chars().any(char::is_control), "{case}: {shown:?}");
}
