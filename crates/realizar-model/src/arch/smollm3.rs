//! SmolLM 3: Llama without positions on every fourth layer.

use super::{ArchFacts, PLAIN, RopeLayers};

pub(crate) const FACTS: ArchFacts =
    ArchFacts { name: "smollm3", rope_layers: RopeLayers::AllButEvery(4), ..PLAIN };
