//! LFM2: short convolutions between gates, attention on some layers; the last norm has the name of the embeddings'.

use realizar_tensor::PairOrder;

use super::{
    ArchFacts, Norm, NormPlaces, PLAIN, Position, Presence, QkNorm, State, StateKind, StateLayers, Windows,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "lfm2",
    norms: NormPlaces { output: Some("token_embd_norm"), ..NormPlaces::BEFORE },
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::Every,
    state: Some(State { kind: StateKind::ShortConvolution, layers: StateLayers::WithoutKeys }),
    ..PLAIN
};
