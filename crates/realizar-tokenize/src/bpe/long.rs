//! Merging the symbols of a long word in little memory: four bytes for each symbol, and the positions that wait.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::merge::{NO_SYMBOL, Pairs};
use crate::slots::Slots;

/// Merges words of any length in O(n log n): positions wait in one queue per priority, and the chain of symbols is kept
/// in boundary tags. The word lies at `base`; returns where it ends.
pub(super) fn merge_long(
    pairs: &impl Pairs,
    symbols: impl Iterator<Item = (u32, usize)>,
    base: usize,
    emit: &mut impl FnMut(u32, usize, usize),
) -> usize {
    let mut chain = Chain::new(symbols, base);
    let mut waiting = Waiting::new(chain.slots.len());
    while waiting.is_wanting() {
        waiting.refill(&chain, pairs);
        while let Some((priority, start)) = waiting.pop() {
            let Some((middle, end)) = chain.two_from(start) else { continue };
            // The entry may be out of date: look again.
            match chain.pair(pairs, start, middle, end) {
                Some((again, merged)) if again == priority => chain.join(start, middle, end, merged),
                _ => continue,
            }
            let before = chain.start_before(start).map(|before| (before, start, end));
            let after = chain.end_of(end).map(|after| (start, end, after));
            for (left, right, end) in [before, after].into_iter().flatten() {
                if let Some((priority, _)) = chain.pair(pairs, left, right, end) {
                    waiting.push(priority, left);
                }
            }
        }
    }
    drop(waiting);
    let (mut start, mut at) = (0, base);
    while let Some(end) = chain.end_of(start) {
        let until = chain.places.of(end);
        emit(chain.id(start), at, until);
        (start, at) = (end, until);
        chain.slots.free_before(start);
    }
    at
}

/// Positions that wait, those of the lowest priorities only where there are too many: the others are looked for again when
/// these are done.
#[derive(Debug)]
struct Waiting {
    queues: BTreeMap<u32, Queue>,
    /// Of all symbols there were.
    count: usize,
    /// Numbers of four bytes that wait, and how many may.
    held: usize,
    budget: usize,
    /// From this priority on nothing waits; `None` where all do.
    limit: Option<u32>,
    started: bool,
}

impl Waiting {
    fn new(count: usize) -> Self {
        let budget = (count / 2).max(MIN_BUDGET);
        Self { queues: BTreeMap::new(), count, held: 0, budget, limit: None, started: false }
    }

    /// Whether there are pairs that have not been looked for yet.
    fn is_wanting(&self) -> bool {
        !self.started || self.limit.is_some()
    }

    /// Puts in all pairs that there are, when none waits.
    fn refill(&mut self, chain: &Chain, pairs: &impl Pairs) {
        (self.started, self.limit) = (true, None);
        let mut start = 0;
        while let Some((middle, end)) = chain.two_from(start) {
            if let Some((priority, _)) = chain.pair(pairs, start, middle, end) {
                self.put(priority, |queue, count| queue.push_sorted(start, count));
            }
            start = middle;
        }
        self.queues.values_mut().for_each(Queue::seal);
    }

    fn push(&mut self, priority: u32, at: usize) {
        self.put(priority, |queue, count| queue.push(at, count));
    }

    #[inline]
    fn put(&mut self, priority: u32, push: impl FnOnce(&mut Queue, usize)) {
        if self.limit.is_some_and(|limit| priority >= limit) {
            return;
        }
        let queue = self.queues.entry(priority).or_default();
        self.held -= queue.weight();
        push(queue, self.count);
        self.held += queue.weight();
        while self.held > self.budget && self.queues.len() > 1 {
            let Some((last, queue)) = self.queues.pop_last() else { break };
            self.held -= queue.weight();
            self.limit = Some(last);
        }
    }

    /// The first position of the lowest priority.
    fn pop(&mut self) -> Option<(u32, usize)> {
        while let Some(mut entry) = self.queues.first_entry() {
            let (priority, weight) = (*entry.key(), entry.get().weight());
            if let Some(start) = entry.get_mut().pop() {
                self.held = self.held - weight + entry.get().weight();
                return Some((priority, start));
            }
            self.held -= weight;
            entry.remove();
        }
        None
    }
}

/// So few may wait in any case.
const MIN_BUDGET: usize = 1 << 10;

/// Positions of one priority, taken in ascending order.
#[derive(Debug)]
enum Queue {
    Few {
        /// Descending once sealed; taken from the end.
        sorted: Vec<u32>,
        late: BinaryHeap<Reverse<u32>>,
    },
    Many(Set),
}

impl Default for Queue {
    fn default() -> Self {
        Self::Few { sorted: Vec::new(), late: BinaryHeap::new() }
    }
}

impl Queue {
    /// Numbers of four bytes that it takes.
    #[inline]
    fn weight(&self) -> usize {
        match self {
            Self::Few { sorted, late } => sorted.len() + late.len(),
            Self::Many(set) => set.levels.first().map_or(0, Vec::len) * 2,
        }
    }

    /// Positions in ascending order, before anything is taken; of `count` that there are.
    fn push_sorted(&mut self, at: usize, count: usize) {
        match self {
            Self::Few { sorted, .. } => {
                // By little: there are many queues.
                if sorted.len() == sorted.capacity() {
                    sorted.reserve_exact((sorted.len() / 4).max(4));
                }
                sorted.push(at as u32);
            }
            Self::Many(set) => set.insert(at),
        }
        self.grow(count);
    }

    fn seal(&mut self) {
        if let Self::Few { sorted, .. } = self {
            sorted.reverse();
            sorted.shrink_to_fit();
        }
    }

    fn push(&mut self, at: usize, count: usize) {
        match self {
            Self::Few { late, .. } => {
                if late.len() == late.capacity() {
                    late.reserve_exact((late.len() / 4).max(4));
                }
                late.push(Reverse(at as u32));
            }
            Self::Many(set) => set.insert(at),
        }
        self.grow(count);
    }

    /// Where a set takes less memory, it becomes one.
    fn grow(&mut self, count: usize) {
        let Self::Few { sorted, late } = self else { return };
        if sorted.len() + late.len() <= (count / 32).max(64) {
            return;
        }
        let mut set = Set::new(count);
        sorted.iter().chain(late.iter().map(|Reverse(at)| at)).for_each(|at| set.insert(*at as usize));
        *self = Self::Many(set);
    }

    fn pop(&mut self) -> Option<usize> {
        let (sorted, late) = match self {
            Self::Few { sorted, late } => (sorted, late),
            Self::Many(set) => return set.pop(),
        };
        let at = match (sorted.last(), late.peek()) {
            (Some(sorted), Some(Reverse(first))) if first < sorted => late.pop().map(|Reverse(at)| at),
            (None, _) => late.pop().map(|Reverse(at)| at),
            _ => sorted.pop(),
        };
        if sorted.capacity() > 256 && sorted.len() < sorted.capacity() / 2 {
            sorted.shrink_to_fit();
        }
        at.map(|at| at as usize)
    }
}

/// A set of numbers as bits; each level has a bit for each word of the one below that is not empty.
#[derive(Debug)]
struct Set {
    levels: Vec<Vec<u64>>,
}

impl Set {
    fn new(count: usize) -> Self {
        let mut levels = Vec::new();
        let mut words = count;
        while words > 1 || levels.is_empty() {
            words = words.div_ceil(64);
            levels.push(vec![0; words.max(1)]);
        }
        Self { levels }
    }

    fn insert(&mut self, mut at: usize) {
        for level in &mut self.levels {
            if let Some(word) = level.get_mut(at / 64) {
                let empty = *word == 0;
                *word |= 1 << (at % 64);
                if !empty {
                    return;
                }
            }
            at /= 64;
        }
    }

    /// Takes out the lowest.
    fn pop(&mut self) -> Option<usize> {
        let mut at = 0;
        for level in self.levels.iter().rev() {
            let word = level.get(at).filter(|word| **word != 0)?;
            at = at * 64 + word.trailing_zeros() as usize;
        }
        let mut clear = at;
        for level in &mut self.levels {
            if let Some(word) = level.get_mut(clear / 64) {
                *word &= !(1 << (clear % 64));
                if *word != 0 {
                    break;
                }
            }
            clear /= 64;
        }
        Some(at)
    }
}

/// Where symbols begin in the text, by their numbers.
#[derive(Debug)]
struct Places {
    base: usize,
    /// A bit for each byte that a symbol begins with; empty where each symbol is a byte.
    starts: Vec<u64>,
    /// The place of every `SAMPLE`th symbol, less `base`.
    samples: Vec<u32>,
    /// All bytes.
    len: usize,
}

const SAMPLE: usize = 32;

impl Places {
    fn of(&self, symbol: usize) -> usize {
        self.base + self.inside(symbol)
    }

    fn inside(&self, symbol: usize) -> usize {
        if self.starts.is_empty() {
            return symbol.min(self.len);
        }
        let Some(sample) = self.samples.get(symbol / SAMPLE) else { return self.len };
        let mut at = *sample as usize / 64;
        let mut mask = u64::MAX << (sample % 64);
        let mut left = symbol % SAMPLE;
        while let Some(word) = self.starts.get(at) {
            let mut word = word & mask;
            let ones = word.count_ones() as usize;
            if left < ones {
                (0..left).for_each(|_| word &= word - 1);
                return at * 64 + word.trailing_zeros() as usize;
            }
            left -= ones;
            mask = u64::MAX;
            at += 1;
        }
        self.len
    }

    fn push(&mut self, symbol: usize, bytes: usize) {
        // As long as each symbol is a byte nothing is kept.
        if self.starts.is_empty() {
            if bytes == 1 {
                self.len += 1;
                return;
            }
            let before = self.len;
            self.len = 0;
            (0..before).for_each(|symbol| self.mark(symbol, 1));
        }
        self.mark(symbol, bytes);
    }

    fn mark(&mut self, symbol: usize, bytes: usize) {
        if symbol.is_multiple_of(SAMPLE) {
            self.samples.push(self.len as u32);
        }
        if self.starts.len() <= self.len / 64 {
            self.starts.resize(self.len / 64 + 1, 0);
        }
        if let Some(word) = self.starts.get_mut(self.len / 64) {
            *word |= 1 << (self.len % 64);
        }
        self.len += bytes;
    }
}

/// What a slot is: a symbol of its own, the first slot of a longer one, or one that is not the first.
const ALONE: u32 = 0;
const FIRST: u32 = 1 << 30;
const INSIDE: u32 = 1 << 31;
const ID: u32 = FIRST - 1;

/// The chain of symbols, known by the number of their first slot; each was a slot of its own. The second and the last slot
/// of a symbol hold the number of its slots. (A token has at most 65535 bytes.)
struct Chain {
    slots: Slots,
    places: Places,
}

impl Chain {
    fn new(symbols: impl Iterator<Item = (u32, usize)>, base: usize) -> Self {
        let mut slots = Slots::default();
        let mut places = Places { base, starts: Vec::new(), samples: Vec::new(), len: 0 };
        for (id, bytes) in symbols {
            places.push(slots.len(), bytes);
            slots.push(ALONE | (id & ID));
        }
        Self { slots, places }
    }

    #[inline]
    fn pair(&self, pairs: &impl Pairs, start: usize, middle: usize, end: usize) -> Option<(u32, u32)> {
        by_place(pairs, self, start, middle, end)
    }

    fn id(&self, start: usize) -> u32 {
        match self.slots.get(start) {
            Some(slot) if slot & ID != ID => slot & ID,
            _ => NO_SYMBOL,
        }
    }

    /// End of the symbol that starts here; `None` where none does.
    #[inline]
    fn end_of(&self, start: usize) -> Option<usize> {
        match self.slots.get(start)? {
            slot if slot & INSIDE != 0 => None,
            slot if slot & FIRST != 0 => Some(start + (self.slots.get(start + 1)? & !INSIDE) as usize),
            _ => Some(start + 1),
        }
    }

    /// Ends of the symbol that starts here and of the one after it.
    #[inline]
    fn two_from(&self, start: usize) -> Option<(usize, usize)> {
        let middle = self.end_of(start)?;
        Some((middle, self.end_of(middle)?))
    }

    #[inline]
    fn start_before(&self, start: usize) -> Option<usize> {
        let last = start.checked_sub(1)?;
        let slot = self.slots.get(last)?;
        let count = if slot & INSIDE == 0 { 1 } else { (slot & !INSIDE) as usize };
        start.checked_sub(count)
    }

    fn join(&mut self, start: usize, middle: usize, end: usize, id: u32) {
        let count = INSIDE | (end - start) as u32;
        for (at, slot) in [(middle, count), (start, FIRST | (id & ID)), (start + 1, count), (end - 1, count)]
        {
            self.slots.set(at, slot);
        }
    }
}

#[inline]
fn by_place<P: Pairs>(
    pairs: &P,
    chain: &Chain,
    start: usize,
    middle: usize,
    end: usize,
) -> Option<(u32, u32)> {
    let (from, to) = if P::BY_PLACE { (chain.places.of(start), chain.places.of(end)) } else { (0, 0) };
    pairs.pair(chain.id(start), chain.id(middle), from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits is limited where each position has a priority of its own, and nothing is lost.
    #[test]
    fn positions_beyond_the_budget_wait_outside() {
        struct Apart;

        impl Pairs for Apart {
            const BY_PLACE: bool = true;

            /// Any two symbols merge, those whose end has the lowest bits turned round first.
            fn pair(&self, left: u32, right: u32, _start: usize, end: usize) -> Option<(u32, u32)> {
                (left == 0 && right == 0).then_some(((end as u32).reverse_bits() >> 8, 1))
            }
        }

        const COUNT: usize = 40_000;
        let mut waiting = Waiting::new(COUNT);
        let chain = Chain::new(std::iter::repeat_n((0, 1), COUNT), 0);
        waiting.refill(&chain, &Apart);
        assert!(waiting.is_wanting());
        assert!(waiting.held <= COUNT / 2, "{}", waiting.held);
        let mut last = 0;
        for _ in 0..waiting.held {
            let (priority, _) = waiting.pop().unwrap();
            assert!(priority >= last && waiting.limit.is_some_and(|limit| priority < limit));
            last = priority;
        }
        assert!(waiting.pop().is_none() && waiting.held == 0);
        let mut ends = Vec::new();
        merge_long(&Apart, std::iter::repeat_n((0, 1), COUNT), 0, &mut |_, start, end| {
            ends.push((start, end));
        });
        // No two symbols are left that would merge.
        assert!(ends.windows(2).all(|two| two[0].1 - two[0].0 > 1 || two[1].1 - two[1].0 > 1));
        assert!(ends.iter().all(|(start, end)| end - start <= 2));
        // The ends of even places come first, as they have a low bit less.
        assert!(ends.iter().filter(|(start, end)| end - start == 2 && end % 2 == 0).count() > COUNT / 3);
    }
}
