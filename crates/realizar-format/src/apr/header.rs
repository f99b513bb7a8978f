//! The header of an `.apr` file, version 2: 64 bytes, little-endian.
//!
//! ```text
//!  0 "APR\0"        | 4 major u8, minor u8 | 6 flags u16  | 8 tensor_count u32
//! 12 metadata_offset u64                   | 20 metadata_size u32
//! 24 index_offset u64  | 32 data_offset u64 | 40 crc32 of the other 60 bytes | 44 zeros
//! ```
//!
//! Then: metadata (JSON), index, data, each padded to 64 bytes; at the end a CRC-32 over all bytes before it, which
//! older files lack.

use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place};
use crate::limits;

/// The second is written by some tools over the same layout.
pub(crate) const MAGICS: [&[u8]; 2] = [b"APR\0", b"APR2"];
pub(crate) const BYTES: u64 = LEN as u64;
const LEN: usize = 64;
/// Alignment of every section and tensor.
pub(crate) const ALIGNMENT: u32 = 64;

/// Flag bits, and what we do about each: `None` says that it changes nothing about how the file is read.
const FLAGS: [(u16, Option<&str>); 12] = [
    (LZ4, None),
    (ZSTD, None),
    (0x0004, Some("encryption")),
    (0x0008, Some("a signature that cannot be checked")),
    (0x0010, Some("one shard of a sharded .apr model")),
    (0x0020, None),
    (0x0040, None),
    (0x0080, None),
    (0x0100, None),
    (0x0200, None),
    (ROW_MAJOR, None),
    (0x0800, Some("column-major order")),
];
pub(crate) const LZ4: u16 = 0x0001;
pub(crate) const ZSTD: u16 = 0x0002;
pub(crate) const ROW_MAJOR: u16 = 0x0400;

/// What the header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) minor: u8,
    pub(crate) flags: u16,
    pub(crate) tensor_count: u32,
    pub(crate) metadata_offset: u64,
    pub(crate) metadata_size: u32,
    pub(crate) index_offset: u64,
    pub(crate) data_offset: u64,
}

impl Header {
    /// Reads and checks the header of a file that begins with one of [`MAGICS`].
    pub(crate) fn parse(file: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::at(file, 0, Order::Little);
        let bytes = cursor.take(BYTES, "header")?;
        let mut cursor = Cursor::at(bytes, 4, Order::Little);
        let version_at = Place::new("version", cursor.offset());
        let (major, minor) = (cursor.u8("version")?, cursor.u8("version")?);
        if major != 2 {
            let hint = "write the model again with a current tool";
            return Err(FormatError::Version { at: version_at, found: major.into(), accepted: "2", hint });
        }
        let flags_at = cursor.offset();
        let header = Self {
            minor,
            flags: cursor.u16("flags")?,
            tensor_count: cursor.u32("tensor_count")?,
            metadata_offset: cursor.u64("metadata_offset")?,
            metadata_size: cursor.u32("metadata_size")?,
            index_offset: cursor.u64("index_offset")?,
            data_offset: cursor.u64("data_offset")?,
        };
        let checksum_at = cursor.offset();
        let stored = cursor.u32("header_crc32")?;
        check("header_crc32", checksum_at, stored, checksum(bytes))?;
        header.check_flags(flags_at)?;
        header.check_sections()?;
        Ok(header)
    }

    fn check_flags(&self, offset: u64) -> Result<(), FormatError> {
        let at = || Place::new("flags", offset);
        let known = FLAGS.iter().fold(0, |mask, (bit, _)| mask | bit);
        if self.flags & !known != 0 {
            return Err(FormatError::invalid(
                at(),
                format!("{:#06x}", self.flags),
                format!("bits of {known:#06x}"),
            ));
        }
        match FLAGS.iter().find(|(bit, refused)| self.flags & bit != 0 && refused.is_some()) {
            Some((bit, Some(what))) => {
                Err(FormatError::Unsupported { at: at(), what: format!("{what} (bit {bit:#06x})"), hint: "" })
            }
            _ => Ok(()),
        }
    }

    /// Metadata, index and data follow each other; where they end is checked against the file by their readers.
    fn check_sections(&self) -> Result<(), FormatError> {
        let too_many = u64::from(self.tensor_count) > limits::TENSOR_COUNT;
        if too_many {
            let (found, limit) = (self.tensor_count.into(), limits::TENSOR_COUNT);
            return Err(FormatError::TooLarge { at: Place::new("tensor_count", 8), found, limit });
        }
        let metadata_end = self.metadata_offset.saturating_add(self.metadata_size.into());
        let sections = [
            ("metadata_offset", 12, self.metadata_offset, BYTES),
            ("index_offset", 24, self.index_offset, metadata_end),
            ("data_offset", 32, self.data_offset, self.index_offset),
        ];
        for (field, offset, start, end_before) in sections {
            if start < end_before {
                let expected = format!("at least {end_before}, the end of what comes before");
                return Err(FormatError::invalid(Place::new(field, offset), start, expected));
            }
        }
        if !self.data_offset.is_multiple_of(ALIGNMENT.into()) {
            let at = Place::new("data_offset", 32);
            return Err(FormatError::invalid(at, self.data_offset, "a multiple of 64"));
        }
        Ok(())
    }

    /// The header as a file has it.
    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let mut fields = Vec::from(MAGICS[0]);
        fields.extend([2, self.minor]);
        fields.extend(self.flags.to_le_bytes());
        fields.extend(self.tensor_count.to_le_bytes());
        fields.extend(self.metadata_offset.to_le_bytes());
        fields.extend(self.metadata_size.to_le_bytes());
        fields.extend(self.index_offset.to_le_bytes());
        fields.extend(self.data_offset.to_le_bytes());
        let mut bytes = [0; LEN];
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        let crc = checksum(&bytes).to_le_bytes();
        for (byte, field) in bytes.iter_mut().skip(40).zip(crc) {
            *byte = field;
        }
        bytes
    }
}

/// CRC-32 of the header without the four bytes that hold it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..40).unwrap_or_default());
    hasher.update(bytes.get(44..).unwrap_or_default());
    hasher.finalize()
}

/// Compares a stored checksum with the computed one.
pub(crate) fn check(field: &'static str, offset: u64, stored: u32, computed: u32) -> Result<(), FormatError> {
    if stored == computed {
        return Ok(());
    }
    Err(FormatError::Checksum { at: Place::new(field, offset), stored, computed })
}
