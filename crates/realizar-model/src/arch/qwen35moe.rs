//! Qwen 3.5 and 3.6 with experts and a gated shared one.

use super::{ArchFacts, Moe, SharedExpert, qwen35};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen35moe",
    moe: Some(Moe { shared: SharedExpert::Gated, ..Moe::SOFTMAX }),
    ..qwen35::FACTS
};
