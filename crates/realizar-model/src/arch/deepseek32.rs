//! DeepSeek V3.2 (arXiv:2512.02556): V3 whose attention reads the keys that an indexer chooses.

use realizar_tensor::{PairOrder, Scoring};

use super::{ArchFacts, Moe, Presence, SharedExpert, YarnMultiplier, deepseek2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "deepseek32",
    yarn_log_multiplier: YarnMultiplier::Divides,
    indexer: Some(PairOrder::Halves),
    moe: Some(Moe {
        scoring: Scoring::Sigmoid,
        normalise: false,
        selection_bias: Presence::Optional,
        shared: SharedExpert::Plain,
        ..Moe::SOFTMAX
    }),
    ..deepseek2::FACTS
};
