//! A text under change, and where in the input each of its bytes comes from, with the bookkeeping of the Hugging Face
//! library (see [`crate::unicode::normal`] for change counts).

use std::borrow::Cow;
use std::ops::Range;

use crate::bytelevel;
use crate::text::{Change, Span, char_spans, follow, splice};

/// A text and the spans of its bytes.
#[derive(Debug, Clone)]
pub(super) struct Aligned<'a> {
    pub(super) text: Cow<'a, str>,
    /// Spans in the input; `None` where the text is still the input, from `origin`.
    spans: Option<Vec<Span>>,
    /// Where the text began in the input.
    origin: usize,
    /// Whether anybody will ask.
    places: bool,
}

impl<'a> Aligned<'a> {
    pub(super) fn new(text: impl Into<Cow<'a, str>>, origin: usize, places: bool) -> Self {
        Self { text: text.into(), spans: None, origin, places }
    }

    /// Whether somebody will ask for places.
    pub(super) fn wants_places(&self) -> bool {
        self.places
    }

    /// Another text, where nobody will.
    pub(super) fn set(&mut self, mut text: String) {
        text.shrink_to_fit();
        self.text = Cow::Owned(text);
    }

    pub(super) fn origin(&self) -> usize {
        self.origin
    }

    /// All of the text as a part of it.
    pub(super) fn into_slice(mut self) -> Self {
        self.origin = self.place(0, 0).0;
        self
    }

    /// A part of the text.
    pub(super) fn slice(&self, range: Range<usize>) -> Aligned<'_> {
        let (start, _) = self.place(range.start, range.start);
        Aligned {
            text: Cow::Borrowed(self.text.get(range.clone()).unwrap_or("")),
            spans: self.spans.as_ref().and_then(|spans| spans.get(range.clone())).map(<[Span]>::to_vec),
            origin: if self.spans.is_some() { start } else { self.origin + range.start },
            places: self.places,
        }
    }

    /// The stretch of the input that a stretch of the text stands for.
    pub(super) fn place(&self, start: usize, end: usize) -> (usize, usize) {
        match &self.spans {
            None => {
                let (mut from, mut to) = (start, end.min(self.text.len()));
                while !self.text.is_char_boundary(from) {
                    from -= 1;
                }
                while !self.text.is_char_boundary(to) {
                    to += 1;
                }
                (self.origin + from, self.origin + to)
            }
            Some(spans) => {
                let Some(first) = spans.get(start) else {
                    let end = spans.last().map_or(self.origin, |span| span.1 as usize);
                    return (end, end);
                };
                let last = end.checked_sub(1).filter(|last| *last >= start).and_then(|last| spans.get(last));
                (first.0 as usize, last.map_or(first.0, |last| last.1) as usize)
            }
        }
    }

    fn all_spans(&mut self) -> Vec<Span> {
        let origin = self.origin as u32;
        self.spans.take().unwrap_or_else(|| {
            char_spans(self.text.as_bytes())
                .into_iter()
                .map(|(from, to)| (from + origin, to + origin))
                .collect()
        })
    }

    /// Replaces the text by characters with change counts; `skip` characters at the beginning vanish before that.
    pub(super) fn transform(&mut self, changes: impl Iterator<Item = (char, isize)>, skip: usize) {
        let skipped: usize = self.text.chars().take(skip).map(char::len_utf8).sum();
        let mut text = String::with_capacity(self.text.len());
        let mut counts = Vec::new();
        for (char, change) in changes {
            text.push(char);
            if self.places {
                counts.push((char.len_utf8(), change));
            }
        }
        if self.places {
            let spans = self.all_spans();
            let old = self.text.as_bytes().get(skipped..).unwrap_or(&[]);
            let fallback = (self.origin as u32, self.origin as u32);
            let before = skipped.checked_sub(1).and_then(|at| spans.get(at)).copied().unwrap_or(fallback);
            self.spans = Some(follow(old, spans.get(skipped..).unwrap_or(&[]), before, &counts));
        }
        self.text = Cow::Owned(text);
    }

    /// Replaces stretches by characters with change counts.
    pub(super) fn splice(&mut self, changed: &[Change]) {
        if changed.is_empty() {
            return;
        }
        let old = if self.places { self.all_spans() } else { Vec::new() };
        let before = (self.origin as u32, self.origin as u32);
        let (text, spans) = splice(self.text.as_bytes(), &old, before, changed);
        self.spans = self.places.then_some(spans);
        self.text = Cow::Owned(String::from_utf8(text).unwrap_or_default());
    }

    /// Changes each character into others, the first of which replaces it.
    pub(super) fn map<I: IntoIterator<Item = char>>(&mut self, map: impl Fn(char) -> I) {
        if !self.places {
            let mut new = String::with_capacity(self.text.len());
            new.extend(self.text.chars().flat_map(map));
            self.set(new);
            return;
        }
        let text = std::mem::take(&mut self.text);
        let changes: Vec<(char, isize)> = text
            .chars()
            .flat_map(|char| {
                map(char).into_iter().enumerate().map(|(index, char)| (char, isize::from(index > 0)))
            })
            .collect();
        self.text = text;
        self.transform(changes.into_iter(), 0);
    }

    /// Spells every byte in GPT-2's alphabet.
    pub(super) fn spell_bytes(&mut self) {
        if !self.places {
            let more = self.text.bytes().filter(|byte| !byte.is_ascii_graphic()).count();
            let mut spelt = Vec::with_capacity(self.text.len() + more);
            bytelevel::spell(self.text.as_bytes(), &mut spelt);
            self.text = Cow::Owned(String::from_utf8(spelt).unwrap_or_default());
            return;
        }
        self.map(|char| {
            let mut buffer = [0; 4];
            let bytes = char.encode_utf8(&mut buffer).as_bytes().to_vec();
            bytes.into_iter().map(bytelevel::char_of)
        });
    }

    /// Keeps the characters that `keep` accepts.
    pub(super) fn filter(&mut self, keep: impl Fn(char) -> bool) {
        if self.text.chars().all(&keep) {
            return;
        }
        if !self.places {
            let mut kept = String::with_capacity(self.text.len());
            kept.extend(self.text.chars().filter(|char| keep(*char)));
            self.set(kept);
            return;
        }
        let (mut changes, mut removed, mut skip) = (Vec::new(), 0isize, 0);
        let mut last: Option<char> = None;
        for char in self.text.chars() {
            if !keep(char) {
                removed += 1;
                continue;
            }
            match last {
                Some(last) => changes.push((last, -removed)),
                None => skip = removed as usize,
            }
            last = Some(char);
            removed = 0;
        }
        changes.extend(last.map(|last| (last, -removed)));
        self.transform(changes.into_iter(), skip);
    }

    /// Puts characters before the text, if there is any.
    pub(super) fn prepend(&mut self, prefix: &str) {
        let Some(next) = self.text.chars().next() else { return };
        if !self.places {
            let mut new = String::with_capacity(prefix.len() + self.text.len());
            new.push_str(prefix);
            new.push_str(&self.text);
            self.text = Cow::Owned(new);
            return;
        }
        let changes = prefix.chars().enumerate().map(|(index, char)| (char, isize::from(index > 0)));
        let rest: Vec<(char, isize)> = self.text.chars().skip(1).map(|char| (char, 0)).collect();
        let changes: Vec<(char, isize)> = changes.chain([(next, 1)]).chain(rest).collect();
        self.transform(changes.into_iter(), 0);
    }

    /// Replaces every `wanted`.
    pub(super) fn replace_all(&mut self, wanted: &str, content: &str) {
        if self.places {
            let matches = self.text.match_indices(wanted).map(|(at, _)| at..at + wanted.len());
            self.replace(&matches.collect::<Vec<_>>(), content);
        } else if self.text.contains(wanted) {
            let count = self.text.matches(wanted).count();
            let mut new =
                String::with_capacity(self.text.len() + count * content.len() - count * wanted.len());
            let mut done = 0;
            for (at, _) in self.text.match_indices(wanted) {
                new.push_str(self.text.get(done..at).unwrap_or(""));
                new.push_str(content);
                done = at + wanted.len();
            }
            new.push_str(self.text.get(done..).unwrap_or(""));
            self.text = Cow::Owned(new);
        }
    }

    /// Changes every character to lower case.
    pub(super) fn lowercase(&mut self) {
        if !self.places && self.text.is_ascii() {
            self.text.to_mut().make_ascii_lowercase();
        } else {
            self.map(char::to_lowercase);
        }
    }

    /// Replaces stretches, given in order; what replaces one stands for its last byte's origin.
    pub(super) fn replace(&mut self, matches: &[Range<usize>], content: &str) {
        if matches.is_empty() {
            return;
        }
        let old = if self.places { self.all_spans() } else { Vec::new() };
        let mut text = String::with_capacity(self.text.len());
        let mut spans = Vec::new();
        let mut done = 0;
        for range in matches {
            text.push_str(self.text.get(done..range.start).unwrap_or(""));
            text.push_str(content);
            if self.places {
                spans.extend_from_slice(old.get(done..range.start).unwrap_or(&[]));
                let fallback = (self.origin as u32, self.origin as u32);
                let last =
                    range.end.checked_sub(1).and_then(|last| old.get(last)).copied().unwrap_or(fallback);
                spans.extend(std::iter::repeat_n(last, content.len()));
            }
            done = range.end;
        }
        text.push_str(self.text.get(done..).unwrap_or(""));
        if self.places {
            spans.extend_from_slice(old.get(done..).unwrap_or(&[]));
            self.spans = Some(spans);
        }
        self.text = Cow::Owned(text);
    }

    /// Removes white space at the ends.
    pub(super) fn strip(&mut self, left: bool, right: bool) {
        if !self.places {
            let text: &str = &self.text;
            let text = if left { text.trim_start() } else { text };
            let text = if right { text.trim_end() } else { text };
            if text.len() < self.text.len() {
                self.text = Cow::Owned(text.to_owned());
            }
            return;
        }
        let text = std::mem::take(&mut self.text);
        let count = text.chars().count();
        let spaces =
            |chars: &mut dyn Iterator<Item = char>| chars.take_while(|char| char.is_whitespace()).count();
        let from = if left { spaces(&mut text.chars()) } else { 0 };
        let cut = if right { spaces(&mut text.chars().rev()) } else { 0 };
        let kept: Vec<(char, isize)> = text
            .chars()
            .enumerate()
            .filter(|(at, _)| *at >= from && at + cut < count)
            .map(|(_, char)| (char, 0))
            .collect();
        self.text = text;
        if from > 0 || cut > 0 {
            self.transform(kept.into_iter(), from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_changes() {
        let mut text = Aligned::new("aé bc", 10, true);
        text.filter(|char| char != 'b');
        text.prepend("__");
        text.replace(std::slice::from_ref(&(5..6)), "▁");
        assert_eq!(text.text, "__aé▁c");
        let at = |char: &str| text.text.find(char).map(|at| text.place(at, at + char.len()));
        assert_eq!(at("é"), Some((11, 13)));
        assert_eq!(text.place(0, 2), (10, 11));
        assert_eq!(at("c"), Some((15, 16)));
        text.strip(true, true);
        assert_eq!(text.slice(2..3).text, "a");
        assert_eq!(text.place(100, 100), (16, 16));
    }
}
