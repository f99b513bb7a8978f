//! Arrays of metadata values. Nothing is decoded before it is asked for, and nothing is allocated per element.

use std::fmt;

use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place};
use crate::limits;
use crate::value::{Text, Value, ValueType};

/// An array of values of one type, borrowed from the file.
#[derive(Clone, Copy)]
pub struct Array<'a> {
    elem: ValueType,
    len: usize,
    /// The packed elements. May go on past the last one, since the end of a string array is known only by walking it.
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Array<'a> {
    /// An array over bytes that [`check_elements`] has accepted.
    pub(crate) fn packed(elem: ValueType, len: usize, bytes: &'a [u8], order: Order) -> Self {
        Self { elem, len, bytes, order }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Type of the elements.
    #[must_use]
    pub fn elem_type(&self) -> ValueType {
        self.elem
    }

    /// The elements in order, decoded one by one.
    #[must_use]
    pub fn iter(&self) -> ArrayIter<'a> {
        ArrayIter { cursor: Cursor::at(self.bytes, 0, self.order), elem: self.elem, left: self.len }
    }

    /// The strings of an array of strings, as bytes; `None` for other arrays.
    pub fn strings(&self) -> Option<impl ExactSizeIterator<Item = &'a [u8]> + use<'a>> {
        let is_text = self.elem == ValueType::String;
        is_text.then(|| self.iter().map(|value| value.as_text().map_or(&[][..], Text::as_bytes)))
    }

    /// All elements as `f32`, if they are floats.
    #[must_use]
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        self.iter().map(|value| value.as_f32()).collect()
    }

    /// All elements as `i32`, if they are integers that fit.
    #[must_use]
    pub fn to_i32s(&self) -> Option<Vec<i32>> {
        self.iter().map(|value| value.as_i32()).collect()
    }

    /// All elements as `u32`, if they are integers that fit.
    #[must_use]
    pub fn to_u32s(&self) -> Option<Vec<u32>> {
        self.iter().map(|value| value.as_u32()).collect()
    }

    /// All elements as `bool`, if they are bools.
    #[must_use]
    pub fn to_bools(&self) -> Option<Vec<bool>> {
        self.iter().map(|value| value.as_bool()).collect()
    }
}

impl<'a> IntoIterator for Array<'a> {
    type Item = Value<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

impl PartialEq for Array<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.elem == other.elem && self.len == other.len && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; {}]", self.elem, self.len)
    }
}

/// Iterator over the elements of an [`Array`].
#[derive(Debug, Clone)]
pub struct ArrayIter<'a> {
    cursor: Cursor<'a>,
    elem: ValueType,
    left: usize,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        scalar(&mut self.cursor, self.elem).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ArrayIter<'_> {}

/// Reads one value that is not an array.
pub(crate) fn scalar<'a>(cursor: &mut Cursor<'a>, kind: ValueType) -> Result<Value<'a>, FormatError> {
    const FIELD: &str = "value";
    Ok(match kind {
        ValueType::U8 => Value::U8(cursor.u8(FIELD)?),
        ValueType::I8 => Value::I8(i8::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::U16 => Value::U16(cursor.u16(FIELD)?),
        ValueType::I16 => Value::I16(i16::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::U32 => Value::U32(cursor.u32(FIELD)?),
        ValueType::I32 => Value::I32(i32::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::F32 => Value::F32(f32::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::U64 => Value::U64(cursor.u64(FIELD)?),
        ValueType::I64 => Value::I64(i64::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::F64 => Value::F64(f64::from_le_bytes(cursor.array(FIELD)?)),
        ValueType::Bool => {
            let at = cursor.offset();
            match cursor.u8("bool")? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(FormatError::invalid(Place::new("bool", at), other, "0 or 1")),
            }
        }
        ValueType::String => Value::String(Text::new(cursor.string("string_len", limits::STRING_BYTES)?)),
        ValueType::Array => {
            let at = Place::new("nested_array", cursor.offset());
            return Err(FormatError::invalid(at, "an array of arrays", "elements that are not arrays"));
        }
    })
}

/// Moves the cursor past `len` elements and checks those whose bytes may be wrong.
pub(crate) fn check_elements(cursor: &mut Cursor<'_>, elem: ValueType, len: u64) -> Result<(), FormatError> {
    match elem {
        ValueType::Bool | ValueType::String => {
            for _ in 0..len {
                scalar(cursor, elem)?;
            }
        }
        fixed => {
            // The caller's limit on `len` keeps the product far below 2^64.
            cursor.take(len.saturating_mul(fixed.bytes()), "array_len")?;
        }
    }
    Ok(())
}
