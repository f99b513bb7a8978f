//! The one type that users hold.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Mutex;

use crate::bpe::BpeScratch;
use crate::gguf::{Compat, GgufTokenizer, GgufVocab, find_ends};
#[cfg(feature = "hf")]
use crate::hf::{Encoding, HfTokenizer, Lossy};
use crate::sentencepiece::SentencePiece;
use crate::sink::{Count, Ids, Placed, Sink};
use crate::stream::StreamDecoder;
use crate::tiktoken::Tiktoken;
use crate::wanted::Wanted;
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
    SentencePiece(Box<SentencePiece>, Vec<TokenId>),
    Tiktoken(Box<Tiktoken>, Vec<TokenId>),
    #[cfg(feature = "hf")]
    Hf(Box<HfTokenizer>, Vec<TokenId>),
}

impl Tokenizer {
    /// A tokenizer from a GGUF file's metadata.
    ///
    /// # Errors
    /// What is wrong with the vocabulary.
    pub fn from_gguf(vocab: &GgufVocab<'_>, compat: Compat) -> Result<Self, TokenizeError> {
        Ok(Self::of(Inner::Gguf(Box::new(GgufTokenizer::new(vocab, compat)?))))
    }

    /// A tokenizer from a Hugging Face `tokenizer.json`.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    #[cfg(feature = "hf")]
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizeError> {
        let inner = HfTokenizer::parse(bytes)?;
        let special: Vec<TokenId> = inner.specials().collect();
        let eog = find_ends(special.into_iter().map(|id| (id, inner.text(id))));
        Ok(Self::of(Inner::Hf(Box::new(inner), eog)))
    }

    /// A tokenizer from a SentencePiece `.model` file.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, TokenizeError> {
        let inner = SentencePiece::parse(bytes)?;
        let mut eog = find_ends((0..inner.texts.len() as u32).map(|id| (id, inner.texts.text(id))));
        eog.extend(inner.eos);
        eog.sort_unstable();
        eog.dedup();
        Ok(Self::of(Inner::SentencePiece(Box::new(inner), eog)))
    }

    /// A tokenizer from a tiktoken rank file. `pattern` is `gpt2`, `cl100k`, `o200k` or a regular expression;
    /// `special` are further tokens, found only where special tokens are asked for.
    ///
    /// # Errors
    /// What is wrong with the file, the pattern or the special tokens.
    pub fn from_tiktoken(
        ranks: &[u8],
        pattern: &str,
        special: &[(&str, TokenId)],
    ) -> Result<Self, TokenizeError> {
        let inner = Tiktoken::parse(ranks, pattern, special)?;
        let eog = find_ends(special.iter().map(|(text, id)| (*id, text.as_bytes())));
        Ok(Self::of(Inner::Tiktoken(Box::new(inner), eog)))
    }

    /// A tokenizer from Mistral's `tekken.json`.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    #[cfg(feature = "hf")]
    pub fn from_tekken(bytes: &[u8]) -> Result<Self, TokenizeError> {
        let inner = crate::hf::tekken::read(bytes)?;
        let eog = inner.eos.into_iter().collect();
        Ok(Self::of(Inner::Tiktoken(Box::new(inner), eog)))
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
        let mut ids = Ids::of(text.len());
        self.encode_into(text, Wanted::new(options), &mut ids, false)?;
        Ok(ids.ids)
    }

    /// The ids of a text of which others wrote a part, such as a chat: where `parse_special` is on, control tokens are not
    /// looked for where they would overlap one of the byte ranges `plain`. For the rest this is [`Tokenizer::encode`]: with no
    /// ranges all of it, with one of the whole text that without `parse_special`.
    ///
    /// ```
    /// # fn main() -> Result<(), realizar_tokenize::TokenizeError> {
    /// use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};
    ///
    /// let vocab = GgufVocab {
    ///     model: "gpt2",
    ///     pre: Some("gpt-2"),
    ///     tokens: vec![b"<end>", b"<", b"e", b"n", b"d", b">", b"nd"],
    ///     types: Some(vec![3, 1, 1, 1, 1, 1, 1]),
    ///     merges: vec![b"n d"],
    ///     ..GgufVocab::default()
    /// };
    /// let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original)?;
    /// let options = EncodeOptions { add_special: false, parse_special: true };
    /// // The first was typed by a user, the second is the template's.
    /// let ids = tokenizer.encode_guarded(b"<end><end>", std::slice::from_ref(&(0..5)), options)?;
    /// assert_eq!(ids, [1, 2, 6, 5, 0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Ranges that are not in order or not inside the text; else as [`Tokenizer::encode`].
    pub fn encode_guarded(
        &self,
        text: &[u8],
        plain: &[Range<usize>],
        options: EncodeOptions,
    ) -> Result<Vec<TokenId>, TokenizeError> {
        let wanted = Wanted::guarded(options, plain, text.len())?;
        let mut ids = Ids::of(text.len());
        self.encode_into(text, wanted, &mut ids, false)?;
        Ok(ids.ids)
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
        self.encode_into(text, Wanted::new(options), &mut placed, true)?;
        Ok(Encoded { ids: placed.ids, offsets: placed.offsets })
    }

    /// The number of ids, without collecting them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn count(&self, text: &[u8], options: EncodeOptions) -> Result<usize, TokenizeError> {
        let mut count = Count::default();
        self.encode_into(text, Wanted::new(options), &mut count, false)?;
        Ok(count.0)
    }

    /// Ids of many texts, in their order, on up to `threads` threads.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], for the first text that has one.
    pub fn encode_batch(
        &self,
        texts: &[&[u8]],
        options: EncodeOptions,
        threads: NonZeroUsize,
    ) -> Result<Vec<Vec<TokenId>>, TokenizeError> {
        let each = |texts: &[&[u8]]| -> Vec<Result<Vec<TokenId>, TokenizeError>> {
            texts.iter().map(|text| self.encode(text, options)).collect()
        };
        let share = texts.len().div_ceil(threads.get());
        if share >= texts.len() || cfg!(target_family = "wasm") {
            return each(texts).into_iter().collect();
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = texts.chunks(share).map(|part| scope.spawn(move || each(part))).collect();
            // A panic of a worker goes on in the caller.
            let parts =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            parts.flatten().collect()
        })
    }

    fn encode_into(
        &self,
        text: &[u8],
        wanted: Wanted<'_>,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        if text.len() > MAX_TEXT {
            return Err(TokenizeError::TextTooLong { bytes: text.len(), limit: MAX_TEXT });
        }
        let mut scratch = self.lend();
        let result = match &self.inner {
            Inner::Gguf(inner) => inner.encode(text, wanted, &mut scratch, sink, places),
            Inner::SentencePiece(inner, _) => inner.encode(text, wanted, &mut scratch, sink, places),
            Inner::Tiktoken(inner, _) => inner.encode(text, wanted, &mut scratch, sink),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => {
                let lossy = Lossy::new(text, places || wanted.is_guarded());
                let plain = lossy.ranges(wanted.plain());
                let (text, mut sink) = lossy.sink(sink);
                inner.encode(text, wanted.with_plain(&plain), &mut scratch, &mut sink, places)
            }
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
            Inner::Tiktoken(inner, _) => inner.words(text),
            Inner::SentencePiece(..) => Ok(vec![text.to_vec()]),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.words(&String::from_utf8_lossy(text)),
        }
    }

    /// Everything that the Hugging Face library gives for a text or a pair of texts; `None` for other sources. With
    /// `to_length` the file's truncation and padding are applied.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    #[cfg(feature = "hf")]
    pub fn encode_pair(
        &self,
        text: &str,
        pair: Option<&str>,
        options: EncodeOptions,
        to_length: bool,
    ) -> Result<Option<Encoding>, TokenizeError> {
        let Inner::Hf(inner, _) = &self.inner else { return Ok(None) };
        let mut scratch = self.lend();
        let result = inner.encoding(text, pair, Wanted::new(options), to_length, &mut scratch);
        self.give_back(scratch);
        result.map(Some)
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
            Inner::SentencePiece(inner, _) => inner.decode(ids, options.keep_special),
            Inner::Tiktoken(..) => {
                let mut out = Vec::new();
                for id in ids {
                    out.extend_from_slice(&self.token_bytes(*id, options.keep_special)?);
                }
                out
            }
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.decode(ids, options.keep_special)?.into_bytes(),
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
            Inner::SentencePiece(inner, _) => {
                let mut out = Vec::new();
                inner.push_piece(id, keep_special, &mut false, &mut out);
                Cow::Owned(out)
            }
            Inner::Tiktoken(inner, _) => match inner.special(id) {
                Some(_) if !keep_special => Cow::Borrowed(&[]),
                _ => Cow::Borrowed(inner.text_of(id)),
            },
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => Cow::Owned(inner.decode(&[id], keep_special)?.into_bytes()),
        })
    }

    /// Appends the bytes that a token adds to a stream; false where that depends on the tokens around it. `first`
    /// says that nothing has come before that counts, and is kept up to date.
    pub(crate) fn stream_piece(
        &self,
        id: TokenId,
        keep_special: bool,
        first: &mut bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, TokenizeError> {
        self.check(id, 0)?;
        match &self.inner {
            Inner::Gguf(inner) => {
                let piece = inner.piece(id, keep_special);
                let strip = *first && inner.strips_first_space();
                out.extend_from_slice(piece.strip_prefix(b" ").filter(|_| strip).unwrap_or(&piece));
                *first = false;
            }
            Inner::SentencePiece(inner, _) => inner.push_piece(id, keep_special, first, out),
            Inner::Tiktoken(..) => out.extend_from_slice(&self.token_bytes(id, keep_special)?),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => return Ok(inner.push_bytes(id, keep_special, out)),
        }
        Ok(true)
    }

    /// Whether decoding leaves the token out unless special tokens are kept.
    pub(crate) fn is_hidden(&self, id: TokenId) -> bool {
        match &self.inner {
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.is_special(id),
            _ => self.token_bytes(id, false).is_ok_and(|bytes| bytes.is_empty()),
        }
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
            Inner::SentencePiece(inner, _) => inner.texts.text(id),
            Inner::Tiktoken(inner, _) => inner.text_of(id),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.text(id),
        }
    }

    /// The id of a token as the vocabulary spells it.
    #[must_use]
    pub fn token_id(&self, text: &[u8]) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.texts.find(text),
            Inner::SentencePiece(inner, _) => inner.texts.find(text),
            Inner::Tiktoken(inner, _) => inner.find(text),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.find(text),
        }
    }

    /// Number of ids.
    #[must_use]
    pub fn vocab_len(&self) -> usize {
        match &self.inner {
            Inner::Gguf(inner) => inner.texts.len(),
            Inner::SentencePiece(inner, _) => inner.texts.len(),
            Inner::Tiktoken(inner, _) => inner.vocab_len(),
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => inner.vocab_len(),
        }
    }

    /// The token that begins a text.
    #[must_use]
    pub fn bos(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.bos,
            Inner::SentencePiece(inner, _) => inner.bos,
            Inner::Tiktoken(inner, _) => inner.bos,
            #[cfg(feature = "hf")]
            Inner::Hf(..) => None,
        }
    }

    /// The token that ends a text.
    #[must_use]
    pub fn eos(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.eos,
            Inner::SentencePiece(inner, _) => inner.eos,
            Inner::Tiktoken(inner, _) => inner.eos,
            #[cfg(feature = "hf")]
            Inner::Hf(..) => None,
        }
    }

    /// The token that ends a turn.
    #[must_use]
    pub fn eot(&self) -> Option<TokenId> {
        match &self.inner {
            Inner::Gguf(inner) => inner.ids.eot,
            _ => None,
        }
    }

    /// Whether encoding with `add_special` begins with [`Tokenizer::bos`].
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        match &self.inner {
            Inner::Gguf(inner) => inner.adds_bos(),
            Inner::SentencePiece(inner, _) => inner.bos.is_some(),
            Inner::Tiktoken(inner, _) => inner.bos.is_some(),
            #[cfg(feature = "hf")]
            Inner::Hf(..) => false,
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
            Inner::SentencePiece(_, eog) | Inner::Tiktoken(_, eog) => eog,
            #[cfg(feature = "hf")]
            Inner::Hf(_, eog) => eog,
        }
    }

    /// What is odd about the vocabulary.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        match &self.inner {
            Inner::Gguf(inner) => &inner.warnings,
            #[cfg(feature = "hf")]
            Inner::Hf(inner, _) => &inner.warnings,
            Inner::SentencePiece(inner, _) => &inner.warnings,
            Inner::Tiktoken(inner, _) => &inner.warnings,
        }
    }

    /// A decoder that takes one id at a time and gives out whole characters.
    #[must_use]
    pub fn stream(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self)
    }
}
