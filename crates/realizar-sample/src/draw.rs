//! The draw: one candidate by its probability.

use crate::candidates::Candidates;

/// Picks the candidate in whose share of the sum `uniform` (in 0..1) falls; scores become weights on the way.
///
/// The candidates must not be empty and the best score must be finite.
pub(crate) fn pick(candidates: &mut Candidates, uniform: f64) -> u32 {
    let max = candidates.max_logit();
    let mut sum = 0.0;
    for item in candidates.items_mut() {
        item.logit = (item.logit - max).exp();
        sum += f64::from(item.logit);
    }
    let target = uniform * sum;
    let mut passed = 0.0;
    let mut chosen = 0;
    for item in candidates.items().iter().filter(|item| item.logit > 0.0) {
        // Rounding may leave `target` a hair over the last sum: the last possible token is then meant.
        chosen = item.id;
        passed += f64::from(item.logit);
        if passed > target {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_decides() {
        for (uniform, expected) in
            [(0.0, 0), (0.24, 0), (0.26, 2), (0.74, 2), (0.76, 3), (0.999_999_999, 3), (1.0, 3)]
        {
            let mut candidates = Candidates::of_probabilities(&[0.25, 0.0, 0.5, 0.25]);
            assert_eq!(pick(&mut candidates, uniform), expected, "{uniform}");
        }
    }

    #[test]
    fn shares_end_where_the_next_ones_begin() {
        let none = f32::NEG_INFINITY;
        for (name, logits, uniform, expected) in [
            ("at the border the next one is meant", [0.0, 0.0, none], 0.5, 1),
            ("one without a share is never meant", [0.0, 0.0, none], 1.0, 1),
            ("nor at the start", [none, 0.0, 0.0], 0.0, 1),
            ("high scores do not overflow", [100.0, 100.0, 0.0], 0.75, 1),
            ("low scores do not vanish", [-200.0, -200.0, -300.0], 0.75, 1),
        ] {
            let mut candidates = Candidates::of(&logits);
            assert_eq!(pick(&mut candidates, uniform), expected, "{name}");
        }
    }
}
