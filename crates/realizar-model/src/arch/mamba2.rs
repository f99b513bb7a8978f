//! Mamba 2 (arXiv:2405.21060), Codestral Mamba.

use super::{ArchFacts, Presence, State, StateKind, StateLayers, mamba};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mamba2",
    state: Some(State { kind: StateKind::Mamba2 { norm: Presence::Always }, layers: StateLayers::All }),
    ..mamba::FACTS
};
