//! What the criterion benches of this folder share, and the house of peer comparisons and records.
//!
//! ```
//! use realizar_benches::{Headline, PROMPT};
//!
//! let mut headline = Headline::new()?;
//! let once = headline.greedy_cached(&PROMPT, 5)?;
//! assert_eq!(once, headline.greedy_recomputed(&PROMPT, 5)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No crate of the product depends on this one.
#![forbid(unsafe_code)]

mod headline;
mod random_model;
mod seeded;

pub use headline::{Headline, PROMPT};
pub use random_model::RandomModel;
pub use seeded::Seeded;

/// The model that is built into the command line tool: 8-bit weights and a byte-pair vocabulary.
pub const DEMO: &[u8] = include_bytes!("../crates/realizar-cli/assets/demo-q8_0.gguf");

#[cfg(doctest)]
#[doc = include_str!("README.md")]
struct Readme;
