//! Byte-pair encoding by a list of merges.

mod cache;
mod long;
pub(crate) mod merge;
mod table;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::lexicon::{Lexicon, hash};
use crate::sink::Sink;
use crate::unigram::Lattice;
use crate::{TokenId, TokenizeError, Warning, bytelevel, unicode};
pub(crate) use cache::WordCache;
use merge::{Merger, NO_SYMBOL, Pairs};
use table::Merges;

/// From what a word is built up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Tokens and merges are spelt in GPT-2's alphabet.
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
            Unknown::Drop | Unknown::Vanish => {}
            Unknown::Token(id) => sink.token(id, base, end),
            Unknown::Fused(_) => waiting.0 = Some((waiting.0.map_or(base, |run| run.0), end)),
        }
        Ok(())
    }

    /// Whether each byte of a symbol has a token.
    fn spells(&self, symbol: &[u8]) -> bool {
        symbol.iter().all(|byte| self.bytes.get(*byte as usize).copied().flatten().is_some())
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
    /// Nothing, but what is beside it stays apart, as in llama.cpp; loading warns.
    Drop,
    /// Nothing, before anything is merged: what is beside it may merge, as in Hugging Face's library; loading warns.
    Vanish,
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

/// Merges and pieces. A token's number is its id; parts of merges that are no tokens follow.
#[derive(Debug, Clone)]
pub(crate) struct Bpe {
    /// The tokens as the file spells them.
    texts: Arc<Lexicon>,
    tokens: u32,
    /// Tokens that no text becomes.
    hidden: Vec<bool>,
    /// For hidden tokens with the text of others: the lowest of those that is not hidden.
    instead: FxHashMap<TokenId, TokenId>,
    /// Parts of merges that are no tokens.
    parts: Lexicon,
    merges: Merges,
    unit: Unit,
    /// Pieces of single bytes.
    first: Box<[u32; 256]>,
    pub(crate) ignore_merges: bool,
    pub(crate) whole_newlines: bool,
    /// Of merges that are given twice the last counts, as in Hugging Face's library; else the first, as in llama.cpp.
    pub(crate) last_merge_counts: bool,
    affixes: Affixes,
    fallback: Fallback,
}

/// A merge as the file spells it: its two sides, if they can be told apart, and the whole of it.
pub(crate) type Merge<'m> = (Option<(&'m [u8], &'m [u8])>, &'m [u8]);

impl Pairs for Bpe {
    const BY_PLACE: bool = false;

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
    /// A word in GPT-2's alphabet.
    spelt: Vec<u8>,
}

/// Merges whose sides are looked up together.
const CHUNK: usize = 64;
/// Most merges that are accepted.
pub(crate) const MAX_MERGES: usize = 8_388_608;

impl Bpe {
    /// `hidden` are tokens that text does not become.
    pub(crate) fn new(texts: Arc<Lexicon>, mut hidden: Vec<bool>, unit: Unit, fallback: Fallback) -> Self {
        let tokens = texts.len() as u32;
        if unit == Unit::Byte {
            hidden.resize(tokens as usize, false);
            for (id, hidden) in (0..tokens).zip(hidden.iter_mut()) {
                *hidden |= !bytelevel::is_spelt(texts.text(id));
            }
        }
        let mut instead = FxHashMap::default();
        let is_hidden = |id: u32| hidden.get(id as usize) == Some(&true);
        for id in texts.repeats().iter().filter(|id| !is_hidden(**id)) {
            if let Some(lowest) = texts.find(texts.text(*id)).filter(|lowest| is_hidden(*lowest)) {
                instead.entry(lowest).or_insert(*id);
            }
        }
        let mut bpe = Self {
            texts,
            tokens,
            hidden,
            instead,
            parts: Lexicon::with_capacity(0, 0),
            merges: Merges::default(),
            unit,
            first: Box::new([NO_SYMBOL; 256]),
            ignore_merges: false,
            whole_newlines: false,
            last_merge_counts: false,
            affixes: Affixes::default(),
            fallback,
        };
        bpe.find_bytes();
        bpe
    }

    /// Looks for the pieces of single bytes.
    fn find_bytes(&mut self) {
        let mut spelt = Vec::new();
        for byte in 0..=255u8 {
            spelt.clear();
            match self.unit {
                Unit::Byte => bytelevel::spell(&[byte], &mut spelt),
                Unit::Char => spelt.push(byte),
            }
            let found = self.piece(&spelt);
            if let Some(slot) = self.first.get_mut(byte as usize) {
                *slot = found.unwrap_or(NO_SYMBOL);
            }
        }
    }

    /// How many bytes have no piece.
    pub(crate) fn missing_bytes(&self) -> usize {
        self.first.iter().filter(|piece| **piece == NO_SYMBOL).count()
    }

    /// A token that has been found by its text, if text becomes it.
    #[inline]
    fn shown(&self, id: TokenId) -> Option<TokenId> {
        match self.hidden.get(id as usize) {
            Some(true) => self.instead.get(&id).copied(),
            _ => Some(id),
        }
    }

    /// The piece of a text as the file spells it.
    #[inline]
    fn piece(&self, text: &[u8]) -> Option<u32> {
        let token = self.texts.find(text).and_then(|id| self.shown(id));
        token.or_else(|| self.parts.find(text).map(|part| self.tokens + part))
    }

    /// The token of a word.
    fn token(&self, word: &[u8], spelt: &mut Vec<u8>) -> Option<TokenId> {
        let text = match self.unit {
            Unit::Byte => {
                spelt.clear();
                bytelevel::spell(word, spelt);
                spelt.as_slice()
            }
            Unit::Char => word,
        };
        self.texts.find(text).and_then(|id| self.shown(id))
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

    /// Adds the merges in order of their rank.
    pub(crate) fn add_merges<'m>(
        &mut self,
        mut merges: impl ExactSizeIterator<Item = Merge<'m>>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), TokenizeError> {
        let total = merges.len();
        if total > MAX_MERGES {
            return Err(TokenizeError::TooMany { what: "merges", found: total, limit: MAX_MERGES });
        }
        self.merges = Merges::with_capacity(total);
        let (mut unusable, mut example, mut rank, mut expected) = (0, None, 0, 0);
        let (mut repeated, mut first_repeated) = (0, None);
        let (mut chunk, mut resolved) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        loop {
            chunk.clear();
            for (sides, source) in merges.by_ref().take(CHUNK) {
                let sides = sides.filter(|(left, right)| !left.is_empty() && !right.is_empty());
                let hashes = sides.map_or([0; 2], |(left, right)| [hash(left), hash(right)]);
                chunk.push((sides, source, hashes, [None; 2]));
            }
            if chunk.is_empty() {
                break;
            }
            // Each search misses the cache, as does each insertion; those of one chunk do not wait for each other.
            for (_, _, hashes, found) in &mut chunk {
                *found = hashes.map(|hash| self.texts.find_by_hash(hash));
            }
            for (sides, source, _, found) in chunk.drain(..) {
                match sides.and_then(|sides| self.resolve(sides, source, found, &mut expected)) {
                    Some((left, right, merged)) => {
                        // Parts that are no tokens are fine where longer tokens are made of them, but rarely are.
                        if merged >= self.tokens {
                            unusable += 1;
                            example.get_or_insert(source);
                        }
                        resolved.push((left, right, (rank, merged), source));
                    }
                    None => {
                        unusable += 1;
                        example.get_or_insert(source);
                    }
                }
                rank += 1;
            }
            for (left, right, made, source) in resolved.drain(..) {
                if !self.merges.insert(left, right, made, self.last_merge_counts) {
                    repeated += 1;
                    first_repeated.get_or_insert(source);
                }
            }
        }
        if let Some(example) = example {
            let first = String::from_utf8_lossy(example).into_owned();
            if unusable * 100 > total {
                return Err(TokenizeError::BadMerges { unusable, total, first });
            }
            warnings.push(Warning::UnusableMerges { count: unusable, total, first });
        }
        if let Some(first) = first_repeated {
            let first = String::from_utf8_lossy(first).into_owned();
            warnings.push(Warning::RepeatedMerges { count: repeated, first });
        }
        self.find_bytes();
        Ok(())
    }

    /// The sides of one merge, of which the tokens have been looked for, and what it makes; nothing where a side is outside
    /// the alphabet.
    fn resolve(
        &mut self,
        (left, right): (&[u8], &[u8]),
        line: &[u8],
        found: [Option<TokenId>; 2],
        expected: &mut u32,
    ) -> Option<(u32, u32, u32)> {
        let (left_id, right_id) = (self.side(left, found[0])?, self.side(right, found[1])?);
        let right = match self.affixes.prefix.as_slice() {
            [] => right,
            prefix => right.strip_prefix(prefix).unwrap_or(right),
        };
        // Merges mostly come in the order of the tokens that they make, some tokens several times.
        let is_whole = |id: &u32| {
            self.texts.is_joined(*id, (left, right), line) && self.hidden.get(*id as usize) != Some(&true)
        };
        let ordered = self.texts.is_unique();
        let near = [*expected, expected.wrapping_sub(1)].into_iter().filter(|_| ordered).find(is_whole);
        let merged = near.unwrap_or_else(|| {
            let whole = [left, right].concat();
            self.piece(&whole).unwrap_or_else(|| self.tokens + self.parts.intern(&whole))
        });
        *expected = merged.wrapping_add(1);
        Some((left_id, right_id, merged))
    }

    /// The piece of one side of a merge, made if need be.
    #[inline]
    fn side(&mut self, text: &[u8], found: Option<TokenId>) -> Option<u32> {
        match found.or_else(|| self.texts.alias(text)).and_then(|id| self.shown(id)) {
            Some(id) => Some(id),
            None if self.unit == Unit::Byte && !bytelevel::is_spelt(text) => None,
            None => Some(self.tokens + self.parts.intern(text)),
        }
    }

    /// The token of what has none.
    #[cfg(feature = "hf")]
    pub(crate) fn unknown(&self) -> Option<TokenId> {
        match self.fallback.unknown {
            Unknown::Token(id) | Unknown::Fused(id) => Some(id),
            _ => None,
        }
    }

    /// Whether parts of a word are marked as such.
    #[cfg(feature = "hf")]
    pub(crate) fn has_affixes(&self) -> bool {
        !self.affixes.prefix.is_empty() || !self.affixes.suffix.is_empty()
    }

    /// Encodes one word, which lies at `base` in its text.
    pub(crate) fn word(
        &self,
        word: &[u8],
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        let BpeScratch { merger, cache, spelt, .. } = scratch;
        if cache.replay(word, base, sink) {
            return Ok(());
        }
        let mut recorder = cache.record(word, base, sink);
        if (self.ignore_merges || (self.whole_newlines && word.iter().all(|byte| *byte == b'\n')))
            && let Some(id) = self.token(word, spelt)
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
            _ if self.some_vanish(word) => {
                // What vanishes counts to the symbol before it until that is passed on.
                let mut at = self.skip_vanished(word, 0);
                let base = at;
                let symbols = std::iter::from_fn(|| {
                    let (symbol, end) = self.unit_at(word, at)?;
                    let start = std::mem::replace(&mut at, self.skip_vanished(word, end));
                    Some((symbol, at - start))
                });
                merger.merge(self, symbols, |id, start, end| {
                    emit(id, base + start, self.step_over_vanished(word, base + end));
                });
            }
            Unit::Byte => {
                let symbols =
                    word.iter().map(|byte| (self.first.get(*byte as usize).copied().unwrap_or(NO_SYMBOL), 1));
                merger.merge(self, symbols, &mut emit);
            }
            Unit::Char => {
                let mut at = 0;
                let symbols = chars(word).map(|char| {
                    let (first, last) = (at == 0, at + char.len() == word.len());
                    at += char.len();
                    (self.symbol(char, first, last), char.len())
                });
                merger.merge(self, symbols, &mut emit);
            }
        }
        self.fallback.flush(&mut waiting, &mut recorder);
        if result.is_ok() {
            recorder.finish();
        }
        result
    }

    /// Whether some of a word's characters, or bytes, are no symbols and vanish before anything is merged.
    fn some_vanish(&self, word: &[u8]) -> bool {
        let mut at = 0;
        match (self.fallback.unknown, self.unit) {
            (Unknown::Vanish, Unit::Byte) => {
                word.iter().any(|byte| self.first.get(*byte as usize) == Some(&NO_SYMBOL))
            }
            (Unknown::Vanish, Unit::Char) => loop {
                let Some((symbol, end)) = self.unit_at(word, at) else { return false };
                if self.vanishes(symbol, word.get(at..end)) {
                    return true;
                }
                at = end;
            },
            _ => false,
        }
    }

    fn vanishes(&self, symbol: u32, unit: Option<&[u8]>) -> bool {
        symbol == NO_SYMBOL && unit.is_some_and(|unit| !self.fallback.spells(unit))
    }

    /// The next place from `at` on where something begins that does not vanish.
    fn skip_vanished(&self, word: &[u8], mut at: usize) -> usize {
        while let Some((symbol, end)) = self.unit_at(word, at)
            && self.vanishes(symbol, word.get(at..end))
        {
            at = end;
        }
        at
    }

    /// The last place up to `end` where something ends that does not vanish.
    fn step_over_vanished(&self, word: &[u8], mut end: usize) -> usize {
        while end > 0 {
            let at = if self.unit == Unit::Byte { end - 1 } else { unicode::step_back(word, end) };
            match self.unit_at(word, at) {
                Some((symbol, _)) if self.vanishes(symbol, word.get(at..end)) => end = at,
                _ => break,
            }
        }
        end
    }

    /// The symbol that begins at `at`, and where it ends.
    fn unit_at(&self, word: &[u8], at: usize) -> Option<(u32, usize)> {
        let lead = *word.get(at)?;
        if self.unit == Unit::Byte {
            return Some((self.first.get(lead as usize).copied().unwrap_or(NO_SYMBOL), at + 1));
        }
        let end = (at + unicode::promised_len(lead)).min(word.len());
        Some((self.symbol(word.get(at..end)?, at == 0, end == word.len()), end))
    }

    fn symbol(&self, char: &[u8], first: bool, last: bool) -> u32 {
        let prefix = if first { &[][..] } else { &self.affixes.prefix };
        let suffix = if last { self.affixes.suffix.as_slice() } else { &[] };
        let found = if prefix.is_empty() && suffix.is_empty() {
            self.piece(char)
        } else {
            self.piece(&[prefix, char, suffix].concat())
        };
        found.unwrap_or(NO_SYMBOL)
    }

    /// Whether merging the text of token `id` gives the token.
    pub(crate) fn makes(&self, id: TokenId) -> bool {
        let (text, mut word, mut ids) = (self.texts.text(id), Vec::new(), Vec::new());
        match self.unit {
            Unit::Byte if !bytelevel::unspell(text, &mut word) => return false,
            Unit::Byte => {}
            Unit::Char => word.extend_from_slice(text),
        }
        let made = self.word(&word, 0, &mut BpeScratch::default(), &mut ids);
        self.hidden.get(id as usize) != Some(&true) && made.is_ok() && ids == [id]
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
