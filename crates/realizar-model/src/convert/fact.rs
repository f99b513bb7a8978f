//! Metadata values that a converter owns.

use realizar_format::{Array, PackedArray, Value, ValueType};

/// What llama.cpp reads as bytes and nothing else.
const BYTES: &str = "tokenizer.ggml.precompiled_charsmap";

/// A metadata value with an owner.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// A string.
    Text(String),
    /// An array.
    List(PackedArray),
    /// A number or a truth value.
    Scalar(Value<'static>),
}

impl Fact {
    /// The value, borrowed, as a writer takes it.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::from(&**text),
            Self::List(list) => Value::Array(list.as_array()),
            Self::Scalar(value) => *value,
        }
    }

    pub(crate) fn count(number: usize) -> Self {
        Self::Scalar(u32::try_from(number).map_or(Value::U64(number as u64), Value::U32))
    }

    pub(crate) fn number(number: f32) -> Self {
        Self::Scalar(Value::F32(number))
    }

    /// The value as GGUF files have it: integers of 32 bits where they fit, floats of 32 bits. JSON knows neither.
    /// `None` for text that is not UTF-8 and for lists that GGUF files do not have.
    #[must_use]
    pub fn for_gguf(key: &str, value: Value<'_>) -> Option<Self> {
        if let Some(integer) = value.as_i128() {
            let narrow = u32::try_from(integer).map(Value::U32).or(i32::try_from(integer).map(Value::I32));
            let wide = || u64::try_from(integer).map(Value::U64).or(i64::try_from(integer).map(Value::I64));
            return narrow.or_else(|_| wide()).ok().map(Self::Scalar);
        }
        Some(match value {
            Value::Bool(flag) => Self::Scalar(Value::Bool(flag)),
            Value::String(text) => Self::Text(text.as_str().ok()?.to_owned()),
            Value::Array(array) => Self::List(list(key, &array)?),
            other => Self::number(other.as_f32()?),
        })
    }
}

fn list(key: &str, array: &Array<'_>) -> Option<PackedArray> {
    if let Some(texts) = array.strings() {
        return Some(PackedArray::strings(texts));
    }
    match array.elem_type() {
        ValueType::Bool => array.to_bools().map(PackedArray::bools),
        ValueType::F32 | ValueType::F64 => array.to_f32s().map(PackedArray::f32s),
        _ if key == BYTES => {
            let byte = |value: Value<'_>| Some((value.as_i128()? & 0xFF) as u8);
            array.iter().map(byte).collect::<Option<Vec<u8>>>().map(PackedArray::u8s)
        }
        _ => array.to_i32s().map(PackedArray::i32s).or_else(|| array.to_u32s().map(PackedArray::u32s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_gguf() {
        let (bytes, unsigned_bytes) = (PackedArray::i32s([-1, 0, 255]), PackedArray::u8s([255, 0, 255]));
        let cases: &[(&str, Value<'_>, Option<Value<'_>>)] = &[
            ("small", Value::I64(7), Some(Value::U32(7))),
            ("negative", Value::I64(-7), Some(Value::I32(-7))),
            ("large", Value::I64(1 << 40), Some(Value::U64(1 << 40))),
            ("float", Value::F64(1e-5), Some(Value::F32(1e-5))),
            ("flag", Value::Bool(true), Some(Value::Bool(true))),
            ("text", Value::from("a"), Some(Value::from("a"))),
            (BYTES, Value::Array(bytes.as_array()), Some(Value::Array(unsigned_bytes.as_array()))),
            ("other", Value::Array(bytes.as_array()), Some(Value::Array(bytes.as_array()))),
        ];
        for (key, value, expected) in cases {
            assert_eq!(Fact::for_gguf(key, *value).as_ref().map(Fact::value), *expected, "{key}");
        }
        let not_text = Value::String(realizar_format::Text::new(b"\xff"));
        assert_eq!(Fact::for_gguf("text", not_text), None);
        let unsigned = PackedArray::u32s([u32::MAX]);
        let kept = Fact::for_gguf("ids", Value::Array(unsigned.as_array()));
        assert_eq!(kept, Some(Fact::List(unsigned)));
    }
}
