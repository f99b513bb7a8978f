//! Nemotron H and Nano 2 (arXiv:2504.03624): a layer is Mamba 2, attention without positions, or a squared ReLU.

use realizar_tensor::Gate;

use super::{ArchFacts, Biases, Ffn, FfnGate, PLAIN, Position, Presence, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "nemotron_h",
    either_epsilon: true,
    one_branch: true,
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    position: Position::Unseen,
    state: Some(State {
        kind: StateKind::Mamba2 { norm: Presence::Always },
        layers: StateLayers::WithoutKeys,
    }),
    ffn: Ffn { activation: Gate::Relu2, gate: FfnGate::None },
    ..PLAIN
};
