//! MiniCPM 3: latent attention whose heads are unpacked, and MiniCPM's factors.

use realizar_tensor::PairOrder;

use super::{ArchFacts, EmbeddingScale, Latent, LogitScale, PLAIN, Position, ResidualScale};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "minicpm3",
    position: Position::Rope(PairOrder::Halves),
    latent: Latent::Unpacked,
    embedding_scale: EmbeddingScale::Fixed(12.0),
    residual_scale: ResidualScale::Depth(1.4),
    logit_scale: LogitScale::Width(256.0),
    ..PLAIN
};
