//! Orion (arXiv:2401.12246): Llama with LayerNorm.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, Norm, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "orion",
    norm: Norm::Layer,
    biases: Biases { norms: Presence::Always, ..PLAIN.biases },
    position: Position::Rope(PairOrder::Halves),
    ..PLAIN
};
