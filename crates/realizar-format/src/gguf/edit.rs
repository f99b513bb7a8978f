//! Changes the metadata of a GGUF file. What the tensors hold is carried over as it is, never decoded.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{FormatError, Place};
use crate::gguf::reader::Gguf;
use crate::gguf::writer::GgufWriter;
use crate::packed::put;
use crate::source::TensorSource;
use crate::value::Value;

/// One change of a file's metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edit<'a> {
    /// Gives the key this value: in its place if the key is there, else behind all others.
    Set(&'a str, Value<'a>),
    /// Removes the key, if it is there.
    Remove(&'a str),
}

impl<'a> Edit<'a> {
    fn key(&self) -> &'a str {
        match self {
            Self::Set(key, _) | Self::Remove(key) => key,
        }
    }
}

/// Writes `input` with changed metadata to `output`, which may be the same path. Of several edits of one key the
/// last counts. The tensors' bytes are copied one after the other, whatever their size.
///
/// # Errors
///
/// `input` is not a valid little-endian GGUF file, a value is one that the reader would refuse, or `output` cannot
/// be written; it is as before then.
pub fn edit_metadata(input: &Path, output: &Path, edits: &[Edit<'_>]) -> Result<(), FormatError> {
    let gguf = Gguf::open(input)?;
    if gguf.header().is_big_endian() {
        let what = "editing a big-endian file".to_owned();
        let error =
            FormatError::Unsupported { at: Place::new("endianness", 4), what, hint: ", convert it first" };
        return Err(error.in_file(Some(input)));
    }
    let edit_of = |key: &str| edits.iter().rfind(|edit| edit.key() == key);
    let mut writer = GgufWriter::new();
    for key in gguf.metadata_keys() {
        let value = match edit_of(key) {
            Some(Edit::Remove(_)) => None,
            Some(Edit::Set(_, value)) => Some(*value),
            None => gguf.metadata(key),
        };
        if let Some(value) = value {
            writer.metadata(key, value)?;
        }
    }
    for (index, edit) in (1..).zip(edits) {
        let later = edits.iter().skip(index).any(|later| later.key() == edit.key());
        if let (Edit::Set(key, value), None, false) = (edit, gguf.metadata(edit.key()), later) {
            writer.metadata(key, *value)?;
        }
    }
    for tensor in gguf.tensors() {
        writer.tensor(tensor.name, tensor.dtype, tensor.shape)?;
    }
    let mut data = writer.create(output)?;
    for tensor in gguf.tensors() {
        data.write(&tensor.data).map_err(|error| error.in_file(Some(output)))?;
    }
    data.finish()?.commit()
}

/// Overwrites one value where it stands, in one small write: nothing else of the file is touched, however large it is.
///
/// # Errors
///
/// The key is missing, its value has another type or (for strings) another length, it is an array, or the file
/// cannot be written. `general.alignment` is refused: the tensors lie as it says.
pub fn overwrite_metadata(path: &Path, key: &str, value: Value<'_>) -> Result<(), FormatError> {
    let gguf = Gguf::open(path)?;
    let refuse = |error: FormatError| Err(error.in_file(Some(path)));
    let Some(old) = gguf.metadata(key) else {
        return refuse(FormatError::MissingKey { key: key.to_owned() });
    };
    let text_len = |value: &Value<'_>| value.as_text().map(|text| text.as_bytes().len());
    let same = old.value_type() == value.value_type() && text_len(&old) == text_len(&value);
    if !same || old.as_array().is_some() || key == "general.alignment" || gguf.header().is_big_endian() {
        let expected = "a single value of the same type and length, in a little-endian file";
        return refuse(FormatError::WrongType {
            key: key.to_owned(),
            found: format!("{} {value}", value.value_type()),
            expected,
        });
    }
    // Behind the key come the type (4 bytes) and the value.
    let entry = 8_u64.saturating_add(key.len() as u64).saturating_add(4);
    let at = gguf.header().key_offset(key).saturating_add(entry);
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    let fail = |source| FormatError::Io { action: "write", path: path.to_path_buf(), source };
    let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
    file.seek(SeekFrom::Start(at)).map_err(fail)?;
    file.write_all(&bytes).map_err(fail)?;
    file.sync_all().map_err(fail)
}
