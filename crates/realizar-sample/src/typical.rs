//! Locally typical sampling (arXiv:2202.00666).

use crate::candidates::{Candidate, Candidates};
use crate::temperature::entropy;

/// Keeps the tokens whose surprise is nearest to the entropy until their probabilities pass `p`; 1 or more keeps all.
pub(crate) fn keep(candidates: &mut Candidates, p: f32) {
    if p >= 1.0 || candidates.len() < 2 {
        return;
    }
    let max = candidates.max_logit();
    let sum = candidates.exp_sum(max);
    let expected = entropy(candidates);
    let distance = |item: &Candidate| (f64::from(max - item.logit) + sum.ln() - expected).abs();
    candidates.items_mut().sort_unstable_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.id.cmp(&b.id)));
    let mut mass = 0.0;
    let kept = candidates.items().iter().position(|item| {
        mass += f64::from((item.logit - max).exp()) / sum;
        mass > f64::from(p)
    });
    if let Some(last) = kept {
        candidates.truncate(last + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(probabilities: &[f32], p: f32) -> Vec<u32> {
        let mut candidates = Candidates::of_probabilities(probabilities);
        keep(&mut candidates, p);
        candidates.ids()
    }

    #[test]
    fn keeps_what_is_typical() {
        // Entropy 1.28 nats; surprises 0.92, 1.20, 1.61, 2.30: the order of typicality is 1, 2, 0, 3.
        let skewed = [0.4, 0.3, 0.2, 0.1];
        assert_eq!(kept(&skewed, 0.2), [1]);
        assert_eq!(kept(&skewed, 0.45), [1, 2]);
        assert_eq!(kept(&skewed, 0.95), [1, 2, 0, 3]);
        assert_eq!(kept(&skewed, 1.0), [0, 1, 2, 3]);
        assert_eq!(kept(&[1.0], 0.5), [0]);
        assert_eq!(kept(&[0.7, 0.3], 0.5), [0]);
        assert_eq!(kept(&[0.5, 0.5], 0.5), [0, 1], "a half does not pass a half");
    }
}
