//! Vocabularies that come in a GGUF file's metadata.

mod control;
mod decode;
mod encode;
mod load;
mod models;

use std::sync::Arc;

use crate::bpe::Bpe;
use crate::charsmap::CharsMap;
use crate::greedy::{Cover, Longest};
use crate::lexicon::Lexicon;
use crate::pretokenize::Passes;
use crate::special::Specials;
use crate::spm::Spm;
use crate::trie::Trie;
use crate::unigram::Unigram;
use crate::wordpiece::WordPiece;
use crate::{TokenId, Warning};

pub(crate) use control::ends_by_text as find_ends;
pub(crate) use load::byte_token;
#[cfg(feature = "hf")]
pub(crate) use load::hex_byte_tokens;

/// Whose ids a GGUF vocabulary gives where llama.cpp's port differs from the tokenizer that the model was trained
/// with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compat {
    /// The original's, as far as they are known.
    Original,
    /// llama.cpp's.
    LlamaCpp,
}

/// The tokenizer part of a GGUF file's metadata, as it stands there. Every field names its key.
#[derive(Debug, Clone, Default)]
pub struct GgufVocab<'a> {
    /// `tokenizer.ggml.model`
    pub model: &'a str,
    /// `tokenizer.ggml.pre`
    pub pre: Option<&'a str>,
    /// `tokenizer.ggml.tokens`
    pub tokens: Vec<&'a [u8]>,
    /// `tokenizer.ggml.scores`
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`
    pub types: Option<Vec<i32>>,
    /// `tokenizer.ggml.merges`
    pub merges: Vec<&'a [u8]>,
    /// `tokenizer.ggml.bos_token_id`
    pub bos: Option<TokenId>,
    /// `tokenizer.ggml.eos_token_id`
    pub eos: Option<TokenId>,
    /// `tokenizer.ggml.eot_token_id`
    pub eot: Option<TokenId>,
    /// `tokenizer.ggml.eom_token_id`
    pub eom: Option<TokenId>,
    /// `tokenizer.ggml.unknown_token_id`
    pub unk: Option<TokenId>,
    /// `tokenizer.ggml.seperator_token_id`
    pub sep: Option<TokenId>,
    /// `tokenizer.ggml.padding_token_id`
    pub pad: Option<TokenId>,
    /// `tokenizer.ggml.cls_token_id`
    pub cls: Option<TokenId>,
    /// `tokenizer.ggml.mask_token_id`
    pub mask: Option<TokenId>,
    /// `tokenizer.ggml.add_bos_token`
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_sep_token`
    pub add_sep: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces`
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.precompiled_charsmap`
    pub precompiled_charsmap: Option<&'a [u8]>,
    /// `tokenizer.ggml.normalizer.lowercase`
    pub lowercase: Option<bool>,
    /// `tokenizer.ggml.normalizer.strip_accents`
    pub strip_accents: Option<bool>,
    /// `general.name`
    pub name: Option<&'a str>,
    /// `general.architecture`
    pub architecture: Option<&'a str>,
}

/// What a token is, as bits; the numbers are llama.cpp's.
pub(crate) mod attr {
    pub(crate) const UNKNOWN: u16 = 1;
    pub(crate) const UNUSED: u16 = 2;
    pub(crate) const NORMAL: u16 = 4;
    pub(crate) const CONTROL: u16 = 8;
    pub(crate) const USER_DEFINED: u16 = 16;
    pub(crate) const BYTE: u16 = 32;
    pub(crate) const LSTRIP: u16 = 128;
    pub(crate) const RSTRIP: u16 = 256;
}

/// A GGUF vocabulary, ready to use.
#[derive(Debug)]
pub(crate) struct GgufTokenizer {
    /// The tokens as the file spells them.
    pub(crate) texts: Arc<Lexicon>,
    pub(crate) attrs: Vec<u16>,
    model: Model,
    specials: Specials,
    pub(crate) ids: Ids,
    pub(crate) eog: Vec<TokenId>,
    pub(crate) flags: Flags,
    compat: Compat,
    pub(crate) warnings: Vec<Warning>,
}

/// Ids with a meaning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ids {
    pub(crate) bos: Option<TokenId>,
    pub(crate) eos: Option<TokenId>,
    pub(crate) eot: Option<TokenId>,
    eom: Option<TokenId>,
    unk: Option<TokenId>,
    sep: Option<TokenId>,
}

/// What is done around the model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    add_space_prefix: bool,
    clean_spaces: bool,
    /// Spaces are U+2581 in tokens.
    escape_spaces: bool,
}

#[derive(Debug)]
enum Model {
    Bpe(BpeModel),
    Spm(Box<Spm>),
    WordPiece(BertModel),
    Unigram(UnigramModel),
    Longest(Longest),
    Cover(Cover),
}

/// Byte-pair encoding and what comes before it.
#[derive(Debug)]
struct BpeModel {
    bpe: Box<Bpe>,
    passes: Passes,
    nfc: bool,
    kind: BpeKind,
}

/// What makes a byte-pair vocabulary special.
#[derive(Debug)]
enum BpeKind {
    Plain,
    /// White space separates and vanishes.
    Whitespace {
        lowercase: bool,
    },
    /// Stretches between `<dna>` and `</dna>` are cut in sixes.
    Dna(Box<Dna>),
}

/// Tokens for DNA.
#[derive(Debug)]
struct Dna {
    begin: TokenId,
    end: TokenId,
    unknown: TokenId,
    words: Trie,
}

/// WordPiece and BERT's normaliser.
#[derive(Debug)]
struct BertModel {
    model: WordPiece,
    lowercase: bool,
    strip_accents: bool,
}

/// Unigram and SentencePiece's normaliser.
#[derive(Debug)]
struct UnigramModel {
    model: Unigram,
    map: Option<CharsMap>,
    /// Applied by grapheme, as the Hugging Face library does.
    by_grapheme: bool,
    user_defined: Trie,
    remove_extra_spaces: bool,
}
