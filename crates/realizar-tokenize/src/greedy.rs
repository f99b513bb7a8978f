//! RWKV's longest match, and PLaMo 2's cheapest cover from the right.

use crate::bpe::chars;
use crate::sink::Sink;
use crate::trie::Trie;
use crate::{TokenId, unicode};

/// RWKV: always the longest token.
#[derive(Debug, Clone)]
pub(crate) struct Longest {
    trie: Trie,
    unknown: TokenId,
}

impl Longest {
    pub(crate) fn new(trie: Trie, unknown: TokenId) -> Self {
        Self { trie, unknown }
    }

    pub(crate) fn encode(&self, text: &[u8], base: usize, sink: &mut dyn Sink) {
        let mut at = 0;
        while at < text.len() {
            let (end, id) = self.trie.prefixes(text, at).last().unwrap_or((at + 1, self.unknown));
            sink.token(id, base + at, base + end);
            at = end;
        }
    }
}

/// PLaMo 2: of all covers the one with the highest sum of rounded scores; of equals the longer first piece.
#[derive(Debug, Clone)]
pub(crate) struct Cover {
    trie: Trie,
    /// Scores times 10000, rounded; `None` where the score is not finite.
    scores: Vec<Option<i64>>,
    bytes: Box<[TokenId; 256]>,
}

const UNKNOWN_COST: i64 = 10_000_000;
const NO_TOKEN: u32 = u32::MAX;

impl Cover {
    pub(crate) fn new(trie: Trie, scores: &[f32], bytes: Box<[TokenId; 256]>) -> Self {
        let rounded = |score: &f32| score.is_finite().then(|| (f64::from(*score) * 1e4).round() as i64);
        Self { trie, scores: scores.iter().map(rounded).collect(), bytes }
    }

    /// Encodes well-formed text.
    pub(crate) fn encode(&self, text: &[u8], base: usize, sink: &mut dyn Sink) {
        // Cost from each position to the end, and the token with which the best cover goes on.
        let mut cost = vec![0i64; text.len() + 1];
        let mut step = vec![(0u32, NO_TOKEN); text.len()];
        let mut at = text.len();
        while at > 0 {
            at = unicode::step_back(text, at);
            let len = text.get(at).map_or(1, |lead| unicode::promised_len(*lead)).min(text.len() - at);
            let behind = |end: usize| cost.get(end).copied().unwrap_or(0);
            let mut best = (behind(at + len) + UNKNOWN_COST, (len as u32, NO_TOKEN));
            for (end, id) in self.trie.prefixes(text, at) {
                let Some(score) = self.scores.get(id as usize).copied().flatten() else { continue };
                let through = behind(end) - score;
                if through <= best.0 {
                    best = (through, ((end - at) as u32, id));
                }
            }
            if let (Some(cost), Some(step)) = (cost.get_mut(at), step.get_mut(at)) {
                (*cost, *step) = best;
            }
        }
        let mut at = 0;
        while let Some((len, id)) = step.get(at).copied() {
            let end = at + len as usize;
            if id == NO_TOKEN {
                for (at, byte) in (at..).zip(text.get(at..end).unwrap_or(&[])) {
                    let id = self.bytes.get(*byte as usize).copied().unwrap_or(0);
                    sink.token(id, base + at, base + at + 1);
                }
            } else {
                sink.token(id, base + at, base + end);
            }
            at = end;
        }
    }
}

/// What a token of RWKV's vocabulary spells: backslash escapes are bytes.
pub(crate) fn unescape_rwkv(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'x') => {
                let mut digit =
                    || rest.next().and_then(|byte| (byte as char).to_digit(16)).unwrap_or(0) as u8;
                let high = digit();
                out.push(high << 4 | digit());
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// PLaMo 2 leaves out a byte order mark at the beginning.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    match chars(text).next() {
        Some(b"\xEF\xBB\xBF") => text.get(3..).unwrap_or(&[]),
        _ => text,
    }
}
