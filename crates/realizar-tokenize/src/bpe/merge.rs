//! Merging the symbols of one word, best pair first, leftmost of equals first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A symbol that no pair contains.
pub(crate) const NO_SYMBOL: u32 = u32::MAX;

/// What a merge needs to know: the priority of a pair (lower is sooner) and the symbol it becomes. `start..end` is
/// where the pair lies in the word.
pub(crate) trait Pairs {
    fn pair(&self, left: u32, right: u32, start: usize, end: usize) -> Option<(u32, u32)>;
}

/// Working memory for short words.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    symbols: Vec<(u32, usize)>,
    /// Priority and result of merging each symbol with the next.
    next: Vec<(u32, u32)>,
}

const NEVER: (u32, u32) = (u32::MAX, NO_SYMBOL);
/// Beyond this many symbols the quadratic way is left.
const SHORT: usize = 96;

impl Merger {
    /// Merges symbols, given as ids and lengths that add up to `len` bytes, as far as `pairs` allow, and calls `emit`
    /// with the id, start and end of each that is left.
    pub(crate) fn merge(
        &mut self,
        pairs: &impl Pairs,
        mut symbols: impl Iterator<Item = (u32, usize)>,
        len: usize,
        mut emit: impl FnMut(u32, usize, usize),
    ) {
        self.symbols.clear();
        let mut start = 0;
        for (id, bytes) in symbols.by_ref().take(SHORT) {
            self.symbols.push((id, start));
            start += bytes;
        }
        if start < len {
            let first =
                self.symbols.iter().zip(self.symbols.iter().skip(1).map(|symbol| symbol.1).chain([start]));
            let first: Vec<(u32, usize)> = first.map(|((id, start), end)| (*id, end - start)).collect();
            merge_long(pairs, first.into_iter().chain(symbols), len, emit);
            return;
        }
        self.merge_short(pairs, len);
        for index in 0..self.symbols.len() {
            if let Some(&(id, start)) = self.symbols.get(index) {
                emit(id, start, self.end_of(index, len));
            }
        }
    }

    fn end_of(&self, index: usize, len: usize) -> usize {
        self.symbols.get(index + 1).map_or(len, |symbol| symbol.1)
    }

    fn look(&self, pairs: &impl Pairs, index: usize, len: usize) -> (u32, u32) {
        let (Some(left), Some(right)) = (self.symbols.get(index), self.symbols.get(index + 1)) else {
            return NEVER;
        };
        pairs.pair(left.0, right.0, left.1, self.end_of(index + 1, len)).unwrap_or(NEVER)
    }

    fn merge_short(&mut self, pairs: &impl Pairs, len: usize) {
        self.next.clear();
        for index in 0..self.symbols.len() {
            let best = self.look(pairs, index, len);
            self.next.push(best);
        }
        loop {
            let (mut best, mut at) = (NEVER, 0);
            for (index, candidate) in self.next.iter().enumerate() {
                if candidate.0 < best.0 {
                    best = *candidate;
                    at = index;
                }
            }
            if best.0 == NEVER.0 {
                return;
            }
            if let Some(symbol) = self.symbols.get_mut(at) {
                symbol.0 = best.1;
            }
            self.symbols.remove(at + 1);
            self.next.remove(at + 1);
            for index in [Some(at), at.checked_sub(1)].into_iter().flatten() {
                let changed = self.look(pairs, index, len);
                if let Some(slot) = self.next.get_mut(index) {
                    *slot = changed;
                }
            }
        }
    }
}

/// The same for words of any length in O(n log n) and a few bytes per byte of text: positions wait in one queue per
/// priority, and the chain of symbols is kept in boundary tags.
fn merge_long(
    pairs: &impl Pairs,
    symbols: impl Iterator<Item = (u32, usize)>,
    len: usize,
    mut emit: impl FnMut(u32, usize, usize),
) {
    let mut chain = Chain::new(symbols, len);
    let mut waiting: BTreeMap<u32, Queue> = BTreeMap::new();
    let mut start = 0;
    while let Some((middle, end)) = chain.two_from(start) {
        if let Some((priority, _)) = pairs.pair(chain.id(start), chain.id(middle), start, end) {
            waiting.entry(priority).or_default().sorted.push(start as u32);
        }
        start = middle;
    }
    for queue in waiting.values_mut() {
        // Taken from the end.
        queue.sorted.reverse();
        queue.sorted.shrink_to_fit();
    }
    while let Some(mut entry) = waiting.first_entry() {
        let priority = *entry.key();
        let Some(start) = entry.get_mut().pop() else {
            entry.remove();
            continue;
        };
        let start = start as usize;
        let Some((middle, end)) = chain.two_from(start) else { continue };
        // The entry may be out of date: look again.
        match pairs.pair(chain.id(start), chain.id(middle), start, end) {
            Some((again, merged)) if again == priority => chain.join(start, middle, end, merged),
            _ => continue,
        }
        let before = chain.start_before(start).map(|before| (before, start, end));
        let after = chain.end_of(end).map(|after| (start, end, after));
        for (left, right, end) in [before, after].into_iter().flatten() {
            if let Some((priority, _)) = pairs.pair(chain.id(left), chain.id(right), left, end) {
                waiting.entry(priority).or_default().late.push(Reverse(left as u32));
            }
        }
    }
    let mut start = 0;
    while let Some(end) = chain.end_of(start) {
        emit(chain.id(start), start, end);
        start = end;
    }
}

/// Positions of one priority, taken in ascending order.
#[derive(Debug, Default)]
struct Queue {
    /// Descending.
    sorted: Vec<u32>,
    late: BinaryHeap<Reverse<u32>>,
}

impl Queue {
    fn pop(&mut self) -> Option<u32> {
        match (self.sorted.last(), self.late.peek()) {
            (Some(sorted), Some(Reverse(late))) if late < sorted => self.late.pop().map(|Reverse(at)| at),
            (None, _) => self.late.pop().map(|Reverse(at)| at),
            _ => self.sorted.pop(),
        }
    }
}

/// Marks bytes that are not the first of a symbol.
const INSIDE: u32 = u32::MAX - 1;

/// The chain of symbols. A symbol is known by its first byte.
struct Chain {
    /// The symbol's id at its first byte.
    ids: Vec<u32>,
    /// The symbol's length at its first and its last byte. (A token has at most 65535 bytes.)
    lens: Vec<u16>,
}

impl Chain {
    fn new(symbols: impl Iterator<Item = (u32, usize)>, len: usize) -> Self {
        let mut chain = Self { ids: vec![INSIDE; len], lens: vec![0; len] };
        let mut start = 0;
        for (id, bytes) in symbols {
            chain.put(start, start + bytes, id);
            start += bytes;
        }
        chain
    }

    fn put(&mut self, start: usize, end: usize, id: u32) {
        if let Some(slot) = self.ids.get_mut(start) {
            *slot = id;
        }
        for at in [start, end - 1] {
            if let Some(slot) = self.lens.get_mut(at) {
                *slot = (end - start) as u16;
            }
        }
    }

    fn id(&self, start: usize) -> u32 {
        self.ids.get(start).copied().unwrap_or(NO_SYMBOL)
    }

    /// End of the symbol that starts here; `None` where none does.
    fn end_of(&self, start: usize) -> Option<usize> {
        match (self.ids.get(start), self.lens.get(start)) {
            (Some(&id), Some(&len)) if id != INSIDE => Some(start + len as usize),
            _ => None,
        }
    }

    /// Ends of the symbol that starts here and of the one after it.
    fn two_from(&self, start: usize) -> Option<(usize, usize)> {
        let middle = self.end_of(start)?;
        Some((middle, self.end_of(middle)?))
    }

    fn start_before(&self, start: usize) -> Option<usize> {
        let last = start.checked_sub(1)?;
        self.lens.get(last).map(|len| start - *len as usize)
    }

    fn join(&mut self, start: usize, middle: usize, end: usize, id: u32) {
        if let Some(slot) = self.ids.get_mut(middle) {
            *slot = INSIDE;
        }
        self.put(start, end, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Symbols are numbers; two equal ones merge to the next number, 0 and 1 merge to 7, with priorities that are
    /// neither ascending nor unique.
    struct Toy;

    impl Pairs for Toy {
        fn pair(&self, left: u32, right: u32, _: usize, _: usize) -> Option<(u32, u32)> {
            match (left, right) {
                (0, 1) => Some((5, 7)),
                (7, 0) => Some((1, 8)),
                (8, 8) => Some((5, 9)),
                (a, b) if a == b && a < 4 => Some((9 - a, a + 1)),
                _ => None,
            }
        }
    }

    proptest! {
        #[test]
        fn long_and_short_ways_agree(word in proptest::collection::vec((0u32..3, 1usize..4), 0..90)) {
            let len = word.iter().map(|symbol| symbol.1).sum();
            let mut short = Vec::new();
            Merger::default().merge(&Toy, word.iter().copied(), len, |id, start, end| short.push((id, start, end)));
            let mut long = Vec::new();
            merge_long(&Toy, word.iter().copied(), len, |id, start, end| long.push((id, start, end)));
            prop_assert_eq!(short, long);
        }
    }

    #[test]
    fn a_long_word_takes_the_long_way() {
        let mut ends = Vec::new();
        Merger::default().merge(&Toy, std::iter::repeat_n((0, 2), 1000), 2000, |_, _, end| ends.push(end));
        assert_eq!(ends.last(), Some(&2000));
        assert_eq!(ends.len(), 1000 / 16 + 1);
    }
}
