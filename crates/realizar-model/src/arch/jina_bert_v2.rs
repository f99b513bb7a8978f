//! Jina Embeddings 2 (arXiv:2310.19923): BERT with ALiBi and a GELU gate.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, Position, Presence, bert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "jina-bert-v2",
    biases: Biases { ffn: Presence::Never, ..Biases::all(Presence::Always) },
    position: Position::Alibi,
    ffn: Ffn { activation: Gate::GeluErf, gate: FfnGate::Split },
    ..bert::FACTS
};
