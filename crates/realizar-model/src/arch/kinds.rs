//! The words in which [`ArchFacts`](super::ArchFacts) speak.

use realizar_tensor::{Gate, GroupScore, PairOrder, Scoring};

/// What the model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Predicts the next token; a token sees itself and those before it.
    Decoder,
    /// Turns a text into vectors; every token sees all others.
    Encoder,
}

/// The two norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// `x / rms(x) * gain`.
    Rms,
    /// `(x - mean(x)) / std(x) * gain + bias`.
    Layer,
}

/// Names of the norms' tensors (without `blk.N.` and `.weight`); `None` where there is no norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormPlaces {
    /// Over the embeddings, before the first block.
    pub embedding: Option<&'static str>,
    /// On the block's input, for the attention branch (and the other one, if that has no norm of its own).
    pub before_attention: Option<&'static str>,
    /// The first block may lack that norm: its input is normed already.
    pub identity_first: bool,
    /// When the file has it: the norm for attention, while `before_attention` serves the feed-forward branch.
    pub attention_only: Option<&'static str>,
    /// On the heads' values, before attention's output projection.
    pub inside_attention: Option<&'static str>,
    /// On the output of attention, before it joins the stream.
    pub after_attention: Option<&'static str>,
    /// On the input of the feed-forward branch.
    pub before_ffn: Option<&'static str>,
    /// Inside the feed-forward branch, before its last projection.
    pub inside_ffn: Option<&'static str>,
    /// On the output of the feed-forward branch, before it joins the stream.
    pub after_ffn: Option<&'static str>,
    /// What `after_ffn` is called in files that do not have it under that name.
    pub after_ffn_otherwise: Option<&'static str>,
    /// On the stream itself, after attention and after the feed-forward branch have joined it.
    pub stream: Option<[&'static str; 2]>,
    /// After the last block.
    pub output: Option<&'static str>,
}

/// How the branches of a block join the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// Attention first; the feed-forward branch sees its result.
    Sequential,
    /// Both branches see the block's input.
    Parallel,
    /// Parallel if this boolean key says so.
    ParallelIf(&'static str),
    /// Parallel in files without the norm before the feed-forward branch.
    ParallelWithoutFfnNorm,
}

/// Whether something stands in a model's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Never; if it is there it is surplus.
    Never,
    /// Used when it is there.
    Optional,
    /// Missing is an error.
    Always,
}

/// Biases per projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// Of every norm in [`NormPlaces`].
    pub norms: Presence,
    /// Of the query, key and value projections.
    pub qkv: Presence,
    /// Of the attention's output projection.
    pub attention_output: Presence,
    /// Of the feed-forward projections.
    pub ffn: Presence,
    /// Of the feed-forward branch's last projection.
    pub ffn_down: Presence,
    /// Of the router and the experts.
    pub experts: Presence,
    /// Of the projection to logits.
    pub output: Presence,
}

/// Norm of queries and keys before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    Never,
    /// Each head by itself, with one gain for all heads; with [`Norm::Layer`] also with one per head, as the file has it.
    PerHead(Norm, Presence),
    /// All heads of a token together.
    Whole,
    /// Each head by itself, without gains, on layers that rotate; not in the model with this many experts.
    Weightless {
        /// Experts of the model without it.
        but_with_experts: usize,
    },
}

/// What `rope.scaling.yarn_log_multiplier` does to YaRN's magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YarnMultiplier {
    /// It is not read.
    Unread,
    /// It moves the magnitude from the rotation to the attention's scale.
    Moves,
    /// The rotation's magnitude is divided by that of the multiplier; the scale has the whole, with the key or without.
    Divides,
}

/// How positions enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Rotation of queries and keys.
    Rope(PairOrder),
    /// A learned vector per position is added to the embedding.
    Learned,
    /// A penalty on the distance, per head.
    Alibi,
    /// Not at all: the order of tokens shows in what they may see.
    Unseen,
}

/// Which layers rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeLayers {
    /// All of them.
    All,
    /// None of them.
    Never,
    /// Only those with a sliding window.
    Windowed,
    /// All but every n-th.
    AllButEvery(usize),
    /// All but the first of every n layers; all in a model of n layers.
    AllButFirstOf(usize),
    /// Those with a sliding window, or all in a model without windows.
    WindowedIfAny,
    /// Those with a sliding window, and the leading dense ones of a mixture of experts.
    WindowedOrDense,
}

/// Which layers have a sliding window, where the file has no `attention.sliding_window_pattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// None, whatever the file says.
    Never,
    /// All.
    Every,
    /// All but every n-th.
    LastFull(usize),
    /// All but the first of every n.
    FirstFull(usize),
    /// As `LastFull`, in a model with this many layers only.
    LastFullIf {
        /// Layers of the model that is meant.
        layers: usize,
        /// The n.
        period: usize,
    },
    /// None: the file says it.
    Listed,
}

/// What gates the heads' values before attention's output projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionGate {
    /// Nothing.
    None,
    /// The sigmoid of the second half of every head of the query projection.
    InQuery,
    /// The sigmoid of a projection `attn_gate`: one number per value, or one per head, as the file has it.
    Own,
}

/// Whose keys and values a layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedKv {
    /// Its own.
    Never,
    /// The last `attention.shared_kv_layers` read those of the last layer of their kind before them.
    Last,
    /// The same for the layers from this one on.
    From(usize),
}

/// A recurrent state beside or instead of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// What it is.
    pub kind: StateKind,
    /// Which layers have it.
    pub layers: StateLayers,
}

/// The kinds of recurrent state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// Gated delta net (arXiv:2412.06464).
    DeltaNet {
        /// Value heads of one key head stand together, else they take turns.
        grouped: bool,
    },
    /// Kimi Delta Attention (arXiv:2510.26692): a decay per key dimension.
    KeyDelta,
    /// Mamba 2 (arXiv:2405.21060).
    Mamba2 {
        /// Whether its result is normed, group by group.
        norm: Presence,
    },
    /// Mamba (arXiv:2312.00752).
    Mamba,
    /// A short convolution between two gates (LFM2).
    ShortConvolution,
    /// RWKV 7 (arXiv:2503.14456), which takes the place of the feed-forward branch as well.
    Rwkv7,
}

/// Which layers have a recurrent state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateLayers {
    /// All, beside attention where there is any.
    All,
    /// Those without key and value heads.
    WithoutKeys,
    /// All but every n-th (`full_attention_interval`, 4 if missing), or those of `attention.recurrent_layers`; they
    /// have no attention.
    Interval,
}

/// How keys and values come out of a latent vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latent {
    /// There is none: they are projected.
    Never,
    /// The latent vector is cached, and queries are brought to it.
    Absorbed,
    /// Heads are unpacked and cached.
    Unpacked,
}

/// Growth of the queries with the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temperature {
    /// None.
    Never,
    /// `attention.temperature_scale`, by steps of `attention.temperature_length` or the original context.
    Keys,
    /// By 0.1 every so many positions, counted from 1, on layers that do not rotate.
    UnrotatedLayers(u32),
}

/// The rotation of layers with a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowRope {
    /// As in every other layer.
    Same,
    /// The same base without scaling.
    Unscaled,
    /// Base from `rope.freq_base_swa` (10,000 if missing), without scaling.
    OwnBase,
    /// As `OwnBase`; layers without a window rotate half as many values.
    OwnBaseHalfElsewhere,
}

/// Where the factor on the attention scores comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionScale {
    /// `1 / sqrt(head_dim)`.
    HeadDim,
    /// `1 / sqrt(hidden / heads)` for the model with this many layers, else as `HeadDim`.
    HiddenPerHead {
        /// Layers of the model that is meant.
        layers: usize,
    },
    /// The key `attention.scale`; `1 / sqrt(head_dim)` where it is missing or 0.
    Key,
    /// The key `attention.output_scale`; `1 / sqrt(head_dim)` where it is missing or 0.
    OutputKey,
    /// None: scores are taken as they are.
    One,
}

/// Values of `attn_logit_softcapping` and `final_logit_softcapping` for files that lack the keys; `None`: no cap then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softcaps {
    /// For the scores of attention.
    pub attention: Option<f32>,
    /// For the logits.
    pub logits: Option<f32>,
}

/// The feed-forward branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ffn {
    /// The function between the projections.
    pub activation: Gate,
    /// Whether a second projection is multiplied with the activated one.
    pub gate: FfnGate,
}

/// Whether and how the feed-forward branch is gated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FfnGate {
    /// `down(act(up x))`.
    None,
    /// `down(act(gate x) * up x)` with two tensors.
    Split,
    /// The same with one tensor: the first half of its rows is the gate.
    Fused,
}

/// The function of the feed-forward branch where the file has numbers for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateNumbers {
    /// It has none.
    Never,
    /// The four keys of xIELU, one value per layer or one for all.
    Xielu,
    /// `swiglu_clamp_exp` and `swiglu_clamp_shexp`: bounds per layer, for experts and plain branches.
    Clamps,
}

/// The mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moe {
    /// Which layers have it.
    pub layers: MoeLayers,
    /// How router logits become weights, for files without `expert_gating_func`.
    pub scoring: Scoring,
    /// Whether the chosen weights are divided by their sum, for files without `expert_weights_norm`.
    pub normalise: bool,
    /// A bias on the scores that counts for the choice only (`exp_probs_b`).
    pub selection_bias: Presence,
    /// What makes a group of experts the best, where they form groups.
    pub group_score: GroupScore,
    /// The function inside an expert; `None`: as in a plain branch.
    pub activation: Option<Gate>,
    /// Whether experts have a gate.
    pub gated: bool,
    /// Experts are as wide as `feed_forward_length` says, whatever `expert_feed_forward_length` says.
    pub plain_width: bool,
    /// The router sees the block's input instead of the branch's.
    pub routes_block_input: bool,
    /// A route's weight multiplies what goes into the expert, not what comes out.
    pub weighs_input: bool,
    /// Experts work on a narrower vector (`moe_latent_size`), if the file says so.
    pub latent: bool,
    /// The expert that serves every token.
    pub shared: SharedExpert,
    /// Factor on the sum of the chosen experts and the one that serves every token.
    pub sum_scale: f32,
}

impl Moe {
    /// Softmax over all experts, the chosen weights renormalised, on every layer from the leading dense ones on.
    pub(crate) const SOFTMAX: Self = Self {
        layers: MoeLayers::FromDense,
        scoring: Scoring::Softmax,
        normalise: true,
        selection_bias: Presence::Never,
        group_score: GroupScore::BestTwo,
        activation: None,
        gated: true,
        plain_width: false,
        routes_block_input: false,
        weighs_input: false,
        latent: false,
        shared: SharedExpert::None,
        sum_scale: 1.0,
    };
    /// Sigmoid with a bias for the choice, renormalised: DeepSeek V3 and who followed it.
    pub(crate) const SIGMOID: Self =
        Self { scoring: Scoring::Sigmoid, selection_bias: Presence::Optional, ..Self::SOFTMAX };
    /// The same, renormalised only if the file says so.
    pub(crate) const SIGMOID_BY_KEY: Self = Self { normalise: false, ..Self::SIGMOID };
}

/// Which layers have a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoeLayers {
    /// All from `leading_dense_block_count` on.
    FromDense,
    /// Of those, every n-th: `interleave_moe_layer_step`.
    Interleaved,
    /// Of every `moe_every_n_layers`, the second.
    SecondOfEvery,
    /// Those that have a router.
    WithRouter,
}

/// The expert that serves every token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedExpert {
    /// There is none.
    None,
    /// Width `expert_shared_feed_forward_length`; its output is weighted by a sigmoid of its own.
    Gated,
    /// `expert_shared_count` experts as one matrix.
    Plain,
    /// Width `expert_shared_feed_forward_length`; none if the file does not say it.
    Width,
    /// `expert_shared_count` times that width, or an expert's.
    WidthTimesCount,
    /// One, as wide as an expert.
    One,
    /// A plain feed-forward branch, where the file has one beside the experts.
    Branch,
}

/// The width of the embedding that every block adds: `embedding_length_per_layer_input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerLayer {
    /// Blocks add none.
    Never,
    /// What the key says; none without it.
    Key,
    /// What the key says, or this.
    KeyOr(usize),
}

/// Parallel streams, of which blocks run on the first (AltUp), with a projection of low rank beside attention and a sparse
/// function in the first feed-forward branches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Streams {
    /// Streams in all.
    pub count: usize,
    /// Rank of the projection beside attention.
    pub rank: usize,
    /// Leading blocks whose feed-forward gate keeps only what is large.
    pub sparse_layers: usize,
    /// What that is: so many standard deviations above the mean.
    pub deviations: f32,
}

/// Factor on the embeddings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EmbeddingScale {
    /// None.
    One,
    /// The square root of the width.
    SqrtHidden,
    /// The key `embedding_scale`, or this.
    KeyOr(f32),
    /// Always this.
    Fixed(f32),
}

/// Factor on both branches of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResidualScale {
    /// None.
    One,
    /// The key `residual_scale`, or none.
    Key,
    /// The key, or this divided by the square root of the layers.
    KeyOrDepth(f32),
    /// This divided by the square root of the layers.
    Depth(f32),
}

/// How a reranker's head reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The first token's vector, in a decoder the last one's; tanh behind the first matrix.
    End,
    /// The mean of all, or the first token's if `classifier.pooling_type` says so; GELU behind the first matrix.
    Key,
}

/// What the key `logit_scale` does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogitScale {
    /// It is not read.
    Unused,
    /// Logits are multiplied with it.
    Multiply,
    /// Logits are divided by it.
    Divide,
    /// Logits are divided by it, if the file has it.
    DivideOrOne,
    /// Logits are divided by it; without it, by the width divided by this.
    DivideOrWidth(f32),
    /// Logits are divided by the width divided by this; the key is not read.
    Width(f32),
}

impl NormPlaces {
    /// Norms before both branches and after the last block: most decoders.
    pub(crate) const BEFORE: Self = Self {
        embedding: None,
        before_attention: Some("attn_norm"),
        identity_first: false,
        attention_only: None,
        inside_attention: None,
        after_attention: None,
        before_ffn: Some("ffn_norm"),
        inside_ffn: None,
        after_ffn: None,
        after_ffn_otherwise: None,
        stream: None,
        output: Some("output_norm"),
    };
}

impl Biases {
    pub(crate) const fn all(presence: Presence) -> Self {
        Self {
            norms: presence,
            qkv: presence,
            attention_output: presence,
            ffn: presence,
            ffn_down: presence,
            experts: Presence::Never,
            output: Presence::Never,
        }
    }
}
