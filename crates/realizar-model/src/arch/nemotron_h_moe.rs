//! Nemotron 3: as Nemotron H, with experts that may work on a narrower vector.

use super::{ArchFacts, Moe, SharedExpert, nemotron_h};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "nemotron_h_moe",
    moe: Some(Moe { gated: false, latent: true, shared: SharedExpert::Width, ..Moe::SIGMOID_BY_KEY }),
    ..nemotron_h::FACTS
};
