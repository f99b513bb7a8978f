//! gpt-oss (arXiv:2508.10925): attention sinks, a window on every other layer, clamped experts with biases.

use realizar_tensor::{Gate, PairOrder, Scoring};

use super::{ArchFacts, Biases, Ffn, FfnGate, Moe, NormPlaces, PLAIN, Position, Presence, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gpt-oss",
    // The tensor is called after its place in the block, not after its use.
    norms: NormPlaces { before_ffn: Some("post_attention_norm"), ..NormPlaces::BEFORE },
    biases: Biases {
        qkv: Presence::Always,
        attention_output: Presence::Always,
        experts: Presence::Always,
        ..Biases::all(Presence::Never)
    },
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::LastFull(2),
    sinks: Presence::Always,
    ffn: Ffn { activation: Gate::ClampedSwiglu { alpha: 1.702, limit: 7.0 }, gate: FfnGate::Split },
    moe: Some(Moe { scoring: Scoring::SoftmaxOfChosen, normalise: false, ..Moe::SOFTMAX }),
    ..PLAIN
};
