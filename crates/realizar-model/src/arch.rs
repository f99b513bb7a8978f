//! The architectures as data: one [`ArchFacts`] each, nothing else.
//!
//! Whatever differs between transformers is a field here, and the one forward pass reads it. An architecture is a
//! constant in a file of its own; [`ARCHITECTURES`] lists them. Facts that a model file states in numbers (widths,
//! counts, bases) are not here but in [`crate::Config`].

pub(crate) mod bert;
pub(crate) mod cohere2;
pub(crate) mod command_r;
pub(crate) mod deepseek2;
pub(crate) mod exaone;
pub(crate) mod falcon;
pub(crate) mod gemma;
pub(crate) mod gemma2;
pub(crate) mod gemma3;
pub(crate) mod glm4;
pub(crate) mod gpt2;
pub(crate) mod gpt_oss;
pub(crate) mod gptneox;
pub(crate) mod granite;
pub(crate) mod internlm2;
pub(crate) mod jina_bert_v2;
pub(crate) mod llama;
pub(crate) mod mistral3;
pub(crate) mod nomic_bert;
pub(crate) mod olmo2;
pub(crate) mod phi2;
pub(crate) mod phi3;
pub(crate) mod qwen2;
pub(crate) mod qwen2moe;
pub(crate) mod qwen3;
pub(crate) mod qwen3moe;
pub(crate) mod smollm3;
pub(crate) mod stablelm;
pub(crate) mod starcoder2;

use realizar_tensor::{Gate, PairOrder, Scoring};

/// Every architecture that this crate runs, in the order of their names.
pub const ARCHITECTURES: &[&ArchFacts] = &[
    &bert::FACTS,
    &cohere2::FACTS,
    &command_r::FACTS,
    &deepseek2::FACTS,
    &exaone::FACTS,
    &falcon::FACTS,
    &gemma::FACTS,
    &gemma2::FACTS,
    &gemma3::FACTS,
    &glm4::FACTS,
    &gpt_oss::FACTS,
    &gpt2::FACTS,
    &gptneox::FACTS,
    &granite::FACTS,
    &internlm2::FACTS,
    &jina_bert_v2::FACTS,
    &llama::FACTS,
    &mistral3::FACTS,
    &nomic_bert::FACTS,
    &olmo2::FACTS,
    &phi2::FACTS,
    &phi3::FACTS,
    &qwen2::FACTS,
    &qwen2moe::FACTS,
    &qwen3::FACTS,
    &qwen3moe::FACTS,
    &smollm3::FACTS,
    &stablelm::FACTS,
    &starcoder2::FACTS,
];

/// What distinguishes one architecture from the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArchFacts {
    /// `general.architecture`, which is also the prefix of the metadata keys.
    pub name: &'static str,
    /// Whether tokens see only what came before them.
    pub role: Role,
    /// The norm of every place in [`NormPlaces`].
    pub norm: Norm,
    /// Where norms stand and what their tensors are called.
    pub norms: NormPlaces,
    /// How the two branches of a block join the stream.
    pub residual: Residual,
    /// Which projections have biases.
    pub biases: Biases,
    /// Norm of queries and keys before they are rotated.
    pub qk_norm: QkNorm,
    /// How a token's position enters.
    pub position: Position,
    /// Which layers rotate queries and keys.
    pub rope_layers: RopeLayers,
    /// The rotation of layers with a sliding window.
    pub window_rope: WindowRope,
    /// `rope.scaling.yarn_log_multiplier` moves YaRN's magnitude from the rotation to the attention's scale.
    pub yarn_log_multiplier: bool,
    /// Full attention on every n-th layer and a sliding window on the others; 0: no layer has a window.
    pub window_period: usize,
    /// Where the factor on the attention scores comes from.
    pub attention_scale: AttentionScale,
    /// Soft caps on attention scores and logits, where the file does not state them; `None`: there are no caps.
    pub softcaps: Option<Softcaps>,
    /// A learned logit per head that takes weight from the values (`attn_sinks`).
    pub sinks: bool,
    /// Queries grow with the logarithm of the position (`attention.temperature_scale`).
    pub query_temperature: bool,
    /// Keys and values are kept as one low-rank latent vector.
    pub latent_attention: bool,
    /// The feed-forward branch.
    pub ffn: Ffn,
    /// The mixture of experts, for architectures that can have one.
    pub moe: Option<Moe>,
    /// Factor on the embeddings.
    pub embedding_scale: EmbeddingScale,
    /// A row of `token_types.weight` is added to every embedding.
    pub token_types: bool,
    /// `residual_scale` multiplies both branches.
    pub residual_scale: bool,
    /// What `logit_scale` does.
    pub logit_scale: LogitScale,
}

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
    /// When the file has it: the norm for attention, while `before_attention` serves the feed-forward branch.
    pub attention_only: Option<&'static str>,
    /// On the output of attention, before it joins the stream.
    pub after_attention: Option<&'static str>,
    /// On the input of the feed-forward branch.
    pub before_ffn: Option<&'static str>,
    /// On the output of the feed-forward branch, before it joins the stream.
    pub after_ffn: Option<&'static str>,
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
    /// Each head by itself; one gain for all heads, or one per head, as the file has it.
    PerHead(Norm, Presence),
    /// All heads of a token together.
    Whole,
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
}

/// Which layers rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeLayers {
    /// All of them.
    All,
    /// Only those with a sliding window.
    Windowed,
    /// All but every n-th.
    AllButEvery(usize),
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
}

/// Values of `attn_logit_softcapping` and `final_logit_softcapping` for files that lack the keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softcaps {
    /// For the scores of attention.
    pub attention: f32,
    /// For the logits.
    pub logits: f32,
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

/// The mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moe {
    /// How router logits become weights, for files without `expert_gating_func`.
    pub scoring: Scoring,
    /// Whether the chosen weights are divided by their sum, for files without `expert_weights_norm`.
    pub normalise: bool,
    /// A bias on the scores that counts for the choice only (`exp_probs_b`).
    pub selection_bias: Presence,
    /// The expert that serves every token.
    pub shared: SharedExpert,
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
}

/// Factor on the embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingScale {
    /// None.
    One,
    /// The square root of the width.
    SqrtHidden,
    /// The key `embedding_scale`.
    Key,
}

/// What the key `logit_scale` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitScale {
    /// It is not read.
    Unused,
    /// Logits are multiplied with it.
    Multiply,
    /// Logits are divided by it.
    Divide,
}

impl ArchFacts {
    /// The architecture with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().copied().find(|facts| facts.name == name)
    }
}

impl NormPlaces {
    /// Norms before both branches and after the last block: most decoders.
    pub(crate) const BEFORE: Self = Self {
        embedding: None,
        before_attention: Some("attn_norm"),
        attention_only: None,
        after_attention: None,
        before_ffn: Some("ffn_norm"),
        after_ffn: None,
        stream: None,
        output: Some("output_norm"),
    };
}

impl Biases {
    const fn all(presence: Presence) -> Self {
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

/// The plainest decoder; the entries below say where they leave it.
const PLAIN: ArchFacts = ArchFacts {
    name: "",
    role: Role::Decoder,
    norm: Norm::Rms,
    norms: NormPlaces::BEFORE,
    residual: Residual::Sequential,
    biases: Biases::all(Presence::Never),
    qk_norm: QkNorm::Never,
    position: Position::Rope(PairOrder::Adjacent),
    rope_layers: RopeLayers::All,
    window_rope: WindowRope::Same,
    yarn_log_multiplier: false,
    window_period: 0,
    attention_scale: AttentionScale::HeadDim,
    softcaps: None,
    sinks: false,
    query_temperature: false,
    latent_attention: false,
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Split },
    moe: None,
    embedding_scale: EmbeddingScale::One,
    token_types: false,
    residual_scale: false,
    logit_scale: LogitScale::Unused,
};

#[cfg(test)]
mod tests {
    use super::{ARCHITECTURES, ArchFacts};

    #[test]
    fn names_are_sorted_and_found() {
        for pair in ARCHITECTURES.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for facts in ARCHITECTURES {
            assert_eq!(ArchFacts::find(facts.name), Some(*facts));
        }
        assert_eq!(ArchFacts::find("Llama"), None);
    }
}
