//! MiniMax M2: queries and keys normed as a whole, every layer a mixture of experts as wide as `feed_forward_length`.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, PLAIN, Position, QkNorm};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "minimax-m2",
    qk_norm: QkNorm::Whole,
    position: Position::Rope(PairOrder::Halves),
    moe: Some(Moe { plain_width: true, ..Moe::SIGMOID }),
    ..PLAIN
};
