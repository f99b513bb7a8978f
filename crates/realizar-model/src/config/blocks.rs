//! What differs between the blocks of one model: heads, windows, rotation, and the feed-forward branch.

use realizar_format::TensorSource;
use realizar_tensor::Gate;

use super::experts::MoeConfig;
use super::heads::LatentConfig;
use crate::arch::{
    ArchFacts, GateNumbers, Latent, MoeLayers, RopeLayers, SharedKv, StateKind, StateLayers, Temperature,
    Windows,
};
use crate::error::ModelError;
use crate::facts::{self, FactReader, out_of_range};
use crate::names;

/// One block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockConfig {
    /// Query heads; 0: the block has no attention.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a query or key head, as it is cached.
    pub head_dim: usize,
    /// Width of a value head, as it is cached.
    pub value_dim: usize,
    /// Factor on the attention scores.
    pub scale: f32,
    /// Whether a token sees only the last [`window`](crate::Config::window) keys.
    pub windowed: bool,
    /// Whether queries and keys rotate.
    pub rotates: bool,
    /// Whether queries grow with the position.
    pub tempered: bool,
    /// The block whose keys and values this one reads: itself, or one before it.
    pub kv_of: usize,
    /// Whether the block keeps a recurrent state.
    pub has_state: bool,
    /// The feed-forward branch.
    pub ffn_kind: FfnKind,
    /// Width inside a plain feed-forward branch.
    pub ffn: usize,
    /// The function of a plain feed-forward branch, and of the expert that serves every token.
    pub activation: Gate,
    /// The function of the other experts.
    pub expert_activation: Gate,
    /// The gate of the plain branch keeps what lies so many standard deviations above its mean; `None`: all.
    pub sparsity: Option<f32>,
}

/// The kind of a feed-forward branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FfnKind {
    /// There is none.
    None,
    /// The same for every token.
    Dense,
    /// A mixture of experts.
    Experts,
}

/// Queries are multiplied with `1 + scale * ln(1 + floor((pos + offset) / length))`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the formula above names the fields")]
pub struct QueryTemperature {
    pub scale: f32,
    pub length: u32,
    pub offset: u32,
}

/// Reads the blocks of a model.
pub(super) struct Blocks<'a, 'b> {
    pub(super) read: &'a FactReader<'b>,
    pub(super) source: &'a dyn TensorSource,
    pub(super) arch: &'static ArchFacts,
    pub(super) layers: usize,
    pub(super) hidden: usize,
    pub(super) window: Option<u32>,
    pub(super) latent: Option<LatentConfig>,
    pub(super) moe: Option<&'a MoeConfig>,
}

impl Blocks<'_, '_> {
    pub(super) fn read(&self) -> Result<Vec<BlockConfig>, ModelError> {
        let Self { read, arch, layers, .. } = *self;
        let windowed = self.windowed()?;
        let any_window = windowed.contains(&true);
        // Zeros tell layers without attention apart where nothing else does.
        let no_heads = arch.state.is_some_and(|state| state.layers == StateLayers::WithoutKeys);
        let heads = match read.per_layer(facts::HEADS, no_heads || arch.never_attends(), layers)? {
            Some(heads) => heads,
            None if arch.never_attends() => vec![0; layers],
            None => return Err(read.missing(facts::HEADS.key)),
        };
        let kv_heads = match read.per_layer(facts::KV_HEADS, no_heads || arch.never_attends(), layers)? {
            Some(kv_heads) => kv_heads,
            None => heads.clone(),
        };
        let states = self.states(&kv_heads)?;
        let (ffns, kinds) = self.ffns(&kv_heads)?;
        let activations = self.activations()?;
        let mut blocks = Vec::with_capacity(layers);
        for layer in 0..layers {
            let mut block = BlockConfig {
                heads: 0,
                kv_heads: 0,
                head_dim: 0,
                value_dim: 0,
                scale: 1.0,
                windowed: windowed[layer],
                rotates: self.rotates(layer, windowed[layer], any_window),
                tempered: false,
                kv_of: layer,
                has_state: states[layer],
                ffn_kind: kinds[layer],
                ffn: ffns[layer],
                activation: activations[layer][0],
                expert_activation: activations[layer][1],
                sparsity: arch
                    .streams
                    .filter(|streams| layer < streams.sparse_layers)
                    .map(|streams| streams.deviations),
            };
            block.tempered = match arch.temperature {
                Temperature::Never => false,
                Temperature::Keys => true,
                Temperature::UnrotatedLayers(_) => !block.rotates,
            };
            // A layer of one branch with a feed-forward branch has nothing else.
            let only_ffn = arch.one_branch && block.ffn_kind != FfnKind::None;
            let only_state =
                states[layer] && arch.state.is_some_and(|state| state.layers == StateLayers::Interval);
            if heads[layer] > 0 && kv_heads[layer] > 0 && !only_ffn && !only_state {
                self.heads(&mut block, heads[layer], kv_heads[layer])?;
            }
            blocks.push(block);
        }
        self.share(&mut blocks)?;
        Ok(blocks)
    }

    /// Counts and widths of the heads of a block with attention.
    fn heads(&self, block: &mut BlockConfig, heads: usize, kv_heads: usize) -> Result<(), ModelError> {
        let Self { read, arch, hidden, .. } = *self;
        if !heads.is_multiple_of(kv_heads) {
            let (queries, keys) = ((facts::HEADS.key, heads), (facts::KV_HEADS.key, kv_heads));
            return Err(read.disagree(queries, keys, "the first must be a multiple of the second"));
        }
        block.heads = heads;
        if let Some(latent) = self.latent {
            (block.kv_heads, block.head_dim, block.value_dim) = match arch.latent {
                Latent::Absorbed | Latent::Never => (1, latent.kv_rank + latent.rotated, latent.kv_rank),
                Latent::Unpacked => (heads, latent.head_dim, latent.value_dim),
            };
            return Ok(());
        }
        block.kv_heads = kv_heads;
        let own = |fact, default| if block.windowed { read.count(fact) } else { Ok(default) };
        let stated = read.count(facts::HEAD_DIM)?;
        block.head_dim = match own(facts::WINDOW_HEAD_DIM, None)?.or(stated) {
            Some(head_dim) => head_dim,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                let (width, queries) = ((facts::HIDDEN.key, hidden), (facts::HEADS.key, heads));
                return Err(read.disagree(width, queries, "the first must be a multiple of the second"));
            }
        };
        let own_value = if block.windowed { read.count(facts::WINDOW_VALUE_DIM)? } else { None };
        block.value_dim = match own_value {
            Some(value_dim) => value_dim,
            None => read.count(facts::VALUE_DIM)?.unwrap_or(block.head_dim),
        };
        Ok(())
    }

    fn windowed(&self) -> Result<Vec<bool>, ModelError> {
        let Self { read, arch, layers, .. } = *self;
        if self.window.is_none() {
            return Ok(vec![false; layers]);
        }
        if let Some(listed) = read.layers_of("sliding_attention", "full_attention", layers)? {
            return Ok(listed);
        }
        // One number is a period.
        if read.is_list(facts::WINDOW_PERIOD.key)
            && let Some(listed) = read.flags_per_layer(facts::WINDOW_PERIOD.key, layers)?
        {
            return Ok(listed);
        }
        let stated = read.count(facts::WINDOW_PERIOD)?;
        let rule = |layer: usize| match arch.windows {
            Windows::Never | Windows::Listed => false,
            Windows::Every => true,
            Windows::LastFull(period) => !(layer + 1).is_multiple_of(stated.unwrap_or(period)),
            Windows::FirstFull(period) => !layer.is_multiple_of(stated.unwrap_or(period)),
            Windows::LastFullIf { layers: meant, period } => {
                (layers == meant || stated.is_some()) && !(layer + 1).is_multiple_of(stated.unwrap_or(period))
            }
        };
        Ok((0..layers).map(rule).collect())
    }

    fn rotates(&self, layer: usize, windowed: bool, any_window: bool) -> bool {
        match self.arch.rope_layers {
            RopeLayers::All => true,
            RopeLayers::Never => false,
            RopeLayers::Windowed => windowed,
            RopeLayers::AllButEvery(period) => !(layer + 1).is_multiple_of(period),
            RopeLayers::AllButFirstOf(period) => self.layers == period || !layer.is_multiple_of(period),
            RopeLayers::WindowedIfAny => windowed || !any_window,
            RopeLayers::WindowedOrDense => windowed || self.moe.is_some_and(|moe| layer < moe.dense_layers),
        }
    }

    /// Which blocks keep a recurrent state.
    fn states(&self, kv_heads: &[usize]) -> Result<Vec<bool>, ModelError> {
        let Self { read, arch, layers, .. } = *self;
        let Some(state) = arch.state else { return Ok(vec![false; layers]) };
        Ok(match state.layers {
            StateLayers::All => vec![true; layers],
            StateLayers::WithoutKeys => {
                let ffn = if arch.one_branch { read.per_layer(facts::FFN, true, layers)? } else { None };
                let only_ffn = |layer: usize| ffn.as_ref().is_some_and(|ffn| ffn[layer] > 0);
                (0..layers).map(|layer| kv_heads[layer] == 0 && !only_ffn(layer)).collect()
            }
            StateLayers::Interval => {
                if let Some(listed) = read.flags_per_layer("attention.recurrent_layers", layers)? {
                    return Ok(listed);
                }
                let interval = read.count(facts::FULL_INTERVAL)?.unwrap_or(4);
                (0..layers).map(|layer| !(layer + 1).is_multiple_of(interval)).collect()
            }
        })
    }

    /// Widths and kinds of the feed-forward branches.
    fn ffns(&self, kv_heads: &[usize]) -> Result<(Vec<usize>, Vec<FfnKind>), ModelError> {
        let Self { read, arch, layers, moe, .. } = *self;
        // Zeros tell layers without the branch apart, or the file has experts on all layers.
        let none = arch.one_branch || moe.is_some();
        let mut kinds = Vec::with_capacity(layers);
        for layer in 0..layers {
            kinds.push(if self.has_experts(layer)? { FfnKind::Experts } else { FfnKind::Dense });
        }
        let widths = match read.per_layer(facts::FFN, none, layers)? {
            Some(widths) => widths,
            None => match moe {
                Some(moe) if !kinds.contains(&FfnKind::Dense) => vec![moe.ffn; layers],
                _ if arch.never_attends() => vec![0; layers],
                _ => return Err(read.missing(facts::FFN.key)),
            },
        };
        let inside = arch.state.is_some_and(|state| state.kind == StateKind::Rwkv7);
        for (layer, kind) in kinds.iter_mut().enumerate() {
            if inside {
                *kind = FfnKind::None;
            }
            if arch.one_branch && (kv_heads[layer] > 0 || widths[layer] == 0) {
                *kind = FfnKind::None;
            }
            if *kind == FfnKind::Dense && widths[layer] == 0 {
                let expected = format!("at least 1 in layer {layer}, which has no experts");
                return Err(out_of_range(read.key(facts::FFN.key), 0, expected));
            }
        }
        Ok((widths, kinds))
    }

    fn has_experts(&self, layer: usize) -> Result<bool, ModelError> {
        let Self { read, arch, .. } = *self;
        let Some((moe, facts)) = self.moe.zip(arch.moe) else { return Ok(false) };
        let past_dense = layer >= moe.dense_layers;
        Ok(match facts.layers {
            MoeLayers::FromDense => past_dense,
            MoeLayers::Interleaved => {
                let step = read.count(facts::EXPERT_STEP)?.unwrap_or(1);
                past_dense && (layer + 1).is_multiple_of(step)
            }
            MoeLayers::SecondOfEvery => {
                let step = read.count(facts::EXPERT_PERIOD)?.unwrap_or(1);
                layer % step == 1 % step
            }
            MoeLayers::WithRouter => read.dialect.has(self.source, &names::weight(layer, "ffn_gate_inp")),
        })
    }

    /// The functions of the plain branch and of the experts, per block.
    fn activations(&self) -> Result<Vec<[Gate; 2]>, ModelError> {
        let Self { read, arch, layers, .. } = *self;
        let plain = arch.ffn.activation;
        let experts = arch.moe.and_then(|moe| moe.activation).unwrap_or(plain);
        let mut gates = vec![[plain, experts]; layers];
        match arch.gate_numbers {
            GateNumbers::Never => {}
            GateNumbers::Xielu => {
                let list = |number: usize| {
                    read.floats_per_layer(facts::XIELU[number].key, facts::XIELU[number], layers)
                };
                let (alpha_p, alpha_n, beta, eps) = (list(0)?, list(1)?, list(2)?, list(3)?);
                let softplus = |x: f32| (f64::from(x).exp().ln_1p()) as f32;
                for (layer, gate) in gates.iter_mut().enumerate() {
                    let (positive, negative) =
                        (softplus(alpha_p[layer]), beta[layer] + softplus(alpha_n[layer]));
                    *gate = [Gate::Xielu { positive, negative, beta: beta[layer], eps: eps[layer] }; 2];
                }
            }
            GateNumbers::Clamps => {
                for (at, fact) in facts::CLAMPS.into_iter().enumerate() {
                    let key = read.key(fact.key);
                    if !read.has(&key) {
                        continue;
                    }
                    let limits = read.floats_per_layer(&key, fact, layers)?;
                    for (gate, limit) in gates.iter_mut().zip(limits) {
                        if limit > 0.0 {
                            gate[at] = Gate::ClampedSilu { limit };
                        }
                    }
                }
            }
        }
        Ok(gates)
    }

    /// Which blocks read keys and values of a block before them.
    fn share(&self, blocks: &mut [BlockConfig]) -> Result<(), ModelError> {
        let Self { read, arch, layers, .. } = *self;
        let first = match arch.shared_kv {
            SharedKv::Never => return Ok(()),
            SharedKv::Last => {
                let shared = read.count(facts::SHARED_KV)?.unwrap_or(0);
                if shared + 2 > layers && shared > 0 {
                    let (all, shared) = ((facts::LAYERS.key, layers), (facts::SHARED_KV.key, shared));
                    return Err(read.disagree(all, shared, "two layers at least must keep their own keys"));
                }
                layers - shared
            }
            SharedKv::From(first) => first.min(layers),
        };
        for layer in first..layers {
            let from = if blocks[layer].windowed { first - 2 } else { first - 1 };
            let (own, theirs) = (&blocks[layer], &blocks[from]);
            let alike =
                |block: &BlockConfig| (block.windowed, block.kv_heads, block.head_dim, block.value_dim);
            if alike(own) != alike(theirs) {
                return Err(read.unsupported(format!(
                    "layer {layer} with the keys of layer {from}, which is of another kind,"
                )));
            }
            blocks[layer].kv_of = from;
        }
        Ok(())
    }
}

/// Keys that a token sees at most, on window layers.
pub(super) fn window(read: &FactReader<'_>, arch: &ArchFacts) -> Result<Option<u32>, ModelError> {
    if arch.windows == Windows::Never {
        return Ok(None);
    }
    let window = read.count(facts::WINDOW)?.and_then(|window| u32::try_from(window).ok());
    Ok(window.filter(|window| *window > 0).map(|window| arch.window_width.unwrap_or(window)))
}

/// How queries grow with the position.
pub(super) fn temperature(
    read: &FactReader<'_>,
    arch: &ArchFacts,
) -> Result<Option<QueryTemperature>, ModelError> {
    match arch.temperature {
        Temperature::Never => Ok(None),
        Temperature::UnrotatedLayers(length) => Ok(Some(QueryTemperature { scale: 0.1, length, offset: 1 })),
        Temperature::Keys => {
            let scale = read.number(facts::TEMPERATURE)?.filter(|scale| *scale > 0.0);
            let Some(scale) = scale else { return Ok(None) };
            let length = match read.count(facts::TEMPERATURE_LENGTH)? {
                Some(length) => length,
                None => read.require_count(facts::ORIGINAL_CONTEXT)?,
            };
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            Ok(Some(QueryTemperature { scale, length, offset: 0 }))
        }
    }
}
