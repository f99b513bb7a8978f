//! BitNet b1.58 (arXiv:2402.17764): norms inside both branches, a factor beside every matrix.

use realizar_tensor::PairOrder;

use super::{ArchFacts, NormPlaces, PLAIN, Position};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "bitnet",
    norms: NormPlaces {
        inside_attention: Some("attn_sub_norm"),
        inside_ffn: Some("ffn_sub_norm"),
        ..NormPlaces::BEFORE
    },
    position: Position::Rope(PairOrder::Halves),
    ..PLAIN
};
