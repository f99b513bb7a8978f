//! Falcon H1 (arXiv:2507.22448): attention and Mamba 2 side by side in every layer.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, PLAIN, Position, Presence, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "falcon-h1",
    biases: Biases { ffn: Presence::Optional, ffn_down: Presence::Optional, ..PLAIN.biases },
    position: Position::Rope(PairOrder::Halves),
    state: Some(State { kind: StateKind::Mamba2 { norm: Presence::Optional }, layers: StateLayers::All }),
    ..PLAIN
};
