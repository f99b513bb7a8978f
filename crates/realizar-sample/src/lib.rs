//! From the scores of a model to one token id, seeded and reproducible.
//!
//! A [`Chain`] is built once from [`SampleOptions`] and then picks one id per position. The order of its steps is the
//! one people know from llama.cpp: logit bias, penalties, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature, draw.
//!
//! ```
//! use realizar_sample::{Chain, SampleOptions};
//!
//! # fn main() -> Result<(), realizar_sample::SampleError> {
//! let options = SampleOptions { temperature: 0.8, top_k: 2, seed: 42, ..SampleOptions::greedy() };
//! let mut chain = Chain::new(&options)?;
//! let logits = [0.1, 2.0, -1.0, 1.9];
//! let history = [7, 1];
//! let id = chain.pick(&logits, &history, history.len() as u64)?;
//! assert!(id == 1 || id == 3);
//! // The random number belongs to (seed, position): asking again gives the same answer.
//! assert_eq!(id, chain.pick(&logits, &history, history.len() as u64)?);
//! # Ok(())
//! # }
//! ```
//!
//! What this crate does not know: tokenizers, text, models, threads. It has no global state and no clock.
#![forbid(unsafe_code)]

mod candidates;
mod chain;
mod draw;
mod error;
mod greedy;
mod logit_bias;
mod logprobs;
mod min_p;
mod options;
mod penalties;
mod rng;
mod temperature;
mod top_k;
mod top_n_sigma;
mod top_p;
mod typical;
mod xtc;

pub use chain::Chain;
pub use error::SampleError;
pub use greedy::argmax;
pub use logprobs::{LogNormalizer, Logprob, top_logprobs};
pub use options::SampleOptions;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
