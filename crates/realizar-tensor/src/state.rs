//! Recurrent states: what layers keep of a sequence's past in a fixed number of floats, reference-counted.

use crate::TensorError;

/// Names one state of a [`StateStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId(u32);

/// Consecutive rows that continue one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSpan {
    /// The rows.
    pub rows: std::ops::Range<usize>,
    /// The state, which nobody else may hold.
    pub state: StateId,
}

/// All states of a session, allocated at once. A state has parts of their own sizes: what each layer keeps.
#[derive(Debug)]
pub struct StateStore {
    /// Per part: `[states][size]`.
    parts: Vec<Vec<f32>>,
    sizes: Vec<usize>,
    counts: Vec<u32>,
    free: Vec<StateId>,
}

impl StateStore {
    /// Bytes of `states` states with parts of these sizes; `None` when that overflows.
    #[must_use]
    pub fn bytes_needed(sizes: &[usize], states: usize) -> Option<u64> {
        let floats = sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size as u64))?;
        floats.checked_mul(4)?.checked_mul(states as u64)
    }

    /// Allocates `states` states, all free.
    ///
    /// # Errors
    /// When a part is empty or the memory cannot be had.
    pub fn new(sizes: &[usize], states: usize) -> Result<Self, TensorError> {
        let bytes = Self::bytes_needed(sizes, states);
        let refused = || TensorError::OutOfMemory { what: "recurrent states", bytes };
        let count = u32::try_from(states).map_err(|_| refused())?;
        if bytes.is_none() || sizes.contains(&0) {
            return Err(refused());
        }
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            let mut part = Vec::new();
            let len = size.checked_mul(states).ok_or_else(refused)?;
            part.try_reserve_exact(len).map_err(|_| refused())?;
            part.resize(len, 0.0);
            parts.push(part);
        }
        Ok(Self {
            parts,
            sizes: sizes.to_vec(),
            counts: vec![0; states],
            free: (0..count).rev().map(StateId).collect(),
        })
    }

    /// States that [`Self::alloc`] can still give.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Holders of a state; 0 when it is free.
    ///
    /// # Panics
    /// When the state is of another store.
    #[must_use]
    pub fn holders(&self, state: StateId) -> u32 {
        self.counts[state.0 as usize]
    }

    /// A free state of zeros, held once.
    pub fn alloc(&mut self) -> Option<StateId> {
        let state = self.free.pop()?;
        self.counts[state.0 as usize] = 1;
        self.reset(state);
        Some(state)
    }

    /// Zeros, as before the first token.
    ///
    /// # Panics
    /// When the state is of another store.
    pub fn reset(&mut self, state: StateId) {
        for (part, size) in self.parts.iter_mut().zip(&self.sizes) {
            part[state.0 as usize * size..][..*size].fill(0.0);
        }
    }

    /// One holder more.
    ///
    /// # Panics
    /// When the state is free.
    pub fn retain(&mut self, state: StateId) {
        let count = &mut self.counts[state.0 as usize];
        assert!(*count > 0, "{state:?} is free");
        *count += 1;
    }

    /// One holder less; the state is free when it was the last.
    ///
    /// # Panics
    /// When the state is free already.
    pub fn release(&mut self, state: StateId) {
        let count = &mut self.counts[state.0 as usize];
        assert!(*count > 0, "{state:?} is free already");
        *count -= 1;
        if *count == 0 {
            self.free.push(state);
        }
    }

    /// A new state, held once, with the contents of `source`: before one of several holders goes on.
    pub fn copy(&mut self, source: StateId) -> Option<StateId> {
        let copy = self.free.pop()?;
        self.counts[copy.0 as usize] = 1;
        for (part, size) in self.parts.iter_mut().zip(&self.sizes) {
            let start = source.0 as usize * size;
            part.copy_within(start..start + size, copy.0 as usize * size);
        }
        Some(copy)
    }

    /// One part of all states, and the size of one.
    ///
    /// # Panics
    /// When a span's state has not exactly one holder: somebody else would see it change.
    pub(crate) fn part(&mut self, part: usize, spans: &[StateSpan]) -> (&mut [f32], usize) {
        for StateSpan { state, .. } in spans {
            assert_eq!(self.counts[state.0 as usize], 1, "holders of {state:?}");
        }
        (&mut self.parts[part], self.sizes[part])
    }
}

impl StateId {
    /// The row of the state in every part.
    pub(crate) fn row(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{StateSpan, StateStore};
    use crate::TensorError;

    #[test]
    fn states_are_counted_and_copied() -> Result<(), TensorError> {
        assert_eq!(StateStore::bytes_needed(&[3, 5], 2), Some(64));
        // Where addresses have 32 bits, 64 tell how much that would be.
        let told = StateStore::bytes_needed(&[usize::MAX, 5], 2);
        assert_eq!(told.is_none(), cfg!(target_pointer_width = "64"), "{told:?}");
        // More than any memory; where addresses are short, more than they can tell.
        let far = if cfg!(target_pointer_width = "64") { usize::MAX >> 24 } else { usize::MAX };
        for (sizes, states) in [(&[usize::MAX][..], 2), (&[1, 0], 2), (&[far], 1 << 20)] {
            assert!(StateStore::new(sizes, states).is_err(), "{sizes:?}");
        }
        let mut store = StateStore::new(&[3, 5], 2)?;
        let Some(one) = store.alloc() else { panic!("no state") };
        let span = StateSpan { rows: 0..1, state: one };
        store.part(1, &[span]).0[one.row() * 5 + 4] = 7.0;
        let Some(two) = store.copy(one) else { panic!("no second state") };
        assert_eq!((store.free(), store.copy(one), store.alloc()), (0, None, None));
        assert_eq!(store.part(1, &[]).0[two.row() * 5 + 4], 7.0);
        store.retain(one);
        store.release(one);
        assert_eq!((store.holders(one), store.free()), (1, 0));
        store.release(one);
        let Some(again) = store.alloc() else { panic!("not given back") };
        assert_eq!(store.part(1, &[]).0[again.row() * 5 + 4], 0.0, "zeros");
        Ok(())
    }

    #[test]
    #[should_panic = "holders of"]
    fn a_shared_state_is_not_written() {
        let Ok(mut store) = StateStore::new(&[1], 1) else { return };
        let Some(state) = store.alloc() else { return };
        store.retain(state);
        store.part(0, &[StateSpan { rows: 0..1, state }]);
    }
}
