//! Our own routes: health, metrics, tokens and plain generation.

mod generate;
mod health;
mod tokens;

pub(crate) use generate::{batch_generate, generate, stream_generate};
pub(crate) use health::{health, livez, metrics, readyz};
pub(crate) use tokens::{apply_template, batch_tokenize, detokenize, tokenize};
