//! Files whose content behind the header is one compressed block.
//!
//! LZ4: `size u32 | one LZ4 block`; Zstandard: one frame. The offsets in the header count in header and content as if
//! it were not compressed. The flags alone prove nothing: the genuine writer sets LZ4's and compresses nothing.

#[cfg(feature = "compression")]
pub(crate) use crate::apr::decompress::decompress;
use crate::apr::header::{Header, LZ4, ZSTD};

/// Refuses what this build cannot decompress.
#[cfg(not(feature = "compression"))]
pub(crate) fn decompress(_: &bytes::Bytes, header: &Header) -> Result<bytes::Bytes, crate::FormatError> {
    use crate::error::{FormatError, Place};

    let what = if header.flags & ZSTD != 0 { "Zstandard" } else { "LZ4" };
    let hint = ", this build lacks the feature `compression`";
    Err(FormatError::Unsupported { at: Place::new("flags", 6), what: format!("compression by {what}"), hint })
}

/// Whether the header says that the content is compressed.
pub(crate) fn is_flagged(header: &Header) -> bool {
    header.flags & (LZ4 | ZSTD) != 0
}
