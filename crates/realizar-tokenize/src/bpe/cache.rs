//! A cache of encoded words: most words of a text have come before.

use crate::TokenId;
use crate::lexicon::{hash, mix};
use crate::sink::Sink;

const WORD_BYTES: usize = 16;
const TOKENS: usize = 6;
/// So many that few of some thousand words share one.
const SLOTS: usize = 1 << 15;

/// A short word and its tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    word: [u64; 2],
    /// 0: free.
    len: u8,
    count: u8,
    lens: [u8; TOKENS],
    ids: [TokenId; TOKENS],
    margin: f32,
}

const FREE: Entry =
    Entry { word: [0; 2], len: 0, count: 0, lens: [0; TOKENS], ids: [0; TOKENS], margin: 0.0 };

/// Direct-mapped: a word has one place, the last to come keeps it.
#[derive(Debug, Default)]
pub(crate) struct WordCache {
    /// Allocated with the first word that is recorded.
    slots: Vec<Entry>,
    long: Long,
}

const LONG_BYTES: usize = 256;
const LONG_SLOTS: usize = 1 << 12;
/// Bytes of words after which all long ones are forgotten.
const LONG_LIMIT: usize = 1 << 18;

/// Longer words, as scripts without spaces have them.
#[derive(Debug, Default)]
struct Long {
    slots: Vec<LongEntry>,
    bytes: Vec<u8>,
    tokens: Vec<(TokenId, u16)>,
}

/// A word and its tokens, where they begin in the lists.
#[derive(Debug, Clone, Copy, Default)]
struct LongEntry {
    hash: u64,
    bytes: u32,
    tokens: u32,
    /// 0: free.
    len: u16,
    count: u16,
    margin: f32,
}

impl Long {
    fn find(&self, word: &[u8]) -> Option<Known<'_>> {
        if self.slots.is_empty() || word.len() > LONG_BYTES {
            return None;
        }
        let hash = hash(word);
        let entry = self.slots.get(hash as usize % LONG_SLOTS)?;
        if entry.hash != hash || entry.len as usize != word.len() {
            return None;
        }
        let at = entry.bytes as usize;
        if self.bytes.get(at..at + word.len()) != Some(word) {
            return None;
        }
        let at = entry.tokens as usize;
        Some(Known::Long(self.tokens.get(at..at + entry.count as usize)?, entry.margin))
    }

    /// Makes room for a word; its tokens follow.
    fn begin(&mut self, word: &[u8], margin: f32) -> LongEntry {
        if self.slots.is_empty() || self.bytes.len() > LONG_LIMIT {
            self.slots = vec![LongEntry::default(); LONG_SLOTS];
            self.bytes.clear();
            self.tokens.clear();
        }
        let (bytes, tokens) = (self.bytes.len() as u32, self.tokens.len() as u32);
        self.bytes.extend_from_slice(word);
        LongEntry { hash: hash(word), bytes, tokens, len: word.len() as u16, count: 0, margin }
    }

    fn end(&mut self, entry: LongEntry, complete: bool) {
        if !complete {
            self.bytes.truncate(entry.bytes as usize);
            self.tokens.truncate(entry.tokens as usize);
        } else if let Some(slot) = self.slots.get_mut(entry.hash as usize % LONG_SLOTS) {
            *slot = entry;
        }
    }
}

/// A word's tokens, and the margin with which they were recorded.
pub(crate) enum Known<'a> {
    Short(&'a Entry),
    Long(&'a [(TokenId, u16)], f32),
}

impl Known<'_> {
    #[inline]
    pub(crate) fn margin(&self) -> f32 {
        match self {
            Self::Short(entry) => entry.margin,
            Self::Long(_, margin) => *margin,
        }
    }

    /// Calls `emit` with the id, start and end of each token of the word, which lies at `base`.
    #[inline]
    pub(crate) fn each(&self, base: usize, mut emit: impl FnMut(TokenId, usize, usize)) {
        let mut start = base;
        let mut emit = |id, len: usize| {
            emit(id, start, start + len);
            start += len;
        };
        match self {
            Self::Short(entry) => {
                let tokens = entry.ids.iter().zip(entry.lens).take(entry.count as usize);
                tokens.for_each(|(id, len)| emit(*id, len as usize));
            }
            Self::Long(tokens, _) => tokens.iter().for_each(|(id, len)| emit(*id, *len as usize)),
        }
    }
}

/// Remembers tokens.
pub(crate) struct Record<'a> {
    slot: Option<&'a mut Entry>,
    entry: Entry,
    long: Option<(&'a mut Long, LongEntry)>,
    base: usize,
    /// Too many tokens, or a gap between them.
    spoilt: bool,
}

/// Passes tokens on and remembers them.
pub(crate) struct Recorder<'a> {
    record: Record<'a>,
    sink: &'a mut dyn Sink,
}

#[inline]
fn pack(word: &[u8]) -> Option<[u64; 2]> {
    let len = word.len();
    let bytes = |range: std::ops::Range<usize>| word.get(range);
    // Two overlapping loads; words of equal length and equal loads are equal.
    Some(match len {
        0 => return None,
        1..=3 => {
            let at = |index: usize| word.get(index).map_or(0, |byte| u64::from(*byte));
            [at(0) | at(len / 2) << 8 | at(len - 1) << 16, 0]
        }
        4..=7 => {
            let four = |range| bytes(range)?.try_into().ok().map(u32::from_le_bytes).map(u64::from);
            [four(0..4)? | four(len - 4..len)? << 32, 0]
        }
        8..=WORD_BYTES => {
            let eight = |range| bytes(range)?.try_into().ok().map(u64::from_le_bytes);
            [eight(0..8)?, eight(len - 8..len)?]
        }
        _ => return None,
    })
}

#[inline]
fn place(word: [u64; 2], len: usize) -> usize {
    let hash = mix(word[0] ^ len as u64, 0x9E37_79B9_7F4A_7C15) ^ mix(word[1], 0xC2B2_AE3D_27D4_EB4F);
    (hash >> 20) as usize % SLOTS
}

impl WordCache {
    /// Sends the tokens of a word that is known.
    #[inline]
    pub(crate) fn replay(&self, word: &[u8], base: usize, sink: &mut dyn Sink) -> bool {
        let known = self.known(word);
        if let Some(known) = &known {
            known.each(base, |id, start, end| sink.token(id, start, end));
        }
        known.is_some()
    }

    /// What is known of a word.
    #[inline]
    pub(crate) fn known(&self, word: &[u8]) -> Option<Known<'_>> {
        let Some(packed) = pack(word) else { return self.long.find(word) };
        let entry = self.slots.get(place(packed, word.len()))?;
        (entry.word == packed && entry.len as usize == word.len()).then_some(Known::Short(entry))
    }

    /// A sink that remembers what it passes on to `sink` as the tokens of `word`.
    pub(crate) fn record<'a>(&'a mut self, word: &[u8], base: usize, sink: &'a mut dyn Sink) -> Recorder<'a> {
        let record = self.recorder_with(word, base, 0.0);
        Recorder { record, sink }
    }

    /// A sink that remembers the tokens of `word`, and a number beside them.
    pub(crate) fn recorder_with(&mut self, word: &[u8], base: usize, margin: f32) -> Record<'_> {
        let packed = pack(word);
        if packed.is_some() && self.slots.is_empty() {
            self.slots = vec![FREE; SLOTS];
        }
        let slot = packed.and_then(|packed| self.slots.get_mut(place(packed, word.len())));
        let entry = Entry { word: packed.unwrap_or_default(), len: word.len() as u8, margin, ..FREE };
        let is_long = packed.is_none() && (1..=LONG_BYTES).contains(&word.len());
        let long = is_long.then(|| {
            let entry = self.long.begin(word, margin);
            (&mut self.long, entry)
        });
        Record { slot, entry, long, base, spoilt: false }
    }
}

impl Sink for Recorder<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        self.sink.token(id, start, end);
        self.record.token(id, start, end);
    }
}

impl Recorder<'_> {
    /// The word is complete.
    pub(crate) fn finish(self) {
        self.record.finish();
    }
}

impl Sink for Record<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        if self.spoilt {
            return;
        }
        if let Some((long, entry)) = &mut self.long {
            self.spoilt = start != self.base;
            long.tokens.push((id, (end - start) as u16));
            entry.count += 1;
            self.base = end;
            return;
        }
        if self.slot.is_none() {
            return;
        }
        let index = self.entry.count as usize;
        match (self.entry.ids.get_mut(index), self.entry.lens.get_mut(index)) {
            (Some(slot), Some(len)) if start == self.base => {
                *slot = id;
                *len = (end - start) as u8;
                self.entry.count += 1;
                self.base = end;
            }
            _ => self.spoilt = true,
        }
    }
}

impl Record<'_> {
    /// The word is complete.
    pub(crate) fn finish(mut self) {
        if let Some(slot) = self.slot.take()
            && !self.spoilt
        {
            *slot = self.entry;
        }
        if let Some((long, entry)) = self.long.take() {
            long.end(entry, !self.spoilt);
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if let Some((long, entry)) = self.long.take() {
            long.end(entry, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_replayed_as_recorded() {
        let mut cache = WordCache::default();
        let mut out: Vec<TokenId> = Vec::new();
        for word in ["a", "ab", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefghijklmnop", "abcdefghijklmnopq"]
        {
            let word = word.as_bytes();
            assert!(!cache.replay(word, 0, &mut out), "{word:?}");
            let mut recorder = cache.record(word, 3, &mut out);
            recorder.token(1, 3, 4);
            if word.len() > 1 {
                recorder.token(2, 4, 3 + word.len());
            }
            recorder.finish();
            out.clear();
            assert!(cache.replay(word, 0, &mut out), "{word:?}");
            assert!(!cache.replay(b"xyz", 0, &mut out));
        }
    }

    #[test]
    fn long_words_are_forgotten_in_time() {
        let mut cache = WordCache::default();
        let mut out: Vec<TokenId> = Vec::new();
        for number in 0..20_000 {
            let word = format!("a word that is longer than others, number {number}");
            let mut recorder = cache.record(word.as_bytes(), 0, &mut out);
            recorder.token(number, 0, word.len());
            recorder.finish();
            out.clear();
            let margin = |word: &str| cache.known(word.as_bytes()).map(|known| known.margin());
            assert!(margin(&word) == Some(0.0) && cache.replay(word.as_bytes(), 0, &mut out));
            assert_eq!(out, [number]);
            // One that does not end, and one with a gap.
            drop(cache.record(b"another word that is longer", 0, &mut out));
            let mut recorder = cache.record(b"another word that is longer", 0, &mut out);
            recorder.token(1, 3, 5);
            recorder.finish();
            assert!(cache.known(b"another word that is longer").is_none());
        }
        assert!(cache.long.bytes.len() < LONG_LIMIT + 1000);
        assert!(cache.known(&[b'x'; LONG_BYTES + 1]).is_none());
    }

    #[test]
    fn words_of_many_tokens_are_not_kept() {
        let mut cache = WordCache::default();
        let mut out: Vec<TokenId> = Vec::new();
        let mut recorder = cache.record(b"abcdefgh", 0, &mut out);
        (0..8).for_each(|at| recorder.token(1, at, at + 1));
        recorder.finish();
        assert!(!cache.replay(b"abcdefgh", 0, &mut out));
        assert_eq!(out.len(), 8);
    }
}
