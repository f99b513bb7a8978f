//! Granite 3: Llama with factors on embeddings, branches, scores and logits.

use super::{ArchFacts, AttentionScale, Biases, EmbeddingScale, LogitScale, PLAIN, Presence, ResidualScale};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "granite",
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    attention_scale: AttentionScale::Key,
    embedding_scale: EmbeddingScale::KeyOr(1.0),
    residual_scale: ResidualScale::Key,
    logit_scale: LogitScale::Divide,
    rope_if_finetuned: true,
    ..PLAIN
};
