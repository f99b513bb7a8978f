//! A map from byte strings to the numbers 0, 1, 2 ..., all strings in one buffer.

/// Strings with their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lexicon {
    bytes: Vec<u8>,
    /// End of each string in `bytes`.
    ends: Vec<u32>,
    /// Open addressing: the hash and the number plus one; 0 is free. The length is a power of 2.
    slots: Vec<(u64, u32)>,
}

impl Lexicon {
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(strings),
            slots: vec![(0, 0); (strings * 2).next_power_of_two().max(16)],
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

    /// The lowest number of a string.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        self.probe(text).ok()
    }

    /// The same, where equal length and equal 64-bit hash are taken for equality: three times as fast on a cold
    /// cache, and wrong less often than the memory is. Only for texts from the file that the strings come from.
    pub(crate) fn find_by_hash(&self, text: &[u8]) -> Option<u32> {
        self.probe_by(hash(text), |number| self.text(number).len() == text.len()).ok()
    }

    /// The number, or the free slot and the hash to put there.
    #[inline]
    fn probe(&self, text: &[u8]) -> Result<u32, (usize, u64)> {
        self.probe_by(hash(text), |number| self.text(number) == text)
    }

    #[inline]
    fn probe_by(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Result<u32, (usize, u64)> {
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

    /// Adds a string under the next number, even if it is there already; whether it was new.
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let place = self.probe(text);
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        let Err((at, hash)) = place else { return false };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (hash, self.ends.len() as u32);
        }
        true
    }

    /// The number of a string, which is added if need be.
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        self.find(text).unwrap_or_else(|| {
            self.push(text);
            self.ends.len() as u32 - 1
        })
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        self.slots = vec![(0, 0); size];
        for number in 0..self.ends.len() as u32 {
            if let Err((at, hash)) = self.probe(self.text(number))
                && let Some(slot) = self.slots.get_mut(at)
            {
                *slot = (hash, number + 1);
            }
        }
    }
}

/// A fast hash of short strings. Its keys come from model files, whose size is limited; it resists no attack.
#[inline]
pub(crate) fn hash(text: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = text.len() as u64;
    let (chunks, tail) = text.as_chunks::<8>();
    for chunk in chunks {
        state = mix(state ^ u64::from_le_bytes(*chunk), K);
    }
    if !tail.is_empty() {
        let mut last = [0u8; 8];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        state = mix(state ^ u64::from_le_bytes(last), K);
    }
    mix(state, K)
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
        let mut lexicon = Lexicon::default();
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
    }
}
