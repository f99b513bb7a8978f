//! Setting up a pass: buffers, cache, rotations and slopes for one model.

use std::sync::Arc;

use realizar_tensor::{Compute, Kernels, Pool, Rope, Vector};

use crate::arch::Position;
use crate::buffers::Buffers;
use crate::config::{BlockConfig, Config};
use crate::error::ModelError;
use crate::model::Model;
use crate::plan::Sizes;
use crate::rope_scaling::RopeConfig;
use crate::transformer::Pass;
use crate::weights::Weights;

impl Pass {
    /// Allocates everything for passes over contexts of up to `context` tokens.
    pub(crate) fn new(
        model: &Model,
        (pool, kernels): (Arc<Pool>, &'static Kernels),
        sizes: Sizes,
        context: usize,
    ) -> Result<Self, ModelError> {
        let rows = sizes.chunk;
        let config = model.config();
        let rope = |rope: &Option<RopeConfig>, windowed| {
            rope.as_ref().map(|rope| rotation(rope, config, windowed, &model.weights, context))
        };
        let mut engine = Compute::new(pool, kernels);
        engine.reserve(rows, widest(config));
        let temperatures = if config.query_temperature.is_some() { rows } else { 0 };
        let types = if config.arch.token_types { rows } else { 0 };
        let ropes = [rope(&config.rope, false), rope(&config.window_rope, true)];
        let indexer_rope = ropes[0].as_ref().zip(config.indexer.as_ref()).zip(config.arch.indexer);
        Ok(Self {
            compute: engine,
            cache: sizes.cache.allocate()?,
            buffers: Buffers::new(config, rows, sizes.logit_rows),
            indexer_rope: indexer_rope.map(|((rope, indexer), order)| Rope {
                head_dim: indexer.head_dim,
                offset: 0,
                order,
                ..rope.clone()
            }),
            ropes,
            alibi: (config.arch.position == Position::Alibi)
                .then(|| Vector::from_vec(alibi_slopes(config.widest(|block| block.heads)))),
            temperatures: Vec::with_capacity(temperatures),
            token_types: vec![0; types],
        })
    }
}

/// The widest input of a product.
pub(crate) fn widest(config: &Config) -> usize {
    let heads = config.widest(|block| block.heads * block.head_dim.max(block.value_dim));
    let experts = config.moe.map_or(0, |moe| moe.shared_ffn.max(moe.ffn));
    let latent = config
        .latent
        .map_or(0, |latent| config.widest(|block| block.heads) * latent.head_dim.max(latent.value_dim));
    let state = config.state.as_ref().map_or(0, |state| state.widest(config));
    let ffn = config.widest(|block| block.ffn);
    [config.hidden, ffn, heads, experts, latent, state].into_iter().max().unwrap_or(0)
}

fn rotation(rope: &RopeConfig, config: &Config, windowed: bool, weights: &Weights, context: usize) -> Rope {
    let factors = &weights.rope_factors;
    let by_context = if context > rope.original_context { &factors.long } else { &factors.short };
    let divisors = by_context.as_ref().or(factors.all.as_ref());
    let turns = |block: &&BlockConfig| block.heads > 0 && block.rotates && block.windowed == windowed;
    let head_dim = config.blocks.iter().find(turns).map_or(rope.dim, |block| block.head_dim);
    Rope {
        head_dim,
        // Of a latent head, the rotated part stands behind the rest.
        offset: config.latent.map_or(0, |latent| head_dim - latent.rotated),
        rotary_dim: rope.dim,
        order: rope.pairs,
        inv_freq: Vector::from_vec(rope.frequencies(divisors.map(Vec::as_slice), context)),
        magnitude: rope.magnitude,
    }
}

/// Slopes of ALiBi (arXiv:2108.12409) with a maximum bias of 8: a geometric row, filled up from the row of twice as many
/// heads when their number is not a power of two.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let whole = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |head: usize| {
        let exponent = if head < whole { (head + 1) as f64 } else { (2 * (head - whole) + 1) as f64 / 2.0 };
        (-8.0 / whole as f64 * exponent).exp2() as f32
    };
    (0..heads).map(slope).collect()
}

#[cfg(test)]
mod tests {
    use super::alibi_slopes;

    #[test]
    fn slopes_of_the_paper() {
        assert_eq!(alibi_slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
        assert_eq!(alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
    }
}
