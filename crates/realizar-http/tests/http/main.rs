//! The routes through real sockets: the same tests over every server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod bad_bodies;
mod bad_protocol;
mod bodies;
mod client;
mod engine;
mod http2;
mod life;
mod native;
mod openai;
mod protocol;
mod rows;
mod scripted;
mod types;
mod vectors;
mod wire;
