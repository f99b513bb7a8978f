//! Data-driven tests against the reference implementations' answers.
mod gguf;
mod pre;
mod support;
