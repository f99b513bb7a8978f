//! One tensor's entry in the index of an `.apr` file.
//!
//! ```text
//! name_len u16 | name | dtype u8 | ndim u8 | ndim x dim u64, outermost first | offset u64 | size u64
//! ```

use realizar_quant::DType;

use crate::apr::header::ALIGNMENT;
use crate::cursor::Cursor;
use crate::error::{FormatError, Place};
use crate::limits;
use crate::shape::Shape;

/// Smallest entry: two bytes of length, type, number of dimensions, offset, size.
pub(crate) const SMALLEST: u64 = 2 + 1 + 1 + 8 + 8;

/// Number, type, and whether a writer uses it: two numbers are older ones of the same types.
const TYPES: [(u8, DType, bool); 14] = [
    (0, DType::F32, true),
    (1, DType::F16, true),
    (3, DType::F64, true),
    (4, DType::I32, true),
    (5, DType::I64, true),
    (6, DType::I8, true),
    (7, DType::U8, true),
    (12, DType::Q4_K, true),
    (14, DType::Q6_K, true),
    (30, DType::BF16, true),
    (128, DType::APR_Q4, true),
    (129, DType::APR_Q8, true),
    (8, DType::APR_Q4, false),
    (9, DType::APR_Q8, false),
];

/// The number of a type, if the format has it.
pub(crate) fn code(dtype: DType) -> Option<u8> {
    TYPES.iter().find(|(_, known, written)| *written && *known == dtype).map(|(code, ..)| *code)
}

/// Bytes of a tensor; `None` if rows are no whole blocks or the size overflows.
pub(crate) fn size(dtype: DType, shape: &Shape) -> Option<u64> {
    // The blocks of the format's own types run over the ends of rows.
    if matches!(dtype, DType::APR_Q4 | DType::APR_Q8) {
        return Some(dtype.row_bytes(shape.elements()?)? as u64);
    }
    shape.bytes(dtype)
}

/// An entry, decoded and checked on its own; `offset` counts from the start of the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) offset: u64,
    pub(crate) size: u64,
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
        let at = cursor.offset();
        let code = cursor.u8("tensor_type")?;
        let Some((_, dtype, _)) = TYPES.iter().find(|(known, ..)| *known == code) else {
            return Err(FormatError::invalid(Place::new("tensor_type", at), code, "a type of the format"));
        };
        let at = cursor.offset();
        let count = usize::from(cursor.u8("n_dims")?);
        if count > limits::DIMS {
            let (found, limit) = (count as u64, limits::DIMS as u64);
            return Err(FormatError::TooLarge { at: Place::new("n_dims", at), found, limit });
        }
        let mut dims = [0_usize; limits::DIMS];
        for dim in dims.iter_mut().take(count) {
            let at = cursor.offset();
            let found = cursor.u64("dim")?;
            let fits = i64::try_from(found).ok().and_then(|_| usize::try_from(found).ok());
            *dim = fits.ok_or_else(|| FormatError::invalid(Place::new("dim", at), found, "0 to 2^63-1"))?;
        }
        let shape = dims.get(..count).and_then(Shape::new).unwrap_or_else(Shape::scalar);
        let offset_at = cursor.offset();
        let offset = cursor.u64("offset")?;
        let size_at = cursor.offset();
        let size = cursor.u64("size")?;
        let Some(expected) = self::size(*dtype, &shape) else {
            return Err(FormatError::Overflow {
                at: Place::new("size", size_at),
                shape: format!("{shape} of {dtype}"),
            });
        };
        if size != expected {
            let expected = format!("{expected} bytes for {dtype} {shape}");
            return Err(FormatError::invalid(Place::new("size", size_at), size, expected));
        }
        if !offset.is_multiple_of(ALIGNMENT.into()) {
            return Err(FormatError::invalid(Place::new("offset", offset_at), offset, "a multiple of 64"));
        }
        Ok(Self { name, dtype: *dtype, shape, offset, size, offset_at })
    }
}

/// Reads the name of an entry.
pub(crate) fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, FormatError> {
    let at = cursor.offset();
    let len = cursor.u16("tensor_name_len")?;
    if u64::from(len) > limits::APR_NAME_BYTES {
        let (found, limit) = (len.into(), limits::APR_NAME_BYTES);
        return Err(FormatError::TooLarge { at: Place::new("tensor_name_len", at), found, limit });
    }
    let name = cursor.take(len.into(), "tensor_name")?;
    std::str::from_utf8(name).map_err(|_| {
        FormatError::invalid(Place::named("tensor_name", at, name), "bytes that are not UTF-8", "UTF-8")
    })
}
