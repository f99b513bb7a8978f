//! Ministral 3: Llama with YaRN and queries that grow with the logarithm of the position.

use super::{ArchFacts, Temperature, YarnMultiplier, llama};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mistral3",
    temperature: Temperature::Keys,
    yarn_log_multiplier: YarnMultiplier::Moves,
    ..llama::FACTS
};
