//! The routes of the OpenAI interface.

mod chat;
mod completions;
mod embeddings;
mod idle;
mod models;
mod options;
mod stream;
mod unbuilt;

pub(crate) use chat::{chat, conversation};
pub(crate) use completions::{completions, empty};
pub(crate) use embeddings::embeddings;
pub(crate) use models::{check_model, model, models};
pub(crate) use options::{Defaults, answer_options, max_tokens, stop_strings, token_ids};
pub(crate) use unbuilt::{Off, Unbuilt, refuse, refuse_unbuilt};

use std::time::{SystemTime, UNIX_EPOCH};

use realizar_engine::{EncodeOptions, Usage};
use serde_json::{Value, json};

/// Unix time for `created`.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The usage object. A prompt with several answers counts once.
fn usage(parts: &[(usize, Usage)]) -> Value {
    let mut seen = Vec::new();
    let (mut prompt, mut completion, mut cached) = (0, 0, 0);
    for (of, usage) in parts {
        if !seen.contains(of) {
            seen.push(*of);
            prompt += usage.prompt_tokens;
            cached += usage.cached_tokens;
        }
        completion += usage.completion_tokens;
    }
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": cached },
        "completion_tokens_details": { "reasoning_tokens": 0 },
    })
}

/// How prompts become tokens: marked where they begin, and special tokens that are written out count as such.
pub(crate) const PROMPT: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

/// Names the build in answers; clients compare it to see whether two answers may differ.
const FINGERPRINT: &str = concat!("b-realizar-", env!("CARGO_PKG_VERSION"));
