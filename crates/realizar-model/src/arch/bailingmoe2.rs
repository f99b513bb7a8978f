//! Ling and Ring 2: experts chosen within groups.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, Norm, PLAIN, Position, Presence, QkNorm, SharedExpert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "bailingmoe2",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    moe: Some(Moe { shared: SharedExpert::WidthTimesCount, ..Moe::SIGMOID_BY_KEY }),
    ..PLAIN
};
