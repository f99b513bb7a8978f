//! Being built.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
mod error;
mod pattern;
mod unicode;
pub use error::{TokenizeError, Warning};
