//! The language model of Qwen 2 and 2.5 VL: as Qwen 2 where there are no pictures.

use super::{ArchFacts, qwen2};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "qwen2vl", ..qwen2::FACTS };
