//! Qwen 3 (arXiv:2505.09388): norms on the heads of queries and keys, no biases.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Norm, PLAIN, Position, Presence, QkNorm};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen3",
    position: Position::Rope(PairOrder::Halves),
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    ..PLAIN
};
