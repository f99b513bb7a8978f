//! Decompresses the content of an `.apr` file, with bounds on what comes out.

use std::io::Read;

use bytes::Bytes;

use crate::apr::header::{BYTES, Header, ZSTD};
use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place, reserve};
use crate::limits;

/// The file with its content decompressed.
pub(crate) fn decompress(file: &Bytes, header: &Header) -> Result<Bytes, FormatError> {
    let start = usize::try_from(BYTES).unwrap_or_default();
    let (head, blob) = file.split_at_checked(start).unwrap_or_default();
    let mut out = Vec::from(head);
    if header.flags & ZSTD != 0 {
        zstd(blob, &mut out)?;
    } else {
        lz4(blob, &mut out)?;
    }
    Ok(out.into())
}

fn broken(what: &str, reason: &dyn std::fmt::Display) -> FormatError {
    let found = crate::escape::Escaped(reason.to_string().as_bytes()).to_string();
    FormatError::invalid(Place::new("compressed", BYTES), found, format!("content compressed by {what}"))
}

fn lz4(blob: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    /// No LZ4 block expands more than this.
    const RATIO: u64 = 255;
    let mut cursor = Cursor::at(blob, 0, Order::Little);
    let size = cursor.u32("compressed")?;
    let block = cursor.take(cursor.left(), "compressed")?;
    let at = || Place::new("uncompressed_size", BYTES);
    let limit = (block.len() as u64).saturating_mul(RATIO);
    if u64::from(size) > limit {
        return Err(FormatError::TooLarge { at: at(), found: size.into(), limit });
    }
    let head = out.len();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    reserve(out, size, at)?;
    out.resize(head.saturating_add(size), 0);
    let room = out.get_mut(head..).unwrap_or_default();
    let written = lz4_flex::block::decompress_into(block, room).map_err(|error| broken("LZ4", &error))?;
    if written != size {
        return Err(FormatError::invalid(at(), format!("{written} bytes"), format!("the {size} announced")));
    }
    Ok(())
}

fn zstd(blob: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    /// Weights do not compress like this; bombs do.
    const RATIO: u64 = 1_024;
    let limit = (blob.len() as u64).saturating_mul(RATIO);
    let mut rest = blob;
    let decoder =
        ruzstd::decoding::StreamingDecoder::new_with_max_window_size(&mut rest, limits::ZSTD_WINDOW_BYTES);
    let mut decoder = decoder.map_err(|error| broken("Zstandard", &error))?;
    let head = out.len() as u64;
    let read = decoder.by_ref().take(limit.saturating_add(1)).read_to_end(out);
    read.map_err(|error| broken("Zstandard", &error))?;
    let found = (out.len() as u64).saturating_sub(head);
    if found > limit {
        return Err(FormatError::TooLarge { at: Place::new("uncompressed_size", BYTES), found, limit });
    }
    Ok(())
}
