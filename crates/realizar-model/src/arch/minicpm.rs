//! MiniCPM (arXiv:2404.06395): Granite's factors, with the paper's values where the file has none.

use super::{ArchFacts, Biases, EmbeddingScale, LogitScale, PLAIN, Presence, ResidualScale};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "minicpm",
    biases: Biases { norms: Presence::Never, ..Biases::all(Presence::Optional) },
    embedding_scale: EmbeddingScale::KeyOr(12.0),
    residual_scale: ResidualScale::KeyOrDepth(1.4),
    logit_scale: LogitScale::DivideOrWidth(256.0),
    ..PLAIN
};
