//! Hunyuan dense: heads are normed after they rotate.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Norm, PLAIN, Position, Presence, QkNorm};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "hunyuan-dense",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    qk_norm_last: true,
    position: Position::Rope(PairOrder::Halves),
    rope_alpha: true,
    ..PLAIN
};
