//! One message and one exit code for everything that can go wrong.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::output;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    #[error("cannot read standard input")]
    Stdin(#[source] io::Error),
    #[error("cannot {action} `{}`", path.escape_debug())]
    File { action: &'static str, path: String, source: io::Error },
    #[error("cannot make a tokenizer of `{}`", path.escape_debug())]
    Tokenizer { path: String, source: realizar_tokenize::TokenizeError },
    #[error("line {line} of standard input: {message}")]
    Line { line: usize, message: String },
    #[error("cannot serve")]
    Runtime(#[source] io::Error),
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
    #[error("the model file was shortened while it was in use: the result is worth nothing")]
    Torn,
    #[error("cannot write JSON")]
    Json(#[source] serde_json::Error),
    #[error("{0}")]
    Unavailable(String),
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Quantize(#[from] crate::commands::quantize::QuantizeError),
    #[error(transparent)]
    Convert(#[from] realizar_engine::ConvertError),
    #[error("cannot convert `{}`", path.escape_debug())]
    ConvertOf { path: String, source: Box<realizar_engine::ConvertError> },
    #[error(transparent)]
    Http(#[from] realizar_http::HttpError),
    #[error(transparent)]
    Engine(#[from] realizar_engine::EngineError),
    #[error(transparent)]
    Format(#[from] realizar_format::FormatError),
    #[error(transparent)]
    Model(#[from] realizar_model::ModelError),
    #[error(transparent)]
    Sample(#[from] realizar_sample::SampleError),
    #[error(transparent)]
    Tensor(#[from] realizar_tensor::TensorError),
    #[error(transparent)]
    Tokenize(#[from] realizar_tokenize::TokenizeError),
}

impl CliError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::File { action, path: PathBuf::from(path).to_string_lossy().into_owned(), source }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// The message and its causes, on one line, with nothing in it that a terminal would obey.
    pub(crate) fn to_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // A transparent level says the same words again.
            if !line.ends_with(&message) {
                line.push_str(": ");
                line.push_str(&message);
            }
            cause = error.source();
        }
        output::one_line(&line)
    }
}
