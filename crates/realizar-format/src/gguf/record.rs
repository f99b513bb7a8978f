//! One tensor's entry in a GGUF file.
//!
//! ```text
//! name_len u64 | name | n_dims u32 | n_dims x dim u64, innermost first | type u32 | offset u64
//! ```

use realizar_quant::DType;

use crate::cursor::Cursor;
use crate::error::{FormatError, Place};
use crate::limits;
use crate::shape::Shape;

/// Types that ggml had once: number, name, and what to do about such a file.
const REMOVED: &[(u32, &str, &str)] = &[
    (4, "Q4_2", OLD),
    (5, "Q4_3", OLD),
    (31, "Q4_0_4_4", REPACKED_Q4_0),
    (32, "Q4_0_4_8", REPACKED_Q4_0),
    (33, "Q4_0_8_8", REPACKED_Q4_0),
    (36, "IQ4_NL_4_4", REPACKED_IQ4_NL),
    (37, "IQ4_NL_4_8", REPACKED_IQ4_NL),
    (38, "IQ4_NL_8_8", REPACKED_IQ4_NL),
];
const OLD: &str = "a type in use: this one was taken out of the format, convert the original model again";
const REPACKED_Q4_0: &str = "a type in use: this one was taken out of the format, take the model as Q4_0";
const REPACKED_IQ4_NL: &str = "a type in use: this one was taken out of the format, take the model as IQ4_NL";

/// A tensor's entry, decoded and checked on its own; `offset` counts from the start of the data section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Where the offset field stands in the file.
    pub(crate) offset_at: u64,
}

impl<'a> Record<'a> {
    /// Reads an entry; the cursor ends behind it.
    pub(crate) fn read(cursor: &mut Cursor<'a>, index: u64) -> Result<Self, FormatError> {
        let name = name(cursor).map_err(|error| error.of(None, index))?;
        Self::read_body(cursor, name).map_err(|error| error.of(Some(name.as_bytes()), index))
    }

    fn read_body(cursor: &mut Cursor<'a>, name: &'a str) -> Result<Self, FormatError> {
        let shape_at = cursor.offset();
        let (dims, len) = dims(cursor)?;
        let dims = dims.get(..len).unwrap_or_default();
        let overflow = |field| FormatError::Overflow {
            at: Place::new(field, shape_at),
            shape: format!("{dims:?} (innermost first)"),
        };
        let elements = match dims.contains(&0) {
            true => 0,
            false => dims
                .iter()
                .try_fold(1_i64, |product, dim| product.checked_mul(i64::try_from(*dim).ok()?))
                .ok_or_else(|| overflow("elements"))?,
        };

        let type_at = cursor.offset();
        let id = cursor.u32("tensor_type")?;
        let dtype = DType::from_ggml_id(id).ok_or_else(|| {
            let at = Place::new("tensor_type", type_at);
            match REMOVED.iter().find(|(removed, ..)| *removed == id) {
                Some((_, name, hint)) => FormatError::invalid(at, format_args!("{id} ({name})"), *hint),
                None => FormatError::invalid(at, id.cast_signed(), "a ggml type in use"),
            }
        })?;
        let cols = dims.first().copied().unwrap_or(1);
        let block = dtype.block_elems() as u64;
        if cols.checked_rem(block) != Some(0) {
            let at = Place::new("row_len", shape_at);
            let expected = format!("a multiple of the {block} elements of a {dtype} block");
            return Err(FormatError::invalid(at, cols, expected));
        }
        let bytes = elements
            .cast_unsigned()
            .checked_div(block)
            .and_then(|blocks| blocks.checked_mul(dtype.block_bytes() as u64))
            .ok_or_else(|| overflow("bytes"))?;

        let mut outermost_first = [0_usize; limits::GGUF_DIMS as usize];
        for (outer, dim) in outermost_first.iter_mut().zip(dims.iter().rev()) {
            *outer = usize::try_from(*dim).map_err(|_| overflow("dim"))?;
        }
        let shape = outermost_first.get(..len).and_then(Shape::new).unwrap_or_else(Shape::scalar);

        let offset_at = cursor.offset();
        let offset = cursor.u64("offset")?;
        Ok(Self { name, dtype, shape, offset, bytes, offset_at })
    }
}

/// Reads the name of an entry.
pub(crate) fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, FormatError> {
    let at = cursor.offset();
    let name = cursor.string("tensor_name_len", limits::GGUF_NAME_BYTES)?;
    if name.is_empty() {
        return Err(FormatError::invalid(Place::new("tensor_name", at), "an empty name", "a name"));
    }
    std::str::from_utf8(name).map_err(|error| {
        let at = at.saturating_add(8).saturating_add(error.valid_up_to() as u64);
        FormatError::invalid(Place::named("tensor_name", at, name), "bytes that are not UTF-8", "UTF-8")
    })
}

/// Reads the dimensions, innermost first as the file has them.
fn dims(cursor: &mut Cursor<'_>) -> Result<([u64; limits::GGUF_DIMS as usize], usize), FormatError> {
    let at = cursor.offset();
    let count = cursor.u32("n_dims")?;
    let mut dims = [0; limits::GGUF_DIMS as usize];
    if count > limits::GGUF_DIMS {
        let at = Place::new("n_dims", at);
        return Err(FormatError::TooLarge { at, found: count.into(), limit: limits::GGUF_DIMS.into() });
    }
    let count = count as usize;
    for (axis, dim) in dims.iter_mut().take(count).enumerate() {
        let at = cursor.offset();
        *dim = cursor.u64("dim")?;
        if i64::try_from(*dim).is_err() {
            let found = format_args!("{} on axis {axis}", dim.cast_signed());
            return Err(FormatError::invalid(Place::new("dim", at), found, "0 to 2^63-1"));
        }
    }
    Ok((dims, count))
}
