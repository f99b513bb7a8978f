//! Qwen 3 with experts: softmax over all, chosen weights renormalised.

use super::{ArchFacts, Moe, qwen3};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "qwen3moe", moe: Some(Moe::SOFTMAX), ..qwen3::FACTS };
