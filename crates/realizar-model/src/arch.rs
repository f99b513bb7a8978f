//! The architectures as data: one [`ArchFacts`] each, nothing else.
//!
//! Whatever differs between transformers is a field here, and the one forward pass reads it. An architecture is a
//! constant in a file of its own; [`ARCHITECTURES`] lists them. Facts that a model file states in numbers (widths,
//! counts, bases) are not here but in [`crate::Config`].

pub(crate) mod afmoe;
pub(crate) mod apertus;
pub(crate) mod arcee;
pub(crate) mod bailingmoe2;
pub(crate) mod bert;
pub(crate) mod bitnet;
pub(crate) mod bloom;
pub(crate) mod chatglm;
pub(crate) mod codeshell;
pub(crate) mod cohere2;
pub(crate) mod cohere2moe;
pub(crate) mod command_r;
pub(crate) mod dbrx;
pub(crate) mod deepseek2;
pub(crate) mod deepseek32;
pub(crate) mod dots1;
pub(crate) mod ernie4_5;
pub(crate) mod ernie4_5_moe;
pub(crate) mod eurobert;
pub(crate) mod exaone;
pub(crate) mod exaone4;
pub(crate) mod exaone_moe;
pub(crate) mod falcon;
pub(crate) mod falcon_h1;
pub(crate) mod gemma;
pub(crate) mod gemma2;
pub(crate) mod gemma3;
pub(crate) mod gemma3n;
pub(crate) mod gemma4;
pub(crate) mod gemma_embedding;
pub(crate) mod glm4;
pub(crate) mod glm4moe;
pub(crate) mod gpt2;
pub(crate) mod gpt_oss;
pub(crate) mod gptneox;
pub(crate) mod granite;
pub(crate) mod granitehybrid;
pub(crate) mod granitemoe;
pub(crate) mod grok;
pub(crate) mod hunyuan_dense;
pub(crate) mod hunyuan_moe;
pub(crate) mod internlm2;
pub(crate) mod jamba;
pub(crate) mod jina_bert_v2;
pub(crate) mod jina_bert_v3;
pub(crate) mod kimi_linear;
mod kinds;
pub(crate) mod lfm2;
pub(crate) mod lfm2moe;
pub(crate) mod llama;
pub(crate) mod llama4;
pub(crate) mod llama_embed;
pub(crate) mod mamba;
pub(crate) mod mamba2;
pub(crate) mod mimo2;
pub(crate) mod minicpm;
pub(crate) mod minicpm3;
pub(crate) mod minimax_m2;
mod missing;
pub(crate) mod mistral3;
pub(crate) mod mistral4;
pub(crate) mod modern_bert;
pub(crate) mod mpt;
pub(crate) mod nemotron;
pub(crate) mod nemotron_h;
pub(crate) mod nemotron_h_moe;
pub(crate) mod neo_bert;
pub(crate) mod nomic_bert;
pub(crate) mod nomic_bert_moe;
pub(crate) mod olmo2;
pub(crate) mod olmoe;
pub(crate) mod orion;
pub(crate) mod phi2;
pub(crate) mod phi3;
pub(crate) mod qwen2;
pub(crate) mod qwen2moe;
pub(crate) mod qwen2vl;
pub(crate) mod qwen3;
pub(crate) mod qwen35;
pub(crate) mod qwen35moe;
pub(crate) mod qwen3moe;
pub(crate) mod qwen3next;
pub(crate) mod qwen3vl;
pub(crate) mod qwen3vlmoe;
pub(crate) mod rwkv7;
pub(crate) mod seed_oss;
pub(crate) mod smallthinker;
pub(crate) mod smollm3;
pub(crate) mod stablelm;
pub(crate) mod starcoder;
pub(crate) mod starcoder2;
pub(crate) mod step35;
pub(crate) mod xverse;

use realizar_tensor::{Gate, PairOrder};

pub(crate) use self::missing::MISSING;

pub use self::kinds::{
    AttentionGate, AttentionScale, Biases, EmbeddingScale, Ffn, FfnGate, GateNumbers, Latent, LogitScale,
    Moe, MoeLayers, Norm, NormPlaces, PerLayer, Position, Presence, QkNorm, Rank, Residual, ResidualScale,
    Role, RopeLayers, SharedExpert, SharedKv, Softcaps, State, StateKind, StateLayers, Streams, Temperature,
    WindowRope, Windows, YarnMultiplier,
};

/// Every architecture that this crate runs, in the order of their names.
pub const ARCHITECTURES: &[&ArchFacts] = &[
    &afmoe::FACTS,
    &apertus::FACTS,
    &arcee::FACTS,
    &bailingmoe2::FACTS,
    &bert::FACTS,
    &bitnet::FACTS,
    &bloom::FACTS,
    &chatglm::FACTS,
    &codeshell::FACTS,
    &cohere2::FACTS,
    &cohere2moe::FACTS,
    &command_r::FACTS,
    &dbrx::FACTS,
    &deepseek2::FACTS,
    &deepseek32::FACTS,
    &dots1::FACTS,
    &ernie4_5::FACTS,
    &ernie4_5_moe::FACTS,
    &eurobert::FACTS,
    &exaone::FACTS,
    &exaone_moe::FACTS,
    &exaone4::FACTS,
    &falcon::FACTS,
    &falcon_h1::FACTS,
    &gemma::FACTS,
    &gemma_embedding::FACTS,
    &gemma2::FACTS,
    &gemma3::FACTS,
    &gemma3n::FACTS,
    &gemma4::FACTS,
    &glm4::FACTS,
    &glm4moe::FACTS,
    &gpt_oss::FACTS,
    &gpt2::FACTS,
    &gptneox::FACTS,
    &granite::FACTS,
    &granitehybrid::FACTS,
    &granitemoe::FACTS,
    &grok::FACTS,
    &hunyuan_dense::FACTS,
    &hunyuan_moe::FACTS,
    &internlm2::FACTS,
    &jamba::FACTS,
    &jina_bert_v2::FACTS,
    &jina_bert_v3::FACTS,
    &kimi_linear::FACTS,
    &lfm2::FACTS,
    &lfm2moe::FACTS,
    &llama::FACTS,
    &llama_embed::FACTS,
    &llama4::FACTS,
    &mamba::FACTS,
    &mamba2::FACTS,
    &mimo2::FACTS,
    &minicpm::FACTS,
    &minicpm3::FACTS,
    &minimax_m2::FACTS,
    &mistral3::FACTS,
    &mistral4::FACTS,
    &modern_bert::FACTS,
    &mpt::FACTS,
    &nemotron::FACTS,
    &nemotron_h::FACTS,
    &nemotron_h_moe::FACTS,
    &neo_bert::FACTS,
    &nomic_bert::FACTS,
    &nomic_bert_moe::FACTS,
    &olmo2::FACTS,
    &olmoe::FACTS,
    &orion::FACTS,
    &phi2::FACTS,
    &phi3::FACTS,
    &qwen2::FACTS,
    &qwen2moe::FACTS,
    &qwen2vl::FACTS,
    &qwen3::FACTS,
    &qwen35::FACTS,
    &qwen35moe::FACTS,
    &qwen3moe::FACTS,
    &qwen3next::FACTS,
    &qwen3vl::FACTS,
    &qwen3vlmoe::FACTS,
    &rwkv7::FACTS,
    &seed_oss::FACTS,
    &smallthinker::FACTS,
    &smollm3::FACTS,
    &stablelm::FACTS,
    &starcoder::FACTS,
    &starcoder2::FACTS,
    &step35::FACTS,
    &xverse::FACTS,
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
    /// A file with the other norm's epsilon alone has that norm.
    pub norm_by_key: bool,
    /// The other norm's epsilon serves in a file with that alone.
    pub either_epsilon: bool,
    /// Where norms stand and what their tensors are called.
    pub norms: NormPlaces,
    /// How the two branches of a block join the stream.
    pub residual: Residual,
    /// A layer has one branch only: attention, a state, or feed-forward; the norm before it is attention's.
    pub one_branch: bool,
    /// Which projections have biases.
    pub biases: Biases,
    /// Norm of queries and keys before they are rotated.
    pub qk_norm: QkNorm,
    /// That norm comes after the rotation.
    pub qk_norm_last: bool,
    /// How a token's position enters.
    pub position: Position,
    /// Which layers rotate queries and keys.
    pub rope_layers: RopeLayers,
    /// The rotation of layers with a sliding window.
    pub window_rope: WindowRope,
    /// What `rope.scaling.yarn_log_multiplier` does.
    pub yarn_log_multiplier: YarnMultiplier,
    /// Halves rotate in files that cut the rotated dimensions into sections, of which text needs none.
    pub sections_turn_halves: bool,
    /// Layers do not rotate in files whose `rope.scaling.finetuned` is false.
    pub rope_if_finetuned: bool,
    /// The rotation's base is raised by `rope.scaling.alpha`.
    pub rope_alpha: bool,
    /// Which layers have a sliding window.
    pub windows: Windows,
    /// The width of every window, if the file has any.
    pub window_width: Option<u32>,
    /// Layers that rotate see only the keys of their own stretch of this many positions.
    pub stretch: Option<u32>,
    /// Where the factor on the attention scores comes from.
    pub attention_scale: AttentionScale,
    /// Soft caps on attention scores and logits, where the file does not state them; `None`: there are no caps.
    pub softcaps: Option<Softcaps>,
    /// A learned logit per head that takes weight from the values (`attn_sinks`).
    pub sinks: Presence,
    /// Queries grow with the logarithm of the position.
    pub temperature: Temperature,
    /// Values are normed head by head, without gains.
    pub value_norm: bool,
    /// Keys, before their norm, are the values of layers without a projection of values.
    pub keys_serve: bool,
    /// Whose keys and values a layer reads.
    pub shared_kv: SharedKv,
    /// A recurrent state.
    pub state: Option<State>,
    /// What gates the heads' values.
    pub attention_gate: AttentionGate,
    /// `attention.clamp_kqv` bounds queries, keys and values.
    pub clamp_qkv: bool,
    /// `attention.value_scale` multiplies the attention branch.
    pub value_scale: bool,
    /// Whether keys and values come out of a low-rank latent vector.
    pub latent: Latent,
    /// Attention reads the keys that an indexer chooses, whose heads rotate these pairs; beside [`Latent::Absorbed`] only.
    pub indexer: Option<PairOrder>,
    /// The feed-forward branch.
    pub ffn: Ffn,
    /// Its function, where the file has numbers for it.
    pub gate_numbers: GateNumbers,
    /// The mixture of experts, for architectures that can have one.
    pub moe: Option<Moe>,
    /// Factor on the embeddings.
    pub embedding_scale: EmbeddingScale,
    /// A row of `token_types.weight` is added to every embedding.
    pub token_types: bool,
    /// Every block adds an embedding of its own.
    pub per_layer: PerLayer,
    /// Streams beside the one that blocks run on.
    pub streams: Option<Streams>,
    /// `layer_output_scale` multiplies the stream after each block, where the file has it.
    pub block_scale: bool,
    /// Factor on both branches.
    pub residual_scale: ResidualScale,
    /// How a reranker's head reads the text.
    pub rank: Rank,
    /// What `logit_scale` does.
    pub logit_scale: LogitScale,
}

impl ArchFacts {
    /// Whether its layers keep a state and nothing else.
    pub(crate) fn never_attends(&self) -> bool {
        self.one_branch && self.state.is_some_and(|state| state.layers == StateLayers::All)
    }

    /// The architecture with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().copied().find(|facts| facts.name == name)
    }
}

/// The plainest decoder; the entries below say where they leave it.
const PLAIN: ArchFacts = ArchFacts {
    name: "",
    role: Role::Decoder,
    norm: Norm::Rms,
    norm_by_key: false,
    either_epsilon: false,
    norms: NormPlaces::BEFORE,
    residual: Residual::Sequential,
    one_branch: false,
    biases: Biases { qkv: Presence::Optional, ..Biases::all(Presence::Never) },
    qk_norm: QkNorm::Never,
    qk_norm_last: false,
    position: Position::Rope(PairOrder::Adjacent),
    rope_layers: RopeLayers::All,
    window_rope: WindowRope::Same,
    yarn_log_multiplier: YarnMultiplier::Unread,
    sections_turn_halves: false,
    rope_if_finetuned: false,
    rope_alpha: false,
    windows: Windows::Never,
    window_width: None,
    stretch: None,
    attention_scale: AttentionScale::HeadDim,
    softcaps: None,
    sinks: Presence::Never,
    temperature: Temperature::Never,
    value_norm: false,
    keys_serve: false,
    shared_kv: SharedKv::Never,
    state: None,
    attention_gate: AttentionGate::None,
    clamp_qkv: false,
    value_scale: false,
    latent: Latent::Never,
    indexer: None,
    ffn: Ffn { activation: Gate::Silu, gate: FfnGate::Split },
    gate_numbers: GateNumbers::Never,
    moe: None,
    embedding_scale: EmbeddingScale::One,
    token_types: false,
    per_layer: PerLayer::Never,
    streams: None,
    block_scale: false,
    residual_scale: ResidualScale::One,
    rank: Rank::End,
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
        for (name, what) in super::MISSING {
            assert_eq!(ArchFacts::find(name), None, "{name} runs: {what}");
        }
    }
}
