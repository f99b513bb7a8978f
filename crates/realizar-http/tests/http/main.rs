//! The routes through real sockets: the same tests over every server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod client;
mod engine;
mod life;
mod native;
mod openai;
mod protocol;
mod scripted;
