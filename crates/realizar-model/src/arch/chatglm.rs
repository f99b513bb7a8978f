//! ChatGLM 3 and GLM 4 9B (arXiv:2406.12793): fused projections with biases, half of each head rotated.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, PLAIN, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "chatglm",
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Fused },
    ..PLAIN
};
