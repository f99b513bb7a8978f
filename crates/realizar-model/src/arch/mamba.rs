//! Mamba (arXiv:2312.00752): nothing but a recurrence.

use super::{ArchFacts, PLAIN, Position, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "mamba",
    one_branch: true,
    position: Position::Unseen,
    state: Some(State { kind: StateKind::Mamba, layers: StateLayers::All }),
    ..PLAIN
};
