//! What a file is, told from its first bytes.

use crate::apr;
use crate::error::FormatError;
use crate::escape::Escaped;

pub(crate) const GGUF: &[u8] = b"GGUF";

/// The formats that a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gguf,
    Safetensors,
    Apr,
}

/// What a file is. A file that is nothing is left to the GGUF reader, which says what its first bytes look like.
pub(crate) fn kind(bytes: &[u8]) -> Kind {
    if apr::is_v1(bytes) || apr::is_v2(bytes) {
        return Kind::Apr;
    }
    // A header's length, and JSON behind it. What is too long is refused by the reader, who says so; text has no zeros.
    let len = bytes.first_chunk().map_or(0, |len| u64::from_le_bytes(*len));
    let json = bytes.get(8..).unwrap_or_default().trim_ascii_start().starts_with(b"{");
    if !bytes.starts_with(GGUF) && json && len > 0 && len < 1 << 40 {
        return Kind::Safetensors;
    }
    Kind::Gguf
}

/// First bytes of files that are met where a model was expected, and what to do about them.
const LOOK_ALIKES: &[(&[u8], &str)] = &[
    (b"GGML", "this is an old ggml file, convert the original model again"),
    (b"lmgg", "this is an old ggml file, convert the original model again"),
    (b"tjgg", "this is an old ggjt file, convert the original model again"),
    (b"fmgg", "this is an old ggmf file, convert the original model again"),
    (b"APR1", "this is an early .apr file for Whisper, which is not read"),
    (b"PK\x03\x04", "this is a zip archive, perhaps PyTorch weights; convert them to safetensors"),
    (b"\x80\x02", "this is a Python pickle, which is never read; convert it to safetensors"),
    (b"\x80\x04", "this is a Python pickle, which is never read; convert it to safetensors"),
    (b"<!DO", "this is a web page, the download went wrong"),
    (b"<!do", "this is a web page, the download went wrong"),
    (b"<htm", "this is a web page, the download went wrong"),
    (b"<HTM", "this is a web page, the download went wrong"),
    (b"version https://git-lfs", "this is a git-lfs pointer, fetch the real file with `git lfs pull`"),
    (b"{", "this is JSON; name the model's folder, or the file that holds the weights"),
    (b"\x89HDF", "this is an HDF5 file; convert it to safetensors"),
    (b"\x1f\x8b", "this is a gzip file, unpack it first"),
];

/// The error for bytes that begin like no format in use here.
pub(crate) fn bad_magic(bytes: &[u8]) -> FormatError {
    let head = bytes.get(..4).unwrap_or(bytes);
    let found = match head.len() {
        4 => format!("found \"{}\"", Escaped(head)),
        len => format!("the file has {len} bytes"),
    };
    let hint = LOOK_ALIKES
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map_or("a GGUF, safetensors or .apr file was expected", |(_, hint)| *hint);
    FormatError::Magic { found, hint }
}
