//! The language model of Qwen 3 VL with experts.

use super::{ArchFacts, qwen3moe};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "qwen3vlmoe", ..qwen3moe::FACTS };
