//! Mistral Small 4: DeepSeek's latent attention with queries that grow with the position.

use super::{ArchFacts, Temperature, YarnMultiplier, deepseek2};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mistral4",
    temperature: Temperature::Keys,
    yarn_log_multiplier: YarnMultiplier::Divides,
    ..deepseek2::FACTS
};
