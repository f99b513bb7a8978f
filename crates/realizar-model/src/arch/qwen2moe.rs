//! Qwen 1.5 and 2 with experts: a shared expert with a gate of its own, chosen weights not renormalised.

use realizar_tensor::Scoring;

use super::{ArchFacts, Moe, Presence, SharedExpert, qwen2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen2moe",
    moe: Some(Moe {
        scoring: Scoring::Softmax,
        normalise: false,
        selection_bias: Presence::Never,
        shared: SharedExpert::Gated,
    }),
    ..qwen2::FACTS
};
