//! Nemotron 3 and Minitron (arXiv:2402.16819): LayerNorm, squared ReLU, half of each head rotated.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "nemotron",
    norm: Norm::Layer,
    biases: Biases { norms: Presence::Always, ..Biases::all(Presence::Optional) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::Relu2, gate: FfnGate::None },
    ..PLAIN
};
