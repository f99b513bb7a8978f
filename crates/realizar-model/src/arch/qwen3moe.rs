//! Qwen 3 with experts: softmax over all, chosen weights renormalised.

use realizar_tensor::Scoring;

use super::{ArchFacts, Moe, Presence, SharedExpert, qwen3};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen3moe",
    moe: Some(Moe {
        scoring: Scoring::Softmax,
        normalise: true,
        selection_bias: Presence::Never,
        shared: SharedExpert::None,
    }),
    ..qwen3::FACTS
};
