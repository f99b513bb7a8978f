//! Nomic Embed 1 and 1.5 (arXiv:2402.01613): BERT with rotation and a gate, without biases.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Position, Presence, bert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "nomic-bert",
    biases: Biases { norms: Presence::Always, ..Biases::all(Presence::Optional) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Split },
    ..bert::FACTS
};
