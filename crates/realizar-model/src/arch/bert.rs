//! BERT (arXiv:1810.04805): an encoder with its norms on the stream itself and learned positions.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, NormPlaces, PLAIN, Position, Presence, Role};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "bert",
    role: Role::Encoder,
    norm: Norm::Layer,
    norms: NormPlaces {
        embedding: Some("token_embd_norm"),
        before_attention: None,
        before_ffn: None,
        stream: Some(["attn_output_norm", "layer_output_norm"]),
        output: None,
        ..NormPlaces::BEFORE
    },
    biases: Biases::all(Presence::Always),
    position: Position::Learned,
    ffn: Ffn { activation: Gate::GeluErf, gate: FfnGate::None },
    token_types: true,
    ..PLAIN
};
