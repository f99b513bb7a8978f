//! The walk through a model's tensors.

use realizar_format::TensorSource;
use realizar_tensor::{QMatrix, Vector};

use super::{FfnWeights, Layer, LayerNorms, Linear, NormWeights, RopeFactors, Weights};
use crate::arch::{Position, Presence, Residual, SharedExpert};
use crate::binder::{Binder, Bound};
use crate::config::{Config, FfnKind};
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::facts;
use crate::names;

impl Weights {
    /// Binds every tensor that `config` asks for. Also gives the names of tensors that it does not ask for.
    pub(crate) fn bind(
        source: &dyn TensorSource,
        dialect: Dialect,
        config: &Config,
    ) -> Result<(Self, Vec<String>), ModelError> {
        let mut bind = Bind { binder: Binder::new(source, dialect, config), config };
        let weights = bind.model()?;
        let mut surplus = bind.binder.finish()?;
        surplus.retain(|name| !config.is_draft(name));
        // Files in NVFP4 have factors beside their matrices. One that is left out would make every result wrong.
        let factor = |name: &&String| {
            name.strip_suffix(".scale").is_some_and(|part| source.tensor(&format!("{part}.weight")).is_some())
        };
        if let Some(name) = surplus.iter().find(factor) {
            let what = format!("a factor on a weight there (`{name}`)");
            return Err(ModelError::Unsupported { architecture: config.arch.name, what });
        }
        // Nor may a bias be, or a matrix of a layer that runs: numbers or facts that leave it out are wrong.
        if let Some(name) = surplus.iter().find(|name| leaves_out(source, config, &surplus, name)) {
            let key =
                key_of(config, name).map(|key| format!(", which `{}.{key}` would use", config.arch.name));
            let key = key.unwrap_or_default();
            let what = format!("a weight there that its numbers leave out (tensor `{name}`{key})");
            return Err(ModelError::Unsupported { architecture: config.arch.name, what });
        }
        // Without a missing tensor everything was found.
        let weights = weights.ok_or(ModelError::MissingTensors { names: Vec::new(), more: 0 })?;
        Ok((weights, surplus))
    }
}

/// Matrices of a layer's branches: how their names begin.
const BRANCHES: &[&str] = &[
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "attn_gate",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "ssm_",
    "shortconv",
];

/// What files have beside the tensors that are made of it.
const BESIDE: &[&str] = &["attn_kv_b"];

/// Whether a tensor that is not used would be, if the file's numbers or the architecture's facts were right.
fn leaves_out(source: &dyn TensorSource, config: &Config, surplus: &[String], name: &str) -> bool {
    if let Some(part) = name.strip_suffix(".bias") {
        let used = |weight: String| source.tensor(&weight).is_some() && !surplus.contains(&weight);
        // Those of queries, keys and values may stand beside one matrix of all three.
        let layer = ["attn_q", "attn_k", "attn_v"].iter().find_map(|stem| part.strip_suffix(stem));
        return used(format!("{part}.weight"))
            || layer.is_some_and(|layer| used(format!("{layer}attn_qkv.weight")));
    }
    let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let runs = layer.parse().is_ok_and(|layer: usize| layer < config.layers);
    let stem = part.strip_suffix(".weight").unwrap_or_default();
    runs && !BESIDE.contains(&stem) && BRANCHES.iter().any(|begin| stem.starts_with(begin))
}

/// The key without which a weight is not used, where it is one.
fn key_of(config: &Config, name: &str) -> Option<&'static str> {
    let stem = name.strip_suffix(".weight")?.rsplit('.').next()?;
    match config.arch.moe.map(|moe| moe.shared) {
        Some(SharedExpert::Plain | SharedExpert::WidthTimesCount) if stem.ends_with("_shexp") => {
            Some(facts::SHARED_EXPERTS.key)
        }
        Some(SharedExpert::Width | SharedExpert::Gated) if stem.ends_with("_shexp") => {
            Some(facts::SHARED_FFN.key)
        }
        Some(_) if stem.ends_with("_exps") => Some(facts::EXPERTS.key),
        _ => ["ffn_gate", "ffn_up", "ffn_down"].contains(&stem).then_some(facts::FFN.key),
    }
}

/// The walk through a model's tensors.
pub(crate) struct Bind<'a> {
    pub(crate) binder: Binder<'a>,
    pub(crate) config: &'a Config,
}

impl Bind<'_> {
    fn model(&mut self) -> Bound<Weights> {
        let Config { arch, hidden, vocab, context, .. } = *self.config;
        let embedding = self.binder.matrix(names::TOKEN_EMBEDDING, &[vocab, hidden])?;
        let positions = match arch.position {
            Position::Learned => self.binder.matrix(names::POSITIONS, &[context, hidden])?.map(Some),
            _ => Some(None),
        };
        let token_types = self.token_types()?;
        let embedding_norm = self.norm_at(None, arch.norms.embedding)?;
        let per_layer = self.per_layer_tables()?;
        let streams = self.stream_tables()?;
        let mut layers = Some(Vec::with_capacity(self.config.layers));
        for layer in 0..self.config.layers {
            let bound = self.layer(layer)?;
            layers = layers.zip(bound).map(|(mut layers, layer)| {
                layers.push(layer);
                layers
            });
        }
        let output_norm = self.norm_at(None, arch.norms.output)?;
        let tied = self.binder.may_be_tied()? && !self.binder.has(names::OUTPUT);
        let output = match tied {
            true => Some(None),
            false => self.binder.matrix(names::OUTPUT, &[vocab, hidden])?.map(Some),
        };
        let output_bias = self.binder.vector_if(arch.biases.output, names::OUTPUT_BIAS, &[vocab])?;
        let rope_factors = self.rope_factors()?;
        let pooled = self.pooled()?;
        let rank = self.rank()?;
        let built = || {
            Some(Weights {
                embedding: embedding?,
                positions: positions?,
                token_types: token_types?,
                embedding_norm: embedding_norm?,
                per_layer: per_layer?,
                streams: streams?,
                layers: layers?,
                output_norm: output_norm?,
                output: output?,
                output_bias: output_bias?,
                pooled: pooled?,
                rank: rank?,
                rope_factors,
            })
        };
        Ok(built())
    }

    /// Projections of a text's vector, which some encoders have.
    fn pooled(&mut self) -> Bound<Vec<QMatrix>> {
        let mut found = Vec::new();
        let mut width = self.config.hidden;
        for name in names::POOLED {
            if self.config.causal() || !self.binder.has(name) {
                continue;
            }
            let rows = self.binder.rows(name);
            let Some(matrix) = self.binder.matrix(name, &[rows, width])? else { return Ok(None) };
            found.push(matrix);
            width = rows;
        }
        Ok(Some(found))
    }

    fn token_types(&mut self) -> Bound<Option<QMatrix>> {
        if !self.config.arch.token_types || !self.binder.has(names::TOKEN_TYPES) {
            return Ok(Some(None));
        }
        // Only the first row is used; a file may have one or more.
        let rows = self.binder.rows(names::TOKEN_TYPES);
        Ok(self.binder.matrix(names::TOKEN_TYPES, &[rows, self.config.hidden])?.map(Some))
    }

    fn rope_factors(&mut self) -> Result<RopeFactors, ModelError> {
        let Some(rope) = &self.config.rope else { return Ok(RopeFactors::default()) };
        // Files of models that rotate a part of the head on some layers have factors for the whole.
        let lens = [rope.dim / 2, self.config.widest(|block| block.head_dim) / 2];
        let pair = [names::ROPE_FACTORS_LONG, names::ROPE_FACTORS_SHORT];
        if let [true, false] | [false, true] = pair.map(|name| self.binder.has(name)) {
            let names = pair.into_iter().filter(|name| !self.binder.has(name)).map(str::to_owned).collect();
            return Err(ModelError::MissingTensors { names, more: 0 });
        }
        Ok(RopeFactors {
            all: self.binder.factors(names::ROPE_FACTORS, "", &lens)?,
            long: self.binder.factors(names::ROPE_FACTORS_LONG, "rope.scaling.long_factor", &lens[..1])?,
            short: self.binder.factors(names::ROPE_FACTORS_SHORT, "rope.scaling.short_factor", &lens[..1])?,
        })
    }

    fn layer(&mut self, layer: usize) -> Bound<Layer> {
        let block = &self.config.blocks[layer];
        let norms = self.norms(layer)?;
        let attention = match block.heads {
            0 => Some(None),
            _ => self.attention(layer)?.map(|attention| Some(Box::new(attention))),
        };
        let state = match self.config.state.as_ref().filter(|_| block.has_state) {
            Some(_) => self.state(layer)?.map(|state| Some(Box::new(state))),
            None => Some(None),
        };
        let ffn = match (block.ffn_kind, &self.config.moe) {
            (FfnKind::Experts, Some(moe)) => {
                self.experts(layer, moe)?.map(|experts| Some(FfnWeights::Experts(Box::new(experts))))
            }
            (FfnKind::None, _) => Some(None),
            _ => self.dense(layer)?.map(|dense| Some(FfnWeights::Dense(Box::new(dense)))),
        };
        let per_layer = self.per_layer(layer)?;
        let streams = self.streams(layer)?;
        let output_scale = match self.config.arch.block_scale {
            true => self.binder.vector_if(
                Presence::Optional,
                &names::weight(layer, "layer_output_scale"),
                &[1],
            )?,
            false => Some(None),
        };
        let built = || {
            Some(Layer {
                norms: norms?,
                attention: attention?,
                state: state?,
                ffn: ffn?,
                per_layer: per_layer?,
                streams: streams?,
                output_scale: output_scale?.map_or(1.0, |scale| scale.as_slice()[0]),
            })
        };
        Ok(built())
    }

    fn norms(&mut self, layer: usize) -> Bound<LayerNorms> {
        let Config { arch, parallel, .. } = *self.config;
        let (places, block) = (arch.norms, &self.config.blocks[layer]);
        let first = Some(layer);
        let has = |bind: &Self, name: &str| bind.binder.has(&names::weight(layer, name));
        let (mixes, feeds) = (block.heads > 0 || block.has_state, block.ffn_kind != FfnKind::None);
        let before = places
            .before_attention
            .filter(|name| mixes && (layer > 0 || has(self, name) || !places.identity_first));
        let before_attention = self.norm_at(first, before)?;
        let own = places.attention_only.filter(|name| has(self, name));
        let attention_only = self.norm_at(first, own)?;
        let after_attention = self.norm_at(first, places.after_attention.filter(|_| mixes))?;
        let may_share = parallel && arch.residual == Residual::ParallelWithoutFfnNorm;
        let shared = may_share && places.before_ffn.is_some_and(|name| !has(self, name));
        let input = if arch.one_branch { places.before_attention } else { places.before_ffn };
        let before_ffn = self.norm_at(first, input.filter(|_| !shared && feeds))?;
        let after = match (places.after_ffn, places.after_ffn_otherwise) {
            (Some(name), Some(other)) if !has(self, name) => Some(other),
            (name, _) => name,
        };
        let after_ffn = self.norm_at(first, after.filter(|_| feeds))?;
        let stream = match places.stream {
            None => Some(None),
            Some([attention, ffn]) => {
                let attention = self.norm_at(first, Some(attention))?;
                let ffn = self.norm_at(first, Some(ffn))?;
                attention.flatten().zip(ffn.flatten()).map(|(attention, ffn)| Some([attention, ffn]))
            }
        };
        let built = || {
            Some(LayerNorms {
                before_attention: before_attention?,
                attention_only: attention_only?,
                after_attention: after_attention?,
                before_ffn: before_ffn?,
                after_ffn: after_ffn?,
                stream: stream?,
            })
        };
        Ok(built())
    }

    /// A norm over the stream. The inner `None`: the architecture has none at this place.
    pub(crate) fn norm_at(&mut self, layer: Option<usize>, name: Option<&str>) -> Bound<Option<NormWeights>> {
        self.norm_of(layer, name, self.config.hidden)
    }

    /// A norm over `width` values.
    pub(crate) fn norm_of(
        &mut self,
        layer: Option<usize>,
        name: Option<&str>,
        width: usize,
    ) -> Bound<Option<NormWeights>> {
        let Some(name) = name else { return Ok(Some(None)) };
        let Config { arch, norm, .. } = *self.config;
        let (mut gain, bias) = match layer {
            Some(layer) => (names::weight(layer, name), names::bias(layer, name)),
            None => (format!("{name}.weight"), format!("{name}.bias")),
        };
        if let Some(layer) = layer.filter(|_| !self.binder.has(&gain)) {
            let bare = names::bare(layer, name);
            gain = if self.binder.has(&bare) { bare } else { gain };
        }
        let gain = self.binder.gain(Presence::Always, &gain, &[width])?.flatten();
        let bias = self.binder.vector_if(arch.biases.norms, &bias, &[width])?;
        Ok(gain.zip(bias).map(|(gain, bias)| Some(NormWeights { kind: norm, gain, bias })))
    }

    /// An RMS norm without a bias, whatever the model's norm is.
    pub(crate) fn rms(&mut self, layer: usize, name: &str, width: usize) -> Bound<NormWeights> {
        let gain = self.binder.gain(Presence::Always, &names::weight(layer, name), &[width])?.flatten();
        Ok(gain.map(NormWeights::rms))
    }

    pub(crate) fn linear(
        &mut self,
        layer: usize,
        name: &str,
        bias: Presence,
        dims: &[usize],
    ) -> Bound<Linear> {
        // One matrix, or a stack of them.
        let (stack, outputs) = match *dims {
            [stack, outputs, _] => (stack, outputs),
            _ => (1, dims.first().copied().unwrap_or(1)),
        };
        let weight = self.binder.matrix(&names::weight(layer, name), dims)?;
        let bias = self.binder.table_if(bias, &names::bias(layer, name), [stack, outputs])?;
        Ok(weight.zip(bias).map(|(weight, bias)| Linear { weight, bias, scale: 1.0 }))
    }

    /// As [`Self::linear`], with the factor that some files have beside a quantised matrix.
    pub(crate) fn scaled(
        &mut self,
        layer: usize,
        name: &str,
        bias: Presence,
        dims: &[usize],
    ) -> Bound<Linear> {
        let linear = self.linear(layer, name, bias, dims)?;
        let scale = self.binder.vector_if(Presence::Optional, &names::scale(layer, name), &[1])?;
        let scaled = |(linear, scale): (Linear, Option<Vector>)| {
            let scale = scale.map_or(1.0, |scale| scale.as_slice()[0]);
            // A product adds its bias before the factor is applied.
            let divided =
                |bias: Vector| Vector::from_vec(bias.as_slice().iter().map(|x| x / scale).collect());
            let bias = if scale == 1.0 { linear.bias } else { linear.bias.map(divided) };
            Linear { scale, bias, ..linear }
        };
        Ok(linear.zip(scale).map(scaled))
    }
}

impl NormWeights {
    pub(crate) fn rms(gain: Vector) -> Self {
        Self { kind: crate::arch::Norm::Rms, gain, bias: None }
    }

    /// An RMS norm without gains.
    pub(crate) fn weightless(width: usize) -> Self {
        Self::rms(Vector::from_vec(vec![1.0; width]))
    }
}

/// Cuts a projection that holds several, one below the other; `rows` add up to the rows of the whole.
pub(crate) fn cut<const N: usize>(whole: &Linear, rows: [usize; N]) -> Option<[Linear; N]> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(N);
    for rows in rows {
        let range = start..start + rows;
        start = range.end;
        let slice = |bias: &Vector| Vector::from_vec(bias.as_slice()[range.clone()].to_vec());
        parts.push(Linear {
            bias: whole.bias.as_ref().map(slice),
            weight: whole.weight.slice_rows(range).ok()?,
            scale: whole.scale,
        });
    }
    parts.try_into().ok()
}
