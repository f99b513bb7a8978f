//! Jina Embeddings 3 (arXiv:2409.10173): BERT with rotation.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Ffn, FfnGate, Position, bert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "jina-bert-v3",
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..bert::FACTS
};
