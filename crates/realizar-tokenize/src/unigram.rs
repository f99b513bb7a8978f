//! Unigram: the pieces whose scores add up to the most.

use crate::sink::Sink;
use crate::trie::Trie;
use crate::{TokenId, unicode};

/// How scores are added; the reference implementations differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    Single,
    Double,
}

/// Pieces and scores.
#[derive(Debug, Clone)]
pub(crate) struct Unigram {
    trie: Trie,
    scores: Vec<f64>,
    /// Of an unknown character.
    unknown_score: f64,
    unknown: TokenId,
    bytes: Box<[Option<TokenId>; 256]>,
    precision: Precision,
}

/// The best way to a position.
#[derive(Debug, Clone, Copy)]
struct Best {
    score: f64,
    start: u32,
    /// `UNKNOWN` for a character that is no piece.
    id: u32,
}

const UNKNOWN: u32 = u32::MAX;
const UNREACHED: Best = Best { score: f64::NEG_INFINITY, start: 0, id: UNKNOWN };
/// A text is encoded in blocks that end where all ways meet; this is looked at after so many bytes.
const BLOCK: usize = 1 << 12;

impl Unigram {
    /// `pieces` are those that text may become; an unknown character costs 10 more than the worst of `scores`.
    pub(crate) fn new(
        trie: Trie,
        scores: Vec<f64>,
        lowest: f64,
        unknown: TokenId,
        bytes: Box<[Option<TokenId>; 256]>,
        precision: Precision,
    ) -> Self {
        Self { trie, scores, unknown_score: lowest - 10.0, unknown, bytes, precision }
    }

    /// Encodes a normalised text that lies at `base`. The walk through the text keeps only positions since all best
    /// ways last went through one point.
    /// `with_bytes`: characters that are no pieces become byte tokens, where there are such.
    pub(crate) fn encode(&self, text: &[u8], base: usize, with_bytes: bool, sink: &mut dyn Sink) {
        let mut best = vec![UNREACHED; text.len().min(2 * BLOCK) + 1];
        let (mut from, mut score, mut run) = (0, 0.0, None);
        let mut path = Vec::new();
        while from < text.len() {
            best.fill(UNREACHED);
            let end = self.forward(text, from, score, &mut best);
            score = best.get(end - from).map_or(0.0, |best| best.score);
            backward(from, end, &best, &mut path);
            for (start, end, id) in path.drain(..).rev() {
                if id == UNKNOWN || id == self.unknown {
                    run = Some((run.map_or(start, |run: (usize, usize)| run.0), end));
                    continue;
                }
                self.emit_run(text, run.take(), base, with_bytes, sink);
                sink.token(id, base + start, base + end);
            }
            from = end;
        }
        self.emit_run(text, run, base, with_bytes, sink);
    }

    /// Neighbouring unknown characters: their bytes if all have tokens, else one unknown token; either stands for all.
    fn emit_run(
        &self,
        text: &[u8],
        run: Option<(usize, usize)>,
        base: usize,
        with_bytes: bool,
        sink: &mut dyn Sink,
    ) {
        let Some((start, end)) = run else { return };
        let symbol = text.get(start..end).unwrap_or(&[]);
        if let Some((_, id)) = self.trie.prefixes(symbol, 0).find(|(end, _)| *end == symbol.len()) {
            // The text of the unknown token itself.
            sink.token(id, base + start, base + end);
            return;
        }
        let tokens = symbol.iter().map(|byte| self.bytes.get(*byte as usize).copied().flatten());
        let tokens: Option<Vec<TokenId>> = if with_bytes { tokens.collect() } else { None };
        for id in tokens.unwrap_or_else(|| vec![self.unknown]) {
            sink.token(id, base + start, base + end);
        }
    }

    /// Fills `best` (relative to `from`) up to a point through which every way goes: that point.
    fn forward(&self, text: &[u8], from: usize, score: f64, best: &mut Vec<Best>) -> usize {
        if let Some(first) = best.first_mut() {
            *first = Best { score, ..UNREACHED };
        }
        let mut at = from;
        // The farthest position that something before `at` reaches.
        let mut farthest = from;
        while at < text.len() {
            if at == farthest && at - from >= BLOCK {
                break;
            }
            let len = text.get(at).map_or(1, |lead| unicode::promised_len(*lead)).min(text.len() - at);
            let here = best.get(at - from).map_or(0.0, |best| best.score);
            let mut single = false;
            let mut reach = |end: usize, score: f64, id: u32| {
                farthest = farthest.max(end);
                if best.len() <= end - from {
                    best.resize(end - from + 1, UNREACHED);
                }
                let score = match self.precision {
                    Precision::Single => f64::from(here as f32 + score as f32),
                    Precision::Double => here + score,
                };
                if let Some(slot) = best.get_mut(end - from)
                    && score > slot.score
                {
                    *slot = Best { score, start: (at - from) as u32, id };
                }
            };
            for (end, id) in self.trie.prefixes(text, at) {
                single |= end - at == len;
                reach(end, self.scores.get(id as usize).copied().unwrap_or(0.0), id);
            }
            if !single {
                reach(at + len, self.unknown_score, UNKNOWN);
            }
            at += len;
        }
        at
    }
}

/// SentencePiece's score of a user-defined piece, given the best of all scores: better than any other cover.
pub(crate) fn user_defined_score(bytes: usize, highest: f32) -> f64 {
    f64::from(bytes as f32 * highest) - 0.1
}

/// Collects the best way to `end`, from right to left.
fn backward(from: usize, end: usize, best: &[Best], path: &mut Vec<(usize, usize, u32)>) {
    let mut at = end;
    while at > from {
        let Some(step) = best.get(at - from) else { return };
        let start = from + step.start as usize;
        path.push((start, at, step.id));
        at = start;
    }
}
