//! Jamba (arXiv:2403.19887): Mamba and attention without positions, experts on some layers, not renormalised.

use super::{ArchFacts, Moe, MoeLayers, PLAIN, Position, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "jamba",
    position: Position::Unseen,
    state: Some(State { kind: StateKind::Mamba, layers: StateLayers::WithoutKeys }),
    moe: Some(Moe { layers: MoeLayers::WithRouter, normalise: false, ..Moe::SOFTMAX }),
    ..PLAIN
};
