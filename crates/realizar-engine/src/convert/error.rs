//! Why a model could not be converted.

use std::path::PathBuf;

/// Why a model could not be converted. Nothing is left of what was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum ConvertError {
    #[error(transparent)]
    Model(#[from] realizar_model::ModelError),
    #[error(transparent)]
    Format(#[from] realizar_format::FormatError),
    #[error("the tokenizer cannot be carried over: {why}")]
    Tokenizer { why: String },
    #[error("cannot make a tokenizer of `{file}`")]
    BadTokenizer { file: &'static str, source: realizar_tokenize::TokenizeError },
    #[error("`{}` is what is read: give the new model another name", path.display())]
    SamePath { path: PathBuf },
    #[error("nothing is written as `.{ending}`: name a .gguf, .safetensors or .apr file, or a folder")]
    UnknownEnding { ending: String },
    #[error("`{}` is there already and is not empty", path.display())]
    FolderTaken { path: PathBuf },
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the file is one of {parts} parts of a model: name their folder")]
    OnePart { parts: u32 },
    #[error("the conversion was ended before it was done")]
    Cancelled,
    #[error("the model's file was changed while it was read")]
    Torn,
    #[error("metadata key `{key}` cannot be carried over: {why}")]
    Metadata { key: String, why: &'static str },
}
