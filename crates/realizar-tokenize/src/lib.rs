//! Text to token ids and back, exactly as the original tokenizers.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bpe;
mod bytelevel;
mod charsmap;
mod error;
mod gguf;
mod greedy;
mod lexicon;
mod pattern;
mod pretokenize;
mod sink;
mod special;
mod spm;
mod stream;
mod text;
mod tokenizer;
mod trie;
mod unicode;
mod unigram;
mod wordpiece;

/// Number of a token in its vocabulary.
pub type TokenId = u32;

pub use error::{TokenizeError, Warning};
pub use gguf::{Compat, GgufVocab};
pub use stream::StreamDecoder;
pub use tokenizer::{DecodeOptions, EncodeOptions, Encoded, Tokenizer};
