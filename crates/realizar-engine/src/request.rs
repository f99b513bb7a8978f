//! What a caller asks for.

use realizar_sample::SampleOptions;

use crate::SubmitError;

/// How an answer is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerOptions {
    /// How each token is picked.
    pub sampling: SampleOptions,
    /// The most tokens of the answer; `None` is as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Goes on after an end-of-text token.
    pub ignore_eos: bool,
    /// Tells the probability of every token and of this many best ones.
    pub logprobs: Option<usize>,
}

impl AnswerOptions {
    /// As long as the model and the context go, and nothing else asked for.
    #[must_use]
    pub fn new(sampling: SampleOptions) -> Self {
        Self { sampling, max_tokens: None, stop: Vec::new(), ignore_eos: false, logprobs: None }
    }

    /// Checks all values.
    ///
    /// # Errors
    /// The first option that cannot be followed.
    pub fn validate(&self) -> Result<(), SubmitError> {
        self.sampling.validate().map_err(SubmitError::Sampling)?;
        if self.max_tokens == Some(0) {
            return Err(SubmitError::NoTokens);
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(SubmitError::EmptyStop);
        }
        Ok(())
    }
}
