//! XVERSE: as Llama.

use super::{ArchFacts, PLAIN};

pub(crate) const FACTS: ArchFacts = ArchFacts { name: "xverse", ..PLAIN };
