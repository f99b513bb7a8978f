//! Kimi Linear (arXiv:2510.26692): a delta net with a decay per dimension, and latent attention without positions.

use super::{ArchFacts, Latent, Moe, PLAIN, RopeLayers, SharedExpert, State, StateKind, StateLayers};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "kimi-linear",
    rope_layers: RopeLayers::Never,
    latent: Latent::Absorbed,
    state: Some(State { kind: StateKind::KeyDelta, layers: StateLayers::WithoutKeys }),
    moe: Some(Moe { shared: SharedExpert::Plain, ..Moe::SIGMOID }),
    ..PLAIN
};
