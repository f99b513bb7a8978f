//! Seed-OSS: as Qwen 2, with heads of their own width.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, NormPlaces, PLAIN, Position, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "seed_oss",
    norms: NormPlaces { before_ffn: Some("post_attention_norm"), ..NormPlaces::BEFORE },
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    position: Position::Rope(PairOrder::Halves),
    ..PLAIN
};
