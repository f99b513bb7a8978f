//! Nomic Embed 2 (arXiv:2502.07972): BERT with rotation, and experts without a gate on every second layer.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Moe, MoeLayers, Position, Presence, bert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "nomic-bert-moe",
    biases: Biases { norms: Presence::Always, ..Biases::all(Presence::Optional) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    moe: Some(Moe { layers: MoeLayers::SecondOfEvery, normalise: false, gated: false, ..Moe::SOFTMAX }),
    ..bert::FACTS
};
