//! Why a model could not be loaded, a request not be accepted, or an answer not be given.

use std::sync::Arc;
use std::time::Duration;

/// Why a model could not be loaded, or an answer not be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum EngineError {
    /// The model is refused.
    #[error("cannot load {file}")]
    Load { file: String, source: Box<realizar_model::ModelError> },
    /// The vocabulary is refused.
    #[error("cannot make a tokenizer of {file}")]
    Tokenizer { file: String, source: realizar_tokenize::TokenizeError },
    /// The file describes no tokenizer.
    #[error(
        "{file} has no tokenizer: neither metadata key `tokenizer.ggml.model` nor a tokenizer.json or tokenizer.model beside it"
    )]
    NoTokenizer { file: String },
    /// The chat template is broken, or failed while it was rendered.
    #[error("chat template{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template { line: Option<usize>, message: String },
    /// The chat template needs more work, or goes deeper, than it may.
    #[error("chat template{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    TemplateLimit { line: Option<usize>, message: String },
    /// The chat template rejects this conversation, in its own words.
    #[error("the chat template refuses this conversation: {message}")]
    TemplateRefused { message: String },
    /// A template, or what it wrote, is too long.
    #[error("the chat template or its output has {bytes} bytes, the limit is {limit}")]
    TemplateSize { bytes: usize, limit: usize },
    /// No built-in chat template has this name.
    #[error("no built-in chat template is called `{name}`, there are {}", known.join(", "))]
    TemplateName { name: String, known: Vec<&'static str> },
    /// The model file has no chat template.
    #[error("the model has no chat template; give one, or use plain completion")]
    NoTemplate,
    /// The model file's chat template does not compile.
    #[error("the model's chat template cannot be used; give another one, or use plain completion")]
    BrokenTemplate { source: Arc<EngineError> },
    /// The model makes text, not vectors.
    #[error("a model of architecture `{architecture}` makes text, not embeddings")]
    NoEmbeddings { architecture: &'static str },
    /// An engine's option is 0.
    #[error("option `{option}` is 0, it must be at least 1")]
    Option { option: &'static str },
    /// The thread that computes could not be started.
    #[error("cannot start the engine's thread")]
    Thread(#[source] std::io::Error),
    /// A step or a sampler panicked: a bug, which ended this request only.
    #[error("internal error: {message}")]
    Panicked { message: String },
    /// The model's file shrank while it was in use.
    #[error("the model's file was changed while it was in use, what was computed since is worth nothing")]
    Torn,
    /// The request was never begun.
    #[error("the request waited for {} s without being begun", limit.as_secs())]
    QueueTime { limit: Duration },
    /// The prompt took too long.
    #[error("no token came within {} s", limit.as_secs())]
    FirstTokenTime { limit: Duration },
    /// The engine broke down.
    #[error("the engine stopped before the answer was complete")]
    Stopped,
    /// A request was not accepted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A model file's metadata has the wrong type.
    #[error(transparent)]
    Format(#[from] realizar_format::FormatError),
    /// The model cannot run.
    #[error(transparent)]
    Model(#[from] realizar_model::ModelError),
    /// No token could be picked.
    #[error(transparent)]
    Sample(#[from] realizar_sample::SampleError),
    /// A text could not be encoded.
    #[error(transparent)]
    Tokenize(#[from] realizar_tokenize::TokenizeError),
}

/// Why a request was not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum SubmitError {
    /// There is nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {tokens} tokens, the context holds {context} and one of them must be left for the answer"
    )]
    PromptTooLong { tokens: usize, context: usize },
    /// An answer of no tokens was asked for.
    #[error("max_tokens is 0, it must be at least 1")]
    NoTokens,
    /// A stop string is empty.
    #[error("a stop string is empty, it must have at least one character")]
    EmptyStop,
    /// A sampling option is out of range.
    #[error(transparent)]
    Sampling(realizar_sample::SampleError),
    /// A token of the prompt is not in the vocabulary.
    #[error("token {token} of the prompt is outside the vocabulary of {vocab} tokens")]
    UnknownToken { token: u32, vocab: usize },
    /// The model makes vectors, not text.
    #[error("a model of architecture `{architecture}` makes embeddings, not text")]
    NoText { architecture: &'static str },
    /// Too many requests wait already.
    #[error("{waiting} requests are waiting, the limit is {limit}; try again in {} s", retry_after.as_secs())]
    QueueFull { waiting: usize, limit: usize, retry_after: Duration },
    /// The engine finishes what it has and takes nothing new.
    #[error("the engine is shutting down")]
    Draining,
}
