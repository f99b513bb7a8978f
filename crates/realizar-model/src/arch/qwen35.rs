//! Qwen 3.5 and 3.6: three layers of gated delta net to one of gated attention.

use realizar_tensor::PairOrder;

use super::{
    ArchFacts, AttentionGate, Norm, NormPlaces, PLAIN, Position, Presence, QkNorm, State, StateKind,
    StateLayers,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "qwen35",
    norms: NormPlaces { before_ffn: Some("post_attention_norm"), ..NormPlaces::BEFORE },
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    attention_gate: AttentionGate::InQuery,
    state: Some(State { kind: StateKind::DeltaNet { grouped: false }, layers: StateLayers::Interval }),
    ..PLAIN
};
