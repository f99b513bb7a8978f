//! Phi 3, 3.5 and 4 (arXiv:2404.14219): fused projections; rotation factors for long contexts as tensors.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "phi3",
    biases: Biases { qkv: Presence::Optional, output: Presence::Optional, ..Biases::all(Presence::Never) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Fused },
    ..PLAIN
};
