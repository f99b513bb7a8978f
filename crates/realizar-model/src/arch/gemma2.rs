//! Gemma 2 (arXiv:2408.00118): norms around both branches, soft caps, a window on every other layer.

use super::{ArchFacts, AttentionScale, NormPlaces, Softcaps, Windows, gemma};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma2",
    norms: NormPlaces {
        after_attention: Some("post_attention_norm"),
        after_ffn: Some("post_ffw_norm"),
        ..NormPlaces::BEFORE
    },
    windows: Windows::LastFull(2),
    // The model of 27 billion parameters has heads narrower than hidden / heads.
    attention_scale: AttentionScale::HiddenPerHead { layers: 46 },
    softcaps: Some(Softcaps { attention: Some(50.0), logits: Some(30.0) }),
    ..gemma::FACTS
};
