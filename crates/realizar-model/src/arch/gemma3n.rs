//! Gemma 3n: four parallel streams, a projection of low rank beside attention, embeddings per layer, a sparse function in
//! the first feed-forward branches, and late layers that read the keys and values of earlier ones.

use super::{ArchFacts, AttentionScale, PerLayer, SharedKv, Softcaps, Streams, Windows, gemma3};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma3n",
    value_norm: true,
    shared_kv: SharedKv::From(20),
    windows: Windows::LastFull(5),
    attention_scale: AttentionScale::One,
    softcaps: Some(Softcaps { attention: None, logits: Some(30.0) }),
    per_layer: PerLayer::KeyOr(256),
    // The deviation above which 5 % of a normal distribution lie.
    streams: Some(Streams { count: 4, rank: 64, sparse_layers: 10, deviations: 1.644_853_6 }),
    ..gemma3::FACTS
};
