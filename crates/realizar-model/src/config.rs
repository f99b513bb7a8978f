//! What one model is: the facts of its architecture with the file's numbers filled in, checked once.

use realizar_format::TensorSource;
use realizar_tensor::Scoring;

use crate::arch::{
    ArchFacts, AttentionScale, EmbeddingScale, LogitScale, Norm, Position, Residual, Role, RopeLayers,
    SharedExpert, WindowRope,
};
use crate::binder::matrix_rows;
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::facts::{self, FactReader, out_of_range};
use crate::pooling::Pooling;
use crate::rope_scaling::RopeConfig;

/// Everything that the forward pass must know of a model besides its weights. Immutable, and consistent in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The architecture.
    pub arch: &'static ArchFacts,
    /// Tokens that the model was trained to see at most.
    pub context: usize,
    /// Width of the stream between blocks.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Rows of the embedding matrix, which are also the logits of a token.
    pub vocab: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query or key head.
    pub head_dim: usize,
    /// Width of a value head.
    pub value_dim: usize,
    /// Width between the feed-forward projections.
    pub ffn: usize,
    /// The small number in every norm.
    pub norm_eps: f32,
    /// Whether both branches of a block see the same input.
    pub parallel: bool,
    /// Rotation of layers without a window.
    pub rope: Option<RopeConfig>,
    /// Rotation of layers with a window.
    pub window_rope: Option<RopeConfig>,
    /// Keys that a token sees at most, on window layers.
    pub window: Option<u32>,
    /// Factor on the attention scores.
    pub attention_scale: f32,
    /// Soft cap on the attention scores.
    pub attention_softcap: Option<f32>,
    /// Growth of the queries with the position.
    pub query_temperature: Option<QueryTemperature>,
    /// Factor on the embeddings.
    pub embedding_scale: f32,
    /// Factor on both branches.
    pub residual_scale: f32,
    /// Factor on the logits.
    pub logit_scale: f32,
    /// Soft cap on the logits.
    pub logit_softcap: Option<f32>,
    /// The mixture of experts.
    pub moe: Option<MoeConfig>,
    /// Latent attention.
    pub latent: Option<LatentConfig>,
    /// How the file wants token vectors joined into one.
    pub pooling: Option<Pooling>,
}

/// Queries are multiplied with `1 + scale * ln(1 + floor(pos / length))`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the formula above names the fields")]
pub struct QueryTemperature {
    pub scale: f32,
    pub length: u32,
}

/// The mixture of experts, on layers from `dense_layers` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MoeConfig {
    /// Number of experts.
    pub experts: usize,
    /// Experts that serve a token.
    pub used: usize,
    /// Width inside an expert.
    pub ffn: usize,
    /// Width inside the shared expert; 0 if there is none.
    pub shared_ffn: usize,
    /// Leading layers that have a plain feed-forward branch instead.
    pub dense_layers: usize,
    /// How router logits become weights.
    pub scoring: Scoring,
    /// Whether the weights of the chosen are divided by their sum.
    pub normalise: bool,
    /// Factor on the weights of the chosen.
    pub scale: f32,
    /// Experts form this many groups; 1: no groups.
    pub groups: usize,
    /// Groups that may serve a token.
    pub groups_used: usize,
}

/// Widths of latent attention. `head_dim` and `value_dim` of [`Config`] are those of what is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentConfig {
    /// Rank of the queries' projection; 0: they are projected at once.
    pub q_rank: usize,
    /// Width of the latent vector, which is the cached value.
    pub kv_rank: usize,
    /// Width of a query head, of which the last `rope.dim` are rotated.
    pub head_dim: usize,
    /// Width of a value head after it is unpacked.
    pub value_dim: usize,
}

impl Config {
    /// Reads and checks the metadata of a GGUF file, or the `config.json` of a Hugging Face checkpoint.
    ///
    /// # Errors
    ///
    /// The architecture is not known, or a value is missing, outside its range, or at odds with another: every error
    /// names its key.
    pub fn read(source: &dyn TensorSource) -> Result<Self, ModelError> {
        Self::read_as(source, dialect(source)?)
    }

    /// As [`Self::read`], when it is known how the file names things.
    pub(crate) fn read_as(source: &dyn TensorSource, dialect: Dialect) -> Result<Self, ModelError> {
        let arch = dialect.arch;
        let read = FactReader::new(source, dialect);
        activation(&read)?;
        let blocks = read.require_count(facts::LAYERS)?;
        let drafts = read.count(facts::DRAFT_LAYERS)?.unwrap_or(0);
        if drafts >= blocks {
            let (layers, drafted) = ((facts::LAYERS.key, blocks), (facts::DRAFT_LAYERS.key, drafts));
            return Err(read.disagree(layers, drafted, "a layer of the model itself must be left"));
        }
        let layers = blocks - drafts;
        let hidden = read.require_count(facts::HIDDEN)?;
        let context = read.require_count(facts::CONTEXT)?;
        let heads = Heads::read(&read, arch, hidden)?;
        let moe = moe(&read, arch)?;
        let ffn = match (read.count(facts::FFN)?, &moe) {
            (Some(ffn), _) => ffn,
            (None, Some(moe)) if moe.dense_layers == 0 => moe.ffn,
            (None, _) => read.require_count(facts::FFN)?,
        };
        let rotary_default = heads.latent.map_or(heads.head_dim, |latent| latent.head_dim);
        let (rope, window_rope) = ropes(&read, arch, rotary_default, context)?;
        let softcap = |fact, default: Option<f32>| -> Result<Option<f32>, ModelError> {
            let Some(default) = default else { return Ok(None) };
            Ok(Some(read.number(fact)?.unwrap_or(default)))
        };
        let mut config = Self {
            arch,
            context,
            hidden,
            layers,
            vocab: vocab(source, &read)?,
            heads: heads.heads,
            kv_heads: heads.kv_heads,
            head_dim: heads.head_dim,
            value_dim: heads.value_dim,
            ffn,
            norm_eps: read.require_number(match arch.norm {
                Norm::Rms => facts::RMS_EPS,
                Norm::Layer => facts::LAYER_EPS,
            })?,
            parallel: parallel(source, &read, arch)?,
            rope,
            window_rope,
            window: window(&read, arch)?,
            attention_scale: 1.0,
            attention_softcap: softcap(facts::ATTENTION_SOFTCAP, arch.softcaps.map(|caps| caps.attention))?,
            query_temperature: temperature(&read, arch)?,
            embedding_scale: match arch.embedding_scale {
                EmbeddingScale::One => 1.0,
                EmbeddingScale::SqrtHidden => (hidden as f32).sqrt(),
                EmbeddingScale::Key => read.number(facts::EMBEDDING_SCALE)?.unwrap_or(1.0),
            },
            residual_scale: if arch.residual_scale {
                read.number(facts::RESIDUAL_SCALE)?.unwrap_or(1.0)
            } else {
                1.0
            },
            logit_scale: match arch.logit_scale {
                LogitScale::Unused => 1.0,
                LogitScale::Multiply => read.require_number(facts::LOGIT_SCALE)?,
                LogitScale::Divide => read.require_number(facts::LOGIT_SCALE)?.recip(),
            },
            logit_softcap: softcap(facts::LOGIT_SOFTCAP, arch.softcaps.map(|caps| caps.logits))?,
            moe,
            latent: heads.latent,
            pooling: pooling(&read)?,
        };
        config.attention_scale = config.scores_factor(&read)?;
        Ok(config)
    }

    /// Whether a token of this layer sees only the last `window` keys.
    #[must_use]
    pub fn has_window(&self, layer: usize) -> bool {
        self.window.is_some() && !(layer + 1).is_multiple_of(self.arch.window_period.max(1))
    }

    /// Whether a token sees only itself and what came before it.
    #[must_use]
    pub fn causal(&self) -> bool {
        self.arch.role == Role::Decoder
    }

    /// The rotation of this layer's queries and keys.
    #[must_use]
    pub fn layer_rope(&self, layer: usize) -> Option<&RopeConfig> {
        let rotates = match self.arch.rope_layers {
            RopeLayers::All => true,
            RopeLayers::Windowed => self.has_window(layer),
            RopeLayers::AllButEvery(period) => !(layer + 1).is_multiple_of(period),
        };
        let rope = if self.has_window(layer) { &self.window_rope } else { &self.rope };
        rope.as_ref().filter(|_| rotates)
    }

    /// The mixture of experts of this layer; `None` where the layer has a plain feed-forward branch.
    #[must_use]
    pub fn layer_moe(&self, layer: usize) -> Option<&MoeConfig> {
        self.moe.as_ref().filter(|moe| layer >= moe.dense_layers)
    }

    fn scores_factor(&self, read: &FactReader<'_>) -> Result<f32, ModelError> {
        let by_head = (self.latent.map_or(self.head_dim, |latent| latent.head_dim) as f32).sqrt().recip();
        if let Some(width) = read.number(facts::QUERY_WIDTH)?.filter(|_| read.dialect.is_json()) {
            return Ok(width.sqrt().recip());
        }
        Ok(match self.arch.attention_scale {
            AttentionScale::HiddenPerHead { layers } if layers == self.layers => {
                (self.hidden as f32 / self.heads as f32).sqrt().recip()
            }
            AttentionScale::Key => {
                read.number(facts::ATTENTION_SCALE)?.filter(|scale| *scale > 0.0).unwrap_or(by_head)
            }
            _ if self.latent.is_some() => {
                let magnitude = self.rope.as_ref().map_or(1.0, |rope| rope.scores_magnitude);
                by_head * magnitude * magnitude
            }
            _ => by_head,
        })
    }
}

/// Finds the architecture and how the file names things, or says what the file is instead.
pub(crate) fn dialect(source: &dyn TensorSource) -> Result<Dialect, ModelError> {
    const KEY: &str = "general.architecture";
    const NOT_MODELS: &[(&str, &str, &str, &str)] = &[
        ("general.type", "adapter", "a LoRA adapter", "give it beside a model"),
        ("general.type", "mmproj", "a vision or audio projector", "give the language model itself"),
        ("general.type", "vocab", "a vocabulary without weights", "give the file with the weights"),
        ("general.type", "imatrix", "an importance matrix", "it serves to quantise a model"),
        (KEY, "clip", "a vision or audio projector", "give the language model itself"),
        (KEY, "imatrix", "an importance matrix", "it serves to quantise a model"),
        (KEY, "controlvector", "a control vector", "give it beside a model"),
    ];
    for &(key, value, what, hint) in NOT_MODELS {
        if source.metadata(key).and_then(|found| found.as_str()) == Some(value) {
            return Err(ModelError::NotAModel { what, hint });
        }
    }
    Dialect::of(source)
}

/// A checkpoint that computes something else than its class does as a rule is not taken for it.
fn activation(read: &FactReader<'_>) -> Result<(), ModelError> {
    let allowed = read.dialect.activations();
    if let Some((key, must)) = read.dialect.odd(read.source()) {
        return Err(out_of_range(key, !must, must.to_string()));
    }
    for key in ["hidden_act", "hidden_activation", "activation_function", "activation"] {
        if let Some(found) = read.word(key)?.filter(|found| !allowed.is_empty() && !allowed.contains(found)) {
            return Err(out_of_range(read.key(key), format!("{found:?}"), allowed.join(" or ")));
        }
    }
    Ok(())
}

/// Counts and widths of the attention heads.
struct Heads {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    value_dim: usize,
    latent: Option<LatentConfig>,
}

impl Heads {
    fn read(read: &FactReader<'_>, arch: &ArchFacts, hidden: usize) -> Result<Self, ModelError> {
        let heads = read.require_count(facts::HEADS)?;
        let kv_heads = read.count(facts::KV_HEADS)?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) {
            let (queries, keys) = ((facts::HEADS.key, heads), (facts::KV_HEADS.key, kv_heads));
            return Err(read.disagree(queries, keys, "the first must be a multiple of the second"));
        }
        if arch.latent_attention {
            return Self::latent(read, heads);
        }
        let head_dim = match read.count(facts::HEAD_DIM)? {
            Some(head_dim) => head_dim,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                let (width, queries) = ((facts::HIDDEN.key, hidden), (facts::HEADS.key, heads));
                return Err(read.disagree(width, queries, "the first must be a multiple of the second"));
            }
        };
        let value_dim = read.count(facts::VALUE_DIM)?.unwrap_or(head_dim);
        Ok(Self { heads, kv_heads, head_dim, value_dim, latent: None })
    }

    /// One key head that holds the latent vector and the rotated part; the value is the latent vector.
    fn latent(read: &FactReader<'_>, heads: usize) -> Result<Self, ModelError> {
        let latent = LatentConfig {
            q_rank: read.count(facts::Q_RANK)?.unwrap_or(0),
            kv_rank: read.require_count(facts::KV_RANK)?,
            head_dim: read.require_count(facts::LATENT_HEAD_DIM)?,
            value_dim: read.require_count(facts::LATENT_VALUE_DIM)?,
        };
        let rotated = read.require_count(facts::ROTARY_DIM)?;
        if rotated >= latent.head_dim {
            let (dims, width) =
                ((facts::ROTARY_DIM.key, rotated), (facts::LATENT_HEAD_DIM.key, latent.head_dim));
            return Err(read.disagree(dims, width, "the first must be below the second"));
        }
        let head_dim = latent.kv_rank + rotated;
        Ok(Self { heads, kv_heads: 1, head_dim, value_dim: latent.kv_rank, latent: Some(latent) })
    }
}

fn ropes(
    read: &FactReader<'_>,
    arch: &ArchFacts,
    head_dim: usize,
    context: usize,
) -> Result<(Option<RopeConfig>, Option<RopeConfig>), ModelError> {
    let Position::Rope(pairs) = arch.position else { return Ok((None, None)) };
    let pairs = read.dialect.pairs(pairs);
    let rope = RopeConfig::read(read, arch, pairs, head_dim, context)?;
    let window = match arch.window_rope {
        WindowRope::Same => rope.clone(),
        WindowRope::Unscaled => rope.unscaled(rope.base),
        WindowRope::OwnBase => rope.unscaled(read.number(facts::WINDOW_ROPE_BASE)?.unwrap_or(10_000.0)),
    };
    Ok((Some(rope), Some(window)))
}

fn window(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<u32>, ModelError> {
    if arch.window_period == 0 {
        return Ok(None);
    }
    let window = read.count(facts::WINDOW)?.and_then(|window| u32::try_from(window).ok());
    Ok(window.filter(|window| *window > 0))
}

fn temperature(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<QueryTemperature>, ModelError> {
    if !arch.query_temperature {
        return Ok(None);
    }
    let Some(scale) = read.number(facts::TEMPERATURE)?.filter(|scale| *scale > 0.0) else { return Ok(None) };
    let length = u32::try_from(read.require_count(facts::ORIGINAL_CONTEXT)?).unwrap_or(u32::MAX);
    Ok(Some(QueryTemperature { scale, length }))
}

/// The rows of the embedding matrix. The tokenizer may know fewer tokens, but not more.
fn vocab(source: &dyn TensorSource, read: &FactReader<'_>) -> Result<usize, ModelError> {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let table = read.dialect.tensor(crate::names::TOKEN_EMBEDDING);
    let Some(embedding) = source.tensor(&table) else {
        return Err(ModelError::MissingTensors { names: vec![table], more: 0 });
    };
    let rows = matrix_rows(&embedding.shape);
    let listed = source.get_array(TOKENS)?.map(|tokens| (TOKENS.to_owned(), tokens.len()));
    let stated = read.count(facts::VOCAB)?.map(|stated| (read.key(facts::VOCAB.key), stated));
    for (key, stated) in listed.into_iter().chain(stated) {
        if stated > rows {
            return Err(ModelError::Disagree {
                key,
                value: stated.to_string(),
                other: table,
                other_value: format!("a matrix of {rows} rows"),
                rule: "every token needs its row",
            });
        }
    }
    Ok(rows)
}

fn parallel(source: &dyn TensorSource, read: &FactReader<'_>, arch: &ArchFacts) -> Result<bool, ModelError> {
    Ok(match arch.residual {
        Residual::Sequential => false,
        Residual::Parallel => true,
        Residual::ParallelIf(key) => read.flag(key)?.unwrap_or(true),
        Residual::ParallelWithoutFfnNorm => arch.norms.before_ffn.is_some_and(|norm| {
            source.tensor(&read.dialect.tensor(&crate::names::weight(0, norm))).is_none()
        }),
    })
}

fn moe(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<MoeConfig>, ModelError> {
    let experts = read.count(facts::EXPERTS)?.unwrap_or(0);
    let Some(moe) = arch.moe else {
        if experts > 0 {
            return Err(read.unsupported(format!("`{}` above 0", read.key(facts::EXPERTS.key))));
        }
        return Ok(None);
    };
    if experts == 0 {
        return Ok(None);
    }
    let used = read.require_count(facts::EXPERTS_USED)?;
    let (all, chosen) = ((facts::EXPERTS.key, experts), (facts::EXPERTS_USED.key, used));
    if used > experts {
        return Err(read.disagree(all, chosen, "no more experts can be used than there are"));
    }
    let groups = read.count(facts::EXPERT_GROUPS)?.unwrap_or(1).max(1);
    if !experts.is_multiple_of(groups) || (groups > 1 && experts / groups < 2) {
        let grouped = (facts::EXPERT_GROUPS.key, groups);
        return Err(read.disagree(all, grouped, "the groups must be equal and have two experts at least"));
    }
    let groups_used = if groups > 1 { read.require_count(facts::EXPERT_GROUPS_USED)? } else { 1 };
    if groups_used == 0 || groups_used > groups || used > groups_used * (experts / groups) {
        let grouped = (facts::EXPERT_GROUPS_USED.key, groups_used);
        return Err(read.disagree(chosen, grouped, "the groups in use must hold the experts in use"));
    }
    let ffn = match read.count(facts::EXPERT_FFN)? {
        Some(ffn) => ffn,
        None => read.require_count(facts::FFN)?,
    };
    let shared_ffn = match moe.shared {
        SharedExpert::None => 0,
        SharedExpert::Plain => ffn * read.count(facts::SHARED_EXPERTS)?.unwrap_or(0),
        SharedExpert::Gated => match read.count(facts::SHARED_FFN)? {
            Some(shared) => shared,
            None => read.require_count(facts::FFN)?,
        },
    };
    Ok(Some(MoeConfig {
        experts,
        used,
        ffn,
        shared_ffn,
        dense_layers: read.count(facts::DENSE_LAYERS)?.unwrap_or(0),
        scoring: match read.count(facts::EXPERT_SCORING)? {
            Some(1) => Scoring::Softmax,
            Some(2) => Scoring::Sigmoid,
            Some(3) => Scoring::SoftmaxOfChosen,
            _ => moe.scoring,
        },
        normalise: read.flag("expert_weights_norm")?.unwrap_or(moe.normalise),
        // 0 stands for "not set" in files of the field.
        scale: read.number(facts::EXPERT_SCALE)?.filter(|scale| *scale > 0.0).unwrap_or(1.0),
        groups,
        groups_used,
    }))
}

fn pooling(read: &FactReader<'_>) -> Result<Option<Pooling>, ModelError> {
    Ok(match read.count(facts::POOLING)? {
        None => None,
        Some(0) => Some(Pooling::None),
        Some(1) => Some(Pooling::Mean),
        Some(2) => Some(Pooling::Cls),
        Some(3) => Some(Pooling::Last),
        Some(other) => {
            return Err(out_of_range(
                read.key(facts::POOLING.key),
                other,
                "0..=3; rerankers are not supported".into(),
            ));
        }
    })
}
