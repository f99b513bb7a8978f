//! Qwen 1.5 and 2 with experts: a shared expert with a gate of its own, chosen weights not renormalised.

use super::{ArchFacts, Moe, SharedExpert, qwen2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen2moe",
    moe: Some(Moe { normalise: false, shared: SharedExpert::Gated, ..Moe::SOFTMAX }),
    ..qwen2::FACTS
};
