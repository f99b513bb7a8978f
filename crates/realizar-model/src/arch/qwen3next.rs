//! Qwen 3 Next: as Qwen 3.5 with experts, but neighbouring value heads share a key head.

use super::{ArchFacts, State, StateKind, StateLayers, qwen35moe};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen3next",
    state: Some(State { kind: StateKind::DeltaNet { grouped: true }, layers: StateLayers::Interval }),
    ..qwen35moe::FACTS
};
