//! Logarithms of probabilities, as answers report them: of the model's own distribution, before any sampler.

use crate::SampleError;

/// The logarithm of the sum of exponentials of all scores: `logit - normalizer` is a log probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormalizer(f64);

impl LogNormalizer {
    /// Reads all scores once.
    ///
    /// # Errors
    /// A score that is NaN or plus infinity, or no score above minus infinity.
    pub fn of(logits: &[f32]) -> Result<Self, SampleError> {
        let best = crate::argmax(logits)?;
        let max = logits[best as usize];
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
        Ok(Self(f64::from(max) + sum.ln()))
    }

    /// The log probability of a token with this score.
    #[must_use]
    pub fn logprob(self, logit: f32) -> f64 {
        f64::from(logit) - self.0
    }
}

/// A token and the logarithm of its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logprob {
    /// The token.
    pub id: u32,
    /// Natural logarithm of its probability; minus infinity for an excluded token.
    pub logprob: f64,
}

/// The `n` most probable tokens, best first; the lower id first among equals.
///
/// # Errors
/// As [`LogNormalizer::of`].
pub fn top_logprobs(logits: &[f32], n: usize) -> Result<Vec<Logprob>, SampleError> {
    let normalizer = LogNormalizer::of(logits)?;
    let mut candidates = crate::candidates::Candidates::default();
    candidates.fill(logits);
    let best = candidates.sort_prefix(n);
    Ok(best.iter().map(|item| Logprob { id: item.id, logprob: normalizer.logprob(item.logit) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_distribution() {
        let logits: Vec<f32> = [0.5f32, 0.125, 0.25, 0.125].iter().map(|p| p.ln() + 3.0).collect();
        let top = top_logprobs(&logits, 3).expect("finite");
        assert_eq!(top.iter().map(|t| t.id).collect::<Vec<_>>(), [0, 2, 1]);
        for (token, p) in top.iter().zip([0.5f64, 0.25, 0.125]) {
            assert!((token.logprob - p.ln()).abs() < 1e-6, "{token:?}");
        }
        assert_eq!(top_logprobs(&logits, 99).expect("finite").len(), 4);
        assert_eq!(top_logprobs(&logits, 0).expect("finite").len(), 0);
    }

    #[test]
    fn broken_scores_are_refused() {
        assert!(matches!(top_logprobs(&[0.0, f32::NAN], 1), Err(SampleError::NotFinite { id: 1, .. })));
        assert!(matches!(LogNormalizer::of(&[]), Err(SampleError::NoCandidate { vocab: 0 })));
    }
}
