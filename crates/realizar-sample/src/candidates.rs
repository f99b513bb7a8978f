//! The tokens still in the race.

use std::cmp::Ordering;

/// A token and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) id: u32,
    pub(crate) logit: f32,
}

/// The tokens that may still be chosen.
///
/// Invariants: no score is NaN or plus infinity (checked by [`Candidates::fill`]'s caller), and `items[..sorted]` are the
/// best `sorted` of all, in the order of [`best_first`]. The order of the rest is fixed by the input but has no meaning.
/// Sorting a short prefix on demand is what keeps a vocabulary of 100,000 cheap.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    items: Vec<Candidate>,
    sorted: usize,
}

impl Candidates {
    /// Starts over with one candidate per score, in the order of ids. Allocates only when the vocabulary grows.
    pub(crate) fn fill(&mut self, logits: &[f32]) {
        self.items.clear();
        self.items.extend((0u32..).zip(logits).map(|(id, &logit)| Candidate { id, logit }));
        self.sorted = 0;
    }

    pub(crate) fn items(&self) -> &[Candidate] {
        &self.items
    }

    /// All candidates, to be changed freely: nothing counts as sorted afterwards.
    pub(crate) fn items_mut(&mut self) -> &mut [Candidate] {
        self.sorted = 0;
        &mut self.items
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Makes the first `n` the best `n`, best first.
    pub(crate) fn sort_prefix(&mut self, n: usize) -> &[Candidate] {
        let n = n.min(self.items.len());
        if n > self.sorted {
            let rest = &mut self.items[self.sorted..];
            let wanted = n - self.sorted;
            // The worst of the wanted goes to its place, those before it are better.
            let (better, ..) = rest.select_nth_unstable_by(wanted.saturating_sub(1), best_first);
            better.sort_unstable_by(best_first);
            self.sorted = n;
        }
        &self.items[..n]
    }

    /// The highest score; minus infinity when there is none.
    pub(crate) fn max_logit(&self) -> f32 {
        match self.sorted {
            0 => self.items.iter().fold(f32::NEG_INFINITY, |max, item| max.max(item.logit)),
            _ => self.items[0].logit,
        }
    }

    /// Keeps the first `n`.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.items.truncate(n);
        self.sorted = self.sorted.min(n);
    }

    /// Keeps scores of at least `least`.
    pub(crate) fn keep_from(&mut self, least: f32) {
        self.items.retain(|item| item.logit >= least);
        self.sorted = self.sorted.min(self.items.len());
    }

    /// Removes the first `n`.
    pub(crate) fn remove_first(&mut self, n: usize) {
        self.items.drain(..n);
        self.sorted -= n.min(self.sorted);
    }

    /// Sum of `exp(logit - max)` over all candidates: what probabilities are divided by.
    pub(crate) fn exp_sum(&self, max: f32) -> f64 {
        self.items.iter().map(|item| f64::from((item.logit - max).exp())).sum()
    }
}

/// Highest score first, the lower id first among equals: a total order, so that every choice is reproducible.
pub(crate) fn best_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

#[cfg(test)]
impl Candidates {
    pub(crate) fn of(logits: &[f32]) -> Self {
        let mut candidates = Self::default();
        candidates.fill(logits);
        candidates
    }

    pub(crate) fn of_probabilities(probabilities: &[f32]) -> Self {
        Self::of(&probabilities.iter().map(|p| p.ln()).collect::<Vec<_>>())
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(items: &[Candidate]) -> Vec<u32> {
        items.iter().map(|item| item.id).collect()
    }

    #[test]
    fn prefixes_grow_without_losing_order() {
        let logits = [0.5, 3.0, -1.0, 3.0, 2.0, 0.0];
        let mut candidates = Candidates::of(&logits);
        assert_eq!(candidates.max_logit(), 3.0);
        for (n, expected) in [(1, vec![1]), (3, vec![1, 3, 4]), (2, vec![1, 3]), (9, vec![1, 3, 4, 0, 5, 2])]
        {
            assert_eq!(ids(candidates.sort_prefix(n)), expected, "prefix of {n}");
        }
        assert_eq!(candidates.max_logit(), 3.0);
    }

    #[test]
    fn cuts_keep_the_sorted_count_true() {
        let mut candidates = Candidates::of(&[0.0, 1.0, 2.0, 3.0]);
        candidates.sort_prefix(3);
        candidates.remove_first(1);
        assert_eq!(candidates.max_logit(), 2.0);
        candidates.keep_from(1.0);
        assert_eq!(ids(candidates.items()), [2, 1]);
        candidates.truncate(1);
        assert_eq!(ids(candidates.sort_prefix(5)), [2]);
        candidates.remove_first(1);
        assert_eq!(candidates.len(), 0);
        assert_eq!(candidates.max_logit(), f32::NEG_INFINITY);
    }
}
