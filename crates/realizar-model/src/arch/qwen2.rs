//! Qwen 2 and 2.5 (arXiv:2407.10671).

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen2",
    position: Position::Rope(PairOrder::Halves),
    biases: Biases { qkv: Presence::Always, ..Biases::all(Presence::Never) },
    ..PLAIN
};
