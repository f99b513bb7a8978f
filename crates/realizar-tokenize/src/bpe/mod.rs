//! Byte-pair encoding by a list of merges.

mod cache;
pub(crate) mod merge;
mod table;

use crate::lexicon::{Lexicon, hash};
use crate::sink::Sink;
use crate::unigram::Lattice;
use crate::{TokenId, TokenizeError, Warning, unicode};
pub(crate) use cache::WordCache;
use merge::{Merger, NO_SYMBOL, Pairs};
use table::Merges;

/// From what a word is built up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Byte,
    Char,
}

/// A token for the GPT-2 byte alphabet, a byte token, or nothing.
type ByteTokens = [Option<TokenId>; 256];

/// What becomes of a symbol that is no token.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    /// Tokens of single bytes.
    pub(crate) bytes: Box<ByteTokens>,
    /// What becomes of the whole symbol where some of its bytes has no token.
    pub(crate) unknown: Unknown,
}

impl Fallback {
    /// A symbol that is no token: by its bytes, or as unknown. `waiting` is the run of unknown symbols before it.
    pub(crate) fn emit(
        &self,
        symbol: &[u8],
        base: usize,
        waiting: &mut Waiting,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        let token_of = |byte: u8| self.bytes.get(byte as usize).copied().flatten();
        let Some(at) = symbol.iter().position(|byte| token_of(*byte).is_none()) else {
            self.flush(waiting, sink);
            for (at, byte) in (base..).zip(symbol) {
                if let Some(id) = token_of(*byte) {
                    sink.token(id, at, at + 1);
                }
            }
            return Ok(());
        };
        let end = base + symbol.len();
        match self.unknown {
            Unknown::Refuse => {
                let byte = symbol.get(at).copied().unwrap_or(0);
                return Err(TokenizeError::NoToken { byte, offset: base + at });
            }
            Unknown::Drop => {}
            Unknown::Token(id) => sink.token(id, base, end),
            Unknown::Fused(_) => waiting.0 = Some((waiting.0.map_or(base, |run| run.0), end)),
        }
        Ok(())
    }

    /// Ends a run of unknown symbols.
    #[inline]
    pub(crate) fn flush(&self, waiting: &mut Waiting, sink: &mut dyn Sink) {
        if let (Some((start, end)), Unknown::Fused(id)) = (waiting.0.take(), self.unknown) {
            sink.token(id, start, end);
        }
    }
}

/// Neighbouring unknown symbols that will be one token.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<(usize, usize)>);

/// A symbol that cannot be spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// An error names it.
    Refuse,
    /// It vanishes, as in the reference implementations of byte-level vocabularies; loading warns.
    Drop,
    /// One token for each.
    Token(TokenId),
    /// One token for each run.
    Fused(TokenId),
}

/// What older vocabularies write at the parts of a word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Affixes {
    /// Before every part but the first.
    pub(crate) prefix: Vec<u8>,
    /// Behind the last character.
    pub(crate) suffix: Vec<u8>,
}

/// Merges and pieces. A piece's number is its token's id; parts of merges that are no tokens follow.
#[derive(Debug, Clone)]
pub(crate) struct Bpe {
    pieces: Lexicon,
    tokens: u32,
    merges: Merges,
    unit: Unit,
    /// Pieces of single bytes.
    first: Box<[u32; 256]>,
    pub(crate) ignore_merges: bool,
    pub(crate) whole_newlines: bool,
    affixes: Affixes,
    fallback: Fallback,
}

impl Pairs for Bpe {
    #[inline]
    fn pair(&self, left: u32, right: u32, _start: usize, _end: usize) -> Option<(u32, u32)> {
        self.merges.get(left, right)
    }
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct BpeScratch {
    pub(crate) merger: Merger,
    pub(crate) cache: WordCache,
    pub(crate) lattice: Lattice,
}

/// Most merges that are accepted.
pub(crate) const MAX_MERGES: usize = 8_388_608;

impl Bpe {
    /// `pieces` are the tokens' texts in order of their ids; a piece that is empty cannot be reached.
    pub(crate) fn new(pieces: Lexicon, unit: Unit, fallback: Fallback) -> Self {
        let tokens = pieces.len() as u32;
        let mut first = Box::new([NO_SYMBOL; 256]);
        for (byte, slot) in (0..=255u8).zip(first.iter_mut()) {
            *slot = pieces.find(&[byte]).unwrap_or(NO_SYMBOL);
        }
        let (merges, affixes) = (Merges::default(), Affixes::default());
        let (ignore_merges, whole_newlines) = (false, false);
        Self { pieces, tokens, merges, unit, first, ignore_merges, whole_newlines, affixes, fallback }
    }

    #[cfg(feature = "hf")]
    pub(crate) fn takes_bytes(&self) -> bool {
        self.unit == Unit::Byte
    }

    /// To be set before the merges are added.
    #[cfg(feature = "hf")]
    pub(crate) fn set_affixes(&mut self, affixes: Affixes) {
        self.affixes = affixes;
    }

    /// Adds the merges in order of their rank; `None` is one that could not be read. The first of equals counts.
    pub(crate) fn add_merges<'m>(
        &mut self,
        merges: impl ExactSizeIterator<Item = (Option<(&'m [u8], &'m [u8])>, &'m [u8])>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), TokenizeError> {
        let total = merges.len();
        if total > MAX_MERGES {
            return Err(TokenizeError::TooMany { what: "merges", found: total, limit: MAX_MERGES });
        }
        self.merges = Merges::with_capacity(total);
        let mut joined = Vec::new();
        let (mut unusable, mut example, mut expected) = (0, None, 0u32);
        for (rank, (parts, source)) in merges.enumerate() {
            let Some((left, right)) = parts.filter(|(left, right)| !left.is_empty() && !right.is_empty())
            else {
                unusable += 1;
                example.get_or_insert(source);
                continue;
            };
            joined.clear();
            joined.extend_from_slice(left);
            joined.extend_from_slice(right.strip_prefix(self.affixes.prefix.as_slice()).unwrap_or(right));
            // Merges mostly come in the order of the tokens that they make, some tokens several times.
            let near =
                [expected, expected.wrapping_sub(1)].into_iter().find(|id| self.pieces.text(*id) == joined);
            let find = |pieces: &Lexicon, text: &[u8]| pieces.find_by_hash(hash(text), text.len());
            let merged = near.or_else(|| find(&self.pieces, &joined));
            let mut part = |part: &[u8]| find(&self.pieces, part).unwrap_or_else(|| self.pieces.intern(part));
            let (left, right) = (part(left), part(right));
            let merged = merged.unwrap_or_else(|| self.pieces.intern(&joined));
            expected = merged + 1;
            // Parts that are no tokens are fine where longer tokens are made of them, but rarely are.
            if merged >= self.tokens {
                unusable += 1;
                example.get_or_insert(source);
            }
            self.merges.insert(left, right, (rank as u32, merged));
        }
        if let Some(example) = example {
            let first = String::from_utf8_lossy(example).into_owned();
            if unusable * 100 > total {
                return Err(TokenizeError::BadMerges { unusable, total, first });
            }
            warnings.push(Warning::UnusableMerges { count: unusable, total, first });
        }
        for (byte, slot) in (0..=255u8).zip(self.first.iter_mut()) {
            *slot = self.pieces.find(&[byte]).unwrap_or(NO_SYMBOL);
        }
        Ok(())
    }

    /// Encodes one word, which lies at `base` in its text.
    pub(crate) fn word(
        &self,
        word: &[u8],
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        if scratch.cache.replay(word, base, sink) {
            return Ok(());
        }
        let mut recorder = scratch.cache.record(word, base, sink);
        if (self.ignore_merges || (self.whole_newlines && word.iter().all(|byte| *byte == b'\n')))
            && let Some(id) = self.pieces.find(word).filter(|id| *id < self.tokens)
        {
            recorder.token(id, base, base + word.len());
            recorder.finish();
            return Ok(());
        }
        let mut result = Ok(());
        let mut waiting = Waiting::default();
        let mut emit = |id: u32, start: usize, end: usize| {
            if id < self.tokens {
                self.fallback.flush(&mut waiting, &mut recorder);
                recorder.token(id, base + start, base + end);
            } else if result.is_ok() {
                let symbol = word.get(start..end).unwrap_or(&[]);
                result = self.fallback.emit(symbol, base + start, &mut waiting, &mut recorder);
            }
        };
        match self.unit {
            Unit::Byte => {
                let symbols =
                    word.iter().map(|byte| (self.first.get(*byte as usize).copied().unwrap_or(NO_SYMBOL), 1));
                scratch.merger.merge(self, symbols, word.len(), &mut emit);
            }
            Unit::Char => {
                let mut at = 0;
                let symbols = chars(word).map(|char| {
                    let (first, last) = (at == 0, at + char.len() == word.len());
                    at += char.len();
                    (self.symbol(char, first, last), char.len())
                });
                scratch.merger.merge(self, symbols, word.len(), &mut emit);
            }
        }
        self.fallback.flush(&mut waiting, &mut recorder);
        if result.is_ok() {
            recorder.finish();
        }
        result
    }

    fn symbol(&self, char: &[u8], first: bool, last: bool) -> u32 {
        let prefix = if first { &[][..] } else { &self.affixes.prefix };
        let suffix = if last { self.affixes.suffix.as_slice() } else { &[] };
        let found = if prefix.is_empty() && suffix.is_empty() {
            self.pieces.find(char)
        } else {
            self.pieces.find(&[prefix, char, suffix].concat())
        };
        found.unwrap_or(NO_SYMBOL)
    }

    /// Whether merging the text of token `id` gives the token.
    pub(crate) fn makes(&self, id: TokenId) -> bool {
        let mut ids: Vec<TokenId> = Vec::new();
        let text = self.pieces.text(id);
        !text.is_empty() && self.word(text, 0, &mut BpeScratch::default(), &mut ids).is_ok() && ids == [id]
    }
}

/// The characters of generalised UTF-8 as byte strings; a cut-off one at the end is one too.
pub(crate) fn chars(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let len = unicode::promised_len(*rest.first()?).min(rest.len());
        let (char, after) = rest.split_at(len);
        rest = after;
        Some(char)
    })
}
