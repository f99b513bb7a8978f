//! Load a model, answer prompts, stream text.
//!
//! [`Loaded`] is a model with its tokenizer and its chat template. [`Solo`] answers one prompt at a time on the caller's
//! thread; [`Engine`] answers many together on a thread of its own.
//!
//! ```
//! use realizar_engine::{ChatMessage, ChatPrompt, ChatTemplate};
//!
//! let template = ChatTemplate::named("chatml", "", "<|im_end|>")?;
//! let messages = [ChatMessage::new("user", "Hello")];
//! let extra = serde_json::Map::new();
//! let now = std::time::SystemTime::now();
//! let text = template.render(&ChatPrompt { messages: &messages, add_generation_prompt: true, extra: &extra, now })?;
//! assert_eq!(text, "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
//! # Ok::<(), realizar_engine::EngineError>(())
//! ```
//!
//! This crate knows no HTTP, no wire formats, no terminal and no environment; its events come over plain channels, without
//! an async runtime.
#![forbid(unsafe_code)]

mod answer;
mod budget;
mod channel;
mod convert;
mod engine;
mod error;
mod event;
mod load;
mod queue;
mod request;
mod runner;
mod scheduler;
mod scores;
mod slot;
mod spelled;
mod stats;
mod stop;
mod template;
mod text;
mod vocab;

pub use answer::{Answer, Solo, Summary};
pub use channel::{Event, Ticket, TryNext, Wake};
pub use convert::{ConvertError, Converted, Progress, convert, gguf_view};
pub use engine::{Engine, EngineOptions, ModelInfo, Request, Times};
pub use error::{EngineError, SubmitError};
pub use event::{Finish, Timings, Token, TokenLogprob, TopLogprob, Usage};
pub use load::Loaded;
pub use queue::in_line;
pub use realizar_model::SessionOptions;
pub use realizar_sample::SampleOptions;
pub use realizar_tokenize::EncodeOptions;
pub use request::AnswerOptions;
pub use stats::Stats;
pub use template::{ChatMessage, ChatPrompt, ChatTemplate};
pub use vocab::tokenizer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
