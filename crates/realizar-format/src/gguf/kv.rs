//! One metadata entry of a GGUF file: key, type, value.
//!
//! ```text
//! key_len u64 | key | type u32 | value
//! array: elem_type u32 | len u64 | elements          string: len u64 | bytes
//! ```

use crate::array::{self, Array};
use crate::cursor::Cursor;
use crate::error::{FormatError, Place};
use crate::limits;
use crate::value::{Value, ValueType};

/// Reads and checks a whole entry; the cursor ends behind it.
pub(crate) fn check<'a>(cursor: &mut Cursor<'a>, index: u64) -> Result<&'a [u8], FormatError> {
    let key = key(cursor).map_err(|error| error.of(None, index))?;
    check_value(cursor).map_err(|error| error.of(Some(key), index))?;
    Ok(key)
}

fn check_value(cursor: &mut Cursor<'_>) -> Result<(), FormatError> {
    match value_type(cursor, "value_type")? {
        ValueType::Array => {
            let (elem, len) = array_head(cursor)?;
            array::check_elements(cursor, elem, len)
        }
        kind => array::scalar(cursor, kind).map(drop),
    }
}

/// Reads the key.
pub(crate) fn key<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], FormatError> {
    let at = cursor.offset();
    let key = cursor.string("key_len", limits::KEY_BYTES)?;
    if key.is_empty() {
        return Err(FormatError::invalid(Place::new("key", at), "an empty key", "a name"));
    }
    if let Err(error) = std::str::from_utf8(key) {
        let at = at.saturating_add(8).saturating_add(error.valid_up_to() as u64);
        return Err(FormatError::invalid(Place::named("key", at, key), "bytes that are not UTF-8", "UTF-8"));
    }
    Ok(key)
}

/// Reads the value behind a key. In an entry that [`check`] has accepted this does not fail.
pub(crate) fn value<'a>(cursor: &mut Cursor<'a>, file: &'a [u8]) -> Result<Value<'a>, FormatError> {
    match value_type(cursor, "value_type")? {
        ValueType::Array => {
            let (elem, len) = array_head(cursor)?;
            let bytes = file.get(cursor.pos()..).unwrap_or_default();
            // The limit on `len` fits every `usize`.
            let len = usize::try_from(len).unwrap_or_default();
            Ok(Value::Array(Array::packed(elem, len, bytes, cursor.order())))
        }
        kind => array::scalar(cursor, kind),
    }
}

fn value_type(cursor: &mut Cursor<'_>, field: &'static str) -> Result<ValueType, FormatError> {
    let at = cursor.offset();
    let id = cursor.u32(field)?;
    ValueType::from_id(id)
        .ok_or_else(|| FormatError::invalid(Place::new(field, at), id, "a type from 0 to 12"))
}

fn array_head(cursor: &mut Cursor<'_>) -> Result<(ValueType, u64), FormatError> {
    let at = cursor.offset();
    let elem = value_type(cursor, "array_type")?;
    if elem == ValueType::Array {
        let at = Place::new("nested_array", at);
        return Err(FormatError::invalid(at, "an array of arrays", "elements that are not arrays"));
    }
    let at = cursor.offset();
    let len = cursor.u64("array_len")?;
    if len > limits::ARRAY_ELEMS {
        return Err(FormatError::TooLarge {
            at: Place::new("array_len", at),
            found: len,
            limit: limits::ARRAY_ELEMS,
        });
    }
    // A string takes at least the eight bytes of its length.
    let needed = len.saturating_mul(elem.bytes().max(if elem == ValueType::String { 8 } else { 1 }));
    if needed > cursor.left() {
        return Err(FormatError::Truncated { at: Place::new("array_len", at), needed, left: cursor.left() });
    }
    Ok((elem, len))
}
