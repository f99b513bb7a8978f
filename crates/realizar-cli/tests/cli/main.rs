//! The command line as scripts see it: every test runs the built binary.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on, or is skipped, says why"
)]

mod bad_input;
mod bench;
mod broken_weights;
mod chat;
mod convert;
mod embed;
#[path = "../../../realizar-model/tests/model/file.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "made for the tests of another crate")]
mod file;
mod golden;
mod harness;
mod info;
#[path = "../../../realizar-model/tests/model/judge.rs"]
mod judge;
mod logits;
mod perplexity;
mod quantize;
mod quantize_sources;
mod rerank;
mod run;
mod tokenize;
mod torn;
mod usage;
