//! The forward pass: one for every architecture. What differs is read from [`Config`] and from which weights exist.

use std::ops::Range;

use realizar_tensor::{AttentionSpan, Compute, Product, Rope, Rows, Slot, StateSpan, Vector};

use crate::arch::Norm;
use crate::buffers::Buffers;
use crate::cache::Cache;
use crate::config::Config;
use crate::model::Model;
use crate::weights::{Layer, NormWeights};

/// The tokens of one pass, laid end to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// Token of each row.
    pub(crate) ids: &'a [u32],
    /// Position of each row in its sequence.
    pub(crate) positions: &'a [u32],
    /// Where each row's key and value go, and what it may see, per store of the cache.
    pub(crate) paging: &'a [Paging<'a>],
    /// Which rows belong to which recurrent state.
    pub(crate) states: &'a [StateSpan],
    /// The rows of the stream that are asked for, ascending.
    pub(crate) wanted: Wanted<'a>,
}

/// Rows of the stream that a pass is run for; the others only leave keys, values and states behind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// All of them.
    All,
    /// These, ascending.
    Rows(&'a [usize]),
}

/// Rows and the blocks of a store.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paging<'a> {
    /// Where each row's key and value go.
    pub(crate) slots: &'a [Slot],
    /// Which rows belong together, and what they may see.
    pub(crate) spans: &'a [AttentionSpan<'a>],
    /// The same for layers that see their own stretch of positions only.
    pub(crate) stretches: &'a [AttentionSpan<'a>],
}

/// Everything that one pass works with, besides the weights.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) compute: Compute,
    pub(crate) cache: Cache,
    pub(crate) buffers: Buffers,
    /// The rotation of layers without and with a window.
    pub(crate) ropes: [Option<Rope>; 2],
    /// The rotation of an indexer's heads.
    pub(crate) indexer_rope: Option<Rope>,
    /// Slopes of ALiBi, one per head.
    pub(crate) alibi: Option<Vector>,
    /// Factor on each row's queries, where they grow with the position.
    pub(crate) temperatures: Vec<f32>,
    /// As many zeros as a chunk has rows: the type of every token.
    pub(crate) token_types: Vec<u32>,
}

impl Pass {
    /// Runs the rows of `step` through all blocks; the wanted rows of the stream are left in `buffers.x`.
    pub(crate) fn run(&mut self, model: &Model, step: Step<'_>) {
        let config = model.config();
        if let Some(temperature) = config.query_temperature {
            let factor = |pos: &u32| {
                1.0 + temperature.scale * ((1 + (pos + temperature.offset) / temperature.length) as f32).ln()
            };
            self.temperatures.clear();
            self.temperatures.extend(step.positions.iter().map(factor));
        }
        self.embed(model, step);
        let last = model.weights.layers.len().saturating_sub(1);
        let early = leaves_early(config);
        for (index, layer) in model.weights.layers.iter().enumerate() {
            let wanted = if early && index == last { step.wanted } else { Wanted::All };
            self.block(config, index, layer, Step { wanted, ..step });
        }
        self.close_streams(model.weights.streams.as_ref());
        if let (false, Wanted::Rows(rows)) = (early, step.wanted) {
            self.buffers.x.keep_rows(rows);
        }
    }

    /// Logits of some rows of those that are left of the stream, in `buffers.logits`.
    pub(crate) fn logits(&mut self, model: &Model, rows: Range<usize>) {
        let config = model.config();
        let Buffers { x, wanted, wanted_normed, logits, .. } = &mut self.buffers;
        let width = x.width();
        wanted.write(&x.read()[rows.start * width..rows.end * width]);
        if let Some(norm) = &model.weights.output_norm {
            apply_norm(&mut self.compute, norm, config.norm_eps, wanted, wanted_normed);
            std::mem::swap(wanted, wanted_normed);
        }
        let weight = model.weights.output.as_ref().unwrap_or(&model.weights.embedding);
        let bias = model.weights.output_bias.as_ref();
        self.compute.matmul(wanted, &mut [Product { weight, bias, out: logits }]);
        if config.logit_scale != 1.0 {
            self.compute.scale(logits, config.logit_scale);
        }
        if let Some(cap) = config.logit_softcap {
            self.compute.softcap(logits, cap);
        }
    }

    /// The norm after the last block, on all rows of the stream.
    pub(crate) fn norm_output(&mut self, model: &Model) {
        if let Some(norm) = &model.weights.output_norm {
            let Buffers { x, spare, .. } = &mut self.buffers;
            norm_in_place(&mut self.compute, norm, model.config().norm_eps, x, spare);
        }
    }

    fn embed(&mut self, model: &Model, step: Step<'_>) {
        let (config, weights) = (model.config(), &model.weights);
        let Buffers { x, spare, .. } = &mut self.buffers;
        self.compute.embed(&weights.embedding, step.ids, config.embedding_scale, x);
        if let Some(positions) = &weights.positions {
            self.compute.embed(positions, step.positions, 1.0, spare);
            self.compute.add(spare, 1.0, x);
        }
        if let Some(types) = &weights.token_types {
            self.compute.embed(types, &self.token_types[..step.ids.len()], 1.0, spare);
            self.compute.add(spare, 1.0, x);
        }
        if let Some(norm) = &weights.embedding_norm {
            norm_in_place(&mut self.compute, norm, config.norm_eps, x, spare);
        }
        self.embed_per_layer(config, weights.per_layer.as_ref(), step.ids);
        self.open_streams(weights.streams.as_ref());
    }

    fn block(&mut self, config: &Config, index: usize, layer: &Layer, step: Step<'_>) {
        let (norms, eps) = (&layer.norms, config.norm_eps);
        let streams = layer.streams.as_deref();
        self.predict_streams(config, streams);
        self.route_block_input(config, layer.ffn.as_ref());
        let shared = self.norm_stream(norms.before_attention.as_ref(), eps, Input::Shared, Input::Stream);
        self.low_rank(config, streams);
        let input = self.norm_stream(norms.attention_only.as_ref(), eps, Input::Own, shared);
        let mixes = layer.attention.is_some() || layer.state.is_some();
        if let Some(attention) = &layer.attention {
            // What a recurrence adds has all rows.
            let wanted = if layer.state.is_some() { Wanted::All } else { step.wanted };
            self.attention(config, index, attention, input, Step { wanted, ..step });
        }
        if let Some(state) = &layer.state {
            let beside = layer.attention.is_some();
            self.recurrence(config, index, state, input, step, beside);
        }
        if let Wanted::Rows(rows) = step.wanted {
            let Buffers { x, branch, .. } = &mut self.buffers;
            x.keep_rows(rows);
            if layer.state.is_some() {
                branch.keep_rows(rows);
            }
            if rows.is_empty() {
                return;
            }
        }
        if mixes {
            self.norm_branch(norms.after_attention.as_ref(), eps);
        }
        if config.parallel {
            // The stream stays as it is until both branches have seen it.
            let Buffers { branch, held, .. } = &mut self.buffers;
            std::mem::swap(branch, held);
        } else if mixes {
            self.join(config, norms.stream.as_ref().map(|[after_attention, _]| after_attention));
            self.join_low_rank(streams);
        }
        let default = if config.parallel { shared } else { Input::Stream };
        let input = self.norm_stream(norms.before_ffn.as_ref(), eps, Input::Own, default);
        if let Some(ffn) = &layer.ffn {
            self.feed_forward(config, index, ffn, input);
            self.norm_branch(norms.after_ffn.as_ref(), eps);
            if config.parallel {
                let Buffers { x, held, .. } = &mut self.buffers;
                self.compute.add(held, config.residual_scale, x);
            }
            self.join(config, norms.stream.as_ref().map(|[_, after_ffn]| after_ffn));
        }
        self.correct_streams(config, streams);
        self.add_per_layer(config, index, layer);
        if layer.output_scale != 1.0 {
            self.compute.scale(&mut self.buffers.x, layer.output_scale);
        }
    }

    /// Norms the stream into the buffer `to`, if there is a norm; says where the result is.
    fn norm_stream(&mut self, norm: Option<&NormWeights>, eps: f32, to: Input, otherwise: Input) -> Input {
        let Some(norm) = norm else { return otherwise };
        let Buffers { x, normed, input, .. } = &mut self.buffers;
        let out = if to == Input::Shared { normed } else { input };
        apply_norm(&mut self.compute, norm, eps, x, out);
        to
    }

    /// Norms the output of a branch, if there is a norm.
    fn norm_branch(&mut self, norm: Option<&NormWeights>, eps: f32) {
        if let Some(norm) = norm {
            let Buffers { branch, spare, .. } = &mut self.buffers;
            norm_in_place(&mut self.compute, norm, eps, branch, spare);
        }
    }

    /// Adds the branch to the stream, and norms the stream if there is a norm.
    fn join(&mut self, config: &Config, norm: Option<&NormWeights>) {
        let Buffers { x, branch, spare, .. } = &mut self.buffers;
        self.compute.add(branch, config.residual_scale, x);
        if let Some(norm) = norm {
            norm_in_place(&mut self.compute, norm, config.norm_eps, x, spare);
        }
    }
}

/// Whether rows that nobody wants can leave in the middle of the last block: what follows its attention or recurrence is a
/// matter of each row, and reads only the stream.
fn leaves_early(config: &Config) -> bool {
    let routed_before = config.arch.moe.is_some_and(|moe| moe.routes_block_input);
    !config.parallel && !routed_before && config.arch.streams.is_none() && config.per_layer.is_none()
}

/// What a branch reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The stream itself.
    Stream,
    /// The stream after a norm that both branches may use.
    Shared,
    /// The stream after a norm of the branch's own.
    Own,
}

impl Input {
    /// The buffer among those of the stream.
    pub(crate) fn of<'a>(self, x: &'a Rows, normed: &'a Rows, input: &'a Rows) -> &'a Rows {
        match self {
            Self::Stream => x,
            Self::Shared => normed,
            Self::Own => input,
        }
    }
}

/// `out = norm(x)`.
pub(crate) fn apply_norm(compute: &mut Compute, norm: &NormWeights, eps: f32, x: &Rows, out: &mut Rows) {
    match norm.kind {
        Norm::Rms => compute.rms_norm(x, &norm.gain, eps, out),
        Norm::Layer => compute.layer_norm(x, &norm.gain, norm.bias.as_ref(), eps, out),
    }
}

fn norm_in_place(compute: &mut Compute, norm: &NormWeights, eps: f32, x: &mut Rows, spare: &mut Rows) {
    apply_norm(compute, norm, eps, x, spare);
    std::mem::swap(x, spare);
}
