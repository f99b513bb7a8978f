//! The weights of a model as views into its file, found by name and checked against [`Config`](crate::Config).

mod attention;
mod bind;
mod feed_forward;

use realizar_tensor::{QMatrix, Vector};

pub(crate) use self::bind::{Bind, cut};

use crate::arch::Norm;
use crate::indexer::IndexerWeights;
use crate::per_layer::{PerLayerTables, PerLayerWeights};
use crate::rank::RankWeights;
use crate::state::StateWeights;
use crate::streams::{StreamTables, StreamWeights};

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
    pub(crate) per_layer: Option<PerLayerTables>,
    pub(crate) streams: Option<StreamTables>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output_norm: Option<NormWeights>,
    /// `[vocab, hidden]`; `None`: the embedding serves.
    pub(crate) output: Option<QMatrix>,
    pub(crate) output_bias: Option<Vector>,
    /// What a text's vector goes through after pooling.
    pub(crate) pooled: Vec<QMatrix>,
    pub(crate) rank: Option<RankWeights>,
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
    /// Factor on the result without the bias.
    pub(crate) scale: f32,
}

/// One block.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) norms: LayerNorms,
    pub(crate) attention: Option<Box<Attention>>,
    pub(crate) state: Option<Box<StateWeights>>,
    pub(crate) ffn: Option<FfnWeights>,
    pub(crate) per_layer: Option<Box<PerLayerWeights>>,
    pub(crate) streams: Option<Box<StreamWeights>>,
    /// Factor on the stream after the block.
    pub(crate) output_scale: f32,
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
    /// On the heads' values.
    pub(crate) inner_norm: Option<NormWeights>,
    /// `[heads * value_dim, hidden]`, or `[heads, hidden]`: gates the heads' values.
    pub(crate) gate: Option<Linear>,
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
    /// Twice as many rows where the gate stands in them.
    pub(crate) q: Linear,
    /// `None`: another block's keys and values serve.
    pub(crate) k: Option<Linear>,
    /// `None`: the keys, before their norm, are the values.
    pub(crate) v: Option<Linear>,
    pub(crate) q_norm: Option<NormWeights>,
    pub(crate) k_norm: Option<NormWeights>,
    pub(crate) v_norm: Option<NormWeights>,
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
    pub(crate) up: LatentUp,
    pub(crate) indexer: Option<Box<IndexerWeights>>,
}

/// How the latent vector meets the heads.
#[derive(Debug)]
pub(crate) enum LatentUp {
    /// Queries go to it, and heads come out of the weighted vectors.
    Absorbed {
        /// `[heads * kv_rank, head_dim - rotated]`: brings a query head into the latent space.
        k: QMatrix,
        /// `[heads * value_dim, kv_rank]`: brings a weighted latent vector to a value head.
        v: QMatrix,
    },
    /// `[heads * (head_dim - rotated + value_dim), kv_rank]`: unpacks key and value of every head.
    Unpacked(QMatrix),
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
    /// Before the last projection.
    pub(crate) inner_norm: Option<NormWeights>,
    pub(crate) down: Linear,
}

/// A mixture of experts.
#[derive(Debug)]
pub(crate) struct Experts {
    pub(crate) router: Linear,
    pub(crate) selection_bias: Option<Vector>,
    pub(crate) input: ExpertInput,
    /// Stack of all experts' last projections.
    pub(crate) down: Linear,
    /// Factor on each expert's output.
    pub(crate) output_scales: Option<Vector>,
    /// Factors on what each expert's first projections give: gate and up, or the one that there is.
    pub(crate) input_scales: [Option<Vector>; 2],
    /// Into the width that experts work on, and out of it.
    pub(crate) latent: Option<[Linear; 2]>,
    pub(crate) shared: Option<Dense>,
    /// `[1, hidden]`: how much of the shared expert a token gets.
    pub(crate) shared_gate: Option<QMatrix>,
    /// Norms of experts beside a plain branch.
    pub(crate) beside: Option<BesideNorms>,
}

/// Stacks of all experts' first projections.
#[derive(Debug)]
pub(crate) enum ExpertInput {
    /// Without a gate.
    Up(Linear),
    /// Gate and up.
    Gated(Linear, Linear),
    /// In one stack: an expert's rows are its gate's, then its up's.
    Fused(Linear),
}

/// Norms of experts that stand beside a plain branch.
#[derive(Debug)]
pub(crate) struct BesideNorms {
    /// On the stream, for the router.
    pub(crate) router: NormWeights,
    /// On the stream, for the experts.
    pub(crate) before: NormWeights,
    /// On the experts' sum.
    pub(crate) after: NormWeights,
    /// On the plain branch's output.
    pub(crate) after_plain: NormWeights,
}
