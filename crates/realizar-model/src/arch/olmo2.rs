//! OLMo 2 and 3 (arXiv:2501.00656): norms only behind the branches, queries and keys normed as a whole; OLMo 3 adds
//! window layers, which do not scale their rotation.

use realizar_tensor::PairOrder;

use super::{ArchFacts, NormPlaces, PLAIN, Position, QkNorm, WindowRope, Windows};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "olmo2",
    norms: NormPlaces {
        before_attention: None,
        after_attention: Some("post_attention_norm"),
        before_ffn: None,
        after_ffn: Some("post_ffw_norm"),
        ..NormPlaces::BEFORE
    },
    qk_norm: QkNorm::Whole,
    position: Position::Rope(PairOrder::Halves),
    windows: Windows::LastFull(4),
    window_rope: WindowRope::Unscaled,
    ..PLAIN
};
