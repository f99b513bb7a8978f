//! Arrays to be written, owned and packed as the file will have them.

use crate::array::Array;
use crate::cursor::Order;
use crate::value::{Text, Value, ValueType};

/// An owned array of metadata values; [`PackedArray::as_array`] gives the [`Array`] that a writer takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedArray {
    elem: ValueType,
    len: usize,
    bytes: Vec<u8>,
}

impl PackedArray {
    /// An array of such elements, without any.
    pub(crate) fn empty(elem: ValueType) -> Self {
        Self { elem, len: 0, bytes: Vec::new() }
    }

    /// Appends a value of the array's type; `false` if it has another one.
    pub(crate) fn push(&mut self, value: Value<'_>) -> bool {
        let fits = value.value_type() == self.elem && value.as_array().is_none();
        if fits {
            put(&mut self.bytes, value);
            self.len = self.len.saturating_add(1);
        }
        fits
    }

    fn of<const N: usize>(elem: ValueType, values: impl IntoIterator<Item = [u8; N]>) -> Self {
        let mut len = 0_usize;
        let bytes = values.into_iter().inspect(|_| len = len.saturating_add(1)).flatten().collect();
        Self { elem, len, bytes }
    }

    /// An array of strings, each of which is bytes that should be UTF-8.
    #[must_use]
    pub fn strings<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Self {
        let mut array = Self::empty(ValueType::String);
        for value in values {
            array.push(Value::String(Text::new(value.as_ref())));
        }
        array
    }

    /// An array of `f32`.
    #[must_use]
    pub fn f32s(values: impl IntoIterator<Item = f32>) -> Self {
        Self::of(ValueType::F32, values.into_iter().map(f32::to_le_bytes))
    }

    /// An array of `i32`.
    #[must_use]
    pub fn i32s(values: impl IntoIterator<Item = i32>) -> Self {
        Self::of(ValueType::I32, values.into_iter().map(i32::to_le_bytes))
    }

    /// An array of `u8`.
    #[must_use]
    pub fn u8s(values: impl IntoIterator<Item = u8>) -> Self {
        Self::of(ValueType::U8, values.into_iter().map(|value| [value]))
    }

    /// An array of `u32`.
    #[must_use]
    pub fn u32s(values: impl IntoIterator<Item = u32>) -> Self {
        Self::of(ValueType::U32, values.into_iter().map(u32::to_le_bytes))
    }

    /// An array of `bool`.
    #[must_use]
    pub fn bools(values: impl IntoIterator<Item = bool>) -> Self {
        Self::of(ValueType::Bool, values.into_iter().map(|value| [u8::from(value)]))
    }

    pub(crate) fn f64s(values: impl IntoIterator<Item = f64>) -> Self {
        Self::of(ValueType::F64, values.into_iter().map(f64::to_le_bytes))
    }

    /// The array, borrowed.
    #[must_use]
    pub fn as_array(&self) -> Array<'_> {
        Array::packed(self.elem, self.len, &self.bytes, Order::Little)
    }
}

/// Appends a value as a GGUF file has it.
pub(crate) fn put(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::U8(v) => out.push(v),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(v.into()),
        Value::String(text) => put_text(out, text.as_bytes()),
        Value::Array(array) => {
            out.extend(array.elem_type().id().to_le_bytes());
            out.extend((array.len() as u64).to_le_bytes());
            for value in array {
                put(out, value);
            }
        }
    }
}

/// Appends a length and so many bytes.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}
