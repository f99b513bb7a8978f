//! Reads numbers and slices in order; every read is checked against the bytes that are there.

use crate::error::{FormatError, Place};

/// The order of the bytes inside a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// A position in a byte slice. The field's name is passed to each read, for the error.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    order: Order,
}

impl<'a> Cursor<'a> {
    /// A cursor at `pos`, which may lie past the end: the first read then fails.
    pub(crate) fn at(bytes: &'a [u8], pos: usize, order: Order) -> Self {
        Self { bytes, pos, order }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The position as errors give it.
    pub(crate) fn offset(&self) -> u64 {
        self.pos as u64
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    pub(crate) fn left(&self) -> u64 {
        self.bytes.len().saturating_sub(self.pos) as u64
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: u64, field: &'static str) -> Result<&'a [u8], FormatError> {
        let taken = usize::try_from(len).ok().and_then(|len| {
            let end = self.pos.checked_add(len)?;
            let bytes = self.bytes.get(self.pos..end)?;
            self.pos = end;
            Some(bytes)
        });
        taken.ok_or_else(|| FormatError::Truncated {
            at: Place::new(field, self.offset()),
            needed: len,
            left: self.left(),
        })
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, field)?);
        if self.order == Order::Big {
            array.reverse();
        }
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, FormatError> {
        self.array(field).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, FormatError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, FormatError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A 64-bit length followed by so many bytes; the length is checked against `limit`, then against the file.
    pub(crate) fn string(&mut self, field: &'static str, limit: u64) -> Result<&'a [u8], FormatError> {
        let at = self.offset();
        let len = self.u64(field)?;
        if len > limit {
            return Err(FormatError::TooLarge { at: Place::new(field, at), found: len, limit });
        }
        self.take(len, field)
    }
}
