//! The one type that users hold.

use std::borrow::Cow;
use std::sync::Mutex;

use crate::bpe::BpeScratch;
use crate::gguf::{Compat, GgufTokenizer, GgufVocab};
use crate::sink::{Count, Placed, Sink};
use crate::stream::StreamDecoder;
use crate::{TokenId, TokenizeError, Warning};

/// What `encode` does besides turning text into ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Adds what the model wants at the ends (BOS, EOS, CLS, SEP).
    pub add_special: bool,
    /// Reads the text of control tokens in the input as those tokens. Leave it off for text that users wrote.
    pub parse_special: bool,
}

/// What `decode` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Shows control tokens by their text.
    pub keep_special: bool,
    /// Removes spaces before punctuation and contractions, where the vocabulary's file route does so.
    pub clean_spaces: bool,
    /// Leaves out a BOS at the beginning and an EOS at the end, where encoding adds them.
    pub strip_ends: bool,
}

/// Ids, and the stretch of the input that each stands for, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<TokenId>,
    /// Start and end for each id; equal where an id stands for nothing in the input.
    pub offsets: Vec<(usize, usize)>,
}

/// Longest text that is encoded in one go.
const MAX_TEXT: usize = u32::MAX as usize / 4;

/// A tokenizer of any kind.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    /// Working memory that calls lend each other.
    scratch: Mutex<Vec<BpeScratch>>,
}

#[derive(Debug)]
enum Inner {
    Gguf(Box<GgufTokenizer>),
}

impl Tokenizer {
    /// A tokenizer from a GGUF file's metadata.
    ///
    /// # Errors
    /// What is wrong with the vocabulary.
    pub fn from_gguf(vocab: &GgufVocab<'_>, compat: Compat) -> Result<Self, TokenizeError> {
        Ok(Self::of(Inner::Gguf(Box::new(GgufTokenizer::new(vocab, compat)?))))
    }

    fn of(inner: Inner) -> Self {
        Self { inner, scratch: Mutex::new(Vec::new()) }
    }

    /// The ids of a text. It need not be UTF-8: what cannot be read becomes U+FFFD or byte tokens, as the vocabulary's
    /// reference does it.
    ///
    /// # Errors
    /// A byte that has no token, or a text that is too long.
    pub fn encode(&self, text: &[u8], options: EncodeOptions) -> Result<Vec<TokenId>, TokenizeError> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 4);
        self.encode_into(text, options, &mut ids, false)?;
        Ok(ids)
    }

    /// The same for text that is known to be UTF-8.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_str(&self, text: &str, options: EncodeOptions) -> Result<Vec<TokenId>, TokenizeError> {
        self.encode(text.as_bytes(), options)
    }

    /// Ids with their places in the input.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &[u8], options: EncodeOptions) -> Result<Encoded, TokenizeError> {
        let mut placed = Placed::default();
        self.encode_into(text, options, &mut placed, true)?;
        Ok(Encoded { ids: placed.ids, offsets: placed.offsets })
    }

    /// The number of ids, without collecting them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn count(&self, text: &[u8], options: EncodeOptions) -> Result<usize, TokenizeError> {
        let mut count = Count::default();
        self.encode_into(text, options, &mut count, false)?;
        Ok(count.0)
    }

    fn encode_into(
        &self,
        text: &[u8],
        options: EncodeOptions,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        if text.len() > MAX_TEXT {
            return Err(TokenizeError::TextTooLong { bytes: text.len(), limit: MAX_TEXT });
        }
        let mut scratch = self.lend();
        let result = match &self.inner {
            Inner::Gguf(inner) => inner.encode(text, options, &mut scratch, sink, places),
        };
        self.give_back(scratch);
        result
    }

    fn lend(&self) -> BpeScratch {
        self.scratch.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default()
    }

    fn give_back(&self, scratch: BpeScratch) {
        if let Ok(mut pool) = self.scratch.lock() {
            pool.push(scratch);
        }
    }

    /// The words into which text without special tokens is cut before the model sees them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn words(&self, text: &[u8]) -> Result<Vec<Vec<u8>>, TokenizeError> {
        match &self.inner {
            Inner::Gguf(inner) => inner.words(text),
        }
    }

    /// The bytes that ids stand for.
    ///
    /// # Errors
    /// An id outside the vocabulary, with its index.
    pub fn decode(&self, ids: &[TokenId], options: DecodeOptions) -> Result<Vec<u8>, TokenizeError> {
        for (index, id) in ids.iter().enumerate() {
            self.check(*id, index)?;
        }
        Ok(match &self.inner {
            Inner::Gguf(inner) => inner.decode(ids, options),
        })
    }

    /// The bytes of one token on its own; nothing for a control token unless it is kept.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn token_bytes(&self, id: TokenId, keep_special: bool) -> Result<Cow<'_, [u8]>, TokenizeError> {
        self.check(id, 0)?;
        Ok(match &self.inner {
            Inner::Gguf(inner) => inner.piece(id, keep_special),
        })
    }

    fn check(&self, id: TokenId, index: usize) -> Result<(), TokenizeError> {
        let vocab = self.vocab_len();
        if (id as usize) < vocab { Ok(()) } else { Err(TokenizeError::IdOutOfRange { id, index, vocab }) }
    }

    /// The token as the vocabulary spells it.
    #[must_use]
    pub fn token_text(&self, id: TokenId) -> &[u8] {
        match &self.inner {
            Inner::Gguf(inner) => inner.texts.text(id),
        }
    }

    /// The id of a token as the vocabulary spells it.
    #[must_use]
    pub fn token_id(&self, text: &[u8]) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.texts.find(text),
        }
    }

    /// Number of ids.
    #[must_use]
    pub fn vocab_len(&self) -> usize {
        match &self.inner {
            Inner::Gguf(inner) => inner.texts.len(),
        }
    }

    /// The token that begins a text.
    #[must_use]
    pub fn bos(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.bos,
        }
    }

    /// The token that ends a text.
    #[must_use]
    pub fn eos(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.eos,
        }
    }

    /// The token that ends a turn.
    #[must_use]
    pub fn eot(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.eot,
        }
    }

    /// Whether encoding with `add_special` begins with [`Tokenizer::bos`].
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        match &self.inner {
            Inner::Gguf(inner) => inner.flags.add_bos,
        }
    }

    /// Whether the token ends a generation.
    #[must_use]
    pub fn is_eog(&self, id: TokenId) -> bool {
        self.eog_ids().binary_search(&id).is_ok()
    }

    /// All tokens that end a generation, ascending.
    #[must_use]
    pub fn eog_ids(&self) -> &[TokenId] {
        match &self.inner {
            Inner::Gguf(inner) => &inner.eog,
        }
    }

    /// What is odd about the vocabulary.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        match &self.inner {
            Inner::Gguf(inner) => &inner.warnings,
        }
    }

    /// A decoder that takes one id at a time and gives out whole characters.
    #[must_use]
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }

    pub(crate) fn strips_first_space(&self) -> bool {
        match &self.inner {
            Inner::Gguf(inner) => inner.strips_first_space(),
        }
    }
}
