//! What pairs of symbols become.

use crate::lexicon::mix;

/// A map from two symbols to the rank of their merge and its result, by open addressing.
#[derive(Debug, Clone, Default)]
pub(super) struct Merges {
    /// The length is 0 or a power of 2.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    left: u32,
    right: u32,
    rank: u32,
    /// Plus one; 0 is free.
    merged: u32,
}

const FREE: Slot = Slot { left: 0, right: 0, rank: 0, merged: 0 };

impl Merges {
    /// For up to `pairs` pairs.
    pub(super) fn with_capacity(pairs: usize) -> Self {
        Self { slots: vec![FREE; (pairs + pairs / 2).next_power_of_two().max(16)] }
    }

    #[inline]
    fn start(&self, left: u32, right: u32) -> usize {
        mix(u64::from(left) << 32 | u64::from(right), 0x9E37_79B9_7F4A_7C15) as usize
            & self.slots.len().wrapping_sub(1)
    }

    /// Rank and result.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let mut at = self.start(left, right);
        loop {
            let slot = self.slots.get(at)?;
            if slot.merged == 0 {
                return None;
            }
            if slot.left == left && slot.right == right {
                return Some((slot.rank, slot.merged - 1));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a pair; where it is there, it stays or is `replaced`. Whether it was new.
    pub(super) fn insert(
        &mut self,
        left: u32,
        right: u32,
        (rank, merged): (u32, u32),
        replaced: bool,
    ) -> bool {
        let mut at = self.start(left, right);
        let mask = self.slots.len().wrapping_sub(1);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.merged == 0 {
                *slot = Slot { left, right, rank, merged: merged + 1 };
                return true;
            }
            if slot.left == left && slot.right == right {
                if replaced {
                    *slot = Slot { left, right, rank, merged: merged + 1 };
                }
                return false;
            }
            at = (at + 1) & mask;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_or_the_last_of_equal_pairs_counts() {
        assert_eq!(Merges::default().get(1, 2), None);
        let mut merges = Merges::with_capacity(1000);
        for at in 0..1000 {
            assert!(merges.insert(at, at * at, (0, at + 8), true));
            assert!(!merges.insert(at, at * at, (at, at + 7), true));
            assert!(!merges.insert(at, at * at, (0, 0), false));
        }
        for at in 0..1000 {
            assert_eq!(merges.get(at, at * at), Some((at, at + 7)));
            assert_eq!(merges.get(at, at * at + 1), None);
        }
    }
}
