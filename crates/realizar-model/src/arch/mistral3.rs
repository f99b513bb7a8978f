//! Ministral 3: Llama with YaRN and queries that grow with the logarithm of the position.

use super::{ArchFacts, llama};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "mistral3", query_temperature: true, yarn_log_multiplier: true, ..llama::FACTS };
