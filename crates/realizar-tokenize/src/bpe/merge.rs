//! Merging the symbols of one word, best pair first, leftmost of equals first.

use super::long::merge_long;

/// A symbol that no pair contains.
pub(crate) const NO_SYMBOL: u32 = u32::MAX;

/// What a merge needs to know: the priority of a pair (lower is sooner) and the symbol it becomes. `start..end` is
/// where the pair lies in the word.
pub(crate) trait Pairs {
    /// Whether `pair` needs the place.
    const BY_PLACE: bool;

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
    /// Merges symbols, given as ids and lengths, as far as `pairs` allow, and calls `emit` with the id, start and end of
    /// each that is left.
    pub(crate) fn merge<P: Pairs>(
        &mut self,
        pairs: &P,
        symbols: impl Iterator<Item = (u32, usize)>,
        mut emit: impl FnMut(u32, usize, usize),
    ) {
        let mut symbols = symbols.peekable();
        let mut from = 0;
        // Nothing merges across a symbol that is in no pair, if pairs go by symbols.
        let joins = |symbol: &(u32, usize)| P::BY_PLACE || symbol.0 != NO_SYMBOL;
        while symbols.peek().is_some() {
            self.symbols.clear();
            let mut end = from;
            while self.symbols.len() < SHORT
                && let Some((id, bytes)) = symbols.next_if(joins)
            {
                self.symbols.push((id, end));
                end += bytes;
            }
            if self.symbols.len() == SHORT && symbols.peek().is_some_and(joins) {
                let ends = self.symbols.iter().skip(1).map(|symbol| symbol.1).chain([end]);
                let first = self.symbols.iter().zip(ends).map(|((id, start), end)| (*id, end - start));
                let rest = std::iter::from_fn(|| symbols.next_if(joins));
                end = merge_long(pairs, first.chain(rest), from, &mut emit);
            } else {
                self.merge_short(pairs, end);
                for index in 0..self.symbols.len() {
                    if let Some(&(id, start)) = self.symbols.get(index) {
                        emit(id, start, self.end_of(index, end));
                    }
                }
            }
            from = end;
            while let Some((id, bytes)) = symbols.next_if(|symbol| !joins(symbol)) {
                emit(id, from, from + bytes);
                from += bytes;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Symbols are numbers; two equal ones merge to the next number, 0 and 1 merge to 7, with priorities that are
    /// neither ascending nor unique.
    struct Toy;

    impl Pairs for Toy {
        const BY_PLACE: bool = true;

        fn pair(&self, left: u32, right: u32, start: usize, end: usize) -> Option<(u32, u32)> {
            assert!(start + 2 <= end);
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
            let len: usize = word.iter().map(|symbol| symbol.1).sum();
            let mut short = Vec::new();
            Merger::default().merge(&Toy, word.iter().copied(), |id, start, end| short.push((id, start, end)));
            let mut long = Vec::new();
            let end = merge_long(&Toy, word.iter().copied(), 7, &mut |id, start, end| long.push((id, start - 7, end - 7)));
            prop_assert_eq!(short, long);
            prop_assert_eq!(end, len + 7);
        }
    }

    /// A word so long that its queues change their form, with the place as part of the priority.
    struct Placed;

    impl Pairs for Placed {
        const BY_PLACE: bool = true;

        fn pair(&self, left: u32, right: u32, start: usize, end: usize) -> Option<(u32, u32)> {
            let (priority, id) = Toy.pair(left, right, start, end)?;
            Some((priority * 4 + ((end - start) % 3) as u32, id))
        }
    }

    #[test]
    fn long_and_very_long_ways_agree() {
        let mut state = 1u32;
        let word: Vec<(u32, usize)> = (0..6000)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let id = if at % 900 < 600 { 0 } else { state >> 24 & 1 };
                (id, (state >> 28) as usize % 3 + 1)
            })
            .collect();
        let len = word.iter().map(|symbol| symbol.1).sum();
        let mut short = Merger::default();
        let mut start = 0;
        for (id, bytes) in &word {
            short.symbols.push((*id, start));
            start += bytes;
        }
        short.merge_short(&Placed, len);
        let short: Vec<(u32, usize, usize)> = (0..short.symbols.len())
            .map(|at| (short.symbols[at].0, short.symbols[at].1, short.end_of(at, len)))
            .collect();
        let mut long = Vec::new();
        merge_long(&Placed, word.iter().copied(), 0, &mut |id, start, end| long.push((id, start, end)));
        assert_eq!(short, long);
    }

    /// Two equal symbols merge; there is no telling where they lie.
    struct ByName;

    impl Pairs for ByName {
        const BY_PLACE: bool = false;

        fn pair(&self, left: u32, right: u32, _start: usize, _end: usize) -> Option<(u32, u32)> {
            (left == right && left < 3).then_some((left, left + 1))
        }
    }

    #[test]
    fn symbols_in_no_pair_part_a_word() {
        for run in [0, 1, 2, 95, 96, 97, 300] {
            let symbols = |id| std::iter::repeat_n((id, 2), run).chain([(NO_SYMBOL, 3), (NO_SYMBOL, 1)]);
            let word: Vec<(u32, usize)> = symbols(0).chain(symbols(1)).chain(symbols(2)).collect();
            let (mut merged, mut at) = (Vec::new(), 0);
            Merger::default().merge(&ByName, word.iter().copied(), |id, start, end| {
                assert_eq!(start, at);
                at = end;
                merged.push((id, end - start));
            });
            let part = |id: u32| {
                let mut part = Vec::new();
                merge_long(&ByName, std::iter::repeat_n((id, 2), run), 0, &mut |id, start, end| {
                    part.push((id, end - start));
                });
                part.into_iter().chain([(NO_SYMBOL, 3), (NO_SYMBOL, 1)])
            };
            assert_eq!(merged, part(0).chain(part(1)).chain(part(2)).collect::<Vec<_>>(), "{run}");
        }
    }

    #[test]
    fn a_long_word_takes_the_long_way() {
        let mut ends = Vec::new();
        Merger::default().merge(&Toy, std::iter::repeat_n((0, 2), 1000), |_, _, end| ends.push(end));
        assert_eq!(ends.last(), Some(&2000));
        assert_eq!(ends.len(), 1000 / 16 + 1);
    }
}
