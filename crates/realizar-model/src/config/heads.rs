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
    if arch.latent == Latent::Absorbed && !read.dialect.is_json() {
        // What a file says of heads in general is what the cache holds.
        let cached = [(facts::HEAD_DIM, latent.kv_rank + latent.rotated), (facts::VALUE_DIM, latent.kv_rank)];
        for (fact, width) in cached {
            if let Some(stated) = read.count(fact)?.filter(|stated| *stated != width) {
                let rank = (facts::KV_RANK.key, latent.kv_rank);
                return Err(read.disagree((fact.key, stated), rank, "it must be what is cached of a token"));
            }
        }
    }
    Ok(Some(latent))
}
