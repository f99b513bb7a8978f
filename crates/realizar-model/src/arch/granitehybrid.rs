//! Granite 4: Mamba 2 and attention, with Granite's factors, plain or with experts.

use super::{ArchFacts, Moe, Presence, SharedExpert, State, StateKind, StateLayers, granite};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "granitehybrid",
    rope_if_finetuned: true,
    state: Some(State {
        kind: StateKind::Mamba2 { norm: Presence::Always },
        layers: StateLayers::WithoutKeys,
    }),
    moe: Some(Moe { shared: SharedExpert::Width, ..Moe::SOFTMAX }),
    ..granite::FACTS
};
