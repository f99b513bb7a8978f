//! Apertus (arXiv:2509.14233): xIELU without a gate.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, GateNumbers, Norm, PLAIN, Position, Presence, QkNorm};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "apertus",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    biases: Biases { attention_output: Presence::Optional, ..PLAIN.biases },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::None },
    gate_numbers: GateNumbers::Xielu,
    ..PLAIN
};
