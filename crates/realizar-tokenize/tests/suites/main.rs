//! Data-driven tests against the reference implementations' answers.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "test code")]

mod bad_input;
mod gguf;
mod hf;
mod odd_files;
mod other;
mod pre;
mod sha256;
mod speed;
mod stream;
mod support;
mod typed;
