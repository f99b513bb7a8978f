//! Numbers for each symbol of a long word.

/// A list in parts that grows without a copy and whose beginning can be given back.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    parts: Vec<Vec<u32>>,
    len: usize,
}

const PART: usize = 1 << 14;

impl Slots {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, slot: u32) {
        if self.len.is_multiple_of(PART) {
            self.parts.push(Vec::with_capacity(PART));
        }
        if let Some(part) = self.parts.last_mut() {
            part.push(slot);
        }
        self.len += 1;
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        self.parts.get(at / PART)?.get(at % PART).copied()
    }

    #[inline]
    pub(crate) fn set(&mut self, at: usize, slot: u32) {
        if let Some(place) = self.parts.get_mut(at / PART).and_then(|part| part.get_mut(at % PART)) {
            *place = slot;
        }
    }

    /// Gives back what lies before, in whole parts; it must not be asked for again.
    #[inline]
    pub(crate) fn free_before(&mut self, at: usize) {
        if let Some(part) = (at / PART).checked_sub(1).and_then(|part| self.parts.get_mut(part))
            && part.capacity() > 0
        {
            *part = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_before_is_given_back_in_parts() {
        let mut slots = Slots::default();
        let count = 3 * PART + 5;
        (0..count as u32).for_each(|slot| slots.push(slot));
        slots.set(PART, 7);
        assert_eq!(slots.len(), count);
        assert_eq!(
            (slots.get(PART), slots.get(count - 1), slots.get(count)),
            (Some(7), Some(count as u32 - 1), None)
        );
        slots.free_before(PART - 1);
        assert_eq!(slots.get(0), Some(0));
        slots.free_before(2 * PART + 1);
        assert_eq!(
            (slots.get(0), slots.get(PART), slots.get(2 * PART)),
            (Some(0), None, Some(2 * PART as u32))
        );
    }
}
