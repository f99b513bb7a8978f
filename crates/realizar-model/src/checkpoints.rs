//! Recurrent states of a sequence: the one that it works on, and copies from before, so that it can be cut.
//!
//! A state cannot be undone. A sequence therefore keeps its tokens and older states: the one before its last call of
//! several tokens, which is where speculation goes back to, and some of those after every [`EVERY`] tokens. No pass
//! crosses such a place, so that where states are kept does not depend on how tokens come. A cut goes back to the last
//! kept state that is not behind it, or to the beginning, and the tokens between run again: the state is then the same
//! bits, as steps do not depend on how they are cut.
//!
//! A sequence keeps no more states than the session was told. Where there is one too many, that goes whose loss costs
//! least: the gap it leaves is the smallest beside its distance from the end. Kept places lie close together at the end
//! and ever farther apart towards the beginning.

use realizar_tensor::{StateId, StateStore};

/// Tokens between places where a state is kept.
pub(crate) const EVERY: usize = 256;

/// States of a sequence beside those at multiples of [`EVERY`]: the one it works on, and the one before its last call.
pub(crate) const BESIDE: usize = 2;

/// A state and the tokens that it has seen.
type Kept = (usize, StateId);

/// The states of one sequence, and its tokens.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// After all tokens; `None` before the first token.
    live: Option<StateId>,
    /// Before the last call of several tokens.
    before_call: Option<Kept>,
    /// At multiples of [`EVERY`], ascending.
    kept: Vec<Kept>,
    /// As many as these at most.
    most: usize,
    tokens: Vec<u32>,
}

impl States {
    /// For a sequence of up to `context` tokens that keeps `most` states at multiples of [`EVERY`].
    pub(crate) fn new(most: usize, context: usize) -> Self {
        let kept = Vec::with_capacity(most);
        Self { most, kept, tokens: Vec::with_capacity(context), ..Self::default() }
    }

    /// Tokens that may follow the first `len` in one pass.
    pub(crate) fn room(&self, len: usize) -> usize {
        if self.most == 0 { usize::MAX } else { EVERY - len % EVERY }
    }

    /// The state to work on, which nobody else holds. `adding` tokens come after the first `len`; `begins_call`: they are
    /// the first of several.
    pub(crate) fn advance(
        &mut self,
        store: &mut StateStore,
        len: usize,
        adding: &[u32],
        begins_call: bool,
    ) -> Option<StateId> {
        if let Some(live) = self.live {
            if self.most > 0 && len.is_multiple_of(EVERY) && self.kept.last().is_none_or(|(at, _)| *at < len)
            {
                if self.kept.len() == self.most {
                    let (_, least) = self.kept.remove(self.cheapest(len));
                    store.release(least);
                }
                store.retain(live);
                self.kept.push((len, live));
            }
            if begins_call {
                store.retain(live);
                if let Some((_, old)) = self.before_call.replace((len, live)) {
                    store.release(old);
                }
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

    /// Which of the kept states can go for one at `end`.
    fn cheapest(&self, end: usize) -> usize {
        let place = |index: usize| self.kept.get(index).map_or(end, |(at, _)| *at);
        let before = |index: usize| index.checked_sub(1).map_or(0, place);
        let gap = |index: usize| (place(index + 1) - before(index)) as f64 / (end - place(index)) as f64;
        (0..self.kept.len()).min_by(|a, b| gap(*a).total_cmp(&gap(*b))).unwrap_or(0)
    }

    /// Whether the state is that after `len` tokens. It is not when a step began and did not end.
    pub(crate) fn is_after(&self, len: usize) -> bool {
        self.tokens.len() == len
    }

    /// Tokens up to which the last state reaches that is not behind `wanted`, of `len` tokens.
    pub(crate) fn last_until(&self, wanted: usize, len: usize) -> usize {
        if wanted == len && self.is_after(len) {
            return len;
        }
        let kept = self.kept.iter().chain(&self.before_call).map(|(at, _)| *at);
        kept.filter(|at| *at <= wanted).max().unwrap_or(0)
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
        let mut kept = self.kept.iter().chain(&self.before_call);
        let found = kept.find(|(at, _)| *at == start).map(|(_, state)| *state);
        if let Some(state) = found {
            store.retain(state);
        }
        if let Some(live) = std::mem::replace(&mut self.live, found) {
            store.release(live);
        }
        if let Some((_, state)) = self.before_call.take_if(|(at, _)| *at > start) {
            store.release(state);
        }
        while let Some((_, state)) = self.kept.pop_if(|(at, _)| *at > start) {
            store.release(state);
        }
        let again = self.tokens[start..wanted].to_vec();
        self.tokens.truncate(start);
        again
    }

    /// Holds the same states as another.
    pub(crate) fn share(&mut self, store: &mut StateStore, other: &Self) {
        self.live = other.live;
        self.before_call = other.before_call;
        self.kept.extend_from_slice(&other.kept);
        self.tokens.extend_from_slice(&other.tokens);
        self.each(|state| store.retain(state));
    }

    /// Gives all states back.
    pub(crate) fn clear(&mut self, store: &mut StateStore) {
        self.each(|state| store.release(state));
        *self = Self::default();
    }

    fn each(&self, mut f: impl FnMut(StateId)) {
        self.live.into_iter().for_each(&mut f);
        self.kept.iter().chain(&self.before_call).for_each(|(_, state)| f(*state));
    }
}

#[cfg(test)]
mod tests {
    use realizar_tensor::{StateStore, TensorError};

    use super::{BESIDE, EVERY, States};

    /// Tokens up to `len`, in passes that end where [`States::room`] says.
    fn run(states: &mut States, store: &mut StateStore, from: usize, len: usize) {
        let mut at = from;
        while at < len {
            let rows = states.room(at).min(len - at);
            assert!(states.advance(store, at, &vec![7; rows], at == from).is_some(), "no state at {at}");
            at += rows;
        }
    }

    fn places(states: &States) -> Vec<usize> {
        states.kept.iter().map(|(at, _)| *at / EVERY).collect()
    }

    #[test]
    fn states_are_kept_and_found_again() -> Result<(), TensorError> {
        let mut store = StateStore::new(&[1], 2 + BESIDE)?;
        let mut states = States::new(2, 4 * EVERY);
        run(&mut states, &mut store, 0, EVERY + 1);
        run(&mut states, &mut store, EVERY + 1, EVERY + 41);
        let len = EVERY + 41;
        let cases =
            [(len, len), (len - 1, EVERY + 1), (EVERY, EVERY), (EVERY - 1, 0), (len + 1, EVERY + 1), (0, 0)];
        for (wanted, found) in cases {
            assert_eq!(states.last_until(wanted, len), found, "{wanted}");
        }
        assert_eq!(states.go_back(&mut store, EVERY + 1, len, EVERY + 4), [7; 3]);
        assert!(states.is_after(EVERY + 1));
        assert_eq!(states.go_back(&mut store, EVERY + 1, EVERY + 1, EVERY + 1), [0; 0], "nothing to do");
        assert_eq!(states.go_back(&mut store, 0, EVERY + 1, 5), [7; 5], "the beginning");
        assert_eq!(store.free(), 4, "nothing is held of what was cut");
        states.clear(&mut store);
        assert_eq!(store.free(), 4);
        Ok(())
    }

    /// The more tokens, the farther apart the kept states lie towards the beginning, and never more than there may be.
    #[test]
    fn what_costs_least_goes() -> Result<(), TensorError> {
        let cases: [(usize, usize, &[usize]); 6] = [
            (0, 9, &[]),
            (1, 9, &[8]),
            (2, 9, &[6, 8]),
            (4, 5, &[1, 2, 3, 4]),
            (4, 41, &[28, 37, 39, 40]),
            (8, 200, &[112, 155, 179, 191, 196, 197, 198, 199]),
        ];
        for (most, multiples, expected) in cases {
            let mut store = StateStore::new(&[1], most + BESIDE)?;
            let mut states = States::new(most, multiples * EVERY);
            run(&mut states, &mut store, 0, multiples * EVERY);
            assert_eq!(places(&states), expected, "{most} of {multiples}");
        }
        Ok(())
    }

    /// A step that panics leaves a state that has seen too much.
    #[test]
    fn a_broken_step_is_noticed() -> Result<(), TensorError> {
        let mut store = StateStore::new(&[1], BESIDE)?;
        let mut states = States::new(0, 16);
        states.advance(&mut store, 0, &[1, 2, 3], true);
        states.advance(&mut store, 3, &[4, 5], true);
        assert!(!states.is_after(3));
        assert_eq!(states.last_until(3, 3), 3, "what was kept before the step");
        assert_eq!(states.go_back(&mut store, 3, 3, 3), [0; 0]);
        assert!(states.is_after(3));
        states.advance(&mut store, 3, &[4], false);
        assert_eq!(states.last_until(3, 3), 3);
        Ok(())
    }
}
