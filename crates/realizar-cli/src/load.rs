//! From the MODEL argument to what a command needs of it.

use std::path::Path;

use bytes::Bytes;
use realizar_engine::Loaded;
use realizar_format::TensorSource;
use realizar_tokenize::{Compat, TokenizeError, Tokenizer};

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

/// Makes a tokenizer of a file's bytes.
type Parse<'a> = &'a dyn Fn(&[u8]) -> Result<Tokenizer, TokenizeError>;

/// Loads a tokenizer alone: from a model that need not hold weights, or from a bare tokenizer file. `pattern` says how a
/// rank file's texts are cut.
pub(crate) fn tokenizer(path: &Path, compat: Compat, pattern: Option<&str>) -> Result<Tokenizer, CliError> {
    let bare: Option<Parse<'_>> = match (path.extension(), &pattern) {
        _ if path == Path::new(demo::NAME) => None,
        (_, Some(pattern)) => Some(&|bytes: &[u8]| Tokenizer::from_tiktoken(bytes, pattern, &[])),
        (Some(ending), None) if ending == "json" => Some(&|bytes: &[u8]| Tokenizer::from_json(bytes)),
        (Some(ending), None) if ending == "model" => {
            Some(&|bytes: &[u8]| Tokenizer::from_sentencepiece(bytes))
        }
        _ => None,
    };
    let Some(parse) = bare else {
        return Ok(realizar_engine::tokenizer(source(path)?.as_ref(), compat)?);
    };
    let bytes = std::fs::read(path).map_err(|error| CliError::file("read", path, error))?;
    parse(&bytes).map_err(|source| CliError::Tokenizer { path: path.to_string_lossy().into_owned(), source })
}

/// Tells what was noticed while loading.
pub(crate) fn warn(loaded: &Loaded, quiet: bool) {
    warn_of(loaded.warnings(), quiet);
}

/// As [`warn`], for any list of warnings.
pub(crate) fn warn_of(warnings: impl IntoIterator<Item: std::fmt::Display>, quiet: bool) {
    for warning in warnings {
        output::note(quiet, &format!("warning: {warning}"));
    }
}
