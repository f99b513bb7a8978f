//! The chain: every sampler in its place.

use crate::candidates::Candidates;
use crate::penalties::Penalties;
use crate::rng::{Purpose, uniform};
use crate::{SampleError, SampleOptions};
use crate::{draw, greedy, logit_bias, min_p, temperature, top_k, top_n_sigma, top_p, typical, xtc};

/// Picks one id per position from the scores of a model.
///
/// Holds its options and scratch memory, and no state that a later pick depends on: the answer is a function of the
/// options, the scores, the history and the position. After the first pick, none allocates.
#[derive(Debug)]
pub struct Chain {
    options: SampleOptions,
    penalties: Option<Penalties>,
    candidates: Candidates,
}

impl Chain {
    /// Checks the options and makes a chain.
    ///
    /// # Errors
    /// An option out of range, see [`SampleOptions::validate`].
    pub fn new(options: &SampleOptions) -> Result<Self, SampleError> {
        options.validate()?;
        Ok(Self {
            options: options.clone(),
            penalties: Penalties::new(options),
            candidates: Candidates::default(),
        })
    }

    /// The options of this chain.
    #[must_use]
    pub fn options(&self) -> &SampleOptions {
        &self.options
    }

    /// Picks the id that follows. `logits[id]` is the score of token `id` (minus infinity excludes it), `history` the
    /// tokens so far (the penalties look at its end), `position` the index of the token that is being picked.
    ///
    /// # Errors
    /// A score that is NaN or plus infinity, no token left to choose, or a bias for a token outside the vocabulary.
    pub fn pick(&mut self, logits: &[f32], history: &[u32], position: u64) -> Result<u32, SampleError> {
        let best = greedy::argmax(logits)?;
        let options = &self.options;
        if options.temperature == 0.0 && self.penalties.is_none() && options.logit_bias.is_empty() {
            return Ok(best);
        }
        let candidates = &mut self.candidates;
        candidates.fill(logits);
        logit_bias::add(candidates, &options.logit_bias)?;
        if let Some(penalties) = &mut self.penalties {
            penalties.apply(candidates, history);
        }
        if candidates.max_logit() == f32::NEG_INFINITY {
            return Err(SampleError::NoCandidate { vocab: logits.len() });
        }
        if options.temperature == 0.0 {
            return Ok(candidates.sort_prefix(1)[0].id);
        }
        top_n_sigma::keep(candidates, options.top_n_sigma);
        top_k::keep(candidates, options.top_k);
        typical::keep(candidates, options.typical_p);
        top_p::keep(candidates, options.top_p);
        min_p::keep(candidates, options.min_p);
        let random = |purpose| uniform(options.seed, options.choice, position, purpose);
        xtc::remove(candidates, options.xtc_probability, options.xtc_threshold, random(Purpose::Xtc));
        let temperature = match options.dynatemp_range {
            0.0 => options.temperature,
            range => temperature::dynamic(candidates, options.temperature, range, options.dynatemp_exponent),
        };
        temperature::scale(candidates, temperature.max(f32::MIN_POSITIVE));
        Ok(draw::pick(candidates, random(Purpose::Draw)))
    }
}
