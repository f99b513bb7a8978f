//! A map from byte strings to the numbers 0, 1, 2 ..., all strings in one buffer.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

/// Strings with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lexicon {
    bytes: Vec<u8>,
    /// End of each string in `bytes`.
    ends: Vec<u32>,
    /// Made at the beginning, or when the first string is looked for.
    index: OnceLock<Index>,
    /// Numbers of strings that were there when they were added to the index.
    repeats: Vec<u32>,
    /// Further strings for numbers that have one; in nearly no vocabulary.
    aliases: FxHashMap<Box<[u8]>, u32>,
}

/// Open addressing: the hash and the number plus one; 0 is free.
#[derive(Debug, Clone)]
struct Index {
    /// The length is a power of 2.
    slots: Vec<(u64, u32)>,
}

impl Index {
    fn with_capacity(strings: usize) -> Self {
        Self { slots: vec![(0, 0); (strings + strings / 2).next_power_of_two().max(16)] }
    }

    fn of(strings: &Lexicon) -> Self {
        let mut index = Self::with_capacity(strings.len());
        for number in 0..strings.len() as u32 {
            let text = strings.text(number);
            if let Err(place) = index.probe(hash(text), |other| strings.text(other) == text) {
                index.put(place, number);
            }
        }
        index
    }

    /// The number, or the free slot and the hash to put there.
    #[inline]
    fn probe(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Result<u32, (usize, u64)> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(&(found, number)) = self.slots.get(at) {
            if number == 0 {
                break;
            }
            if found == hash && is_it(number - 1) {
                return Ok(number - 1);
            }
            at = (at + 1) & mask;
        }
        Err((at, hash))
    }

    #[inline]
    fn put(&mut self, (at, hash): (usize, u64), number: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (hash, number + 1);
        }
    }
}

impl Lexicon {
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self { index: OnceLock::from(Index::with_capacity(strings)), ..Self::unindexed(strings, bytes) }
    }

    /// One that may never be searched: the index is made by the first search.
    pub(crate) fn unindexed(strings: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(strings),
            index: OnceLock::new(),
            repeats: Vec::new(),
            aliases: FxHashMap::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// String number `index`; empty where there is none.
    #[inline]
    pub(crate) fn text(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(index).and_then(|end| self.bytes.get(start..*end as usize)).unwrap_or(&[])
    }

    #[inline]
    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self))
    }

    /// The lowest number of a string.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        let found = self.index().probe(hash(text), |number| self.text(number) == text).ok();
        found.or_else(|| self.alias(text))
    }

    /// Adds a string that is looked for under a number which has another one.
    #[cfg(feature = "hf")]
    pub(crate) fn add_alias(&mut self, text: &[u8], number: u32) {
        self.aliases.insert(text.into(), number);
    }

    /// The number of a string that shares it.
    #[inline]
    pub(crate) fn alias(&self, text: &[u8]) -> Option<u32> {
        if self.aliases.is_empty() { None } else { self.aliases.get(text).copied() }
    }

    /// All strings that share a number.
    #[cfg(feature = "hf")]
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (&[u8], u32)> + Clone {
        self.aliases.iter().map(|(text, number)| (&**text, *number))
    }

    /// The same for one of a few searches: without an index one look at every string is cheaper than making it.
    pub(crate) fn find_once(&self, text: &[u8]) -> Option<u32> {
        match self.index.get() {
            Some(_) => self.find(text),
            None => (0..self.len() as u32).find(|number| self.text(*number) == text),
        }
    }

    /// The same, where an equal 64-bit hash (of length and bytes) is taken for equality: several times as fast on a
    /// cold cache, and wrong less often than the memory is. Only for texts from the file that the strings come from.
    #[inline]
    pub(crate) fn find_by_hash(&self, hash: u64) -> Option<u32> {
        self.index().probe(hash, |_| true).ok()
    }

    /// Whether each string but the empty one has one number, and is quickly found.
    pub(crate) fn is_unique(&self) -> bool {
        self.index.get().is_some() && self.repeats.is_empty()
    }

    /// Numbers of strings that had been added before under a lower one, where there is an index from the beginning.
    pub(crate) fn repeats(&self) -> &[u32] {
        &self.repeats
    }

    /// Whether string `number` is that of two parts together. `line`: the parts with a byte between them, where they lie so.
    #[inline]
    pub(crate) fn is_joined(&self, number: u32, (left, right): (&[u8], &[u8]), line: &[u8]) -> bool {
        let text = self.text(number);
        if text.len() != left.len() + right.len() {
            return false;
        }
        // Parts are short, and a comparison byte by byte or by a call takes as long as all the rest: most of them are compared
        // as the beginning and the end of eight bytes that go on behind and before them.
        let eight = u64::from_le_bytes;
        if left.len() <= 8
            && right.len() <= 8
            && line.len() == text.len() + 1
            && let (Some(first), Some(last)) = (line.first_chunk(), line.last_chunk())
            && let (Some(text_first), Some(text_last)) = (text.first_chunk(), text.last_chunk())
        {
            let left_differs = (eight(*first) ^ eight(*text_first)) << (64 - 8 * left.len());
            let right_differs = (eight(*last) ^ eight(*text_last)) >> (64 - 8 * right.len());
            return left_differs | right_differs == 0;
        }
        text.starts_with(left) && text.ends_with(right)
    }

    /// Adds a string under the next number, even if it is there already. Where there is an index: whether it was new.
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        let number = self.ends.len() as u32;
        let Some(index) = self.index.get_mut() else {
            self.bytes.extend_from_slice(text);
            self.ends.push(self.bytes.len() as u32);
            return true;
        };
        if self.ends.len() * 4 >= index.slots.len() * 3 {
            let larger = Index::with_capacity(index.slots.len());
            let old = std::mem::replace(index, larger);
            // Numbers and hashes stay; only the places change.
            for (hash, number) in old.slots.into_iter().filter(|slot| slot.1 != 0) {
                if let Err(place) = index.probe(hash, |_| false) {
                    index.put(place, number - 1);
                }
            }
        }
        let (bytes, ends) = (&self.bytes, &self.ends);
        let place = index.probe(hash(text), |number| {
            let number = number as usize;
            let start =
                number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
            ends.get(number).and_then(|end| bytes.get(start..*end as usize)) == Some(text)
        });
        match place {
            // Holes are no strings.
            Ok(_) if text.is_empty() => {}
            Ok(_) => self.repeats.push(number),
            Err(place) => index.put(place, number),
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        place.is_err()
    }

    /// The number of a string, which is added if need be.
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        self.find(text).unwrap_or_else(|| {
            self.push(text);
            self.ends.len() as u32 - 1
        })
    }

    /// The numbers of strings that came before under a lower one.
    pub(crate) fn duplicates(&self) -> Vec<u32> {
        if self.index.get().is_some() {
            return self.repeats.clone();
        }
        // Half of each hash in a small table: only where two are equal the strings themselves are looked at.
        let size = (self.len() * 2).next_power_of_two().max(16);
        let mut seen = vec![0u32; size];
        let mut suspicious = false;
        for number in 0..self.len() as u32 {
            let hash = hash(self.text(number));
            let tag = (hash >> 32) as u32 | 1;
            let mut at = hash as usize & (size - 1);
            while let Some(slot) = seen.get_mut(at) {
                if *slot == 0 {
                    *slot = tag;
                    break;
                }
                suspicious |= *slot == tag;
                at = (at + 1) & (size - 1);
            }
        }
        if !suspicious {
            return Vec::new();
        }
        (0..self.len() as u32).filter(|number| self.find(self.text(*number)) != Some(*number)).collect()
    }
}

/// A fast hash of short strings. Its keys come from model files, whose size is limited; it resists no attack.
#[inline]
pub(crate) fn hash(text: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let word = |chunk: &[u8; 8]| u64::from_le_bytes(*chunk);
    let half = |chunk: &[u8; 4]| u64::from(u32::from_le_bytes(*chunk));
    // Spread out, so that no short text undoes it.
    let mut state = (text.len() as u64 + 1).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    // The last chunk overlaps the one before it: strings of equal length and equal chunks are equal.
    let last = if let Some(last) = text.last_chunk::<8>() {
        for chunk in text.as_chunks::<8>().0.iter().take((text.len() - 1) / 8) {
            state = mix(state ^ word(chunk), K);
        }
        word(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        half(first) | half(last) << 32
    } else if let [first, .., last] = text {
        u64::from(*first) | u64::from(*last) << 8 | u64::from(text.get(1).copied().unwrap_or(0)) << 16
    } else {
        text.first().map_or(0, |byte| u64::from(*byte))
    };
    mix(mix(state ^ last, K), K)
}

#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_lowest_number() {
        let mut lexicon = Lexicon::with_capacity(0, 0);
        for index in 0..1000u32 {
            assert!(lexicon.push(format!("token {index}").as_bytes()));
        }
        assert!(!lexicon.push(b"token 7"));
        assert_eq!(lexicon.find(b"token 7"), Some(7));
        assert_eq!(lexicon.text(1000), b"token 7");
        assert_eq!(lexicon.intern(b"token 999"), 999);
        assert_eq!(lexicon.intern(b"new"), 1001);
        assert_eq!(lexicon.find(b""), None);
        assert_eq!(lexicon.text(5000), b"");
        assert_eq!(lexicon.len(), 1002);
        assert_eq!((lexicon.duplicates(), lexicon.repeats()), (vec![1000], &[1000][..]));
        assert_eq!(lexicon.find_once(b"token 7"), Some(7));
        let mut late = Lexicon::unindexed(2, 2);
        assert!(late.push(b"x") && late.push(b"y"));
        assert!(late.duplicates().is_empty());
        assert!(late.push(b"x"));
        assert_eq!((late.find_once(b"y"), late.find_once(b"z")), (Some(1), None));
        assert_eq!(late.duplicates(), [2]);
        assert_eq!((late.find(b"x"), late.find(b"y"), late.find(b"z")), (Some(0), Some(1), None));
        assert!(!late.push(b"y") && late.push(b"z"));
        assert_eq!(late.repeats(), [3]);
    }

    #[test]
    fn parts_are_compared_with_the_whole() {
        let mut lexicon = Lexicon::with_capacity(0, 0);
        let texts = ["ab", "abcdefgh", "abcdefghijkl", "abcdefghijklmnop", "abcdefghijklmnopqrs"];
        texts.iter().for_each(|text| assert!(lexicon.push(text.as_bytes())));
        for (number, text) in (0..).zip(texts) {
            for cut in 1..text.len() {
                let line = [&text[..cut], " ", &text[cut..]].concat().into_bytes();
                for at in (0..line.len()).filter(|at| *at != cut).map(Some).chain([None]) {
                    let mut line = line.clone();
                    at.into_iter().for_each(|at| line[at] ^= 1);
                    let sides = (&line[..cut], &line[cut + 1..]);
                    assert_eq!(lexicon.is_joined(number, sides, &line), at.is_none(), "{text} {cut} {at:?}");
                    assert_eq!(
                        lexicon.is_joined(number, sides, sides.0),
                        at.is_none(),
                        "{text} {cut} {at:?}"
                    );
                    assert!(!lexicon.is_joined(number, (sides.0, &line), &line), "{text} {cut}");
                }
            }
        }
    }

    #[test]
    fn hashes_see_every_byte() {
        let mut seen = std::collections::HashSet::new();
        for len in 0..40 {
            let mut text = vec![0u8; len];
            assert!(seen.insert(hash(&text)), "{len}");
            for at in 0..len {
                text[at] = 1;
                assert!(seen.insert(hash(&text)), "{len} {at}");
                text[at] = 0;
            }
        }
    }
}
