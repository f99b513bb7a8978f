//! GLM 4 (arXiv:2406.12793): norms around both branches, half of each head rotated, gate and up in one tensor.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, NormPlaces, PLAIN, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "glm4",
    // As files of models with eyes do.
    sections_turn_halves: true,
    norms: NormPlaces {
        after_attention: Some("post_attention_norm"),
        after_ffn: Some("post_ffw_norm"),
        ..NormPlaces::BEFORE
    },
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Fused },
    ..PLAIN
};
