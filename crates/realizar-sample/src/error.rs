//! Why an id could not be picked.

/// Why a sampler could not be made, or could not pick.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum SampleError {
    /// An option is outside its range.
    #[error("{field} is {value}, it must be {range}")]
    OutOfRange { field: &'static str, value: f64, range: &'static str },
    /// A logit bias is not a number or plus infinity.
    #[error("logit_bias of token {id} is {value}, it must be a finite number or minus infinity")]
    Bias { id: u32, value: f32 },
    /// A logit bias names an id that the model does not have.
    #[error("logit_bias names token {id}, the vocabulary has {vocab} tokens")]
    BiasToken { id: u32, vocab: usize },
    /// A score is NaN or plus infinity: the model's numbers broke down.
    #[error("the logit of token {id} is {value}, scores must be finite")]
    NotFinite { id: usize, value: f32 },
    /// Every token is excluded, or there are no scores at all.
    #[error("none of the {vocab} tokens can be chosen")]
    NoCandidate { vocab: usize },
}
