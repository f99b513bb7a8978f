//! Unigram: the pieces whose scores add up to the most.
//!
//! A text is cut wherever no piece goes on; each of the words between, of which a text in Chinese has many, can be looked
//! at alone, and is remembered. Scores are added from the beginning of the text on, so that rounding decides between ways
//! that are equally good: a word is only taken from memory where its best way was better than any other by more than
//! rounding can change.

use crate::bpe::{BpeScratch, WordCache, chars};
use crate::lexicon::mix;
use crate::sink::Sink;
use crate::slots::Slots;
use crate::spm::SPACE;
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
    precision: Precision,
    trie: Trie,
    scores: Vec<f64>,
    /// Of an unknown character.
    unknown_score: f64,
    /// Bytes of each piece, and of the longest.
    lens: Vec<u16>,
    longest: usize,
    /// The greatest score of one byte of a word, its sign left out; at least a usual one.
    steepest: f64,
    unknown: TokenId,
    bytes: Box<[Option<TokenId>; 256]>,
    /// Bytes after which no piece goes on with U+2581: a text can be cut there.
    cut_after: Box<[bool; 256]>,
    joins: Joins,
}

/// The best way to a position.
#[derive(Debug, Clone, Copy)]
struct Best {
    score: f64,
    /// By how much it is better than the next best.
    gap: f32,
    start: u32,
    /// `UNKNOWN` for a character that is no piece.
    id: u32,
}

const UNKNOWN: u32 = u32::MAX;
/// In links: `UNKNOWN` less the length of the character.
const FIRST_UNKNOWN: u32 = UNKNOWN - 4;
const NOWHERE: u32 = u32::MAX;
const UNREACHED: Best = Best { score: f64::NEG_INFINITY, gap: f32::INFINITY, start: NOWHERE, id: UNKNOWN };
/// After so many bytes SentencePiece's sum has begun anew.
const RESTART: usize = 1 << 15;
/// A text is encoded in blocks that end where all ways meet; this is looked at after so many bytes.
const BLOCK: usize = 1 << 12;

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Lattice {
    best: Vec<Best>,
    /// Start, end and id, from right to left.
    path: Vec<(usize, usize, u32)>,
}

/// A run of unknown characters that has not ended.
type Run = Option<(usize, usize)>;

/// What goes on from word to word.
struct State {
    /// The sum of the scores, and where it began.
    total: f64,
    since: usize,
    run: Run,
}

/// Neighbouring characters, at least one of which is long, that some piece has: a set of hashes, so that some are in it
/// that no piece has.
#[derive(Debug, Clone)]
struct Joins {
    bits: Vec<u64>,
}

impl Joins {
    fn new<'p>(pieces: impl Iterator<Item = &'p [u8]> + Clone) -> Self {
        let bytes: usize = pieces.clone().map(<[u8]>::len).sum();
        // A bit for each byte of a piece is some sixteen for each pair in the usual vocabularies.
        let words = (bytes / 32).next_power_of_two().clamp(16, 1 << 15);
        let mut joins = Self { bits: vec![0; words] };
        for piece in pieces {
            let mut before: Option<&[u8]> = None;
            for char in chars(piece) {
                if let Some(before) = before.filter(|before| is_long(before) || is_long(char)) {
                    let (word, bit) = joins.place(before, char);
                    if let Some(word) = joins.bits.get_mut(word) {
                        *word |= bit;
                    }
                }
                before = Some(char);
            }
        }
        joins
    }

    #[inline]
    fn place(&self, before: &[u8], char: &[u8]) -> (usize, u64) {
        let number = |char: &[u8]| char.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let hash = mix(number(before) << 32 | number(char), 0x9E37_79B9_7F4A_7C15);
        ((hash >> 6) as usize & (self.bits.len() - 1), 1 << (hash & 63))
    }

    #[inline]
    fn may_have(&self, before: &[u8], char: &[u8]) -> bool {
        let (word, bit) = self.place(before, char);
        self.bits.get(word).is_none_or(|word| word & bit != 0)
    }
}

/// Whether a character has three bytes or more.
#[inline]
fn is_long(char: &[u8]) -> bool {
    char.len() > 2
}

impl Unigram {
    /// `pieces` are those that text may become; an unknown character costs 10 more than the worst of `scores`.
    pub(crate) fn new<'p>(
        pieces: impl Iterator<Item = (&'p [u8], TokenId)>,
        scores: Vec<f64>,
        lowest: f64,
        unknown: TokenId,
        bytes: Box<[Option<TokenId>; 256]>,
        precision: Precision,
    ) -> Self {
        let pieces: Vec<(&[u8], TokenId)> = pieces.collect();
        let cut_after = cut_after(pieces.iter().map(|piece| piece.0));
        let joins = Joins::new(pieces.iter().map(|piece| piece.0));
        let unknown_score = match precision {
            Precision::Single => f64::from((lowest - 10.0) as f32),
            Precision::Double => lowest - 10.0,
        };
        let used = pieces.iter().filter_map(|piece| scores.get(piece.1 as usize));
        let steepest = used.fold(unknown_score.abs().max(32.0), |most, score| most.max(score.abs()));
        let mut lens = vec![0; scores.len()];
        for (text, id) in &pieces {
            if let Some(len) = lens.get_mut(*id as usize) {
                *len = text.len() as u16;
            }
        }
        let longest = pieces.iter().map(|piece| piece.0.len()).max().unwrap_or(0);
        let trie = Trie::new(pieces.into_iter());
        Self {
            precision,
            trie,
            scores,
            unknown_score,
            lens,
            longest,
            steepest,
            unknown,
            bytes,
            cut_after,
            joins,
        }
    }

    /// Whether the text can be cut between a character that ends in `before` and U+2581.
    pub(crate) fn may_cut_after(&self, before: u8) -> bool {
        self.cut_after.get(before as usize).copied().unwrap_or(false)
    }

    /// Encodes a normalised text that lies at `base`.
    /// `with_bytes`: characters that are no pieces become byte tokens, where there are such.
    pub(crate) fn encode(
        &self,
        text: &[u8],
        base: usize,
        with_bytes: bool,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) {
        let BpeScratch { cache, lattice, .. } = scratch;
        let mut state = State { total: 0.0, since: 0, run: None };
        let mut start = 0;
        while start < text.len() {
            let end = self.word_end(text, start);
            let word = text.get(start..end).unwrap_or(&[]);
            if start - state.since >= RESTART && self.precision == Precision::Single {
                state = State { total: 0.0, since: start, ..state };
            }
            let known = cache.known(word);
            if let Some(known) = known.filter(|known| known.margin() > self.rounding(state.total, word)) {
                if state.run.is_some() {
                    self.emit_run(text, state.run.take(), base, with_bytes, sink);
                }
                // Behind the last word nobody asks for the sum.
                let summed = end < text.len();
                known.each(base + start, |id, start, end| {
                    if summed {
                        let score = self.scores.get(id as usize).copied().unwrap_or(0.0);
                        state.total = self.sum(state.total, score);
                    }
                    sink.token(id, start, end);
                });
            } else {
                self.word(text, start..end, (base, with_bytes), (cache, lattice), &mut state, sink);
            }
            start = end;
        }
        self.emit_run(text, state.run, base, with_bytes, sink);
    }

    /// How far rounding can move the difference of two ways through a word.
    #[inline]
    fn rounding(&self, total: f64, word: &[u8]) -> f32 {
        // A way has at most one piece for each character, which are only counted where that matters. The sum bounds that at
        // the word's end as well.
        let (step, pieces) = match self.precision {
            Precision::Single => {
                let chars = word.iter().filter(|byte| *byte & 0xC0 != 0x80).count();
                (f64::from(f32::EPSILON), chars.max(1))
            }
            Precision::Double => (f64::EPSILON, word.len()),
        };
        let sum = total.abs() + self.steepest * word.len() as f64;
        (pieces as f64 * sum * step) as f32
    }

    #[inline]
    fn sum(&self, total: f64, score: f64) -> f64 {
        match self.precision {
            Precision::Single => f64::from((total + score) as f32),
            Precision::Double => total + score,
        }
    }

    /// Where the word that begins at `start` ends: before the next character that no piece has behind the one before it.
    #[inline]
    fn word_end(&self, text: &[u8], start: usize) -> usize {
        let end_of = |at: usize| {
            let len = text.get(at).map_or(1, |lead| unicode::promised_len(*lead));
            (at + len).min(text.len())
        };
        let (mut before, mut at) = (start, end_of(start));
        // After a mark something goes on nearly always.
        let mut joined = text.get(start..at) == Some(SPACE);
        while let Some(lead) = text.get(at) {
            if lead.is_ascii() && at - before < 3 {
                (before, at) = (at, at + 1);
                continue;
            }
            let end = end_of(at);
            if end - at > 2 || at - before > 2 {
                let (last, char) = (text.get(before..at).unwrap_or(&[]), text.get(at..end).unwrap_or(&[]));
                let mark = char == SPACE;
                if mark && text.get(at - 1).is_some_and(|byte| self.may_cut_after(*byte)) {
                    return at;
                }
                if !joined && !self.joins.may_have(last, char) {
                    return at;
                }
                joined = mark;
            }
            (before, at) = (at, end);
        }
        text.len()
    }

    /// The token of what no piece covers.
    #[cfg(feature = "hf")]
    pub(crate) fn unknown(&self) -> TokenId {
        self.unknown
    }

    /// Encodes one word, and remembers it where it has no unknown characters. The walk through it keeps only positions
    /// since all best ways last went through one point.
    fn word(
        &self,
        text: &[u8],
        word: std::ops::Range<usize>,
        (base, with_bytes): (usize, bool),
        (cache, lattice): (&mut WordCache, &mut Lattice),
        state: &mut State,
        sink: &mut dyn Sink,
    ) {
        let bytes = text.get(word.clone()).unwrap_or(&[]);
        if bytes.len() > BLOCK {
            self.long_word(text, word, (base, with_bytes), state, sink);
            return;
        }
        let rounding = self.rounding(state.total, bytes);
        let mut from = word.start;
        while from < word.end {
            let end = self.forward(text, from, word.end, state.total, &mut lattice.best);
            state.total = lattice.best.get(end - from).map_or(0.0, |best| best.score);
            let margin = lattice.backward(from, end) - rounding;
            // Of a word that is one block, and known, tokens can be recorded.
            let known = |step: &(usize, usize, u32)| step.2 != UNKNOWN && step.2 != self.unknown;
            let whole = from == word.start && end == word.end && lattice.path.iter().all(known);
            let mut recorder = whole.then(|| cache.recorder_with(bytes, base + from, margin));
            for (start, end, id) in lattice.path.drain(..).rev() {
                if id == UNKNOWN || id == self.unknown {
                    state.run = Some((state.run.map_or(start, |run| run.0), end));
                    continue;
                }
                self.emit_run(text, state.run.take(), base, with_bytes, sink);
                sink.token(id, base + start, base + end);
                if let Some(recorder) = &mut recorder {
                    recorder.token(id, base + start, base + end);
                }
            }
            if let Some(recorder) = recorder {
                recorder.finish();
            }
            from = end;
        }
    }

    /// The same for a word that is too long to be remembered, in four bytes for each of its own.
    fn long_word(
        &self,
        text: &[u8],
        word: std::ops::Range<usize>,
        (base, with_bytes): (usize, bool),
        state: &mut State,
        sink: &mut dyn Sink,
    ) {
        let mut from = word.start;
        while from < word.end {
            // The last token of the best way to each position.
            let mut links = Slots::default();
            let end;
            (end, state.total) = self.forward_links(text, from, word.end, state.total, &mut links);
            // The best way, turned round in its place.
            let (mut at, mut next) = (end - from, UNKNOWN);
            while let Some(link) = links.get(at) {
                links.set(at, next);
                next = link;
                if at == 0 {
                    break;
                }
                at = at.saturating_sub(self.link_len(next));
            }
            let mut start = from;
            while start < end {
                let id = links.get(start - from).unwrap_or(UNKNOWN);
                links.free_before(start - from);
                let end = start + self.link_len(id);
                if id >= FIRST_UNKNOWN || id == self.unknown {
                    state.run = Some((state.run.map_or(start, |run| run.0), end));
                } else {
                    self.emit_run(text, state.run.take(), base, with_bytes, sink);
                    sink.token(id, base + start, base + end);
                }
                start = end;
            }
            from = end;
        }
    }

    /// Bytes of a token, or of an unknown character.
    fn link_len(&self, id: u32) -> usize {
        let unknown = (UNKNOWN - id) as usize;
        if id >= FIRST_UNKNOWN {
            unknown.max(1)
        } else {
            self.lens.get(id as usize).map_or(1, |len| (*len).max(1) as usize)
        }
    }

    /// Fills `links` as `forward` fills `best`; where it ended, and the score there.
    fn forward_links(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        total: f64,
        links: &mut Slots,
    ) -> (usize, f64) {
        // Scores only as far as a piece reaches; nothing where no way has led yet.
        let size = (self.longest.max(4) + 1).next_power_of_two();
        let mut scores: Vec<Option<f64>> = vec![None; size];
        let slot = |at: usize| (at - from) & (size - 1);
        links.push(UNKNOWN);
        let text = text.get(..to).unwrap_or(&[]);
        let (mut at, mut farthest, mut here) = (from, from, total);
        while at < text.len() {
            if at == farthest && at - from >= BLOCK {
                break;
            }
            let len = text.get(at).map_or(1, |lead| unicode::promised_len(*lead)).min(text.len() - at);
            let mut single = false;
            let mut reach = |end: usize, score: f64, id: u32| {
                farthest = farthest.max(end);
                while links.len() <= end - from {
                    links.push(UNKNOWN);
                }
                let score = self.sum(here, score);
                if let Some(best) = scores.get_mut(slot(end))
                    && best.is_none_or(|best| score > best)
                {
                    *best = Some(score);
                    links.set(end - from, id);
                }
            };
            for (end, id) in self.trie.prefixes(text, at) {
                single |= end - at == len;
                reach(end, self.scores.get(id as usize).copied().unwrap_or(0.0), id);
            }
            if !single {
                reach(at + len, self.unknown_score, UNKNOWN - len as u32);
            }
            for passed in at..at + len {
                if let Some(score) = scores.get_mut(slot(passed)) {
                    *score = None;
                }
            }
            at += len;
            here = scores.get(slot(at)).copied().flatten().unwrap_or(f64::NEG_INFINITY);
        }
        (at, here)
    }

    /// Neighbouring unknown characters: their bytes if all have tokens, else one unknown token; either stands for all.
    fn emit_run(&self, text: &[u8], run: Run, base: usize, with_bytes: bool, sink: &mut dyn Sink) {
        let Some((start, end)) = run else { return };
        let symbol = text.get(start..end).unwrap_or(&[]);
        if let Some((_, id)) = self.trie.prefixes(symbol, 0).find(|(end, _)| *end == symbol.len()) {
            // The text of the unknown token itself.
            sink.token(id, base + start, base + end);
            return;
        }
        let token_of = |byte: &u8| self.bytes.get(*byte as usize).copied().flatten();
        if !with_bytes || symbol.iter().any(|byte| token_of(byte).is_none()) {
            sink.token(self.unknown, base + start, base + end);
            return;
        }
        symbol.iter().filter_map(token_of).for_each(|id| sink.token(id, base + start, base + end));
    }

    /// Fills `best` (relative to `from`) up to `to`, or up to a point before it through which every way goes: that point.
    fn forward(&self, text: &[u8], from: usize, to: usize, total: f64, best: &mut Vec<Best>) -> usize {
        best.clear();
        best.push(Best { score: total, ..UNREACHED });
        best.resize((to - from).min(BLOCK) + 1, UNREACHED);
        let text = text.get(..to).unwrap_or(&[]);
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
                let score = self.sum(here, score);
                if let Some(slot) = best.get_mut(end - from) {
                    let first = slot.start == NOWHERE;
                    let gap = match (score - slot.score).abs() as f32 {
                        _ if first => f32::INFINITY,
                        // Of two infinite sums neither is better.
                        gap if gap.is_nan() => 0.0,
                        gap => gap,
                    };
                    // Sums of absurd scores are infinite; even then some way leads everywhere.
                    if first || score > slot.score {
                        *slot = Best { score, gap, start: (at - from) as u32, id };
                    } else {
                        slot.gap = slot.gap.min(gap);
                    }
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

/// Bytes after which none of the pieces goes on with U+2581.
pub(crate) fn cut_after<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Box<[bool; 256]> {
    let mut cut_after = Box::new([true; 256]);
    for piece in pieces {
        let mut before: Option<u8> = None;
        for char in chars(piece) {
            if char == SPACE
                && let Some(cut) = before.and_then(|before| cut_after.get_mut(before as usize))
            {
                *cut = false;
            }
            before = char.last().copied();
        }
    }
    // The last byte of U+2581 itself: runs of spaces stay together.
    if let Some(cut) = cut_after.get_mut(0x81) {
        *cut = false;
    }
    cut_after
}

/// SentencePiece's score of a user-defined piece: scores are negative, so no other cover is as good.
pub(crate) fn user_defined_score(bytes: usize) -> f64 {
    f64::from(bytes as f32 * 0.1) - 0.1
}

impl Lattice {
    /// Collects the best way to `end`, from right to left; by how much it was better than any other at the closest point.
    fn backward(&mut self, from: usize, end: usize) -> f32 {
        self.path.clear();
        let (mut at, mut margin) = (end, f32::INFINITY);
        while at > from {
            let Some(step) = self.best.get(at - from) else { break };
            margin = margin.min(step.gap);
            let start = from + step.start as usize;
            self.path.push((start, at, step.id));
            at = start;
        }
        margin
    }
}
