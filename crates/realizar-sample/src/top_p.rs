//! Top-p, or nucleus sampling (arXiv:1904.09751).

use crate::candidates::Candidates;

/// The first prefix that is sorted; it doubles until it holds the nucleus.
const FIRST_PREFIX: usize = 64;

/// Keeps the smallest set of best tokens whose probabilities sum to at least `p`, never none; 1 or more keeps all.
pub(crate) fn keep(candidates: &mut Candidates, p: f32) {
    if p >= 1.0 || candidates.len() < 2 {
        return;
    }
    let max = candidates.max_logit();
    let wanted = f64::from(p) * candidates.exp_sum(max);
    let mut sum = 0.0;
    let mut kept = 0;
    let mut prefix = FIRST_PREFIX;
    while let Some(rest @ [_, ..]) = candidates.sort_prefix(prefix).get(kept..) {
        for item in rest {
            sum += f64::from((item.logit - max).exp());
            kept += 1;
            if sum >= wanted {
                candidates.truncate(kept);
                return;
            }
        }
        prefix = prefix.saturating_mul(2);
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
    fn keeps_the_nucleus() {
        let quarters = [0.1, 0.5, 0.25, 0.15];
        for (name, p, expected) in [
            ("zero keeps the best", 0.0, vec![1]),
            ("below the best", 0.4, vec![1]),
            ("two", 0.7, vec![1, 2]),
            ("three", 0.89, vec![1, 2, 3]),
            ("off", 1.0, vec![0, 1, 2, 3]),
        ] {
            assert_eq!(kept(&quarters, p), expected, "{name}");
        }
        assert_eq!(kept(&[1.0], 0.1), [0], "one candidate");
        assert_eq!(kept(&[0.7, 0.3], 0.6), [0], "two candidates");
    }

    #[test]
    fn a_flat_distribution_reaches_past_the_first_prefix() {
        let flat = vec![1.0 / 1000.0; 1000];
        let kept = kept(&flat, 0.9);
        assert!((899..=902).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().copied().eq(0..kept.len() as u32), "equals in the order of ids");
    }
}
