//! As much of MessagePack as the metadata of old `.apr` files needs.

use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place};
use crate::json::Json;

/// Levels of nesting.
const DEPTH: u32 = 16;
/// Values in all: metadata has tens.
const VALUES: u32 = 65_536;

/// Decodes one value, which must be a map. `offset` is where it stands in its file.
pub(crate) fn parse(bytes: &[u8], offset: u64) -> Result<Json, FormatError> {
    let mut decoder = Decoder { cursor: Cursor::at(bytes, 0, Order::Big), values: 0 };
    let moved = |mut error: FormatError| {
        error.move_by(offset);
        error
    };
    match decoder.value(0).map_err(moved)? {
        map @ Json::Object(_) => Ok(map),
        _ => Err(FormatError::invalid(Place::new("metadata", offset), "another value", "a map")),
    }
}

struct Decoder<'a> {
    cursor: Cursor<'a>,
    values: u32,
}

impl Decoder<'_> {
    fn value(&mut self, depth: u32) -> Result<Json, FormatError> {
        const FIELD: &str = "metadata";
        let at = Place::new(FIELD, self.cursor.offset());
        self.values = self.values.saturating_add(1);
        if depth > DEPTH || self.values > VALUES {
            let expected = format!("at most {VALUES} values in {DEPTH} levels");
            return Err(FormatError::invalid(at, "more", expected));
        }
        let cursor = &mut self.cursor;
        Ok(match cursor.u8(FIELD)? {
            tag @ 0x00..=0x7f => Json::I64(tag.into()),
            tag @ 0x80..=0x8f => self.map(u32::from(tag & 0x0f), depth)?,
            tag @ 0x90..=0x9f => self.list(u32::from(tag & 0x0f), depth)?,
            tag @ 0xa0..=0xbf => self.text(u32::from(tag & 0x1f))?,
            0xc0 => Json::Null,
            tag @ (0xc2 | 0xc3) => Json::Bool(tag == 0xc3),
            0xca => Json::F64(f32::from_le_bytes(cursor.array(FIELD)?).into()),
            0xcb => Json::F64(f64::from_le_bytes(cursor.array(FIELD)?)),
            0xcc => Json::I64(cursor.u8(FIELD)?.into()),
            0xcd => Json::I64(cursor.u16(FIELD)?.into()),
            0xce => Json::I64(cursor.u32(FIELD)?.into()),
            0xcf => {
                let wide = cursor.u64(FIELD)?;
                i64::try_from(wide).map_or(Json::U64(wide), Json::I64)
            }
            0xd0 => Json::I64(i8::from_le_bytes(cursor.array(FIELD)?).into()),
            0xd1 => Json::I64(i16::from_le_bytes(cursor.array(FIELD)?).into()),
            0xd2 => Json::I64(i32::from_le_bytes(cursor.array(FIELD)?).into()),
            0xd3 => Json::I64(i64::from_le_bytes(cursor.array(FIELD)?)),
            0xd9 => {
                let len = cursor.u8(FIELD)?;
                self.text(len.into())?
            }
            0xda => {
                let len = cursor.u16(FIELD)?;
                self.text(len.into())?
            }
            0xdb => {
                let len = cursor.u32(FIELD)?;
                self.text(len)?
            }
            0xdc => {
                let len = cursor.u16(FIELD)?;
                self.list(len.into(), depth)?
            }
            0xde => {
                let len = cursor.u16(FIELD)?;
                self.map(len.into(), depth)?
            }
            tag @ 0xe0..=0xff => Json::I64(tag.cast_signed().into()),
            tag => {
                return Err(FormatError::invalid(
                    at,
                    format!("{tag:#04x}"),
                    "a MessagePack type of metadata",
                ));
            }
        })
    }

    fn text(&mut self, len: u32) -> Result<Json, FormatError> {
        let at = self.cursor.offset();
        let bytes = self.cursor.take(len.into(), "metadata")?;
        let text = std::str::from_utf8(bytes).map_err(|_| {
            FormatError::invalid(Place::new("metadata", at), "bytes that are not UTF-8", "UTF-8")
        })?;
        Ok(Json::Text(text.into()))
    }

    fn list(&mut self, len: u32, depth: u32) -> Result<Json, FormatError> {
        let elements = (0..len).map(|_| self.value(depth.saturating_add(1)));
        Ok(Json::List(elements.collect::<Result<_, _>>()?))
    }

    fn map(&mut self, len: u32, depth: u32) -> Result<Json, FormatError> {
        let mut members = Vec::new();
        for _ in 0..len {
            let at = self.cursor.offset();
            let Json::Text(name) = self.value(depth.saturating_add(1))? else {
                return Err(FormatError::invalid(
                    Place::new("metadata", at),
                    "another key",
                    "keys that are text",
                ));
            };
            members.push((name, self.value(depth.saturating_add(1))?));
        }
        Ok(Json::Object(members))
    }
}
