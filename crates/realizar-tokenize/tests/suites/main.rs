//! Data-driven tests against the reference implementations' answers.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "test code")]

mod bad_input;
#[cfg(feature = "hf")]
mod bad_json;
mod gguf;
#[cfg(feature = "hf")]
mod hf;
mod odd_files;
#[cfg(feature = "hf")]
mod odd_json;
mod other;
mod pre;
mod sha256;
mod speed;
mod stream;
mod support;
mod typed;
