//! Recurrent states of a sequence: the one that it works on, and copies from before, so that it can be cut.
//!
//! A state cannot be undone. A sequence therefore keeps its tokens and two older states: the one before its last step
//! of more than one token, and the last one at a multiple of [`EVERY`] tokens. A cut goes back to the last of them that
//! is not behind the cut, and the tokens between run again: the state is then the same bits, as steps do not depend on
//! how they are cut.

use realizar_tensor::{StateId, StateStore};

/// Tokens between states that are kept.
pub(crate) const EVERY: usize = 256;

/// The states of one sequence, and its tokens.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// After all tokens; `None` before the first token.
    live: Option<StateId>,
    /// Before the last step of several tokens, and at the last multiple of [`EVERY`]: length and state.
    kept: [Option<(usize, StateId)>; 2],
    tokens: Vec<u32>,
}

/// Places in `kept`.
const BEFORE_STEP: usize = 0;
const MULTIPLE: usize = 1;

impl States {
    /// The state to work on, which nobody else holds. `adding` tokens come after the first `len`.
    pub(crate) fn advance(&mut self, store: &mut StateStore, len: usize, adding: &[u32]) -> Option<StateId> {
        if let Some(live) = self.live {
            let multiple = len.is_multiple_of(EVERY);
            if multiple {
                self.keep(store, MULTIPLE, len, live);
            }
            if adding.len() > 1 {
                self.keep(store, BEFORE_STEP, len, live);
            }
            if store.holders(live) > 1 {
                self.live = store.copy(live);
                store.release(live);
            }
        } else {
            self.live = store.alloc();
        }
        self.tokens.extend_from_slice(adding);
        self.live
    }

    fn keep(&mut self, store: &mut StateStore, place: usize, len: usize, state: StateId) {
        store.retain(state);
        if let Some((_, old)) = self.kept[place].replace((len, state)) {
            store.release(old);
        }
    }

    /// Whether the state is that after `len` tokens. It is not when a step began and did not end.
    pub(crate) fn is_after(&self, len: usize) -> bool {
        self.tokens.len() == len
    }

    /// Tokens up to which a kept state reaches that is not behind `wanted`; the beginning counts if `wanted` is near.
    pub(crate) fn last_until(&self, wanted: usize, len: usize) -> Option<usize> {
        if wanted == len && self.is_after(len) {
            return Some(len);
        }
        let beginning = (wanted == 0 || wanted < EVERY).then_some(0);
        let kept = self.kept.iter().flatten().map(|(at, _)| *at).filter(|at| *at <= wanted);
        kept.chain(beginning).max()
    }

    /// Goes back to the state after `start` of the `len` tokens; gives the tokens from there up to `wanted`.
    pub(crate) fn go_back(
        &mut self,
        store: &mut StateStore,
        start: usize,
        len: usize,
        wanted: usize,
    ) -> Vec<u32> {
        if start == len && self.is_after(len) {
            return Vec::new();
        }
        let found = self.kept.iter().flatten().find(|(at, _)| *at == start).map(|(_, state)| *state);
        if let Some(state) = found {
            store.retain(state);
        }
        if let Some(live) = std::mem::replace(&mut self.live, found) {
            store.release(live);
        }
        for place in &mut self.kept {
            if let Some((_, state)) = place.take_if(|(at, _)| *at > start) {
                store.release(state);
            }
        }
        let again = self.tokens[start..wanted].to_vec();
        self.tokens.truncate(start);
        again
    }

    /// Holds the same states as another.
    pub(crate) fn share(&mut self, store: &mut StateStore, other: &Self) {
        self.live = other.live;
        self.kept = other.kept;
        self.tokens.clone_from(&other.tokens);
        self.each(|state| store.retain(state));
    }

    /// Gives all states back.
    pub(crate) fn clear(&mut self, store: &mut StateStore) {
        self.each(|state| store.release(state));
        *self = Self::default();
    }

    fn each(&self, mut f: impl FnMut(StateId)) {
        self.live.into_iter().for_each(&mut f);
        self.kept.iter().flatten().for_each(|(_, state)| f(*state));
    }
}

#[cfg(test)]
mod tests {
    use realizar_tensor::{StateStore, TensorError};

    use super::{EVERY, States};

    #[test]
    fn states_are_kept_and_found_again() -> Result<(), TensorError> {
        let mut store = StateStore::new(&[1], 3)?;
        let mut states = States::default();
        states.advance(&mut store, 0, &[1; EVERY]);
        states.advance(&mut store, EVERY, &[2]);
        assert_eq!(states.last_until(EVERY, EVERY + 1), Some(EVERY), "at a multiple");
        states.advance(&mut store, EVERY + 1, &[3; 40]);
        let len = EVERY + 41;
        let cases = [
            (len, Some(len)),
            (len - 1, Some(EVERY + 1)),
            (EVERY, Some(EVERY)),
            (EVERY - 1, Some(0)),
            (len + 1, Some(EVERY + 1)),
        ];
        for (wanted, found) in cases {
            assert_eq!(states.last_until(wanted, len), found, "{wanted}");
        }
        assert_eq!(states.go_back(&mut store, EVERY + 1, len, EVERY + 4), [3; 3]);
        assert!(states.is_after(EVERY + 1));
        assert_eq!(states.go_back(&mut store, EVERY + 1, EVERY + 1, EVERY + 1), [0; 0], "nothing to do");
        states.clear(&mut store);
        assert_eq!(store.free(), 3);
        Ok(())
    }

    /// A step that panics leaves a state that has seen too much.
    #[test]
    fn a_broken_step_is_noticed() -> Result<(), TensorError> {
        let mut store = StateStore::new(&[1], 3)?;
        let mut states = States::default();
        states.advance(&mut store, 0, &[1, 2, 3]);
        states.advance(&mut store, 3, &[4, 5]);
        assert!(!states.is_after(3));
        assert_eq!(states.last_until(3, 3), Some(3), "what was kept before the step");
        assert_eq!(states.go_back(&mut store, 3, 3, 3), [0; 0]);
        assert!(states.is_after(3));
        states.advance(&mut store, 3, &[4]);
        assert_eq!(states.last_until(3, 3), Some(3));
        Ok(())
    }
}
