//! RWKV's longest match, and PLaMo 2's cheapest cover from the right.

use crate::bpe::chars;
use crate::sink::Sink;
use crate::slots::Slots;
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
    /// Bytes of each token, and of the longest.
    lens: Vec<u16>,
    longest: usize,
}

const UNKNOWN_COST: i64 = 10_000_000;
/// Less the length of the character.
const NO_TOKEN: u32 = u32::MAX;
const FIRST_NO_TOKEN: u32 = NO_TOKEN - 4;

impl Cover {
    pub(crate) fn new(pieces: Vec<(&[u8], TokenId)>, scores: &[f32], bytes: Box<[TokenId; 256]>) -> Self {
        let rounded = |score: &f32| score.is_finite().then(|| (f64::from(*score) * 1e4).round() as i64);
        let mut lens = vec![0; scores.len()];
        for (text, id) in &pieces {
            if let Some(len) = lens.get_mut(*id as usize) {
                *len = text.len() as u16;
            }
        }
        let longest = pieces.iter().map(|piece| piece.0.len()).max().unwrap_or(0);
        let scores = scores.iter().map(rounded).collect();
        Self { trie: Trie::new(pieces.into_iter()), scores, bytes, lens, longest }
    }

    /// Encodes well-formed text.
    pub(crate) fn encode(&self, text: &[u8], base: usize, sink: &mut dyn Sink) {
        // The cost from each position to the end, as far as a token reaches, and the token with which the best cover goes on.
        let size = (self.longest.max(4) + 1).next_power_of_two();
        let mut costs = vec![0i64; size];
        let count = |text: &[u8]| text.iter().filter(|byte| *byte & 0xC0 != 0x80).count();
        let mut steps = Slots::default();
        let mut index = count(text);
        (0..index).for_each(|_| steps.push(NO_TOKEN));
        let mut at = text.len();
        while at > 0 {
            at = unicode::step_back(text, at);
            index = index.saturating_sub(1);
            let len = text.get(at).map_or(1, |lead| unicode::promised_len(*lead)).min(text.len() - at);
            let behind = |end: usize| costs.get(end & (size - 1)).copied().unwrap_or(0);
            let mut best = (behind(at + len) + UNKNOWN_COST, NO_TOKEN - len as u32);
            for (end, id) in self.trie.prefixes(text, at) {
                let Some(score) = self.scores.get(id as usize).copied().flatten() else { continue };
                // Inside of a character nothing goes on.
                if text.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    continue;
                }
                let through = behind(end) - score;
                if through <= best.0 {
                    best = (through, id);
                }
            }
            if let Some(cost) = costs.get_mut(at & (size - 1)) {
                *cost = best.0;
            }
            steps.set(index, best.1);
        }
        while let Some(id) = steps.get(index) {
            let len = match id {
                FIRST_NO_TOKEN.. => (NO_TOKEN - id).max(1) as usize,
                _ => self.lens.get(id as usize).map_or(1, |len| (*len).max(1) as usize),
            };
            let end = at + len;
            let part = text.get(at..end).unwrap_or(&[]);
            if id >= FIRST_NO_TOKEN {
                for (at, byte) in (at..).zip(part) {
                    let id = self.bytes.get(*byte as usize).copied().unwrap_or(0);
                    sink.token(id, base + at, base + at + 1);
                }
            } else {
                sink.token(id, base + at, base + end);
            }
            at = end;
            index += count(part).max(1);
            steps.free_before(index);
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
