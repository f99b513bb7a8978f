//! Granite 3 with experts.

use super::{ArchFacts, Moe, SharedExpert, granite};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "granitemoe",
    rope_if_finetuned: false,
    moe: Some(Moe { plain_width: true, shared: SharedExpert::Width, ..Moe::SOFTMAX }),
    ..granite::FACTS
};
