//! The language model of Qwen 3 VL: as Qwen 3 where there are no pictures.

use super::{ArchFacts, qwen3};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "qwen3vl", ..qwen3::FACTS };
