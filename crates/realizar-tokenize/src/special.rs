//! Cutting special tokens out of a text before anything else looks at it.

use std::ops::Range;

use crate::TokenId;
use crate::trie::Trie;
use crate::wanted::Wanted;

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
        Self { entries, trie, plain }
    }

    /// The text cut up; fragments are never empty.
    pub(crate) fn cut(&self, text: &[u8], wanted: Wanted<'_>) -> Vec<Fragment> {
        let trie = if wanted.looks_for_special() { &self.trie } else { &self.plain };
        let mut found: Vec<(u32, usize, usize)> = Vec::new();
        for (start, byte) in text.iter().enumerate() {
            if trie.may_start(*byte) {
                let here = trie.prefixes(text, start).filter_map(|(end, index)| {
                    let index =
                        if wanted.is_guarded() { self.at(text, (start, end), index, wanted)? } else { index };
                    Some((index, start, end))
                });
                found.extend(here);
            }
        }
        // By rank (longest first), then from left to right.
        found.sort_unstable();
        let mut taken: Vec<(usize, usize, TokenId, Range<usize>)> = Vec::new();
        let mut same_rank: Vec<(usize, usize, TokenId, Range<usize>)> = Vec::new();
        let mut rank = None;
        for (index, start, end) in found {
            let Some(entry) = self.entries.get(index as usize) else { continue };
            if rank != Some(index) {
                merge_sorted(&mut taken, &mut same_rank);
                rank = Some(index);
            }
            // The gap between the cuts so far in which the match must lie.
            let before = taken.partition_point(|cut| cut.0 < end && cut.1 <= start);
            let low = before.checked_sub(1).and_then(|at| taken.get(at)).map_or(0, |cut| cut.1);
            let high = taken.get(before).map_or(text.len(), |cut| cut.0);
            let low = low.max(same_rank.last().map_or(0, |cut| cut.1));
            if start < low || end > high {
                continue;
            }
            let (mut from, mut to) = (start, end);
            while entry.strip.0 && from > low && text.get(from - 1).is_some_and(is_c_space) {
                from -= 1;
            }
            while entry.strip.1 && to < high && text.get(to).is_some_and(is_c_space) {
                to += 1;
            }
            same_rank.push((from, to, entry.id, start..end));
        }
        merge_sorted(&mut taken, &mut same_rank);
        let mut out = Vec::new();
        let mut done = 0;
        for (from, to, id, place) in taken {
            if from > done {
                out.push(Fragment::Text(done..from));
            }
            out.push(Fragment::Token(id, place));
            done = to;
        }
        if done < text.len() {
            out.push(Fragment::Text(done..text.len()));
        }
        out
    }
}

impl Specials {
    /// The entry that counts at a place: where a control token is not looked for, one with its text that is none.
    fn at(&self, text: &[u8], place: (usize, usize), index: u32, wanted: Wanted<'_>) -> Option<u32> {
        let control = self.entries.get(index as usize).is_some_and(|entry| entry.control);
        if !control || wanted.looks_for_special_at(place.0, place.1) {
            return Some(index);
        }
        self.plain.prefixes(text, place.0).find(|found| found.0 == place.1).map(|found| found.1)
    }
}

fn merge_sorted<T: Ord2>(taken: &mut Vec<T>, more: &mut Vec<T>) {
    if !more.is_empty() {
        taken.append(more);
        taken.sort_by_key(Ord2::start);
    }
}

/// What sorts a cut.
trait Ord2 {
    fn start(&self) -> usize;
}

impl Ord2 for (usize, usize, TokenId, Range<usize>) {
    fn start(&self) -> usize {
        self.0
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

    fn special(id: TokenId, text: &str, control: bool, strip: (bool, bool)) -> Special {
        Special { id, text: text.into(), control, strip }
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
            assert_eq!(specials.cut(text.as_bytes(), wanted), expected, "{text:?}");
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
            assert_eq!(specials.cut(b"<s><t><s>", wanted), expected, "{plain:?}");
        }
    }
}
