//! ERNIE 4.5 with experts: on every n-th layer behind the leading dense ones.

use super::{ArchFacts, Moe, MoeLayers, Presence, SharedExpert, ernie4_5};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "ernie4_5-moe",
    moe: Some(Moe {
        layers: MoeLayers::Interleaved,
        selection_bias: Presence::Optional,
        shared: SharedExpert::Width,
        ..Moe::SOFTMAX
    }),
    ..ernie4_5::FACTS
};
