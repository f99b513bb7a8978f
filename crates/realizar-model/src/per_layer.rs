//! Embeddings per layer (Gemma 3n, Gemma 4): every block adds a narrow vector of the token, gated by the stream.

use realizar_tensor::{HeadCols, QMatrix, Rows};

use crate::arch::{ArchFacts, Norm, PerLayer};
use crate::attention::norm_parts;
use crate::binder::Bound;
use crate::buffers::{Buffers, Maker};
use crate::config::Config;
use crate::error::ModelError;
use crate::facts::{self, FactReader};
use crate::linear::project;
use crate::names;
use crate::transformer::Pass;
use crate::weights::{Bind, Layer, Linear, NormWeights};

/// The table of the tokens' embeddings.
const TOKENS: &str = "per_layer_token_embd.weight";

/// Widths of embeddings per layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerLayerConfig {
    /// Numbers that a token has for each layer.
    pub width: usize,
}

/// What all layers share.
#[derive(Debug)]
pub(crate) struct PerLayerTables {
    /// `[vocab, layers * width]`.
    tokens: QMatrix,
    /// `[layers * width, hidden]`.
    projection: QMatrix,
    norm: NormWeights,
}

/// Of one layer.
#[derive(Debug)]
pub(crate) struct PerLayerWeights {
    gate: Linear,
    out: Linear,
    norm: NormWeights,
}

/// Buffers of embeddings per layer.
#[derive(Debug)]
pub(crate) struct PerLayerBuffers {
    /// `[rows, layers * width]`: what the layers add.
    inputs: Rows,
    tokens: Rows,
    /// `[rows, width]`.
    gate: Rows,
    own: Rows,
}

impl PerLayerConfig {
    pub(crate) fn read(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<Self>, ModelError> {
        let default = match arch.per_layer {
            PerLayer::Never => return Ok(None),
            PerLayer::Key => 0,
            PerLayer::KeyOr(width) => width,
        };
        let width = read.count(facts::PER_LAYER)?.unwrap_or(default);
        if width == 0 && read.dialect.has(read.source(), TOKENS) {
            return Err(ModelError::Disagree {
                key: read.key(facts::PER_LAYER.key),
                value: "0".to_owned(),
                other: read.dialect.tensor(TOKENS),
                other_value: "in the file".to_owned(),
                rule: "without a width there is no such tensor",
            });
        }
        Ok((width > 0).then_some(Self { width }))
    }
}

impl PerLayerBuffers {
    pub(crate) fn make(shape: &PerLayerConfig, config: &Config, maker: &mut Maker) -> Self {
        let all = shape.width * config.layers;
        Self {
            inputs: maker.chunk(all),
            tokens: maker.chunk(all),
            gate: maker.chunk(shape.width),
            own: maker.chunk(shape.width),
        }
    }
}

impl Bind<'_> {
    pub(crate) fn per_layer_tables(&mut self) -> Bound<Option<PerLayerTables>> {
        let Config { hidden, vocab, layers, per_layer, .. } = *self.config;
        let Some(PerLayerConfig { width }) = per_layer else { return Ok(Some(None)) };
        let tokens = self.binder.matrix(TOKENS, &[vocab, layers * width])?;
        let projection = self.binder.matrix("per_layer_model_proj.weight", &[layers * width, hidden])?;
        let norm = self.binder.vector("per_layer_proj_norm.weight", &[width])?;
        let built = || {
            Some(PerLayerTables { tokens: tokens?, projection: projection?, norm: NormWeights::rms(norm?) })
        };
        Ok(built().map(Some))
    }

    pub(crate) fn per_layer(&mut self, layer: usize) -> Bound<Option<Box<PerLayerWeights>>> {
        let Config { arch, hidden, per_layer, .. } = *self.config;
        let Some(PerLayerConfig { width }) = per_layer else { return Ok(Some(None)) };
        let gate = self.linear(layer, "inp_gate", arch.biases.ffn, &[width, hidden])?;
        let out = self.linear(layer, "proj", arch.biases.ffn, &[hidden, width])?;
        let gain = self.binder.vector(&names::weight(layer, "post_norm"), &[hidden])?;
        let built = || {
            let norm = NormWeights { kind: Norm::Rms, gain: gain?, bias: None };
            Some(Box::new(PerLayerWeights { gate: gate?, out: out?, norm }))
        };
        Ok(built().map(Some))
    }
}

impl Pass {
    /// Makes what the layers add, from the tokens and their embeddings.
    pub(crate) fn embed_per_layer(&mut self, config: &Config, tables: Option<&PerLayerTables>, ids: &[u32]) {
        let Self { compute, buffers: Buffers { x, per_layer, .. }, .. } = self;
        let (Some(tables), Some(buffers), Some(shape)) = (tables, per_layer, config.per_layer) else {
            return;
        };
        let PerLayerBuffers { inputs, tokens, .. } = buffers;
        let product = realizar_tensor::Product { weight: &tables.projection, bias: None, out: inputs };
        compute.matmul(x, &mut [product]);
        compute.scale(inputs, (config.hidden as f32).sqrt().recip());
        norm_parts(compute, &tables.norm, config.layers, config.norm_eps, inputs);
        compute.embed(&tables.tokens, ids, (shape.width as f32).sqrt(), tokens);
        compute.add(tokens, 1.0, inputs);
        compute.scale(inputs, std::f32::consts::FRAC_1_SQRT_2);
    }

    /// Adds a layer's part to the stream; where there are several, to all but the first.
    pub(crate) fn add_per_layer(&mut self, config: &Config, layer: usize, weights: &Layer) {
        let Self { compute, buffers: Buffers { x, branch, spare, per_layer, streams, .. }, .. } = self;
        let Layer { per_layer: weights, streams: beside, .. } = weights;
        let (Some(weights), Some(buffers), Some(shape)) = (weights, per_layer, config.per_layer) else {
            return;
        };
        let PerLayerBuffers { inputs, gate, own, .. } = buffers;
        let cols = |offset| HeadCols { stride: 0, offset };
        compute.copy_cols(inputs, cols(layer * shape.width), 1, shape.width, own, cols(0));
        let input = match beside {
            Some(beside) => {
                compute.scale_columns(x, &beside.scale, spare);
                &*spare
            }
            None => &*x,
        };
        project(compute, input, [(&weights.gate, &mut *gate)]);
        compute.gate(config.arch.ffn.activation, gate, own);
        project(compute, gate, [(&weights.out, &mut *branch)]);
        norm_parts(compute, &weights.norm, 1, config.norm_eps, branch);
        match streams {
            Some(streams) => streams.others.iter_mut().for_each(|other| compute.add(branch, 1.0, other)),
            None => compute.add(branch, 1.0, x),
        }
    }
}
