//! OLMoE (arXiv:2409.02060): queries and keys normed as a whole, chosen weights not renormalised.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, PLAIN, Position, QkNorm};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "olmoe",
    qk_norm: QkNorm::Whole,
    position: Position::Rope(PairOrder::Halves),
    moe: Some(Moe { normalise: false, plain_width: true, ..Moe::SOFTMAX }),
    ..PLAIN
};
