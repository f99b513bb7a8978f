//! K-EXAONE: three window layers to a full one without positions, sigmoid routing.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, Norm, PLAIN, Position, Presence, QkNorm, RopeLayers, SharedExpert, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "exaone-moe",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    rope_layers: RopeLayers::WindowedIfAny,
    windows: Windows::LastFull(4),
    moe: Some(Moe { shared: SharedExpert::Plain, ..Moe::SIGMOID_BY_KEY }),
    ..PLAIN
};
