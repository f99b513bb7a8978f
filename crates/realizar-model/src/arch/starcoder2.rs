//! StarCoder 2 (arXiv:2402.19173): LayerNorm and biases everywhere, no gate.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "starcoder2",
    norm: Norm::Layer,
    biases: Biases::all(Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..PLAIN
};
