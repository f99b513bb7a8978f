//! Llama that sees both ways (arXiv:2404.05961).

use super::{ArchFacts, Role, llama};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "llama-embed", role: Role::Encoder, ..llama::FACTS };
