//! Opens whatever a path or a piece of memory holds, judged by content.

use std::path::Path;

use bytes::Bytes;

use crate::apr::Apr;
use crate::error::FormatError;
use crate::gguf::{self, Gguf};
use crate::hf_folder::HfFolder;
use crate::map::{self, Access, Links, Opened};
use crate::safetensors::Safetensors;
use crate::sniff::{self, Kind};
use crate::source::TensorSource;

/// Opens a model file, or a model folder as Hugging Face lays it out, and checks all of it. The format is told from
/// the content, not from the name. A safetensors file beside a `config.json` is opened together with the texts of its
/// folder, as [`HfFolder`] has them, unless its own metadata holds the text of a `gguf.json`.
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
    match map::open(path, Links::Follow)? {
        Opened::File(file, len) => {
            let bytes = map::load(path, &file, len, access)?;
            match sniff::kind(&bytes) {
                Kind::Gguf => gguf::gather(Gguf::from_file(path, bytes)?, path, access),
                Kind::Safetensors => HfFolder::around(Safetensors::from_file(path, bytes)?, path, access),
                Kind::Apr => Ok(Box::new(Apr::from_file(path, bytes, access)?)),
            }
        }
        Opened::Folder => Ok(Box::new(HfFolder::open_with(path, access)?)),
    }
}

/// Checks a model file that is in memory, such as an embedded one.
///
/// # Errors
///
/// What is there is not a valid model file.
pub fn parse(bytes: Bytes) -> Result<Box<dyn TensorSource>, FormatError> {
    match sniff::kind(&bytes) {
        Kind::Gguf => {
            let gguf = Gguf::parse(bytes)?;
            gguf::refuse_part(&gguf)?;
            Ok(Box::new(gguf))
        }
        Kind::Safetensors => HfFolder::alone(Safetensors::parse(bytes)?),
        Kind::Apr => Ok(Box::new(Apr::parse(bytes)?)),
    }
}
