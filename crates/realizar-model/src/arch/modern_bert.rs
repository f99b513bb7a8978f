//! ModernBERT (arXiv:2412.13663): norms before the branches, rotation, two window layers to a full one, a GELU gate.

use realizar_tensor::{Gate, PairOrder};

use super::{ArchFacts, Ffn, FfnGate, Norm, NormPlaces, PLAIN, Position, Rank, Role, WindowRope, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "modern-bert",
    role: Role::Encoder,
    norm: Norm::Layer,
    norms: NormPlaces { embedding: Some("token_embd_norm"), identity_first: true, ..NormPlaces::BEFORE },
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::FirstFull(3),
    window_rope: WindowRope::OwnBase,
    rank: Rank::Key,
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::Fused },
    ..PLAIN
};
