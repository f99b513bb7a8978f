//! MPT: ALiBi, LayerNorm without biases, bounded queries, keys and values.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mpt",
    norm: Norm::Layer,
    biases: Biases::all(Presence::Optional),
    position: Position::Alibi,
    clamp_qkv: true,
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..PLAIN
};
