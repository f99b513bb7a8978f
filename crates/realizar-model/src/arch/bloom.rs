//! BLOOM (arXiv:2211.05100): ALiBi, a norm on the embeddings, biases everywhere.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, NormPlaces, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "bloom",
    norm: Norm::Layer,
    norms: NormPlaces { embedding: Some("token_embd_norm"), ..NormPlaces::BEFORE },
    biases: Biases::all(Presence::Always),
    position: Position::Alibi,
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..PLAIN
};
