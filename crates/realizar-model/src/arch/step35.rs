//! Step 3.5: a gate per head, window layers with heads and rotation of their own, bounded SwiGLU.

use realizar_tensor::PairOrder;

use super::{
    ArchFacts, AttentionGate, GateNumbers, Moe, MoeLayers, Norm, PLAIN, Position, Presence, QkNorm,
    SharedExpert, WindowRope, Windows,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "step35",
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Always),
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::Listed,
    window_rope: WindowRope::OwnBaseHalfElsewhere,
    attention_gate: AttentionGate::Own,
    gate_numbers: GateNumbers::Clamps,
    moe: Some(Moe { layers: MoeLayers::WithRouter, shared: SharedExpert::Width, ..Moe::SIGMOID_BY_KEY }),
    ..PLAIN
};
