//! A text on its way to the model, and where each of its bytes came from.

use std::borrow::Cow;
use std::ops::Range;

use crate::charsmap::CharsMap;
use crate::sink::Sink;
use crate::spm::SPACE;
use crate::unicode::Cluster;
use crate::unicode::normal::{self, Form};
use crate::{Compat, TokenId, TokenizeError, unicode};

/// Where a byte came from.
pub(crate) type Span = (u32, u32);

/// Bytes and, where wanted and not obvious, the stretch of the input that each stands for.
#[derive(Debug, Clone)]
pub(crate) struct Prepared<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    /// `None`: every character stands for itself, or nobody asks.
    spans: Option<Vec<Span>>,
    places: bool,
}

impl<'a> Prepared<'a> {
    /// The bytes as they are.
    pub(crate) fn raw(text: &'a [u8], places: bool) -> Self {
        Self { bytes: Cow::Borrowed(text), spans: None, places }
    }

    /// Bytes whose places nobody asks for.
    pub(crate) fn owned(bytes: Vec<u8>) -> Self {
        Self { bytes: Cow::Owned(bytes), spans: None, places: false }
    }

    /// The bytes as llama.cpp reads them.
    pub(crate) fn sanitized(text: &'a [u8], compat: Compat, places: bool) -> Result<Self, TokenizeError> {
        let mut spans = Vec::new();
        let bytes = unicode::sanitize(text, compat, places.then_some(&mut spans))?;
        let spans = (places && matches!(bytes, Cow::Owned(_))).then_some(spans);
        Ok(Self { bytes, spans, places })
    }

    /// The spans of all bytes, made if need be.
    fn all_spans(&mut self) -> Vec<Span> {
        self.spans.take().unwrap_or_else(|| char_spans(&self.bytes))
    }

    /// Puts the text into a normal form. Surrogates stay as they are.
    pub(crate) fn normalize(&mut self, form: Form) {
        if self.bytes.is_ascii() {
            return;
        }
        if !self.places {
            self.normalize_bytes(form);
            return;
        }
        let mut changed: Vec<Change> = Vec::new();
        let mut base = 0;
        for chunk in self.bytes.utf8_chunks() {
            normal::each_unsettled(chunk.valid(), form, |range| {
                let part = chunk.valid().get(range.clone()).unwrap_or("");
                changed.push((base + range.start..base + range.end, normal::normalize(part, form)));
            });
            base += chunk.valid().len() + chunk.invalid().len();
        }
        if changed.is_empty() {
            return;
        }
        let old = self.all_spans();
        let (out, spans) = splice(&self.bytes, &old, (0, 0), &changed);
        self.spans = Some(spans);
        self.bytes = Cow::Owned(out);
    }

    /// The same where nobody asks for places.
    fn normalize_bytes(&mut self, form: Form) {
        let (mut out, mut done, mut base) = (Vec::new(), 0, 0);
        for chunk in self.bytes.utf8_chunks() {
            let after = base + chunk.valid().len();
            if let Some(new) = normal::normalized(chunk.valid(), form) {
                if base == 0 {
                    out = new.into_bytes();
                } else {
                    out.extend_from_slice(self.bytes.get(done..base).unwrap_or(&[]));
                    out.extend_from_slice(new.as_bytes());
                }
                done = after;
            }
            base = after + chunk.invalid().len();
        }
        if done > 0 {
            out.extend_from_slice(self.bytes.get(done..).unwrap_or(&[]));
            self.bytes = Cow::Owned(out);
        }
    }

    /// Rewrites the text character by character; what `write` appends stands for the character it is given.
    pub(crate) fn rewrite(&mut self, mut write: impl FnMut(u32, &mut Vec<u8>)) {
        let mut out = Vec::with_capacity(self.bytes.len());
        let old = if self.places { self.all_spans() } else { Vec::new() };
        let mut spans = Vec::new();
        for (at, code) in unicode::codes(&self.bytes) {
            write(code, &mut out);
            if let Some(span) = old.get(at) {
                spans.resize(out.len(), *span);
            }
        }
        self.spans = self.places.then_some(spans);
        self.bytes = Cow::Owned(out);
    }

    /// Rewrites the text in stretches: `next` is given the text and a position and appends what stands for the bytes
    /// that it consumes, whose number it returns.
    pub(crate) fn rewrite_stretches(&mut self, mut next: impl FnMut(&[u8], usize, &mut Vec<u8>) -> usize) {
        let mut out = Vec::with_capacity(self.bytes.len());
        let old = if self.places { self.all_spans() } else { Vec::new() };
        let mut spans = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let used = next(&self.bytes, at, &mut out).max(1);
            if let (Some(first), Some(last)) =
                (old.get(at), old.get((at + used).min(old.len()).saturating_sub(1)))
            {
                spans.resize(out.len(), (first.0, last.1));
            }
            at += used;
        }
        self.spans = self.places.then_some(spans);
        self.bytes = Cow::Owned(out);
    }

    /// Applies a character map as the Hugging Face library does: see [`map_graphemes`].
    pub(crate) fn map_graphemes(&mut self, map: &CharsMap) {
        let Ok(text) = std::str::from_utf8(&self.bytes) else { return };
        if !self.places {
            self.bytes = Cow::Owned(map_graphemes(text, map));
            return;
        }
        let old = self.spans.take().unwrap_or_else(|| char_spans(&self.bytes));
        let (mut out, mut spans, mut at) = (Vec::with_capacity(text.len()), Vec::new(), 0);
        each_mapped(
            text,
            map,
            |_, _| false,
            |part, new| {
                out.extend_from_slice(new.unwrap_or(part.as_bytes()));
                if let (Some(first), Some(last)) = (old.get(at), old.get(at + part.len() - 1)) {
                    spans.resize(out.len(), (first.0, last.1));
                }
                at += part.len();
            },
        );
        self.spans = Some(spans);
        self.bytes = Cow::Owned(out);
    }

    /// Removes every `space` at the end.
    pub(crate) fn trim_end(&mut self, space: &[u8]) {
        let mut kept = self.bytes.len();
        while self.bytes.get(..kept).is_some_and(|text| text.ends_with(space)) {
            kept -= space.len();
        }
        if kept < self.bytes.len() {
            if let Some(spans) = &mut self.spans {
                spans.truncate(kept);
            }
            self.bytes.to_mut().truncate(kept);
        }
    }

    /// Adds bytes that stand for nothing at the beginning, or at the end.
    pub(crate) fn insert(&mut self, first: bool, bytes: &[u8]) {
        let at = if first { 0 } else { self.bytes.len() };
        if self.places {
            let mut spans = self.all_spans();
            let point =
                if first { spans.first().map(|span| span.0) } else { spans.last().map(|span| span.1) };
            let point = point.unwrap_or(0);
            spans.splice(at..at, bytes.iter().map(|_| (point, point)));
            self.spans = Some(spans);
        }
        self.bytes.to_mut().splice(at..at, bytes.iter().copied());
    }

    /// Replaces every space by U+2581, with one before the text where asked for.
    pub(crate) fn replace_spaces(&mut self, prefix: bool) {
        let spaces = self.bytes.iter().filter(|byte| **byte == b' ').count();
        let mut out = Vec::with_capacity(self.bytes.len() + 2 * spaces + SPACE.len());
        if prefix {
            out.extend_from_slice(SPACE);
        }
        for byte in self.bytes.iter() {
            if *byte == b' ' {
                out.extend_from_slice(SPACE);
            } else {
                out.push(*byte);
            }
        }
        if self.places {
            let old = self.all_spans();
            let mut spans = vec![(0, 0); if prefix { SPACE.len() } else { 0 }];
            for (byte, span) in self.bytes.iter().zip(old) {
                spans.extend(std::iter::repeat_n(span, if *byte == b' ' { SPACE.len() } else { 1 }));
            }
            self.spans = Some(spans);
        }
        self.bytes = Cow::Owned(out);
    }

    /// The stretch of the input that bytes `start..end` stand for.
    pub(crate) fn place(&self, start: usize, end: usize) -> (usize, usize) {
        match &self.spans {
            Some(spans) => {
                let first =
                    spans.get(start).map_or_else(|| spans.last().map_or(0, |span| span.1), |span| span.0);
                let last = end.checked_sub(1).filter(|last| *last >= start).and_then(|last| spans.get(last));
                (first as usize, last.map_or(first, |span| span.1) as usize)
            }
            None => {
                let mut from = start;
                while from > 0 && self.is_continuation(from) {
                    from -= 1;
                }
                let mut to = end;
                while to < self.bytes.len() && self.is_continuation(to) {
                    to += 1;
                }
                (from, to)
            }
        }
    }

    fn is_continuation(&self, at: usize) -> bool {
        self.bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80)
    }
}

/// Maps each grapheme of fewer than six bytes as a whole, else each character.
pub(crate) fn map_graphemes(text: &str, map: &CharsMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let steady = |text: &[u8], at: usize| map.is_steady(text, at);
    each_mapped(text, map, steady, |part, new| out.extend_from_slice(new.unwrap_or(part.as_bytes())));
    out
}

/// Calls `put` with each part of the text and what the map makes of it. Parts that are `steady` come together.
fn each_mapped(
    text: &str,
    map: &CharsMap,
    steady: impl Fn(&[u8], usize) -> bool,
    mut put: impl FnMut(&str, Option<&[u8]>),
) {
    unicode::each_grapheme(text, steady, |part, cluster| {
        if cluster == Cluster::Steady {
            put(part, None);
            return;
        }
        let whole = if part.len() < 6 { map.shortest(part.as_bytes()) } else { None };
        if whole.is_some() {
            put(part, whole);
            return;
        }
        for (at, char) in part.char_indices() {
            let char = part.get(at..at + char.len_utf8()).unwrap_or("");
            put(char, map.shortest(char.as_bytes()));
        }
    });
}

/// The span of its character for each byte.
pub(crate) fn char_spans(text: &[u8]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(text.len());
    for char in crate::bpe::chars(text) {
        let start = spans.len() as u32;
        spans.extend(std::iter::repeat_n((start, start + char.len() as u32), char.len()));
    }
    spans
}

/// Spans after a change that replaced, inserted and removed characters: for each new character its length and its
/// change count (see [`normal`]). What is inserted before everything gets `before`.
pub(crate) fn follow(old: &[u8], spans: &[Span], before: Span, changes: &[(usize, isize)]) -> Vec<Span> {
    let mut out = Vec::with_capacity(spans.len());
    let mut at = 0usize;
    let step = |at: usize| old.get(at).map_or(0, |lead| unicode::promised_len(*lead).min(old.len() - at));
    for &(len, change) in changes {
        let span = if change > 0 {
            at.checked_sub(1).and_then(|last| spans.get(last)).copied().unwrap_or(before)
        } else {
            spans.get(at).copied().unwrap_or_else(|| spans.last().map_or(before, |last| (last.1, last.1)))
        };
        if change <= 0 {
            for _ in 0..=change.unsigned_abs() {
                at += step(at);
            }
        }
        out.extend(std::iter::repeat_n(span, len));
    }
    out
}

/// A stretch of a text, and the characters that it becomes, with their change counts.
pub(crate) type Change = (Range<usize>, Vec<(char, isize)>);

/// A text with some stretches changed, and the spans of the result; no spans where `old` has none.
pub(crate) fn splice(text: &[u8], old: &[Span], before: Span, changed: &[Change]) -> (Vec<u8>, Vec<Span>) {
    let (mut out, mut spans) = (Vec::with_capacity(text.len()), Vec::with_capacity(old.len()));
    let mut done = 0;
    for (range, chars) in changed {
        out.extend_from_slice(text.get(done..range.start).unwrap_or(&[]));
        spans.extend_from_slice(old.get(done..range.start).unwrap_or(&[]));
        for (char, _) in chars {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if let Some(part) = old.get(range.clone()).filter(|_| !old.is_empty()) {
            let counts: Vec<(usize, isize)> =
                chars.iter().map(|(char, change)| (char.len_utf8(), *change)).collect();
            spans.extend(follow(text.get(range.clone()).unwrap_or(&[]), part, before, &counts));
        }
        done = range.end;
    }
    out.extend_from_slice(text.get(done..).unwrap_or(&[]));
    spans.extend_from_slice(old.get(done..).unwrap_or(&[]));
    (out, spans)
}

/// Passes tokens on with their place in the input.
pub(crate) struct Relocate<'a, 'b> {
    text: &'a Prepared<'b>,
    base: usize,
    sink: &'a mut dyn Sink,
}

impl<'a, 'b> Relocate<'a, 'b> {
    /// `base`: where the prepared text begins in the input.
    pub(crate) fn new(text: &'a Prepared<'b>, base: usize, sink: &'a mut dyn Sink) -> Self {
        Self { text, base, sink }
    }
}

impl Sink for Relocate<'_, '_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        let (start, end) = if self.text.places { self.text.place(start, end) } else { (start, end) };
        self.sink.token(id, self.base + start, self.base + end);
    }
}
