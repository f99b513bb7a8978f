//! GPT-2: learned positions, LayerNorm, biases everywhere, no gate.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gpt2",
    norm: Norm::Layer,
    biases: Biases::all(Presence::Always),
    position: Position::Learned,
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..PLAIN
};
