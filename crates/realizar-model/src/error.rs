//! Why a model could not be loaded or run.

use realizar_format::FormatError;
use realizar_tensor::TensorError;

/// Why a model could not be loaded or run. Every message is one line; causes are in `source`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum ModelError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("`{key}` is {found}; supported: {}", .supported.join(", "))]
    UnknownArchitecture { key: &'static str, found: String, supported: Vec<&'static str> },
    #[error(
        "`{key}` is {found}: folders of this class are not read, GGUF files made of them are (as `{architecture}`)"
    )]
    NeedsGguf { key: &'static str, found: String, architecture: &'static str },
    #[error("the file is {what}, not a model; {hint}")]
    NotAModel { what: &'static str, hint: &'static str },
    #[error("metadata key `{key}` is {found}, expected {expected}")]
    OutOfRange { key: String, found: String, expected: String },
    #[error("metadata key `{key}` is {value}, but `{other}` is {other_value}: {rule}")]
    Disagree { key: String, value: String, other: String, other_value: String, rule: &'static str },
    #[error("{what} is not supported for architecture `{architecture}`")]
    Unsupported { architecture: &'static str, what: String },
    #[error("architecture `{architecture}` cannot be run yet: it needs {what}")]
    NotYet { architecture: &'static str, what: &'static str },
    #[error("tensors are missing: {}{}", .names.join(", "), More(*.more))]
    MissingTensors { names: Vec<String>, more: usize },
    #[error("tensor `{tensor}` has shape {found}, expected {expected}")]
    TensorShape { tensor: String, expected: String, found: String },
    #[error("tensor `{tensor}` cannot be used")]
    Tensor { tensor: String, source: TensorError },
    #[error("tensor `{tensor}` holds {found} where a finite number is needed (element {index})")]
    TensorValue { tensor: String, index: usize, found: f32 },
    #[error("cannot set up the computation")]
    Compute { source: TensorError },
    #[error("option `{option}` is {found}, expected {expected}")]
    Option { option: &'static str, found: usize, expected: String },
    #[error("{what} need {bytes} bytes of memory, which are not to be had")]
    Memory { what: &'static str, bytes: u64 },
    #[error("all {limit} sequences are in use")]
    TooManySequences { limit: usize },
    #[error("sequence {seq} is not open")]
    UnknownSequence { seq: usize },
    #[error("sequence {seq} appears twice in one batch")]
    SequenceTwice { seq: usize },
    #[error("sequence {seq} has no tokens to run")]
    NoTokens { seq: usize },
    #[error("token {token} of sequence {seq} is outside the vocabulary of {vocab}")]
    UnknownToken { seq: usize, token: u32, vocab: usize },
    #[error("sequence {seq} holds {len} tokens and {adding} more do not fit into a context of {context}")]
    ContextFull { seq: usize, len: usize, adding: usize, context: usize },
    #[error("sequence {seq} holds {len} tokens and cannot be cut to {wanted}")]
    Truncate { seq: usize, len: usize, wanted: usize },
    #[error(
        "the state of sequence {seq} was lost after {len} tokens by a step that broke; cut it, or open another"
    )]
    StateLost { seq: usize, len: usize },
    #[error("the batch needs {needed} more cache blocks and {free} are free")]
    CacheFull { needed: usize, free: usize },
    #[error("the logits of row {row} are not finite numbers")]
    NotFinite { row: usize },
    #[error("architecture `{architecture}` is {role}")]
    WrongRole { architecture: &'static str, role: &'static str },
    #[error("{what} cannot be carried over: {why}")]
    Convert { what: String, why: String },
}

/// The end of a list that was cut.
struct More(usize);

impl std::fmt::Display for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 > 0 { write!(f, " and {} more", self.0) } else { Ok(()) }
    }
}
