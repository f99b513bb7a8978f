//! What one model is: the facts of its architecture with the file's numbers filled in, checked once.

mod blocks;
mod experts;
mod heads;

pub use self::blocks::{BlockConfig, FfnKind, QueryTemperature};
pub use self::experts::MoeConfig;
pub use self::heads::LatentConfig;
pub use crate::indexer::IndexerConfig;
pub use crate::per_layer::PerLayerConfig;
pub use crate::state::StateConfig;
use realizar_format::TensorSource;
use realizar_tensor::PairOrder;

use self::blocks::Blocks;
use crate::arch::{
    ArchFacts, AttentionScale, EmbeddingScale, LogitScale, Norm, Position, Rank, Residual, ResidualScale,
    Role, WindowRope,
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
    /// Blocks of the file behind those: heads that draft tokens, which are not run.
    pub drafts: usize,
    /// Rows of the embedding matrix, which are also the logits of a token.
    pub vocab: usize,
    /// What differs between the blocks.
    pub blocks: Vec<BlockConfig>,
    /// The norm of every place.
    pub norm: Norm,
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
    /// Soft cap on the attention scores.
    pub attention_softcap: Option<f32>,
    /// Growth of the queries with the position.
    pub query_temperature: Option<QueryTemperature>,
    /// Bound of queries, keys and values.
    pub qkv_clamp: Option<f32>,
    /// Factor on the attention branch, beside that of all branches.
    pub value_scale: f32,
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
    /// Embeddings that every block adds.
    pub per_layer: Option<PerLayerConfig>,
    /// Recurrent states.
    pub state: Option<StateConfig>,
    /// Latent attention.
    pub latent: Option<LatentConfig>,
    /// What chooses the keys that attention reads.
    pub indexer: Option<IndexerConfig>,
    /// How the file wants token vectors joined into one.
    pub pooling: Option<Pooling>,
    /// The file is a reranker's: it scores texts instead.
    pub ranks: bool,
    /// How its head joins token vectors.
    pub rank_pooling: Pooling,
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
        sight(&read, arch)?;
        let blocks_in_file = read.require_count(facts::LAYERS)?;
        let drafts = read.count(facts::DRAFT_LAYERS)?.unwrap_or(0);
        if drafts >= blocks_in_file {
            let (layers, drafted) = ((facts::LAYERS.key, blocks_in_file), (facts::DRAFT_LAYERS.key, drafts));
            return Err(read.disagree(layers, drafted, "a layer of the model itself must be left"));
        }
        let layers = blocks_in_file - drafts;
        let hidden = read.require_count(facts::HIDDEN)?;
        let context = read.require_count(facts::CONTEXT)?;
        let moe = experts::read(source, &read, arch)?;
        let window = blocks::window(&read, arch)?;
        let latent = heads::latent(&read, arch)?;
        let blocks =
            Blocks { read: &read, source, arch, layers, hidden, window, latent, moe: moe.as_ref() }.read()?;
        let (rope, window_rope) = ropes(&read, arch, &blocks, latent, context)?;
        let softcap = |fact, default: Option<Option<f32>>| -> Result<Option<f32>, ModelError> {
            let Some(default) = default else { return Ok(None) };
            Ok(read.number(fact)?.or(default))
        };
        let norm = norm(&read, arch)?;
        let mut config = Self {
            arch,
            context,
            hidden,
            layers,
            drafts,
            vocab: vocab(source, &read)?,
            blocks,
            norm,
            norm_eps: norm_eps(&read, arch, norm)?,
            parallel: parallel(source, &read, arch)?,
            rope,
            window_rope,
            window,
            attention_softcap: softcap(facts::ATTENTION_SOFTCAP, arch.softcaps.map(|caps| caps.attention))?,
            query_temperature: blocks::temperature(&read, arch)?,
            qkv_clamp: if arch.clamp_qkv { read.number(facts::CLAMP_QKV)? } else { None },
            value_scale: if arch.value_scale { read.number(facts::VALUE_SCALE)?.unwrap_or(1.0) } else { 1.0 },
            embedding_scale: match arch.embedding_scale {
                EmbeddingScale::One => 1.0,
                EmbeddingScale::SqrtHidden => (hidden as f32).sqrt(),
                EmbeddingScale::KeyOr(default) => read.number(facts::EMBEDDING_SCALE)?.unwrap_or(default),
                EmbeddingScale::Fixed(scale) => scale,
            },
            residual_scale: match arch.residual_scale {
                ResidualScale::One => 1.0,
                ResidualScale::Key => read.number(facts::RESIDUAL_SCALE)?.unwrap_or(1.0),
                ResidualScale::KeyOrDepth(depth) => {
                    read.number(facts::RESIDUAL_SCALE)?.unwrap_or(depth / (blocks_in_file as f32).sqrt())
                }
                ResidualScale::Depth(depth) => depth / (blocks_in_file as f32).sqrt(),
            },
            logit_scale: match arch.logit_scale {
                LogitScale::Unused => 1.0,
                LogitScale::Multiply => read.require_number(facts::LOGIT_SCALE)?,
                LogitScale::Divide => read.require_number(facts::LOGIT_SCALE)?.recip(),
                LogitScale::DivideOrOne => read.number(facts::LOGIT_SCALE)?.unwrap_or(1.0).recip(),
                LogitScale::DivideOrWidth(base) => {
                    read.number(facts::LOGIT_SCALE)?.unwrap_or(hidden as f32 / base).recip()
                }
                LogitScale::Width(base) => base / hidden as f32,
            },
            logit_softcap: softcap(facts::LOGIT_SOFTCAP, arch.softcaps.map(|caps| caps.logits))?,
            moe,
            per_layer: PerLayerConfig::read(&read, arch)?,
            state: StateConfig::read(&read, arch, hidden)?,
            latent,
            indexer: IndexerConfig::read(
                &read,
                arch,
                latent.map_or((0, 0), |latent| (latent.q_rank, latent.rotated)),
            )?,
            pooling: pooling(&read)?,
            ranks: read.count(facts::POOLING)? == Some(RANKS),
            rank_pooling: rank_pooling(&read, arch)?,
        };
        config.set_scales(&read)?;
        Ok(config)
    }

    /// Whether a token sees only itself and what came before it.
    #[must_use]
    pub fn causal(&self) -> bool {
        self.arch.role == Role::Decoder
    }

    /// The rotation of this layer's queries and keys.
    #[must_use]
    pub fn layer_rope(&self, layer: usize) -> Option<&RopeConfig> {
        let block = &self.blocks[layer];
        let rope = if block.windowed { &self.window_rope } else { &self.rope };
        rope.as_ref().filter(|_| block.rotates)
    }

    /// Whether a tensor belongs to a block that drafts.
    pub(crate) fn is_draft(&self, tensor: &str) -> bool {
        let number = tensor.strip_prefix("blk.").and_then(|rest| rest.split('.').next());
        let layer = number.and_then(|number| number.parse::<usize>().ok());
        layer.is_some_and(|layer| (self.layers..self.layers + self.drafts).contains(&layer))
    }

    /// The largest of something over all blocks.
    pub(crate) fn widest(&self, width: impl Fn(&BlockConfig) -> usize) -> usize {
        self.blocks.iter().map(width).max().unwrap_or(0)
    }

    /// Factors on the attention scores.
    fn set_scales(&mut self, read: &FactReader<'_>) -> Result<(), ModelError> {
        let queries = read.number(facts::QUERY_WIDTH)?.filter(|_| read.dialect.is_json());
        let stated = match self.arch.attention_scale {
            _ if queries.is_some() => queries.map(|width| width.sqrt().recip()),
            AttentionScale::Key => read.number(facts::ATTENTION_SCALE)?,
            AttentionScale::OutputKey => read.number(facts::OUTPUT_SCALE)?,
            AttentionScale::One => Some(1.0),
            AttentionScale::HeadDim | AttentionScale::HiddenPerHead { .. } => None,
        };
        let magnitude = match (self.latent, &self.rope) {
            (Some(_), Some(rope)) => rope.scores_magnitude * rope.scores_magnitude,
            _ => 1.0,
        };
        for block in self.blocks.iter_mut().filter(|block| block.heads > 0) {
            let width = match self.arch.attention_scale {
                AttentionScale::HiddenPerHead { layers } if layers == self.layers => {
                    self.hidden as f32 / block.heads as f32
                }
                _ => self.latent.map_or(block.head_dim, |latent| latent.head_dim) as f32,
            };
            let by_width = width.sqrt().recip() * magnitude;
            block.scale = stated.filter(|scale| *scale > 0.0).unwrap_or(by_width);
        }
        Ok(())
    }
}

/// The norm of the model: the architecture's, or what the file has an epsilon for.
fn norm(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Norm, ModelError> {
    let other = match arch.norm {
        Norm::Rms => Norm::Layer,
        Norm::Layer => Norm::Rms,
    };
    let own = read.number(epsilon(arch.norm))?;
    let takes_other = arch.norm_by_key && own.is_none() && read.number(epsilon(other))?.is_some();
    Ok(if takes_other { other } else { arch.norm })
}

fn norm_eps(read: &FactReader<'_>, arch: &ArchFacts, norm: Norm) -> Result<f32, ModelError> {
    let own = read.number(epsilon(norm))?;
    let other = if arch.either_epsilon && own.is_none() { read.number(facts::LAYER_EPS)? } else { None };
    own.or(other).ok_or_else(|| read.missing(epsilon(norm).key))
}

/// What a reranker pools with.
fn rank_pooling(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Pooling, ModelError> {
    Ok(match arch.rank {
        Rank::End if arch.role == Role::Decoder => Pooling::Last,
        Rank::End => Pooling::Cls,
        Rank::Key if read.count(facts::CLASSIFIER_POOLING)? == Some(2) => Pooling::Cls,
        Rank::Key => Pooling::Mean,
    })
}

fn epsilon(norm: Norm) -> facts::Number {
    match norm {
        Norm::Rms => facts::RMS_EPS,
        Norm::Layer => facts::LAYER_EPS,
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

/// What tokens see must be what the architecture means by it.
fn sight(read: &FactReader<'_>, arch: &ArchFacts) -> Result<(), ModelError> {
    const CAUSAL: &str = "attention.causal";
    if let Some(causal) = read.flag(CAUSAL)?.filter(|causal| *causal != (arch.role == Role::Decoder)) {
        return Err(read.unsupported(format!("`{}` {causal}", read.key(CAUSAL))));
    }
    let slope = if arch.position == Position::Alibi { read.number(facts::ALIBI_BIAS)? } else { None };
    match slope.filter(|slope| *slope != 8.0) {
        None => Ok(()),
        Some(slope) => Err(read.unsupported(format!("`{}` {slope}", read.key(facts::ALIBI_BIAS.key)))),
    }
}

/// A checkpoint that computes something else than its class does as a rule is not taken for it.
fn activation(read: &FactReader<'_>) -> Result<(), ModelError> {
    let allowed = read.dialect.activations();
    if let Some((key, must)) = read.dialect.odd(read.source())? {
        return Err(out_of_range(key, !must, must.to_string()));
    }
    let keys: &[&str] = match allowed {
        [] => &[],
        _ => &["hidden_act", "hidden_activation", "activation_function", "activation"],
    };
    for key in keys {
        if let Some(found) = read.word(key)?.filter(|found| !allowed.contains(found)) {
            return Err(out_of_range(read.key(key), format!("{found:?}"), allowed.join(" or ")));
        }
    }
    Ok(())
}

/// The base that a context longer by `alpha` asks for; 0: the same.
fn raised(base: f32, alpha: f32, head_dim: usize) -> f32 {
    let dim = head_dim as f32;
    if alpha > 0.0 && head_dim > 2 { base * alpha.powf(dim / (dim - 2.0)) } else { base }
}

/// The rotations of layers without and with a window. Each kind of layer has heads of one width.
fn ropes(
    read: &FactReader<'_>,
    arch: &ArchFacts,
    blocks: &[BlockConfig],
    latent: Option<LatentConfig>,
    context: usize,
) -> Result<(Option<RopeConfig>, Option<RopeConfig>), ModelError> {
    let Position::Rope(pairs) = arch.position else { return Ok((None, None)) };
    if arch.rope_if_finetuned && read.flag("rope.scaling.finetuned")? == Some(false) {
        return Ok((None, None));
    }
    let pairs = match arch.sections_turn_halves && read.has_sections()? {
        true => PairOrder::Halves,
        false => read.dialect.pairs(pairs),
    };
    let width = |windowed: bool| {
        let kind = |block: &&BlockConfig| block.heads > 0 && block.windowed == windowed;
        let first = blocks.iter().find(kind).or(blocks.iter().find(|block| block.heads > 0));
        latent.map_or(first.map_or(0, |block| block.head_dim), |latent| latent.head_dim)
    };
    if width(false) == 0 {
        return Ok((None, None));
    }
    let mut rope = RopeConfig::read(read, arch, pairs, width(false), context)?;
    if arch.rope_alpha {
        let alpha = read.number(facts::ROPE_ALPHA)?.unwrap_or(0.0);
        rope.base = raised(rope.base, alpha, width(false));
    }
    let own = || read.number(facts::WINDOW_ROPE_BASE);
    let mut window = match arch.window_rope {
        WindowRope::Same => rope.clone(),
        WindowRope::Unscaled => rope.unscaled(rope.base),
        WindowRope::OwnBase | WindowRope::OwnBaseHalfElsewhere => {
            // Of what stretches the other layers, theirs have the factor on cosine and sine alone.
            let magnitude = read.number(facts::ROPE_MAGNITUDE)?.unwrap_or(1.0);
            RopeConfig { magnitude, ..rope.unscaled(own()?.unwrap_or(10_000.0)) }
        }
    };
    let own_dim = read.count(facts::WINDOW_ROTARY_DIM)?;
    window.dim = own_dim.unwrap_or(window.dim);
    // Also where the file says it for the other layers only: theirs may be wider.
    let said = own_dim.map_or(facts::ROTARY_DIM, |_| facts::WINDOW_ROTARY_DIM);
    let own_width = read.count(facts::WINDOW_HEAD_DIM)?;
    let wide = own_width.map_or(facts::HEAD_DIM, |_| facts::WINDOW_HEAD_DIM);
    read.rotated((said, window.dim), (wide, width(true)))?;
    if arch.window_rope == WindowRope::OwnBaseHalfElsewhere {
        rope.dim /= 2;
        read.rotated((facts::ROTARY_DIM, rope.dim), (facts::HEAD_DIM, width(false)))?;
    }
    Ok((Some(rope), Some(window)))
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

/// The value of `pooling_type` that rerankers have.
const RANKS: usize = 4;

fn pooling(read: &FactReader<'_>) -> Result<Option<Pooling>, ModelError> {
    const WAYS: [(&str, Option<Pooling>); 6] = [
        ("cls_token", Some(Pooling::Cls)),
        ("mean_tokens", Some(Pooling::Mean)),
        ("lasttoken", Some(Pooling::Last)),
        ("max_tokens", None),
        ("mean_sqrt_len_tokens", None),
        ("weightedmean_tokens", None),
    ];
    // A folder for sentence embeddings says it in a file of its own.
    for (how, pooling) in WAYS.into_iter().filter(|_| read.dialect.is_json()) {
        let key = format!("pooling.pooling_mode_{how}");
        if read.source().get_bool(&key)? == Some(true) {
            return pooling.map(Some).ok_or_else(|| read.unsupported(format!("`{key}`")));
        }
    }
    Ok(match read.count(facts::POOLING)? {
        None => None,
        Some(0) => Some(Pooling::None),
        Some(1) => Some(Pooling::Mean),
        Some(2) => Some(Pooling::Cls),
        Some(3) => Some(Pooling::Last),
        // A reranker pools as its head does.
        Some(_) => None,
    })
}
