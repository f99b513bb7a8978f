//! RWKV 7 (arXiv:2503.14456): two branches that see the token before.

use super::{ArchFacts, Biases, Norm, NormPlaces, PLAIN, Position, Presence, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "rwkv7",
    norm: Norm::Layer,
    norms: NormPlaces { embedding: Some("token_embd_norm"), ..NormPlaces::BEFORE },
    one_branch: true,
    biases: Biases { norms: Presence::Always, ..Biases::all(Presence::Never) },
    position: Position::Unseen,
    state: Some(State { kind: StateKind::Rwkv7, layers: StateLayers::All }),
    ..PLAIN
};
