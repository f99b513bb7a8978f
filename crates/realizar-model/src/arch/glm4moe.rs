//! GLM 4.5 to 4.7 (arXiv:2508.06471): biases on queries, keys and values, half of each head rotated, sigmoid routing.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Biases, Moe, Norm, NormPlaces, PLAIN, Position, Presence, QkNorm, SharedExpert};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "glm4moe",
    // The tensor is called after its place in the block, not after its use.
    norms: NormPlaces { before_ffn: Some("post_attention_norm"), ..NormPlaces::BEFORE },
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    qk_norm: QkNorm::PerHead(Norm::Rms, Presence::Optional),
    position: Position::Rope(PairOrder::Halves),
    moe: Some(Moe { shared: SharedExpert::Plain, ..Moe::SIGMOID_BY_KEY }),
    ..PLAIN
};
