//! A cache of encoded words: most words of a text have come before.

use crate::TokenId;
use crate::lexicon::mix;
use crate::sink::Sink;

const WORD_BYTES: usize = 16;
const TOKENS: usize = 6;
const SLOTS: usize = 1 << 13;

/// A short word and its tokens.
#[derive(Debug, Clone, Copy)]
struct Entry {
    word: [u64; 2],
    /// 0: free.
    len: u8,
    count: u8,
    lens: [u8; TOKENS],
    ids: [TokenId; TOKENS],
}

const FREE: Entry = Entry { word: [0; 2], len: 0, count: 0, lens: [0; TOKENS], ids: [0; TOKENS] };

/// Direct-mapped: a word has one place, the last to come keeps it.
#[derive(Debug, Default)]
pub(crate) struct WordCache {
    /// Allocated with the first word that is recorded.
    slots: Vec<Entry>,
}

/// Passes tokens on and remembers them.
pub(crate) struct Recorder<'a> {
    slot: Option<&'a mut Entry>,
    entry: Entry,
    base: usize,
    /// Too many tokens, or a gap between them.
    spoilt: bool,
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
        let Some(packed) = pack(word) else { return false };
        let Some(entry) = self.slots.get(place(packed, word.len())) else { return false };
        if entry.word != packed || entry.len as usize != word.len() {
            return false;
        }
        let mut start = base;
        for (id, len) in entry.ids.iter().zip(entry.lens).take(entry.count as usize) {
            sink.token(*id, start, start + len as usize);
            start += len as usize;
        }
        true
    }

    /// A sink that remembers what it passes on to `sink` as the tokens of `word`.
    pub(crate) fn record<'a>(&'a mut self, word: &[u8], base: usize, sink: &'a mut dyn Sink) -> Recorder<'a> {
        let packed = pack(word);
        if packed.is_some() && self.slots.is_empty() {
            self.slots = vec![FREE; SLOTS];
        }
        let slot = packed.and_then(|packed| self.slots.get_mut(place(packed, word.len())));
        let entry = Entry { word: packed.unwrap_or_default(), len: word.len() as u8, ..FREE };
        Recorder { slot, entry, base, spoilt: false, sink }
    }
}

impl Sink for Recorder<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        self.sink.token(id, start, end);
        if self.slot.is_none() || self.spoilt {
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

impl Recorder<'_> {
    /// The word is complete.
    pub(crate) fn finish(self) {
        if let Some(slot) = self.slot
            && !self.spoilt
        {
            *slot = self.entry;
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
            assert_eq!(cache.replay(word, 0, &mut out), word.len() <= WORD_BYTES, "{word:?}");
            assert!(!cache.replay(b"xyz", 0, &mut out));
        }
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
