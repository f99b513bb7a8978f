//! The embedded model: a small storyteller, so that a fresh installation answers without any download.
//!
//! Where it comes from: `assets/PROVENANCE.md`.

/// The name that stands for it on the command line.
pub(crate) const NAME: &str = "demo";

/// The model file.
pub(crate) const GGUF: &[u8] = include_bytes!("../assets/demo-q8_0.gguf");
