//! The crate from outside: golden models, sequences, bad input.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so and ends")]

mod bad_input;
mod bad_states;
mod convert;
mod denormals;
mod determinism;
mod encoders;
mod every_key;
mod every_read_key;
mod families;
mod file;
mod golden;
mod judge;
mod minilm;
mod mutants;
mod peers;
mod rerank;
mod schedules;
mod sequences;
mod sources;
mod states;
mod strangers;
mod stretches;
mod trained;
mod transformers;
mod variants;
mod windows;
mod zoo;
mod zoo_modern;
