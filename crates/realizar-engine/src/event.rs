//! What comes out while an answer is being written.

use std::time::Duration;

/// One token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// The text that it completes: whole letters, possibly none, possibly some that earlier tokens began.
    pub text: String,
    /// Where it was asked for: how probable the tokens were whose text is out with this one. Their bytes, one after the
    /// other, are the text of the answer: tokens of which nothing is in it are left out.
    pub logprobs: Vec<TokenLogprob>,
}

/// The probability of a token and of the best ones at its place, of the model's own distribution (before any sampler).
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// Its id.
    pub id: u32,
    /// Natural logarithm of the token's probability.
    pub logprob: f64,
    /// What of the text it is, in bytes: of a token in which a stop string begins, the bytes before that.
    pub bytes: Vec<u8>,
    /// The most probable tokens, best first.
    pub top: Vec<TopLogprob>,
}

/// One of the most probable tokens at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct TopLogprob {
    /// Its id.
    pub id: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model ended its turn or the text.
    Eos,
    /// This stop string came; it is not part of the answer.
    Stop(String),
    /// The number of tokens that was asked for, or the end of the context.
    Length,
    /// The caller cancelled, or went away.
    Cancelled,
    /// The time that was given ran out.
    Deadline,
}

impl Finish {
    /// The name in machine-readable output.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Stop(_) => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
        }
    }
}

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer, an end-of-text token included.
    pub completion_tokens: usize,
    /// Tokens of the prompt whose keys and values were there already.
    pub cached_tokens: usize,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From the request to the start of its prompt.
    pub queued: Duration,
    /// For the prompt, until the first token was picked.
    pub prefill: Duration,
    /// For all further tokens.
    pub decode: Duration,
}
