//! DBRX: LayerNorm without biases, bounded queries, keys and values.

use realizar_tensor::PairOrder;

use super::{ArchFacts, Moe, Norm, NormPlaces, PLAIN, Position};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "dbrx",
    norm: Norm::Layer,
    norms: NormPlaces { before_ffn: Some("attn_output_norm"), ..NormPlaces::BEFORE },
    position: Position::Rope(PairOrder::Halves),
    clamp_qkv: true,
    moe: Some(Moe { plain_width: true, ..Moe::SOFTMAX }),
    ..PLAIN
};
