//! The weights of a model as views into its file, found by name and checked against [`Config`].

use realizar_format::TensorSource;
use realizar_tensor::{QMatrix, Vector};

use crate::arch::{FfnGate, Norm, Position, Presence, QkNorm, SharedExpert};
use crate::binder::{Binder, Bound};
use crate::config::{Config, LatentConfig, MoeConfig};
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::names;

/// All weights.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[vocab, hidden]`.
    pub(crate) embedding: QMatrix,
    /// `[context, hidden]`.
    pub(crate) positions: Option<QMatrix>,
    /// `[types, hidden]`.
    pub(crate) token_types: Option<QMatrix>,
    pub(crate) embedding_norm: Option<NormWeights>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Option<NormWeights>,
    /// `[vocab, hidden]`; `None`: the embedding serves.
    pub(crate) output: Option<QMatrix>,
    pub(crate) output_bias: Option<Vector>,
    pub(crate) rope_factors: RopeFactors,
}

/// Divisors of the rotation's frequencies.
#[derive(Debug, Default)]
pub(crate) struct RopeFactors {
    pub(crate) all: Option<Vec<f32>>,
    pub(crate) long: Option<Vec<f32>>,
    pub(crate) short: Option<Vec<f32>>,
}

/// Gain and bias of a norm.
#[derive(Debug)]
pub(crate) struct NormWeights {
    pub(crate) kind: Norm,
    pub(crate) gain: Vector,
    pub(crate) bias: Option<Vector>,
}

/// A projection.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`, or a stack of them.
    pub(crate) weight: QMatrix,
    pub(crate) bias: Option<Vector>,
}

/// One block.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) norms: LayerNorms,
    pub(crate) attention: Attention,
    pub(crate) ffn: FfnWeights,
}

/// Norms of a block; see [`crate::NormPlaces`].
#[derive(Debug)]
pub(crate) struct LayerNorms {
    pub(crate) before_attention: Option<NormWeights>,
    pub(crate) attention_only: Option<NormWeights>,
    pub(crate) after_attention: Option<NormWeights>,
    pub(crate) before_ffn: Option<NormWeights>,
    pub(crate) after_ffn: Option<NormWeights>,
    pub(crate) stream: Option<[NormWeights; 2]>,
}

/// Attention of a block.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) input: AttentionInput,
    /// `[hidden, heads * value_dim]`.
    pub(crate) output: Linear,
    pub(crate) sinks: Option<Vector>,
}

/// How queries, keys and values are made.
#[derive(Debug)]
pub(crate) enum AttentionInput {
    Heads(Box<HeadWeights>),
    Latent(Box<LatentWeights>),
}

/// Projections to heads.
#[derive(Debug)]
pub(crate) struct HeadWeights {
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) q_norm: Option<NormWeights>,
    pub(crate) k_norm: Option<NormWeights>,
}

/// Projections of latent attention.
#[derive(Debug)]
pub(crate) struct LatentWeights {
    /// `[q_rank, hidden]` and its norm, where queries have a latent vector too.
    pub(crate) q_down: Option<(QMatrix, NormWeights)>,
    /// `[heads * head_dim, q_rank or hidden]`.
    pub(crate) q: QMatrix,
    /// `[kv_rank, hidden]`.
    pub(crate) latent: QMatrix,
    pub(crate) latent_norm: NormWeights,
    /// `[rotated, hidden]`: the rotated part of the key, one for all heads.
    pub(crate) k_rotated: QMatrix,
    /// `[heads * kv_rank, head_dim - rotated]`: brings a query head into the latent space.
    pub(crate) k_up: QMatrix,
    /// `[heads * value_dim, kv_rank]`: brings a weighted latent vector to a value head.
    pub(crate) v_up: QMatrix,
}

/// The feed-forward branch.
#[derive(Debug)]
pub(crate) enum FfnWeights {
    Dense(Box<Dense>),
    Experts(Box<Experts>),
}

/// A plain feed-forward branch.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// A mixture of experts.
#[derive(Debug)]
pub(crate) struct Experts {
    pub(crate) router: Linear,
    pub(crate) selection_bias: Option<Vector>,
    /// Stacks of all experts' projections.
    pub(crate) stack: Dense,
    pub(crate) shared: Option<Dense>,
    /// `[1, hidden]`: how much of the shared expert a token gets.
    pub(crate) shared_gate: Option<QMatrix>,
}

impl Weights {
    /// Binds every tensor that `config` asks for. Also gives the names of tensors that it does not ask for.
    pub(crate) fn bind(
        source: &dyn TensorSource,
        dialect: Dialect,
        config: &Config,
    ) -> Result<(Self, Vec<String>), ModelError> {
        let mut bind = Bind { binder: Binder::new(source, dialect, config), config };
        let weights = bind.model()?;
        let surplus = bind.binder.finish()?;
        // Without a missing tensor everything was found.
        let weights = weights.ok_or(ModelError::MissingTensors { names: Vec::new(), more: 0 })?;
        Ok((weights, surplus))
    }
}

/// The walk through a model's tensors.
struct Bind<'a> {
    binder: Binder<'a>,
    config: &'a Config,
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
        let mut layers = Some(Vec::with_capacity(self.config.layers));
        for layer in 0..self.config.layers {
            let bound = self.layer(layer)?;
            layers = layers.zip(bound).map(|(mut layers, layer)| {
                layers.push(layer);
                layers
            });
        }
        let output_norm = self.norm_at(None, arch.norms.output)?;
        let tied = self.binder.may_be_tied() && !self.binder.has(names::OUTPUT);
        let output = match tied {
            true => Some(None),
            false => self.binder.matrix(names::OUTPUT, &[vocab, hidden])?.map(Some),
        };
        let output_bias = self.binder.vector_if(arch.biases.output, names::OUTPUT_BIAS, &[vocab])?;
        let rope_factors = self.rope_factors()?;
        let built = || {
            Some(Weights {
                embedding: embedding?,
                positions: positions?,
                token_types: token_types?,
                embedding_norm: embedding_norm?,
                layers: layers?,
                output_norm: output_norm?,
                output: output?,
                output_bias: output_bias?,
                rope_factors,
            })
        };
        Ok(built())
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
        let pairs = rope.dim / 2;
        Ok(RopeFactors {
            all: self.binder.factors(names::ROPE_FACTORS, "", pairs)?,
            long: self.binder.factors(names::ROPE_FACTORS_LONG, "rope.scaling.long_factor", pairs)?,
            short: self.binder.factors(names::ROPE_FACTORS_SHORT, "rope.scaling.short_factor", pairs)?,
        })
    }

    fn layer(&mut self, layer: usize) -> Bound<Layer> {
        let norms = self.norms(layer)?;
        let attention = self.attention(layer)?;
        let ffn = match self.config.layer_moe(layer) {
            Some(moe) => self.experts(layer, moe)?.map(|experts| FfnWeights::Experts(Box::new(experts))),
            None => self.dense(layer)?.map(|dense| FfnWeights::Dense(Box::new(dense))),
        };
        Ok(norms.zip(attention).zip(ffn).map(|((norms, attention), ffn)| Layer { norms, attention, ffn }))
    }

    fn norms(&mut self, layer: usize) -> Bound<LayerNorms> {
        let places = self.config.arch.norms;
        let first = Some(layer);
        let before_attention = self.norm_at(first, places.before_attention)?;
        let own = places.attention_only.filter(|name| self.binder.has(&names::weight(layer, name)));
        let attention_only = self.norm_at(first, own)?;
        let after_attention = self.norm_at(first, places.after_attention)?;
        let shared = self.config.parallel
            && places.before_ffn.is_some_and(|name| !self.binder.has(&names::weight(layer, name)));
        let before_ffn = self.norm_at(first, places.before_ffn.filter(|_| !shared))?;
        let after_ffn = self.norm_at(first, places.after_ffn)?;
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
    fn norm_at(&mut self, layer: Option<usize>, name: Option<&str>) -> Bound<Option<NormWeights>> {
        let Some(name) = name else { return Ok(Some(None)) };
        let Config { arch, hidden, .. } = *self.config;
        let (gain, bias) = match layer {
            Some(layer) => (names::weight(layer, name), names::bias(layer, name)),
            None => (format!("{name}.weight"), format!("{name}.bias")),
        };
        let gain = self.binder.gain(Presence::Always, &gain, &[hidden])?.flatten();
        let bias = self.binder.vector_if(arch.biases.norms, &bias, &[hidden])?;
        Ok(gain.zip(bias).map(|(gain, bias)| Some(NormWeights { kind: arch.norm, gain, bias })))
    }

    fn linear(&mut self, layer: usize, name: &str, bias: Presence, dims: &[usize]) -> Bound<Linear> {
        let outputs = dims.iter().rev().skip(1).product();
        let weight = self.binder.matrix(&names::weight(layer, name), dims)?;
        let bias = self.binder.vector_if(bias, &names::bias(layer, name), &[outputs])?;
        Ok(weight.zip(bias).map(|(weight, bias)| Linear { weight, bias }))
    }

    fn attention(&mut self, layer: usize) -> Bound<Attention> {
        let Config { arch, hidden, heads, value_dim, .. } = *self.config;
        let input = match self.config.latent {
            Some(latent) => self.latent(layer, latent)?.map(|input| AttentionInput::Latent(Box::new(input))),
            None => self.heads(layer)?.map(|input| AttentionInput::Heads(Box::new(input))),
        };
        let value_dim = self.config.latent.map_or(value_dim, |latent| latent.value_dim);
        let dims = [hidden, heads * value_dim];
        let output = self.linear(layer, "attn_output", arch.biases.attention_output, &dims)?;
        let sinks = match arch.sinks {
            true => self.binder.vector(&names::weight(layer, "attn_sinks"), &[heads])?.map(Some),
            false => Some(None),
        };
        let built = || Some(Attention { input: input?, output: output?, sinks: sinks? });
        Ok(built())
    }

    fn heads(&mut self, layer: usize) -> Bound<HeadWeights> {
        let Config { arch, hidden, heads, kv_heads, head_dim, value_dim, .. } = *self.config;
        let rows = [heads * head_dim, kv_heads * head_dim, kv_heads * value_dim];
        let biased = arch.biases.qkv;
        let fused = "attn_qkv";
        let qkv = if self.binder.has(&names::weight(layer, fused)) {
            let whole = self.linear(layer, fused, biased, &[rows.iter().sum(), hidden])?;
            whole.and_then(|whole| cut(&whole, rows))
        } else {
            let q = self.linear(layer, "attn_q", biased, &[rows[0], hidden])?;
            let k = self.linear(layer, "attn_k", biased, &[rows[1], hidden])?;
            let v = self.linear(layer, "attn_v", biased, &[rows[2], hidden])?;
            q.zip(k).zip(v).map(|((q, k), v)| [q, k, v])
        };
        let q_norm = self.head_norm(layer, "attn_q_norm", heads)?;
        let k_norm = self.head_norm(layer, "attn_k_norm", kv_heads)?;
        let built = || {
            let [q, k, v] = qkv?;
            Some(HeadWeights { q, k, v, q_norm: q_norm?, k_norm: k_norm? })
        };
        Ok(built())
    }

    fn head_norm(&mut self, layer: usize, name: &str, heads: usize) -> Bound<Option<NormWeights>> {
        let Config { arch, head_dim, .. } = *self.config;
        let (kind, presence, lens) = match arch.qk_norm {
            QkNorm::Never => return Ok(Some(None)),
            QkNorm::PerHead(kind, presence) => (kind, presence, vec![head_dim, heads * head_dim]),
            QkNorm::Whole => (arch.norm, Presence::Always, vec![heads * head_dim]),
        };
        let gain = self.binder.gain(presence, &names::weight(layer, name), &lens)?;
        Ok(gain.map(|gain| gain.map(|gain| NormWeights { kind, gain, bias: None })))
    }

    fn latent(&mut self, layer: usize, latent: LatentConfig) -> Bound<LatentWeights> {
        let Config { hidden, heads, head_dim, .. } = *self.config;
        let rotated = head_dim - latent.kv_rank;
        let part = |name| names::weight(layer, name);
        let rms = |gain| NormWeights { kind: Norm::Rms, gain, bias: None };
        let q_down = if latent.q_rank > 0 {
            let down = self.binder.matrix(&part("attn_q_a"), &[latent.q_rank, hidden])?;
            let norm = self.binder.vector(&part("attn_q_a_norm"), &[latent.q_rank])?;
            down.zip(norm).map(|(down, norm)| Some((down, rms(norm))))
        } else {
            Some(None)
        };
        let (q, q_in) = if latent.q_rank > 0 { ("attn_q_b", latent.q_rank) } else { ("attn_q", hidden) };
        let q = self.binder.matrix(&part(q), &[heads * latent.head_dim, q_in])?;
        let keys = self.binder.matrix(&part("attn_kv_a_mqa"), &[head_dim, hidden])?;
        let latent_norm = self.binder.vector(&part("attn_kv_a_norm"), &[latent.kv_rank])?;
        let unrotated = latent.head_dim - rotated;
        let k_up = self.binder.matrix(&part("attn_k_b"), &[heads, latent.kv_rank, unrotated])?;
        let v_up = self.binder.matrix(&part("attn_v_b"), &[heads, latent.value_dim, latent.kv_rank])?;
        let built = || {
            let keys = keys?;
            Some(LatentWeights {
                q_down: q_down?,
                q: q?,
                latent: keys.slice_rows(0..latent.kv_rank).ok()?,
                latent_norm: rms(latent_norm?),
                k_rotated: keys.slice_rows(latent.kv_rank..head_dim).ok()?,
                k_up: k_up?,
                v_up: v_up?,
            })
        };
        Ok(built())
    }

    fn dense(&mut self, layer: usize) -> Bound<Dense> {
        let Config { arch, hidden, ffn, .. } = *self.config;
        let biases = arch.biases;
        let down = self.linear(layer, "ffn_down", biases.ffn_down, &[hidden, ffn])?;
        let input = match arch.ffn.gate {
            FfnGate::None => self.linear(layer, "ffn_up", biases.ffn, &[ffn, hidden])?.map(|up| (None, up)),
            FfnGate::Split => {
                let gate = self.linear(layer, "ffn_gate", biases.ffn, &[ffn, hidden])?;
                let up = self.linear(layer, "ffn_up", biases.ffn, &[ffn, hidden])?;
                gate.zip(up).map(|(gate, up)| (Some(gate), up))
            }
            FfnGate::Fused => {
                let whole = self.linear(layer, "ffn_up", biases.ffn, &[2 * ffn, hidden])?;
                whole.and_then(|whole| cut(&whole, [ffn, ffn])).map(|[gate, up]| (Some(gate), up))
            }
        };
        Ok(input.zip(down).map(|((gate, up), down)| Dense { gate, up, down }))
    }

    fn experts(&mut self, layer: usize, moe: &MoeConfig) -> Bound<Experts> {
        let Config { arch, hidden, .. } = *self.config;
        let MoeConfig { experts, ffn, shared_ffn, .. } = *moe;
        let biased = arch.biases.experts;
        let router = self.linear(layer, "ffn_gate_inp", biased, &[experts, hidden])?;
        let gate = self.linear(layer, "ffn_gate_exps", biased, &[experts, ffn, hidden])?;
        let up = self.linear(layer, "ffn_up_exps", biased, &[experts, ffn, hidden])?;
        let down = self.linear(layer, "ffn_down_exps", biased, &[experts, hidden, ffn])?;
        let (presence, shared_kind) =
            arch.moe.map_or((Presence::Never, SharedExpert::None), |moe| (moe.selection_bias, moe.shared));
        let selection_bias =
            self.binder.vector_if(presence, &names::bias(layer, "exp_probs_b"), &[experts])?;
        let shared = if shared_ffn > 0 {
            let gate = self.linear(layer, "ffn_gate_shexp", Presence::Never, &[shared_ffn, hidden])?;
            let up = self.linear(layer, "ffn_up_shexp", Presence::Never, &[shared_ffn, hidden])?;
            let down = self.linear(layer, "ffn_down_shexp", Presence::Never, &[hidden, shared_ffn])?;
            gate.zip(up).zip(down).map(|((gate, up), down)| Some(Dense { gate: Some(gate), up, down }))
        } else {
            Some(None)
        };
        let shared_gate = match shared_kind {
            SharedExpert::Gated => {
                self.binder.matrix(&names::weight(layer, "ffn_gate_inp_shexp"), &[1, hidden])?.map(Some)
            }
            _ => Some(None),
        };
        let built = || {
            Some(Experts {
                router: router?,
                selection_bias: selection_bias?,
                stack: Dense { gate: Some(gate?), up: up?, down: down? },
                shared: shared?,
                shared_gate: shared_gate?,
            })
        };
        Ok(built())
    }
}

/// Cuts a projection that holds several, one below the other; `rows` add up to the rows of the whole.
fn cut<const N: usize>(whole: &Linear, rows: [usize; N]) -> Option<[Linear; N]> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(N);
    for rows in rows {
        let range = start..start + rows;
        start = range.end;
        let slice = |bias: &Vector| Vector::from_vec(bias.as_slice()[range.clone()].to_vec());
        parts.push(Linear {
            bias: whole.bias.as_ref().map(slice),
            weight: whole.weight.slice_rows(range).ok()?,
        });
    }
    parts.try_into().ok()
}
