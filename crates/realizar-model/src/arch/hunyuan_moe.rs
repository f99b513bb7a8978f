//! Hunyuan A13B: as the dense model, with experts and a shared one.

use super::{ArchFacts, Moe, SharedExpert, hunyuan_dense};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "hunyuan-moe",
    rope_alpha: false,
    moe: Some(Moe { shared: SharedExpert::Width, ..Moe::SOFTMAX }),
    ..hunyuan_dense::FACTS
};
