//! From the MODEL argument to what a command needs of it.

use std::path::Path;

use bytes::Bytes;
use realizar_engine::Loaded;
use realizar_format::TensorSource;
use realizar_tokenize::{Compat, Tokenizer};

use crate::error::CliError;
use crate::{demo, output};

/// Opens a model file, or the embedded model.
pub(crate) fn source(model: &Path) -> Result<Box<dyn TensorSource>, CliError> {
    if model == Path::new(demo::NAME) {
        return Ok(realizar_format::parse(Bytes::from_static(demo::GGUF))?);
    }
    Ok(realizar_format::open(model)?)
}

/// Loads a model with its tokenizer.
pub(crate) fn model(model: &Path) -> Result<Loaded, CliError> {
    Ok(Loaded::new(source(model)?.as_ref(), Compat::Original)?)
}

/// Loads a tokenizer alone: the file need not hold weights.
pub(crate) fn tokenizer(model: &Path, compat: Compat) -> Result<Tokenizer, CliError> {
    Ok(realizar_engine::tokenizer(source(model)?.as_ref(), compat)?)
}

/// Tells what was noticed while loading.
pub(crate) fn warn(loaded: &Loaded, quiet: bool) {
    for warning in loaded.warnings() {
        output::note(quiet, &format!("warning: {warning}"));
    }
}
