//! XTC, "exclude top choices": now and then the obvious tokens are taken out.

use crate::candidates::Candidates;

/// With chance `probability`, removes all tokens of at least `threshold` but the least probable one of them.
///
/// `uniform` is the step's random number in 0..1.
pub(crate) fn remove(candidates: &mut Candidates, probability: f32, threshold: f32, uniform: f64) {
    if uniform >= f64::from(probability) {
        return;
    }
    let max = candidates.max_logit();
    let sum = candidates.exp_sum(max);
    let least = f64::from(threshold) * sum;
    let is_top = |logit: f32| f64::from((logit - max).exp()) >= least;
    let tops = candidates.items().iter().filter(|item| is_top(item.logit)).count();
    if tops >= 2 {
        candidates.sort_prefix(tops);
        candidates.remove_first(tops - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_all_top_choices_but_the_last() {
        let logits: Vec<f32> = [0.05f32, 0.4, 0.3, 0.25].iter().map(|p| p.ln()).collect();
        for (name, probability, threshold, uniform, expected) in [
            ("off", 0.0, 0.1, 0.0, vec![0, 1, 2, 3]),
            ("not this time", 0.5, 0.1, 0.5, vec![0, 1, 2, 3]),
            ("three top choices", 0.5, 0.1, 0.49, vec![3, 0]),
            ("two top choices", 1.0, 0.28, 0.99, vec![2, 0, 3]),
            ("a single top choice stays", 1.0, 0.35, 0.0, vec![0, 1, 2, 3]),
            ("threshold over a half", 1.0, 0.51, 0.0, vec![0, 1, 2, 3]),
        ] {
            let mut candidates = Candidates::of(&logits);
            remove(&mut candidates, probability, threshold, uniform);
            let mut ids = candidates.ids();
            if ids.len() == 3 {
                ids[1..].sort_unstable();
            }
            assert_eq!(ids, expected, "{name}");
        }
    }
}
