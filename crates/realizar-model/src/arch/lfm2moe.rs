//! LFM2 with experts behind the leading dense layers.

use super::{ArchFacts, Moe, Windows, lfm2};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "lfm2moe", windows: Windows::Never, moe: Some(Moe::SIGMOID), ..lfm2::FACTS };
