//! SentencePiece's byte-pair encoding: the pieces themselves, by their scores, say what merges.

use std::sync::Arc;

use crate::bpe::merge::{NO_SYMBOL, Pairs};
use crate::bpe::{BpeScratch, Fallback, Waiting, chars};
use crate::lexicon::Lexicon;
use crate::sink::Sink;
use crate::trie::Trie;
use crate::unigram::cut_after;
use crate::{TokenizeError, unicode};

/// U+2581, which stands for a space.
pub(crate) const SPACE: &[u8] = "\u{2581}".as_bytes();

/// Pieces and their order of merging.
#[derive(Debug, Clone)]
pub(crate) struct Spm {
    pieces: Arc<Lexicon>,
    /// Lower is sooner; `u32::MAX`: never made by merging.
    priorities: Vec<u32>,
    longest: usize,
    /// Bytes after which no piece goes on with U+2581: a text can be cut there.
    cut_after: Box<[bool; 256]>,
    /// Found before anything merges, the longest first.
    user_defined: Option<Trie>,
    fallback: Fallback,
}

/// Scores as priorities: the higher the score, the lower the number.
pub(crate) fn priority(score: f32) -> u32 {
    // Adding zero turns -0 to +0, which is equal to it.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (!ascending).min(u32::MAX - 1)
}

struct InWord<'a> {
    spm: &'a Spm,
    word: &'a [u8],
}

impl Pairs for InWord<'_> {
    const BY_PLACE: bool = true;

    #[inline]
    fn pair(&self, _left: u32, _right: u32, start: usize, end: usize) -> Option<(u32, u32)> {
        if end - start > self.spm.longest {
            return None;
        }
        let id = self.spm.pieces.find(self.word.get(start..end)?)?;
        let priority = self.spm.priorities.get(id as usize).copied()?;
        (priority != u32::MAX).then_some((priority, id))
    }
}

impl Spm {
    pub(crate) fn new(
        pieces: Arc<Lexicon>,
        priorities: Vec<u32>,
        user_defined: Option<Trie>,
        fallback: Fallback,
    ) -> Self {
        let texts = || (0..pieces.len() as u32).map(|id| pieces.text(id));
        let longest = texts().map(<[u8]>::len).max().unwrap_or(0);
        let cut_after = cut_after(texts());
        Self { pieces, priorities, longest, cut_after, user_defined, fallback }
    }

    /// Encodes a text in which spaces have been replaced. It need not be UTF-8.
    pub(crate) fn encode(
        &self,
        text: &[u8],
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        let (mut start, mut at, mut before) = (0, 0, None);
        while at < text.len() {
            let found = self.user_defined.as_ref().and_then(|trie| trie.prefixes(text, at).last());
            if let Some((end, id)) = found {
                self.word(text.get(start..at).unwrap_or(&[]), start, scratch, sink)?;
                sink.token(id, at, end);
                (start, at, before) = (end, end, None);
                continue;
            }
            let lead = text.get(at).copied().unwrap_or(0);
            let end = (at + unicode::promised_len(lead)).min(text.len());
            if before.is_some_and(|byte: u8| self.may_cut_after(byte)) && text.get(at..end) == Some(SPACE) {
                self.word(text.get(start..at).unwrap_or(&[]), start, scratch, sink)?;
                start = at;
            }
            before = text.get(end - 1).copied();
            at = end;
        }
        self.word(text.get(start..).unwrap_or(&[]), start, scratch, sink)
    }

    fn may_cut_after(&self, byte: u8) -> bool {
        self.cut_after.get(byte as usize).copied().unwrap_or(false)
    }

    fn word(
        &self,
        word: &[u8],
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        if word.is_empty() || scratch.cache.replay(word, base, sink) {
            return Ok(());
        }
        let mut recorder = scratch.cache.record(word, base, sink);
        let symbols = chars(word).map(|char| (self.pieces.find(char).unwrap_or(NO_SYMBOL), char.len()));
        let mut result = Ok(());
        let mut waiting = Waiting::default();
        scratch.merger.merge(&InWord { spm: self, word }, symbols, |id, start, end| {
            if id != NO_SYMBOL {
                self.fallback.flush(&mut waiting, &mut recorder);
                recorder.token(id, base + start, base + end);
            } else if result.is_ok() {
                let symbol = word.get(start..end).unwrap_or(&[]);
                result = self.fallback.emit(symbol, base + start, &mut waiting, &mut recorder);
            }
        });
        self.fallback.flush(&mut waiting, &mut recorder);
        if result.is_ok() {
            recorder.finish();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_fall_as_scores_rise() {
        let scores = [f32::INFINITY, 3.5, 1.0, 0.0, -0.5, -7.0, f32::NEG_INFINITY];
        let found: Vec<u32> = scores.iter().map(|score| priority(*score)).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        assert_eq!(priority(0.0), priority(-0.0));
    }
}
