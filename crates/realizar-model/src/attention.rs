//! The attention branch: heads made by projections, or unpacked from a latent vector.

use realizar_tensor::{AttentionSpec, Compute, Gate, HeadCols, Product, Rows};

use crate::arch::{Norm, QkNorm};
use crate::buffers::{AttentionBuffers, Buffers, LatentBuffers};
use crate::config::{BlockConfig, Config, LatentConfig};
use crate::linear::project;
use crate::transformer::{Input, Paging, Pass, Step, Wanted, apply_norm};
use crate::weights::{Attention, AttentionInput, HeadWeights, LatentUp, LatentWeights, NormWeights};

impl Pass {
    /// Attention over `input`; the result for the wanted rows is left in `buffers.branch`.
    pub(crate) fn attention(
        &mut self,
        config: &Config,
        layer: usize,
        weights: &Attention,
        input: Input,
        step: Step<'_>,
    ) {
        let block = &config.blocks[layer];
        let rope = config.layer_rope(layer).and(self.ropes[usize::from(block.windowed)].as_ref());
        let Self { compute, cache, buffers, temperatures, alibi, indexer_rope, .. } = self;
        let Buffers { x, normed, input: own, branch, attention, latent, indexer, .. } = buffers;
        let input = input.of(x, normed, own);
        attention.fit(block);
        let last = config.arch.qk_norm_last;
        match (&weights.input, config.latent.zip(latent.as_mut())) {
            (AttentionInput::Heads(weights), _) => {
                make_heads(compute, config, block, weights, input, attention);
                if !last {
                    norm_heads(compute, config, block, weights, attention);
                }
            }
            (AttentionInput::Latent(weights), Some((shape, buffers))) => {
                make_latent(compute, config, block, (&shape, weights), input, (buffers, attention));
            }
            (AttentionInput::Latent(_), None) => {}
        }
        let AttentionBuffers { q, k, .. } = attention;
        let owns_keys = block.kv_of == layer;
        if let Some(rope) = rope {
            compute.rope(q, block.heads, rope, step.positions);
            if owns_keys {
                compute.rope(k, block.kv_heads, rope, step.positions);
            }
        }
        if let (AttentionInput::Heads(weights), true) = (&weights.input, last) {
            norm_heads(compute, config, block, weights, attention);
        }
        let AttentionBuffers { q, k, v, heads, gate, .. } = attention;
        if config.query_temperature.is_some() && block.tempered {
            compute.scale_rows(q, temperatures);
        }
        let place = cache.places[layer];
        let Paging { slots, spans, stretches } = step.paging[place.store];
        if owns_keys {
            compute.kv_append(&mut cache.stores[place.store].kv, place.layer, k, v, slots);
        }
        let spec = AttentionSpec {
            heads: block.heads,
            scale: block.scale,
            window: config.window.filter(|_| block.windowed),
            softcap: config.attention_softcap,
            causal: config.causal(),
            sinks: weights.sinks.as_ref(),
            alibi: alibi.as_ref(),
        };
        let spans = if config.arch.stretch.is_some() && block.rotates { stretches } else { spans };
        let low = latent.as_ref().and_then(|latent| latent.q_low.as_ref());
        let chooses = match &weights.input {
            AttentionInput::Latent(weights) => weights.indexer.as_ref().zip(low.zip(config.indexer)),
            AttentionInput::Heads(_) => None,
        };
        // Then the keys and values are all that is left to do, and the keys that choose.
        let nobody = matches!(step.wanted, Wanted::Rows([]));
        match chooses.zip(indexer.as_mut()) {
            Some(((weights, ([_, low], shape)), buffers)) => {
                let rope = rope.and(indexer_rope.as_ref());
                weights.choose(compute, &shape, (input, low), rope, cache, place, step, buffers);
                if nobody {
                    return;
                }
                let store = (&cache.stores[place.store].kv, place.layer);
                buffers.attention(compute, q, store, spans, &spec, heads);
            }
            None if nobody => return,
            None => {
                compute.attention(q, &cache.stores[place.store].kv, place.layer, spans, &spec, heads);
            }
        }
        let heads = match (&weights.input, config.latent.zip(latent.as_mut())) {
            (AttentionInput::Latent(weights), Some((shape, buffers))) => match &weights.up {
                LatentUp::Absorbed { v, .. } => {
                    let from = HeadCols { stride: shape.kv_rank, offset: 0 };
                    let to = HeadCols { stride: shape.value_dim, offset: 0 };
                    compute.matmul_heads(heads, from, v, block.heads, &mut buffers.heads, to);
                    &mut buffers.heads
                }
                LatentUp::Unpacked(_) => heads,
            },
            _ => heads,
        };
        let heads = finish_heads(compute, config, weights, input, (heads, gate));
        if let Wanted::Rows(rows) = step.wanted {
            heads.keep_rows(rows);
        }
        project(compute, heads, [(&weights.output, &mut *branch)]);
        if config.value_scale != 1.0 {
            compute.scale(branch, config.value_scale);
        }
    }
}

/// The norm and the gate of the heads' values; gives the buffer that holds the result.
fn finish_heads<'a>(
    compute: &mut Compute,
    config: &Config,
    weights: &Attention,
    input: &Rows,
    (heads, gate): (&'a mut Rows, &'a mut Rows),
) -> &'a mut Rows {
    if let Some(norm) = &weights.inner_norm {
        norm_parts(compute, norm, 1, config.norm_eps, heads);
    }
    match (&weights.input, &weights.gate) {
        (_, Some(linear)) => {
            project(compute, input, [(linear, &mut *gate)]);
            if gate.width() == heads.width() {
                compute.gate(Gate::Sigmoid, gate, heads);
                gate
            } else {
                compute.gate_heads(heads, gate);
                heads
            }
        }
        (AttentionInput::Heads(_), None) if gate_in_query(config) => {
            compute.gate(Gate::Sigmoid, gate, heads);
            gate
        }
        _ => heads,
    }
}

fn gate_in_query(config: &Config) -> bool {
    config.arch.attention_gate == crate::arch::AttentionGate::InQuery
}

/// Queries, keys and values by projection.
fn make_heads(
    compute: &mut Compute,
    config: &Config,
    block: &BlockConfig,
    weights: &HeadWeights,
    x: &Rows,
    buffers: &mut AttentionBuffers,
) {
    let AttentionBuffers { q, k, v, wide_q, gate, .. } = buffers;
    let gated = gate_in_query(config);
    let queries = if gated { &mut *wide_q } else { &mut *q };
    match (&weights.k, &weights.v) {
        (Some(keys), Some(values)) => {
            project(compute, x, [(&weights.q, queries), (keys, &mut *k), (values, &mut *v)])
        }
        (Some(keys), None) => {
            project(compute, x, [(&weights.q, queries), (keys, &mut *k)]);
            let cols = HeadCols { stride: block.head_dim, offset: 0 };
            compute.copy_cols(k, cols, block.kv_heads, block.head_dim, v, cols);
        }
        (None, _) => project(compute, x, [(&weights.q, queries)]),
    }
    if gated {
        // A head's query and its gate stand side by side.
        let width = block.head_dim;
        let cols = |stride, offset| HeadCols { stride, offset };
        compute.copy_cols(wide_q, cols(2 * width, 0), block.heads, width, q, cols(width, 0));
        gate.set_width(block.heads * width);
        compute.copy_cols(wide_q, cols(2 * width, width), block.heads, width, gate, cols(width, 0));
    }
    if let Some(limit) = config.qkv_clamp {
        for part in [q, k, v] {
            compute.clamp(part, limit);
        }
    }
}

/// Norms of the heads, before or after they rotate.
fn norm_heads(
    compute: &mut Compute,
    config: &Config,
    block: &BlockConfig,
    weights: &HeadWeights,
    buffers: &mut AttentionBuffers,
) {
    let AttentionBuffers { q, k, v, .. } = buffers;
    let whole = config.arch.qk_norm == QkNorm::Whole;
    let mut norm = |weights: &Option<NormWeights>, x: &mut Rows, heads| {
        if let Some(weights) = weights {
            norm_parts(compute, weights, if whole { 1 } else { heads }, config.norm_eps, x);
        }
    };
    norm(&weights.q_norm, q, block.heads);
    if weights.k.is_some() {
        norm(&weights.k_norm, k, block.kv_heads);
        norm(&weights.v_norm, v, block.kv_heads);
    }
}

/// Norms each of the equal parts of every row.
pub(crate) fn norm_parts(compute: &mut Compute, norm: &NormWeights, parts: usize, eps: f32, x: &mut Rows) {
    match norm.kind {
        Norm::Rms => compute.rms_norm_heads(x, parts, &norm.gain, eps),
        Norm::Layer => compute.layer_norm_heads(x, parts, &norm.gain, norm.bias.as_ref(), eps),
    }
}

/// Absorbed: queries brought into the latent space, the latent vector with its rotated part as the one key, and alone as
/// the one value. Unpacked: keys and values of all heads, each key with the same rotated part.
fn make_latent(
    compute: &mut Compute,
    config: &Config,
    block: &BlockConfig,
    (shape, weights): (&LatentConfig, &LatentWeights),
    x: &Rows,
    (latent, attention): (&mut LatentBuffers, &mut AttentionBuffers),
) {
    let (heads, eps) = (block.heads, config.norm_eps);
    let LatentConfig { kv_rank, head_dim: unpacked, value_dim, rotated, .. } = *shape;
    let LatentBuffers { q_low, q: wide, low, normed, k_rotated, pairs, .. } = latent;
    let AttentionBuffers { q, k, v, .. } = attention;
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
    let cols = |stride, offset| HeadCols { stride, offset };
    let kept = unpacked - rotated;
    match &weights.up {
        LatentUp::Absorbed { k: k_up, .. } => {
            let head_dim = kv_rank + rotated;
            apply_norm(compute, &weights.latent_norm, eps, low, v);
            // Queries: the unrotated part through the keys' unpacking matrix, the rotated part as it is.
            compute.matmul_heads(wide, cols(unpacked, 0), k_up, heads, q, cols(head_dim, 0));
            compute.copy_cols(wide, cols(unpacked, kept), heads, rotated, q, cols(head_dim, kv_rank));
            compute.copy_cols(v, cols(kv_rank, 0), 1, kv_rank, k, cols(head_dim, 0));
            compute.copy_cols(k_rotated, cols(rotated, 0), 1, rotated, k, cols(head_dim, kv_rank));
        }
        LatentUp::Unpacked(up) => {
            apply_norm(compute, &weights.latent_norm, eps, low, normed);
            compute.matmul(normed, &mut [plain(up, pairs)]);
            let pair = kept + value_dim;
            compute.copy_cols(wide, cols(unpacked, 0), heads, unpacked, q, cols(unpacked, 0));
            compute.copy_cols(pairs, cols(pair, 0), heads, kept, k, cols(unpacked, 0));
            compute.copy_cols(k_rotated, cols(0, 0), heads, rotated, k, cols(unpacked, kept));
            compute.copy_cols(pairs, cols(pair, kept), heads, value_dim, v, cols(value_dim, 0));
        }
    }
}
