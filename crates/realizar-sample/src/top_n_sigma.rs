//! Top-n-sigma: a threshold in standard deviations of the scores (arXiv:2411.07641).

use crate::candidates::Candidates;

/// Keeps scores of at least the best one minus `n` standard deviations (excluded tokens do not count); 0 keeps all.
pub(crate) fn keep(candidates: &mut Candidates, n: f32) {
    if n <= 0.0 {
        return;
    }
    let finite =
        || candidates.items().iter().map(|item| f64::from(item.logit)).filter(|logit| logit.is_finite());
    let count = finite().count().max(1) as f64;
    let mean = finite().sum::<f64>() / count;
    let variance = finite().map(|logit| (logit - mean).powi(2)).sum::<f64>() / count;
    let least = f64::from(candidates.max_logit()) - f64::from(n) * variance.sqrt();
    candidates.keep_from(least as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_within_n_deviations() {
        // Mean 2, standard deviation 2.
        let logits = [0.0, 0.0, 0.0, 4.0, 4.0, 4.0, f32::NEG_INFINITY];
        for (name, n, expected) in
            [("off", 0.0, 7), ("one deviation", 1.0, 3), ("two: the edge is kept", 2.0, 6), ("wide", 9.0, 6)]
        {
            let mut candidates = Candidates::of(&logits);
            keep(&mut candidates, n);
            assert_eq!(candidates.len(), expected, "{name}");
        }
    }
}
