//! Text to token ids and back, exactly as the tokenizer that a model was trained with.
//!
//! ```
//! use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};
//!
//! # fn main() -> Result<(), realizar_tokenize::TokenizeError> {
//! // The tokenizer part of a GGUF file's metadata, from whatever reads the file.
//! let vocab = GgufVocab {
//!     model: "gpt2",
//!     pre: Some("gpt-2"),
//!     tokens: vec![b"h", b"i", "Ġ".as_bytes(), b"hi", "Ġhi".as_bytes()],
//!     merges: vec![b"h i", "Ġ hi".as_bytes()],
//!     ..GgufVocab::default()
//! };
//! let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original)?;
//! let ids = tokenizer.encode_str("hi hi", EncodeOptions { add_special: false, parse_special: false })?;
//! assert_eq!(ids, [3, 4]);
//! let mut stream = tokenizer.stream();
//! assert_eq!(stream.push(ids[0])?, "hi");
//! assert_eq!(stream.push(ids[1])?, " hi");
//! # Ok(())
//! # }
//! ```
//!
//! Sources: GGUF metadata through a plain struct, SentencePiece `.model` files, tiktoken rank files, and, with the
//! feature `hf`, Hugging Face `tokenizer.json` and Mistral `tekken.json` files. Models: byte-pair encoding in its three
//! kinds, Unigram, WordPiece, whole words and characters, RWKV, PLaMo 2.
//!
//! The crate reads no files and knows no container formats; it has no chat templates; it trains nothing.
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
mod slots;
mod special;
mod spm;
mod stream;
mod text;
mod tiktoken;
mod tokenizer;
mod trie;
mod unicode;
mod unigram;
mod wanted;
mod wordpiece;

/// Number of a token in its vocabulary.
pub type TokenId = u32;

pub use error::{TokenizeError, Warning};
pub use gguf::{Compat, GgufVocab};
#[cfg(feature = "hf")]
pub use hf::Encoding;
pub use stream::StreamDecoder;
pub use tokenizer::{DecodeOptions, EncodeOptions, Encoded, Tokenizer};
