//! Text to token ids and back, exactly as the original tokenizers.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod base64;
mod bpe;
mod bytelevel;
mod charsmap;
mod error;
mod gguf;
mod greedy;
#[cfg(feature = "hf")]
mod hf;
mod lexicon;
mod pattern;
mod pretokenize;
mod sentencepiece;
mod sink;
mod special;
mod spm;
mod stream;
mod text;
mod tiktoken;
mod tokenizer;
mod trie;
mod unicode;
mod unigram;
mod wordpiece;

/// Number of a token in its vocabulary.
pub type TokenId = u32;

pub use error::{TokenizeError, Warning};
pub use gguf::{Compat, GgufVocab};
#[cfg(feature = "hf")]
pub use hf::Encoding;
pub use stream::StreamDecoder;
pub use tokenizer::{DecodeOptions, EncodeOptions, Encoded, Tokenizer};
