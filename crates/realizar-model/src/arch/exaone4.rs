//! EXAONE 4 (arXiv:2507.11407): norms behind the branches only; the model of 64 layers has three window layers to a full one without positions.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Norm, NormPlaces, PLAIN, Position, Presence, QkNorm, RopeLayers, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "exaone4",
    norms: NormPlaces {
        before_attention: None,
        after_attention: Some("post_attention_norm"),
        before_ffn: None,
        after_ffn: Some("post_ffw_norm"),
        ..NormPlaces::BEFORE
    },
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    rope_layers: RopeLayers::WindowedIfAny,
    windows: Windows::LastFullIf { layers: 64, period: 4 },
    ..PLAIN
};
