//! EmbeddingGemma: Gemma 3 that sees both ways.

use super::{ArchFacts, Biases, Presence, Role, gemma3};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "gemma-embedding",
    role: Role::Encoder,
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    ..gemma3::FACTS
};
