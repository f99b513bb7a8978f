//! Llama, Mistral, Mixtral and the many models that are built like them (arXiv:2302.13971, arXiv:2401.04088).

use super::{ArchFacts, Biases, Moe, PLAIN, Presence};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "llama",
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    moe: Some(Moe::SOFTMAX),
    ..PLAIN
};
