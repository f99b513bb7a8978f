//! Data-driven tests against the reference implementations' answers.
mod gguf;
mod hf;
mod other;
mod pre;
mod support;
