//! Min-p: a threshold relative to the best token (arXiv:2407.01082).

use crate::candidates::Candidates;

/// Keeps tokens whose probability is at least `p` times the best one's; 0 keeps all.
pub(crate) fn keep(candidates: &mut Candidates, p: f32) {
    if p == 0.0 {
        return;
    }
    // Probabilities share one divisor, so their ratio is the exponential of the difference of scores.
    candidates.keep_from(candidates.max_logit() + p.ln());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_near_the_best() {
        let logits: Vec<f32> = [0.1f32, 0.6, 0.3].iter().map(|p| p.ln()).collect();
        for (name, p, expected) in [
            ("off", 0.0, vec![0, 1, 2]),
            ("tenth", 0.1, vec![0, 1, 2]),
            ("a fifth", 0.2, vec![1, 2]),
            ("only the best", 1.0, vec![1]),
        ] {
            let mut candidates = Candidates::of(&logits);
            keep(&mut candidates, p);
            assert_eq!(candidates.ids(), expected, "{name}");
        }
    }
}
