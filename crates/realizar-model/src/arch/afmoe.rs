//! Trinity: norms around both branches, gated attention, positions on window layers only.

use realizar_tensor::PairOrder;

use super::{
    ArchFacts, AttentionGate, EmbeddingScale, Moe, Norm, NormPlaces, PLAIN, Position, Presence, QkNorm,
    RopeLayers, SharedExpert, Windows,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "afmoe",
    norms: NormPlaces {
        after_attention: Some("post_attention_norm"),
        after_ffn: Some("post_ffw_norm"),
        ..NormPlaces::BEFORE
    },
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    rope_layers: RopeLayers::Windowed,
    windows: Windows::LastFull(4),
    attention_gate: AttentionGate::Own,
    moe: Some(Moe { shared: SharedExpert::Plain, ..Moe::SIGMOID_BY_KEY }),
    embedding_scale: EmbeddingScale::SqrtHidden,
    ..PLAIN
};
