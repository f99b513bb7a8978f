//! Opens whatever a path or a piece of memory holds, judged by content.

use std::path::Path;

use bytes::Bytes;

use crate::error::FormatError;
use crate::gguf::Gguf;
use crate::map::{self, Access, Opened};
use crate::source::TensorSource;

/// Opens a model file and checks all of it. The format is told from the content, not from the name.
///
/// # Errors
///
/// The path cannot be opened, is neither a regular file nor a model folder, or what is there is not valid.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn TensorSource>, FormatError> {
    open_with(path.as_ref(), Access::Map)
}

/// As [`open`], with a choice of how files come into memory.
///
/// # Errors
///
/// As for [`open`].
pub fn open_with(path: &Path, access: Access) -> Result<Box<dyn TensorSource>, FormatError> {
    match map::open(path)? {
        Opened::File(file, len) => {
            let bytes = map::load(path, &file, len, access)?;
            Ok(Box::new(Gguf::from_file(path, bytes)?))
        }
        Opened::Folder => Err(FormatError::NotAFile { path: path.to_path_buf(), found: "a folder" }),
    }
}

/// Checks a model file that is in memory, such as an embedded one.
///
/// # Errors
///
/// What is there is not a valid model file.
pub fn parse(bytes: Bytes) -> Result<Box<dyn TensorSource>, FormatError> {
    Ok(Box::new(Gguf::parse(bytes)?))
}
