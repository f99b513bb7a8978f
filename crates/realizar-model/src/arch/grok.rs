//! Grok 1 and 2: capped scores, norms around both branches, in Grok 2 a plain branch beside the experts.

use realizar_tensor::{Gate, PairOrder};

use super::{
    ArchFacts, AttentionScale, EmbeddingScale, Ffn, FfnGate, LogitScale, Moe, NormPlaces, PLAIN, Position,
    SharedExpert, Softcaps,
};

pub(crate) const FACTS: ArchFacts = ArchFacts {
    name: "grok",
    norms: NormPlaces {
        after_attention: Some("attn_output_norm"),
        after_ffn: Some("post_ffw_norm"),
        after_ffn_otherwise: Some("layer_output_norm"),
        ..NormPlaces::BEFORE
    },
    position: Position::Rope(PairOrder::Halves),
    attention_scale: AttentionScale::OutputKey,
    softcaps: Some(Softcaps { attention: Some(30.0), logits: None }),
    ffn: Ffn { activation: Gate::GeluTanh, gate: FfnGate::Split },
    moe: Some(Moe {
        shared: SharedExpert::Branch,
        sum_scale: std::f32::consts::FRAC_1_SQRT_2,
        ..Moe::SOFTMAX
    }),
    embedding_scale: EmbeddingScale::KeyOr(1.0),
    logit_scale: LogitScale::Multiply,
    ..PLAIN
};
