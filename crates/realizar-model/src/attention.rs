//! The attention branch: heads made by projections, or unpacked from a latent vector.

use realizar_tensor::{AttentionSpec, Compute, HeadCols, Product, Rows};

use crate::arch::{Norm, QkNorm};
use crate::buffers::{Buffers, LatentBuffers};
use crate::config::{Config, LatentConfig};
use crate::transformer::{Input, Paging, Pass, Step, apply_norm};
use crate::weights::{Attention, AttentionInput, HeadWeights, LatentWeights, NormWeights};

impl Pass {
    /// Attention over `input`; the result is left in `buffers.branch`.
    pub(crate) fn attention(
        &mut self,
        config: &Config,
        layer: usize,
        weights: &Attention,
        input: Input,
        step: Step<'_>,
    ) {
        let windowed = config.has_window(layer);
        let rope = config.layer_rope(layer).and(self.ropes[usize::from(windowed)].as_ref());
        let Self { compute, cache, buffers, temperatures, alibi, .. } = self;
        let Buffers { x, normed, input: own, branch, q, k, v, heads, latent, .. } = buffers;
        let input = input.of(x, normed, own);
        match (&weights.input, config.latent.zip(latent.as_mut())) {
            (AttentionInput::Heads(weights), _) => make_heads(compute, config, weights, input, [q, k, v]),
            (AttentionInput::Latent(weights), Some((shape, buffers))) => {
                make_latent(compute, config, (&shape, weights), input, buffers, [q, k, v]);
            }
            (AttentionInput::Latent(_), None) => {}
        }
        if let Some(rope) = rope {
            compute.rope(q, config.heads, rope, step.positions);
            compute.rope(k, config.kv_heads, rope, step.positions);
        }
        if config.query_temperature.is_some() {
            compute.scale_rows(q, temperatures);
        }
        let Paging { slots, spans } = if cache.in_window(layer) { step.window } else { step.full };
        let (store, place) = cache.layer(layer);
        compute.kv_append(store, place, k, v, slots);
        let spec = AttentionSpec {
            heads: config.heads,
            scale: config.attention_scale,
            window: config.window.filter(|_| windowed),
            softcap: config.attention_softcap,
            causal: config.causal(),
            sinks: weights.sinks.as_ref(),
            alibi: alibi.as_ref(),
        };
        compute.attention(q, store, place, spans, &spec, heads);
        let heads = match (&weights.input, config.latent.zip(latent.as_mut())) {
            (AttentionInput::Latent(weights), Some((shape, buffers))) => {
                let from = HeadCols { stride: shape.kv_rank, offset: 0 };
                let to = HeadCols { stride: shape.value_dim, offset: 0 };
                compute.matmul_heads(heads, from, &weights.v_up, config.heads, &mut buffers.heads, to);
                &buffers.heads
            }
            _ => heads,
        };
        let output = &weights.output;
        let product = Product { weight: &output.weight, bias: output.bias.as_ref(), out: branch };
        compute.matmul(heads, &mut [product]);
    }
}

/// Queries, keys and values by projection, with their norms.
fn make_heads(
    compute: &mut Compute,
    config: &Config,
    weights: &HeadWeights,
    x: &Rows,
    [q, k, v]: [&mut Rows; 3],
) {
    let products = [(&weights.q, &mut *q), (&weights.k, &mut *k), (&weights.v, v)];
    compute.matmul(
        x,
        &mut products.map(|(linear, out)| Product {
            weight: &linear.weight,
            bias: linear.bias.as_ref(),
            out,
        }),
    );
    let whole = config.arch.qk_norm == QkNorm::Whole;
    let mut norm = |weights: &Option<NormWeights>, x: &mut Rows, heads| {
        let Some(NormWeights { kind, gain, .. }) = weights else { return };
        let heads = if whole { 1 } else { heads };
        match kind {
            Norm::Rms => compute.rms_norm_heads(x, heads, gain, config.norm_eps),
            Norm::Layer => compute.layer_norm_heads(x, heads, gain, None, config.norm_eps),
        }
    };
    norm(&weights.q_norm, q, config.heads);
    norm(&weights.k_norm, k, config.kv_heads);
}

/// Queries brought into the latent space, the latent vector with its rotated part as the one key, and alone as the
/// one value.
fn make_latent(
    compute: &mut Compute,
    config: &Config,
    (shape, weights): (&LatentConfig, &LatentWeights),
    x: &Rows,
    buffers: &mut LatentBuffers,
    [q, k, v]: [&mut Rows; 3],
) {
    let Config { heads, head_dim, norm_eps: eps, .. } = *config;
    let LatentConfig { kv_rank, head_dim: unpacked, .. } = *shape;
    let rotated = head_dim - kv_rank;
    let LatentBuffers { q_low, q: wide, low, k_rotated, .. } = buffers;
    fn plain<'a>(weight: &'a realizar_tensor::QMatrix, out: &'a mut Rows) -> Product<'a> {
        Product { weight, bias: None, out }
    }
    match (&weights.q_down, q_low) {
        (Some((down, norm)), Some([q_low, q_normed])) => {
            let keys = [plain(&weights.latent, low), plain(&weights.k_rotated, k_rotated)];
            let [latent, k_part] = keys;
            compute.matmul(x, &mut [plain(down, q_low), latent, k_part]);
            apply_norm(compute, norm, eps, q_low, q_normed);
            compute.matmul(q_normed, &mut [plain(&weights.q, wide)]);
        }
        _ => {
            let keys = [plain(&weights.latent, low), plain(&weights.k_rotated, k_rotated)];
            let [latent, k_part] = keys;
            compute.matmul(x, &mut [plain(&weights.q, wide), latent, k_part]);
        }
    }
    apply_norm(compute, &weights.latent_norm, eps, low, v);
    // Queries: the unrotated part through the keys' unpacking matrix, the rotated part as it is.
    let cols = |stride, offset| HeadCols { stride, offset };
    compute.matmul_heads(wide, cols(unpacked, 0), &weights.k_up, heads, q, cols(head_dim, 0));
    compute.copy_cols(wide, cols(unpacked, unpacked - rotated), heads, rotated, q, cols(head_dim, kv_rank));
    compute.copy_cols(v, cols(kv_rank, 0), 1, kv_rank, k, cols(head_dim, 0));
    compute.copy_cols(k_rotated, cols(rotated, 0), 1, rotated, k, cols(head_dim, kv_rank));
}
