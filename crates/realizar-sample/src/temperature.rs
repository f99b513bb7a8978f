//! Temperature, fixed or moving with the entropy.

use crate::candidates::Candidates;

/// Divides every distance to the best score by `temperature` (over 0). The best score becomes 0, so nothing overflows.
pub(crate) fn scale(candidates: &mut Candidates, temperature: f32) {
    let max = candidates.max_logit();
    for item in candidates.items_mut() {
        item.logit = (item.logit - max) / temperature;
    }
}

/// The dynamic temperature: between `temperature - range` and `temperature + range`, low where the model is certain.
///
/// The entropy of the candidates is normalised by the highest that so many candidates can have, `ln(n)`.
pub(crate) fn dynamic(candidates: &Candidates, temperature: f32, range: f32, exponent: f32) -> f32 {
    let low = (temperature - range).max(0.0);
    let high = temperature + range;
    let n = candidates.len();
    if n < 2 {
        return temperature;
    }
    let share = (entropy(candidates) / (n as f64).ln()).clamp(0.0, 1.0) as f32;
    low + (high - low) * share.powf(exponent)
}

/// Shannon entropy of the candidates' distribution, in nats.
pub(crate) fn entropy(candidates: &Candidates) -> f64 {
    let max = candidates.max_logit();
    let sum = candidates.exp_sum(max);
    let weighted: f64 = candidates
        .items()
        .iter()
        .map(|item| item.logit - max)
        .filter(|below| below.is_finite())
        .map(|below| f64::from(below.exp()) * f64::from(below))
        .sum();
    sum.ln() - weighted / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_to_the_best_are_divided() {
        let mut candidates = Candidates::of(&[1.0, 3.0, f32::NEG_INFINITY]);
        scale(&mut candidates, 0.5);
        let scaled: Vec<f32> = candidates.items().iter().map(|item| item.logit).collect();
        assert_eq!(scaled, [-4.0, 0.0, f32::NEG_INFINITY]);
        scale(&mut candidates, f32::MIN_POSITIVE);
        assert_eq!(candidates.items()[1].logit, 0.0, "the best stays finite at any temperature");
    }

    #[test]
    fn entropy_of_known_distributions() {
        assert!((entropy(&Candidates::of(&[2.0; 8])) - 8f64.ln()).abs() < 1e-6);
        assert!(entropy(&Candidates::of(&[0.0, f32::NEG_INFINITY])).abs() < 1e-12);
    }

    #[test]
    fn temperature_follows_the_entropy() {
        let flat = Candidates::of(&[1.0; 4]);
        let peaked = Candidates::of(&[50.0, 0.0, 0.0, 0.0]);
        assert!((dynamic(&flat, 1.0, 0.5, 1.0) - 1.5).abs() < 1e-6, "flat: the highest temperature");
        assert!((dynamic(&peaked, 1.0, 0.5, 1.0) - 0.5).abs() < 1e-6, "certain: the lowest");
        assert!((dynamic(&peaked, 0.2, 0.5, 1.0)).abs() < 1e-6, "never below zero");
        assert_eq!(dynamic(&Candidates::of(&[1.0]), 0.7, 0.5, 1.0), 0.7, "one candidate: as set");
        assert!(
            (dynamic(&Candidates::of(&[1.0; 2]), 1.0, 0.5, 1.0) - 1.5).abs() < 1e-6,
            "two that are equal"
        );
        let half = Candidates::of(&[1.0, 1.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
        assert!((dynamic(&half, 1.0, 0.5, 1.0) - 1.0).abs() < 1e-6, "half of the entropy: the middle");
        assert!((dynamic(&half, 1.0, 0.5, 2.0) - 0.75).abs() < 1e-6, "squared");
    }
}
