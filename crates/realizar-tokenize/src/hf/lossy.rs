//! Bytes that may not be UTF-8 for a library that knows only text: what cannot be read is U+FFFD.

use std::borrow::Cow;
use std::ops::Range;

use crate::TokenId;
use crate::sink::Sink;

/// The text, and where it differs from the bytes.
#[derive(Debug)]
pub(crate) struct Lossy<'t> {
    pub(crate) text: Cow<'t, str>,
    changes: Vec<Change>,
}

/// Bytes that became one U+FFFD.
#[derive(Debug, Clone)]
struct Change {
    bytes: Range<u32>,
    text: Range<u32>,
}

impl<'t> Lossy<'t> {
    /// `places`: somebody asks for ranges or places.
    pub(crate) fn new(bytes: &'t [u8], places: bool) -> Self {
        let mut text = String::from_utf8_lossy(bytes);
        if let Cow::Owned(text) = &mut text {
            text.shrink_to_fit();
        }
        let mut changes = Vec::new();
        if places && matches!(text, Cow::Owned(_)) {
            let (mut from, mut to) = (0, 0);
            for chunk in bytes.utf8_chunks() {
                (from, to) = (from + chunk.valid().len() as u32, to + chunk.valid().len() as u32);
                let bad = chunk.invalid().len() as u32;
                if bad > 0 {
                    let new = to + char::REPLACEMENT_CHARACTER.len_utf8() as u32;
                    changes.push(Change { bytes: from..from + bad, text: to..new });
                    (from, to) = (from + bad, new);
                }
            }
        }
        Self { text, changes }
    }

    /// Ranges of the bytes as ranges of the text.
    pub(crate) fn ranges(&self, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        let in_text = |at, is_end| moved(&self.changes, |change| (&change.bytes, &change.text), at, is_end);
        ranges.iter().map(|range| in_text(range.start, false)..in_text(range.end, true)).collect()
    }

    /// The text, and what passes its tokens on with their places in the bytes.
    pub(crate) fn sink<'s>(self, sink: &'s mut dyn Sink) -> (Cow<'t, str>, InBytes<'s>) {
        (self.text, InBytes { changes: self.changes, sink })
    }
}

/// Where a place is after the changes; one inside of a change becomes its beginning or its end.
fn moved(
    changes: &[Change],
    sides: impl Fn(&Change) -> (&Range<u32>, &Range<u32>),
    at: usize,
    is_end: bool,
) -> usize {
    let before = changes.partition_point(|change| (sides(change).0.start as usize) < at);
    let last = before.checked_sub(1).and_then(|last| changes.get(last)).map(sides);
    match last {
        None => at,
        Some((old, new)) if at < old.end as usize => (if is_end { new.end } else { new.start }) as usize,
        Some((old, new)) => at - old.end as usize + new.end as usize,
    }
}

/// See [`Lossy::sink`].
pub(crate) struct InBytes<'s> {
    changes: Vec<Change>,
    sink: &'s mut dyn Sink,
}

impl Sink for InBytes<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        let in_bytes = |at, is_end| moved(&self.changes, |change| (&change.text, &change.bytes), at, is_end);
        let (start, end) = (in_bytes(start, false), in_bytes(end, true));
        self.sink.token(id, start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_bytes() {
        let bytes = b"a\xFFb\xE2\x81c";
        let lossy = Lossy::new(bytes, true);
        assert_eq!(lossy.text, "a\u{FFFD}b\u{FFFD}c");
        let ranges = [0..1, 1..2, 2..3, 3..5, 4..5, 3..4, 5..6, 0..6];
        assert_eq!(lossy.ranges(&ranges), [0..1, 1..4, 4..5, 5..8, 5..8, 5..8, 8..9, 0..9]);
        let mut places = crate::sink::Placed::default();
        let (_, mut sink) = lossy.sink(&mut places);
        for range in [0..1, 1..4, 2..3, 4..5, 5..8, 8..9, 9..9] {
            sink.token(0, range.start, range.end);
        }
        assert_eq!(places.offsets, [(0, 1), (1, 2), (1, 2), (2, 3), (3, 5), (5, 6), (6, 6)]);
        let whole = Lossy::new(b"abc", true);
        assert_eq!(whole.ranges(std::slice::from_ref(&(1..2))), std::slice::from_ref(&(1..2)));
    }
}
