//! Command R7B and A (arXiv:2504.00698): three rotated window layers to a full one without positions.

use super::{ArchFacts, QkNorm, RopeLayers, Windows, command_r};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "cohere2",
    qk_norm: QkNorm::Never,
    windows: Windows::LastFull(4),
    rope_layers: RopeLayers::Windowed,
    ..command_r::FACTS
};
