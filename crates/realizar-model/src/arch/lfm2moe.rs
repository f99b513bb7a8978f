//! LFM2 with experts behind the leading dense layers.

use super::{ArchFacts, Moe, lfm2};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "lfm2moe", moe: Some(Moe::SIGMOID), ..lfm2::FACTS };
