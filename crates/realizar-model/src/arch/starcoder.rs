//! StarCoder and SantaCoder (arXiv:2305.06161): GPT-2 whose query heads share one key head.

use super::{ArchFacts, gpt2};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "starcoder", ..gpt2::FACTS };
