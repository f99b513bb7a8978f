//! `.apr` of version 1: classic models, which are shown and not run.
//!
//! ```text
//! 0 "APRN" | 4 version u8, u8 | 6 model_type u16 | 8 metadata_size u32 | 12 payload_size u32
//! 16 uncompressed_size u32 | 20 compression u8 | 21 flags u8 | 22 quality u8 | 23 zeros
//! 32 metadata (MessagePack) | payload | crc32 of all bytes before it
//! ```

use std::path::Path;

use bytes::Bytes;

use crate::apr::header::check;
use crate::apr::message_pack;
use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place};
use crate::facts::Facts;
use crate::map::{self, Access, Links, Opened};
use crate::sniff;
use crate::value::Value;

pub(crate) const MAGIC: &[u8] = b"APRN";

const MODEL_TYPES: &[(u16, &str)] = &[
    (1, "linear regression"),
    (2, "logistic regression"),
    (3, "decision tree"),
    (4, "random forest"),
    (5, "gradient boosting"),
    (6, "k-means"),
    (7, "principal components"),
    (8, "naive Bayes"),
    (9, "nearest neighbours"),
    (10, "support vector machine"),
    (0x10, "n-gram language model"),
    (0x11, "TF-IDF"),
    (0x12, "count vectoriser"),
    (0x20, "sequential network"),
    (0x21, "custom network"),
    (0x30, "recommender"),
    (0x40, "mixture of experts"),
    (0xff, "custom"),
];

const COMPRESSIONS: [&str; 4] = ["none", "zstd level 3", "zstd level 19", "LZ4"];

/// What an `.apr` file of version 1 says about itself. Its payload is a serialised value of some program's type, and
/// is not read.
#[derive(Debug, Clone)]
pub struct AprV1 {
    /// The kind of model.
    pub model_type: &'static str,
    /// How the payload is compressed.
    pub compression: &'static str,
    /// Bytes of the payload in the file.
    pub payload_bytes: u32,
    /// Bytes of the payload when it is decompressed.
    pub uncompressed_bytes: u32,
    metadata: Facts,
}

impl AprV1 {
    /// Checks a file. It is mapped: its payload may be large.
    ///
    /// # Errors
    ///
    /// The path cannot be opened, is no regular file, or what is there is no valid file of version 1.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref();
        match map::open(path, Links::Follow)? {
            Opened::File(file, len) => {
                let bytes = map::load(path, &file, len, Access::Map)?;
                Self::parse(&bytes).map_err(|error| error.in_file(Some(path)))
            }
            Opened::Folder => Err(FormatError::NotAFile { path: path.to_path_buf(), found: "a folder" }),
        }
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    ///
    /// The bytes are no valid file of version 1.
    pub fn parse(bytes: &Bytes) -> Result<Self, FormatError> {
        if !bytes.starts_with(MAGIC) {
            return Err(sniff::bad_magic(bytes));
        }
        let mut cursor = Cursor::at(bytes, 4, Order::Little);
        let major = cursor.u8("version")?;
        if major != 1 {
            let hint = "this magic belongs to version 1";
            let at = Place::new("version", 4);
            return Err(FormatError::Version { at, found: major.into(), accepted: "1", hint });
        }
        cursor.u8("version")?;
        let model_type = cursor.u16("model_type")?;
        let metadata_size = cursor.u32("metadata_size")?;
        let payload_bytes = cursor.u32("payload_size")?;
        let uncompressed_bytes = cursor.u32("uncompressed_size")?;
        let at = cursor.offset();
        let compression = cursor.u8("compression")?;
        let Some(compression) = COMPRESSIONS.get(usize::from(compression)) else {
            return Err(FormatError::invalid(Place::new("compression", at), compression, "0 to 3"));
        };
        cursor.take(11, "header")?;
        let metadata_at = cursor.offset();
        let packed = cursor.take(metadata_size.into(), "metadata")?;
        cursor.take(payload_bytes.into(), "payload")?;
        let (end, at) = (cursor.pos(), cursor.offset());
        let stored = cursor.u32("footer_crc32")?;
        check("footer_crc32", at, stored, crc32fast::hash(bytes.get(..end).unwrap_or_default()))?;
        let mut metadata = Facts::default();
        metadata.add("", message_pack::parse(packed, metadata_at)?);
        Ok(Self {
            model_type: MODEL_TYPES
                .iter()
                .find(|(id, _)| *id == model_type)
                .map_or("unknown", |(_, name)| name),
            compression,
            payload_bytes,
            uncompressed_bytes,
            metadata: metadata.index(|| Place::new("metadata", metadata_at))?,
        })
    }

    /// The value of a metadata key.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.metadata.get(key)
    }

    /// All metadata keys.
    pub fn metadata_keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.names()
    }
}

/// The error for a file of version 1 where a model that runs is wanted.
pub(crate) fn refuse() -> FormatError {
    let hint =
        "this is a classic model, not a transformer; write it again as version 2 with the tool that made it";
    FormatError::Version { at: Place::new("version", 4), found: 1, accepted: "2", hint }
}
