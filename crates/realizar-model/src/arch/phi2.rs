//! Phi 1, 1.5 and 2: attention and feed-forward side by side under one LayerNorm, biases everywhere.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Biases, Ffn, FfnGate, Norm, NormPlaces, PLAIN, Position, Presence, Residual};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "phi2",
    norm: Norm::Layer,
    norms: NormPlaces { before_ffn: None, ..NormPlaces::BEFORE },
    residual: Residual::Parallel,
    biases: Biases { output: Presence::Always, ..Biases::all(Presence::Always) },
    position: Position::Rope(PairOrder::Halves),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::None },
    ..PLAIN
};
