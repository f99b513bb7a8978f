//! SentencePiece's precompiled normaliser: a double-array trie from byte strings to replacements.

use crate::TokenizeError;

/// The map, checked as far as it can be without a text.
#[derive(Debug, Clone)]
pub(crate) struct CharsMap {
    units: Vec<u32>,
    /// Replacements, each ended by a zero byte.
    replacements: Vec<u8>,
    /// For each first byte, a bit for the low six bits of a second byte outside ASCII behind which a key may go on.
    pairs: Box<[u64; 256]>,
    /// ASCII characters that are no key and begin none of two ASCII characters.
    plain: u128,
}

/// How many times as long as a key its replacement may be. The longest of published maps is 11 times.
const MAX_TIMES: usize = 32;

impl CharsMap {
    /// Reads the binary form: the trie's size in bytes, the trie, the replacements. Empty is the identity.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, TokenizeError> {
        let bad = |what, offset| Err(TokenizeError::BadCharsMap { what, offset });
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((size, rest)) = bytes.split_first_chunk::<4>() else {
            return bad("the size of the trie is cut off", 0);
        };
        let size = u32::from_le_bytes(*size) as usize;
        let Some((trie, replacements)) = rest.split_at_checked(size) else {
            return bad("the trie is longer than the map", 0);
        };
        let (units, []) = trie.as_chunks::<4>() else {
            return bad("the trie's size is not a multiple of 4", 0);
        };
        if units.is_empty() {
            return bad("the trie is empty", 4);
        }
        if replacements.last() != Some(&0) {
            return bad("the last replacement does not end", bytes.len());
        }
        let units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let (pairs, plain) = (Box::new([0; 256]), 0);
        let mut map = Self { units, replacements: replacements.to_vec(), pairs, plain };
        // Every value in the trie must point at a replacement.
        for (index, unit) in map.units.iter().enumerate() {
            let has_leaf = unit >> 8 & 1 == 1 && unit >> 31 == 0;
            let leaf = map.units.get(index ^ offset(*unit)).filter(|leaf| has_leaf && *leaf >> 31 == 1);
            if leaf.is_some_and(|leaf| (leaf & 0x7FFF_FFFF) as usize >= map.replacements.len()) {
                return bad("a replacement lies outside the map", 4 + 4 * index);
            }
        }
        if let Some(index) = map.inflating() {
            return bad("a replacement is more than 32 times as long as what it replaces", 4 + 4 * index);
        }
        map.make_tables();
        Ok(Some(map))
    }

    /// A unit whose key is replaced by much more than its length: a text must not grow without bounds. All units are
    /// looked at once, from the root down, at the length of the shortest key that leads there.
    fn inflating(&self) -> Option<usize> {
        // Where the children of a node lie is known by the number that they have in common: one list of units by that.
        let base = |index: usize, unit: u32| index ^ (unit & 0xFF) as usize;
        let is_label = |unit: u32| unit >> 31 == 0 && unit & 0xFF != 0;
        let labels = || self.units.iter().enumerate().filter(|(_, unit)| is_label(**unit));
        let size = self.units.len().next_multiple_of(256);
        let mut ends = vec![0u32; size + 1];
        for (index, unit) in labels() {
            if let Some(count) = ends.get_mut(base(index, *unit) + 1) {
                *count += 1;
            }
        }
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total;
        }
        let mut children = vec![0u32; total as usize];
        let mut next = ends.clone();
        for (index, unit) in labels() {
            if let Some(at) = next.get_mut(base(index, *unit)) {
                if let Some(slot) = children.get_mut(*at as usize) {
                    *slot = index as u32;
                }
                *at += 1;
            }
        }
        // Looked up, since many keys may share the end of one long replacement.
        let zeros: Vec<usize> =
            self.replacements.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at).collect();
        let len = |value: usize| {
            let end = zeros.partition_point(|zero| *zero < value);
            zeros.get(end).map_or(0, |end| end - value)
        };
        let mut seen = vec![false; size];
        let mut level: Vec<usize> = self.units.first().map(|root| offset(*root)).into_iter().collect();
        for depth in 1.. {
            let mut below = Vec::new();
            for node in level {
                if seen.get_mut(node).is_none_or(|seen| std::mem::replace(seen, true)) {
                    continue;
                }
                let range = ends.get(node).zip(ends.get(node + 1));
                let range = range.map_or(0..0, |(start, end)| *start as usize..*end as usize);
                for index in children.get(range).unwrap_or(&[]).iter().map(|index| *index as usize) {
                    let Some(unit) = self.units.get(index) else { continue };
                    let child = index ^ offset(*unit);
                    below.push(child);
                    if let Some(leaf) = self.units.get(child).filter(|_| unit >> 8 & 1 == 1)
                        && len((leaf & 0x7FFF_FFFF) as usize) > MAX_TIMES * depth
                    {
                        return Some(index);
                    }
                }
            }
            if below.is_empty() {
                return None;
            }
            level = below;
        }
        None
    }

    fn make_tables(&mut self) {
        for first in 0..=255u8 {
            for low in 0..64u8 {
                // Behind ASCII a character begins, elsewhere it goes on.
                let second = if first < 0x80 { 0xC0 } else { 0x80 } | low;
                if self.depth(&[first, second]) > 1
                    && let Some(bits) = self.pairs.get_mut(first as usize)
                {
                    *bits |= 1 << low;
                }
            }
        }
        for first in 1..128u8 {
            let mut keys = 0;
            self.walk(&[first], 0, |_, _| keys += 1);
            if keys == 0 && (1..128u8).all(|second| self.depth(&[first, second]) < 2) {
                self.plain |= 1 << first;
            }
        }
    }

    /// How many bytes of `text` lead on in the trie.
    fn depth(&self, text: &[u8]) -> usize {
        let Some(root) = self.units.first() else { return 0 };
        let mut node = offset(*root);
        for (index, byte) in text.iter().enumerate() {
            node ^= *byte as usize;
            match self.units.get(node) {
                Some(unit) if unit & 0x8000_00FF == u32::from(*byte) => node ^= offset(*unit),
                _ => return index,
            }
        }
        text.len()
    }

    /// Whether an ASCII character stays as it is where another, or nothing, follows.
    #[inline]
    pub(crate) fn is_plain(&self, byte: u8) -> bool {
        byte < 0x80 && self.plain >> byte & 1 == 1
    }

    /// Whether a key may begin with two bytes of UTF-8, of which the second is outside ASCII.
    #[inline]
    pub(crate) fn may_begin(&self, first: u8, second: u8) -> bool {
        self.pairs.get(first as usize).is_none_or(|bits| bits >> (second & 63) & 1 == 1)
    }

    /// Whether a character of UTF-8 stays as it is on its own; an ASCII character also where another follows.
    #[inline]
    pub(crate) fn is_steady(&self, text: &[u8], at: usize) -> bool {
        match (text.get(at), text.get(at + 1)) {
            (Some(byte), _) if byte.is_ascii() => self.is_plain(*byte),
            (Some(first), Some(second)) => !self.may_begin(*first, *second),
            _ => false,
        }
    }

    /// The longest key that begins `text[start..]`: its length and its replacement.
    pub(crate) fn longest(&self, text: &[u8], start: usize) -> Option<(usize, &[u8])> {
        let mut found = None;
        self.walk(text, start, |len, value| found = Some((len, value)));
        let (len, value) = found?;
        Some((len, self.replacement(value)))
    }

    /// The replacement of the shortest key that begins `text`, if it has one: what the Hugging Face library takes,
    /// whether or not the key is the whole of it.
    pub(crate) fn shortest(&self, text: &[u8]) -> Option<&[u8]> {
        let mut found = None;
        self.walk(text, 0, |_, value| {
            found.get_or_insert(value);
        });
        found.map(|value| self.replacement(value))
    }

    fn replacement(&self, value: usize) -> &[u8] {
        let rest = self.replacements.get(value..).unwrap_or(&[]);
        rest.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    fn walk(&self, text: &[u8], start: usize, mut emit: impl FnMut(usize, usize)) {
        let Some(root) = self.units.first() else { return };
        let mut node = offset(*root);
        for (index, byte) in text.get(start..).unwrap_or(&[]).iter().enumerate() {
            if *byte == 0 {
                return;
            }
            node ^= *byte as usize;
            let Some(unit) = self.units.get(node) else { return };
            // A label, and no leaf.
            if unit & 0x8000_00FF != u32::from(*byte) {
                return;
            }
            node ^= offset(*unit);
            if unit >> 8 & 1 == 1
                && let Some(leaf) = self.units.get(node)
            {
                emit(index + 1, (leaf & 0x7FFF_FFFF) as usize);
            }
        }
    }
}

/// Distance to a unit's children.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrupt_maps_are_refused() {
        for (name, bytes) in [
            ("cut size", &[1, 0][..]),
            ("long trie", &[8, 0, 0, 0, 1, 1, 1, 1, 0]),
            ("odd trie", &[3, 0, 0, 0, 1, 1, 1, 0]),
            ("no trie", &[0, 0, 0, 0, 0]),
            ("no end", &[4, 0, 0, 0, 0, 0, 0, 0, b'x']),
            ("no replacements", &[4, 0, 0, 0, 0, 0, 0, 0]),
            // The unit's child 4 units on is a leaf with value 9.
            ("outside", &[8, 0, 0, 0, 0, 5, 0, 0, 9, 0, 0, 0x80, b'x', 0]),
        ] {
            let refused = CharsMap::parse(bytes);
            assert!(matches!(refused, Err(TokenizeError::BadCharsMap { .. })), "{name}: {refused:?}");
        }
        assert!(CharsMap::parse(&[]).unwrap().is_none());
    }
}
