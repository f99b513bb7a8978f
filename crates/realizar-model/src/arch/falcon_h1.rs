//! Falcon H1 (arXiv:2507.22448): attention and Mamba 2 side by side in every layer.

use realizar_tensor::PairOrder;

use super::{ArchFacts, PLAIN, Position, Presence, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "falcon-h1",
    position: Position::Rope(PairOrder::Halves),
    state: Some(State { kind: StateKind::Mamba2 { norm: Presence::Optional }, layers: StateLayers::All }),
    ..PLAIN
};
