//! Command R and R+: both branches under one LayerNorm without bias; R+ norms the heads of queries and keys.

use super::{ArchFacts, LogitScale, Norm, NormPlaces, PLAIN, Presence, QkNorm, Residual};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "command-r",
    norm: Norm::Layer,
    norms: NormPlaces { before_ffn: None, ..NormPlaces::BEFORE },
    residual: Residual::Parallel,
    qk_norm: QkNorm::PerHead(Norm::Layer, Presence::Optional),
    logit_scale: LogitScale::Multiply,
    ..PLAIN
};
