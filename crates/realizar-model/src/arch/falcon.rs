//! Falcon 7B and 40B (arXiv:2311.16867): side by side under one LayerNorm, or under two where the file has `attn_norm_2`.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, NormPlaces, PLAIN, Position, Presence, Residual};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "falcon",
    norm: Norm::Layer,
    norms: NormPlaces { attention_only: Some("attn_norm_2"), before_ffn: None, ..NormPlaces::BEFORE },
    residual: Residual::Parallel,
    biases: Biases { norms: Presence::Always, ..Biases::all(Presence::Never) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluErf, gate: FfnGate::None },
    ..PLAIN
};
