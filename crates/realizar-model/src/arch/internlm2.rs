//! InternLM 2 (arXiv:2403.17297): as Llama.

use super::{ArchFacts, PLAIN};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "internlm2", ..PLAIN };
