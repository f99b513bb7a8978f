//! Cutting special tokens out of a text before anything else looks at it.

use std::ops::Range;

use crate::trie::Trie;
use crate::wanted::Wanted;
use crate::{TokenId, TokenizeError};

/// A token that is found by its text as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Special {
    pub(crate) id: TokenId,
    pub(crate) text: Vec<u8>,
    /// Found only where special tokens are asked for.
    pub(crate) control: bool,
    /// Swallows white space on its left, on its right.
    pub(crate) strip: (bool, bool),
}

/// All of them. Longer ones win wherever they are, then earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct Specials {
    /// Longest first.
    entries: Vec<Special>,
    trie: Trie,
    /// Of those that need not be asked for.
    plain: Trie,
    /// Whether some entry swallows white space on its left.
    strips_left: bool,
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fragment {
    Text(Range<usize>),
    Token(TokenId, Range<usize>),
}

impl Specials {
    /// Entries in order of their ids; of equal texts the first counts.
    pub(crate) fn new(mut entries: Vec<Special>) -> Self {
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.text.len()));
        let keys = || entries.iter().zip(0u32..).map(|(entry, index)| (entry, entry.text.as_slice(), index));
        let trie = Trie::new(keys().map(|(_, text, index)| (text, index)));
        let plain =
            Trie::new(keys().filter(|(entry, ..)| !entry.control).map(|(_, text, index)| (text, index)));
        let strips_left = entries.iter().any(|entry| entry.strip.0);
        Self { entries, trie, plain, strips_left }
    }

    /// Calls `emit` with the parts of the text from left to right; they are never empty.
    ///
    /// Matches that overlap, and the white space that they may swallow, are looked at together; nothing is collected, so
    /// that long runs of what is found in many lengths take no memory.
    pub(crate) fn cut(
        &self,
        text: &[u8],
        wanted: Wanted<'_>,
        emit: &mut dyn FnMut(Fragment) -> Result<(), TokenizeError>,
    ) -> Result<(), TokenizeError> {
        let mut search = Search { specials: self, text, wanted, done: 0, emit };
        let trie = if wanted.looks_for_special() { &self.trie } else { &self.plain };
        let is_space = |at: usize| text.get(at).is_some_and(is_c_space);
        let mut together: Option<Range<usize>> = None;
        let mut space_until = 0;
        for (start, _) in text.iter().enumerate().filter(|(_, byte)| trie.may_start(**byte)) {
            let mut until = start;
            search.each_at(start, text.len(), |index, end| {
                let strips_right = self.entries.get(index as usize).is_some_and(|entry| entry.strip.1);
                let mut to = end;
                if strips_right && is_space(end) {
                    space_until = space_until.max(end);
                    while is_space(space_until) {
                        space_until += 1;
                    }
                    to = space_until;
                }
                until = until.max(to);
            });
            if until == start {
                continue;
            }
            let before = together.as_ref().map_or(0, |range| range.end);
            let touches = start < before || (self.strips_left && (before..start).all(is_space));
            match &mut together {
                Some(range) if touches => range.end = range.end.max(until),
                _ => {
                    let mut from = start;
                    while self.strips_left && from > before && is_space(from - 1) {
                        from -= 1;
                    }
                    if let Some(range) = together.replace(from..until) {
                        search.resolve(range)?;
                    }
                }
            }
        }
        if let Some(range) = together {
            search.resolve(range)?;
        }
        search.text_until(text.len())
    }

    /// The entry that counts at a place: where a control token is not looked for, one with its text that is none.
    fn at(&self, text: &[u8], place: (usize, usize), index: u32, wanted: Wanted<'_>) -> Option<u32> {
        let control = self.entries.get(index as usize).is_some_and(|entry| entry.control);
        if !control || wanted.looks_for_special_at(place.0, place.1) {
            return Some(index);
        }
        self.plain.prefixes(text, place.0).find(|found| found.0 == place.1).map(|found| found.1)
    }
}

/// What is still to be done in a stretch of the text, the next on top.
enum Task {
    /// Look for the entry that goes first in it.
    Look(Range<usize>),
    /// Cut it at one entry, from left to right.
    Cut(Range<usize>, u32),
    Token {
        swallowed: Range<usize>,
        id: TokenId,
        place: Range<usize>,
    },
}

/// One call of [`Specials::cut`].
struct Search<'s, 'e> {
    specials: &'s Specials,
    text: &'s [u8],
    wanted: Wanted<'s>,
    /// What lies before has been given out.
    done: usize,
    emit: &'e mut dyn FnMut(Fragment) -> Result<(), TokenizeError>,
}

impl Search<'_, '_> {
    /// Calls `found` with the entries that are found at `start` and end up to `high`, and their ends.
    #[inline]
    fn each_at(&self, start: usize, high: usize, mut found: impl FnMut(u32, usize)) {
        let trie = if self.wanted.looks_for_special() { &self.specials.trie } else { &self.specials.plain };
        for (end, index) in trie.prefixes(self.text, start).take_while(|(end, _)| *end <= high) {
            let index = match self.wanted.is_guarded() {
                true => self.specials.at(self.text, (start, end), index, self.wanted),
                false => Some(index),
            };
            if let Some(index) = index {
                found(index, end);
            }
        }
    }

    fn text_until(&mut self, end: usize) -> Result<(), TokenizeError> {
        let range = self.done..end;
        self.done = end;
        if range.is_empty() { Ok(()) } else { (self.emit)(Fragment::Text(range)) }
    }

    /// Cuts a stretch that no match reaches into or out of.
    fn resolve(&mut self, range: Range<usize>) -> Result<(), TokenizeError> {
        let mut tasks = vec![Task::Look(range)];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Look(range) => {
                    let mut first = None;
                    for start in range.clone() {
                        self.each_at(start, range.end, |index, _| {
                            first = Some(first.map_or(index, |first: u32| first.min(index)));
                        });
                    }
                    tasks.extend(first.map(|index| Task::Cut(range, index)));
                }
                Task::Cut(range, index) => self.cut_at(range, index, &mut tasks),
                Task::Token { swallowed, id, place } => {
                    self.text_until(swallowed.start)?;
                    self.done = swallowed.end;
                    (self.emit)(Fragment::Token(id, place))?;
                }
            }
        }
        Ok(())
    }

    /// Cuts a stretch at the next match of an entry.
    fn cut_at(&self, range: Range<usize>, index: u32, tasks: &mut Vec<Task>) {
        let Some(entry) = self.specials.entries.get(index as usize) else { return };
        let is_at = |start: &usize| {
            let mut is = false;
            if self.text.get(*start..).is_some_and(|rest| rest.starts_with(&entry.text)) {
                self.each_at(*start, range.end, |found, _| is |= found == index);
            }
            is
        };
        let Some(start) = range.clone().find(is_at) else {
            tasks.push(Task::Look(range));
            return;
        };
        let end = start + entry.text.len();
        let (mut from, mut to) = (start, end);
        let is_space = |at: usize| self.text.get(at).is_some_and(is_c_space);
        while entry.strip.0 && from > range.start && is_space(from - 1) {
            from -= 1;
        }
        while entry.strip.1 && to < range.end && is_space(to) {
            to += 1;
        }
        tasks.push(Task::Cut(to..range.end, index));
        tasks.push(Task::Token { swallowed: from..to, id: entry.id, place: start..end });
        tasks.push(Task::Look(range.start..from));
    }
}

/// White space as C's `isspace` has it.
fn is_c_space(byte: &u8) -> bool {
    matches!(byte, 9..=13 | 32)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]
mod tests {
    use super::*;
    use crate::EncodeOptions;
    use proptest::prelude::*;

    fn special(id: TokenId, text: &str, control: bool, strip: (bool, bool)) -> Special {
        Special { id, text: text.into(), control, strip }
    }

    fn cut(specials: &Specials, text: &[u8], wanted: Wanted<'_>) -> Vec<Fragment> {
        let mut out = Vec::new();
        specials
            .cut(text, wanted, &mut |fragment| {
                out.push(fragment);
                Ok(())
            })
            .unwrap();
        out
    }

    /// The rule as it is written: the longest first, in all that is left of the text.
    fn cut_by_rule(specials: &Specials, text: &[u8], control: bool) -> Vec<Fragment> {
        let mut parts = vec![(0..text.len(), Fragment::Text(0..text.len()))];
        let mut seen: Vec<&[u8]> = Vec::new();
        for entry in specials.entries.iter().filter(|entry| control || !entry.control) {
            if seen.contains(&entry.text.as_slice()) {
                continue;
            }
            seen.push(&entry.text);
            let mut next = Vec::new();
            for (range, part) in parts {
                if matches!(part, Fragment::Token(..)) {
                    next.push((range, part));
                    continue;
                }
                let mut low = range.start;
                let mut at = low;
                while at + entry.text.len() <= range.end {
                    if !text[at..range.end].starts_with(&entry.text) {
                        at += 1;
                        continue;
                    }
                    let (mut from, mut to) = (at, at + entry.text.len());
                    while entry.strip.0 && from > low && is_c_space(&text[from - 1]) {
                        from -= 1;
                    }
                    while entry.strip.1 && to < range.end && is_c_space(&text[to]) {
                        to += 1;
                    }
                    next.push((low..from, Fragment::Text(low..from)));
                    next.push((from..to, Fragment::Token(entry.id, at..at + entry.text.len())));
                    (low, at) = (to, to);
                }
                next.push((low..range.end, Fragment::Text(low..range.end)));
            }
            parts = next;
        }
        parts.retain(|(range, part)| matches!(part, Fragment::Token(..)) || !range.is_empty());
        parts.into_iter().map(|part| part.1).collect()
    }

    proptest! {
        #[test]
        fn parts_are_those_of_the_rule(
            entries in proptest::collection::vec(("[ab ]{1,4}", any::<[bool; 3]>()), 0..8),
            text in "[abc \\n]{0,40}",
            control in any::<bool>(),
        ) {
            let entries = entries.iter().zip(1..);
            let entries =
                entries.map(|((text, [control, left, right]), id)| special(id, text, *control, (*left, *right)));
            let specials = Specials::new(entries.collect());
            let wanted = Wanted::new(EncodeOptions { add_special: false, parse_special: control });
            let expected = cut_by_rule(&specials, text.as_bytes(), control);
            prop_assert_eq!(cut(&specials, text.as_bytes(), wanted), expected);
        }
    }

    #[test]
    fn longer_tokens_win_wherever_they_are() {
        let specials = Specials::new(vec![
            special(1, "ab", false, (false, false)),
            special(2, "bcd", false, (false, false)),
            special(3, "<s>", true, (true, true)),
            special(4, "ab", false, (false, false)),
        ]);
        use Fragment::{Text, Token};
        for (text, control, expected) in [
            ("", true, vec![]),
            ("abcd", false, vec![Text(0..1), Token(2, 1..4)]),
            ("abab", false, vec![Token(1, 0..2), Token(1, 2..4)]),
            ("x <s> ab", false, vec![Text(0..6), Token(1, 6..8)]),
            ("x <s> ab", true, vec![Text(0..1), Token(3, 2..5), Token(1, 6..8)]),
            (" <s> <s> y", true, vec![Token(3, 1..4), Token(3, 5..8), Text(9..10)]),
        ] {
            let wanted = Wanted::new(EncodeOptions { add_special: false, parse_special: control });
            assert_eq!(cut(&specials, text.as_bytes(), wanted), expected, "{text:?}");
        }
    }

    #[test]
    fn guarded_control_tokens_are_text_or_their_plain_twins() {
        let specials = Specials::new(vec![
            special(1, "<s>", true, (false, false)),
            special(2, "<s", false, (false, false)),
            special(3, "<t>", true, (false, false)),
            special(4, "<t>", false, (false, false)),
        ]);
        let options = EncodeOptions { add_special: false, parse_special: true };
        use Fragment::{Text, Token};
        for (plain, expected) in [
            (vec![], vec![Token(1, 0..3), Token(3, 3..6), Token(1, 6..9)]),
            (vec![0..0, 9..9], vec![Token(1, 0..3), Token(3, 3..6), Token(1, 6..9)]),
            (vec![2..3], vec![Token(2, 0..2), Text(2..3), Token(3, 3..6), Token(1, 6..9)]),
            (vec![3..4], vec![Token(1, 0..3), Token(4, 3..6), Token(1, 6..9)]),
            (vec![0..9], vec![Token(2, 0..2), Text(2..3), Token(4, 3..6), Token(2, 6..8), Text(8..9)]),
        ] {
            let wanted = Wanted::guarded(options, &plain, 9).unwrap();
            assert_eq!(cut(&specials, b"<s><t><s>", wanted), expected, "{plain:?}");
        }
    }
}
