//! Widths of latent attention.

use crate::arch::{ArchFacts, Latent};
use crate::error::ModelError;
use crate::facts::{self, FactReader};

/// Widths of latent attention. Those of [`BlockConfig`](crate::BlockConfig) are of what is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentConfig {
    /// Rank of the queries' projection; 0: they are projected at once.
    pub q_rank: usize,
    /// Width of the latent vector.
    pub kv_rank: usize,
    /// Width of a query head, of which the last `rotated` are rotated.
    pub head_dim: usize,
    /// Width of a value head after it is unpacked.
    pub value_dim: usize,
    /// Values of a query head, and of the one key beside the latent vector, that rotate.
    pub rotated: usize,
}

/// The widths, for an architecture with latent attention.
pub(super) fn latent(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<LatentConfig>, ModelError> {
    let (head_dim, value_dim) = match arch.latent {
        Latent::Never => return Ok(None),
        Latent::Absorbed => (facts::LATENT_HEAD_DIM, facts::LATENT_VALUE_DIM),
        Latent::Unpacked => (facts::HEAD_DIM, facts::VALUE_DIM),
    };
    let latent = LatentConfig {
        q_rank: read.count(facts::Q_RANK)?.unwrap_or(0),
        kv_rank: read.require_count(facts::KV_RANK)?,
        head_dim: read.require_count(head_dim)?,
        value_dim: read.require_count(value_dim)?,
        rotated: read.require_count(facts::ROTARY_DIM)?,
    };
    if latent.rotated >= latent.head_dim {
        let (dims, width) = ((facts::ROTARY_DIM.key, latent.rotated), (head_dim.key, latent.head_dim));
        return Err(read.disagree(dims, width, "the first must be below the second"));
    }
    Ok(Some(latent))
}
