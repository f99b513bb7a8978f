//! Granite 4: Mamba 2 and attention, with Granite's factors, plain or with experts.

use super::{ArchFacts, LogitScale, Moe, Presence, SharedExpert, State, StateKind, StateLayers, granite};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "granitehybrid",
    logit_scale: LogitScale::DivideOrOne,
    state: Some(State {
        kind: StateKind::Mamba2 { norm: Presence::Always },
        layers: StateLayers::WithoutKeys,
    }),
    moe: Some(Moe { shared: SharedExpert::Width, ..Moe::SOFTMAX }),
    ..granite::FACTS
};
