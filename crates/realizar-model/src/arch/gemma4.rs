//! Gemma 4: window and full layers with heads of their own widths, values normed, keys that serve as values or for several layers, embeddings per layer, experts beside a plain branch.

use super::{
    ArchFacts, AttentionScale, Moe, MoeLayers, PerLayer, SharedExpert, SharedKv, Softcaps, Windows, gemma3,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma4",
    value_norm: true,
    keys_serve: true,
    shared_kv: SharedKv::Last,
    windows: Windows::Listed,
    attention_scale: AttentionScale::One,
    softcaps: Some(Softcaps { attention: None, logits: None }),
    moe: Some(Moe { layers: MoeLayers::WithRouter, shared: SharedExpert::Branch, ..Moe::SOFTMAX }),
    per_layer: PerLayer::Key,
    block_scale: true,
    ..gemma3::FACTS
};
