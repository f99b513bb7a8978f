//! Gemma (arXiv:2403.08295): scaled embeddings and a GELU gate. The files' norm gains already hold the `1 +`.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, EmbeddingScale, Ffn, FfnGate, PLAIN, Position};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma",
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::Split },
    embedding_scale: EmbeddingScale::SqrtHidden,
    ..PLAIN
};
