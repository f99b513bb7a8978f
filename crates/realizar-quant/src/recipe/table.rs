//! The recipes: what users know as `Q4_K_M` and the like.
//!
//! A rule gives a type to one part of the model where all its conditions hold; the first that fits wins, and what no
//! rule names gets the base type. The choices are llama-quantize's of October 2026.

use super::{If, Part, Recipe, Rule};
use crate::dtype::DType;

const NF: If = If::WideHead(false);
const E8: If = If::EightExperts;

const fn rule(part: Part, when: &'static [If], dtype: DType) -> Rule {
    Rule { part, when, dtype }
}

/// Of every recipe that gives more bits to the attention's output of models with eight experts.
const OUT_E8: Rule = rule(Part::AttentionOutput, &[NF, E8], DType::Q5_K);

const fn recipe(name: &'static str, file_type: u32, base: DType, rules: &'static [Rule]) -> Recipe {
    Recipe { name, file_type, base, rules, very_low: false }
}

/// The recipes below 3 bits, whose common choices differ.
const fn very_low(name: &'static str, file_type: u32, base: DType, rules: &'static [Rule]) -> Recipe {
    Recipe { name, file_type, base, rules, very_low: true }
}

const IQ1: &[Rule] = &[
    rule(Part::Output, &[], DType::Q5_K),
    rule(Part::Embedding, &[], DType::Q2_K),
    rule(Part::Value, &[If::SharedHeadsOrExperts], DType::Q4_K),
    rule(Part::Value, &[], DType::Q2_K),
    rule(Part::Down, &[If::First(8)], DType::Q2_K),
    rule(Part::AttentionOutput, &[E8], DType::Q5_K),
    rule(Part::AttentionOutput, &[], DType::IQ2_XXS),
];
const IQ2_X: &[Rule] = &[
    rule(Part::Output, &[], DType::Q5_K),
    rule(Part::Embedding, &[], DType::Q2_K),
    rule(Part::Value, &[If::SharedHeadsOrExperts], DType::Q4_K),
    rule(Part::Value, &[], DType::Q2_K),
    rule(Part::Down, &[If::First(8)], DType::Q2_K),
    rule(Part::AttentionOutput, &[E8], DType::Q5_K),
];
const IQ2_SM: &[Rule] = &[
    rule(Part::Output, &[], DType::Q5_K),
    rule(Part::Embedding, &[], DType::IQ3_S),
    rule(Part::Value, &[If::SharedHeadsOrExperts], DType::Q4_K),
    rule(Part::Value, &[], DType::IQ3_S),
    rule(Part::Down, &[If::First(8)], DType::IQ3_S),
    rule(Part::AttentionOutput, &[E8], DType::Q5_K),
    rule(Part::AttentionOutput, &[], DType::IQ3_S),
];
const TERNARY: &[Rule] = &[rule(Part::Embedding, &[], DType::Q4_K)];
const IQ4: &[Rule] = &[
    rule(Part::Value, &[If::SharedHeads], DType::Q5_K),
    rule(Part::Down, &[If::First(8), If::Importance(false)], DType::Q5_K),
    OUT_E8,
];

/// Every recipe, in the order of a help text: fewest bits first.
pub(super) const RECIPES: &[Recipe] = &[
    recipe("Q1_0", 40, DType::Q1_0, &[]),
    very_low("IQ1_S", 24, DType::IQ1_S, IQ1),
    very_low("IQ1_M", 31, DType::IQ1_M, IQ1),
    recipe("TQ1_0", 36, DType::TQ1_0, TERNARY),
    recipe("TQ2_0", 37, DType::TQ2_0, TERNARY),
    recipe("Q2_0", 41, DType::Q2_0, TERNARY),
    very_low("IQ2_XXS", 19, DType::IQ2_XXS, IQ2_X),
    very_low("IQ2_XS", 20, DType::IQ2_XS, IQ2_X),
    very_low("IQ2_S", 28, DType::IQ2_XS, IQ2_SM),
    very_low("IQ2_M", 29, DType::IQ2_S, IQ2_SM),
    recipe(
        "Q2_K_S",
        21,
        DType::Q2_K,
        &[rule(Part::Value, &[If::SharedHeads], DType::Q4_K), rule(Part::Down, &[If::First(8)], DType::Q4_K)],
    ),
    recipe(
        "Q2_K",
        10,
        DType::Q2_K,
        &[
            rule(Part::Value, &[If::SharedHeads], DType::Q4_K),
            rule(Part::Value, &[], DType::Q3_K),
            rule(Part::Down, &[], DType::Q3_K),
            OUT_E8,
            rule(Part::AttentionOutput, &[NF], DType::Q3_K),
        ],
    ),
    recipe(
        "IQ3_XXS",
        23,
        DType::IQ3_XXS,
        &[
            rule(Part::Output, &[], DType::Q5_K),
            rule(Part::Embedding, &[], DType::IQ3_S),
            rule(Part::Value, &[If::SharedHeads], DType::Q4_K),
            rule(Part::Value, &[If::Importance(false)], DType::IQ3_S),
            rule(Part::Key, &[], DType::IQ2_S),
            rule(Part::Query, &[], DType::IQ2_S),
            rule(Part::Down, &[If::Importance(false), If::First(8)], DType::Q4_K),
            rule(Part::Down, &[If::Importance(false)], DType::Q3_K),
            OUT_E8,
            rule(Part::AttentionOutput, &[NF], DType::IQ3_S),
        ],
    ),
    recipe(
        "IQ3_XS",
        22,
        DType::IQ3_S,
        &[
            rule(Part::Value, &[If::SharedHeads], DType::Q4_K),
            rule(Part::Key, &[], DType::IQ3_XXS),
            rule(Part::Query, &[], DType::IQ3_XXS),
            rule(Part::Gate, &[If::Middle], DType::IQ3_XXS),
            rule(Part::Up, &[If::Middle], DType::IQ3_XXS),
            OUT_E8,
        ],
    ),
    recipe("IQ3_S", 26, DType::IQ3_S, &[rule(Part::Value, &[If::SharedHeads], DType::Q4_K), OUT_E8]),
    recipe(
        "IQ3_M",
        27,
        DType::IQ3_S,
        &[
            rule(Part::Value, &[], DType::Q4_K),
            rule(Part::Down, &[If::First(8)], DType::Q4_K),
            rule(Part::Down, &[E8, If::MoreBits], DType::Q4_K),
            OUT_E8,
            rule(Part::AttentionOutput, &[NF], DType::Q4_K),
        ],
    ),
    recipe("Q3_K_S", 11, DType::Q3_K, &[OUT_E8]),
    recipe(
        "Q3_K_M",
        12,
        DType::Q3_K,
        &[
            rule(Part::Value, &[If::Below(2)], DType::Q5_K),
            rule(Part::Value, &[], DType::Q4_K),
            rule(Part::Down, &[If::First(16)], DType::Q5_K),
            rule(Part::Down, &[NF], DType::Q4_K),
            rule(Part::Down, &[If::MoreBits], DType::Q4_K),
            OUT_E8,
            rule(Part::AttentionOutput, &[NF], DType::Q4_K),
        ],
    ),
    recipe(
        "Q3_K_L",
        13,
        DType::Q3_K,
        &[
            rule(Part::Value, &[], DType::Q5_K),
            rule(Part::Down, &[If::WideHead(true)], DType::Q4_K),
            rule(Part::Down, &[], DType::Q5_K),
            rule(Part::AttentionOutput, &[If::WideHead(true)], DType::Q4_K),
            rule(Part::AttentionOutput, &[E8], DType::Q3_K),
            rule(Part::AttentionOutput, &[], DType::Q5_K),
        ],
    ),
    recipe("IQ4_XS", 30, DType::IQ4_XS, IQ4),
    recipe("IQ4_NL", 25, DType::IQ4_NL, IQ4),
    recipe("MXFP4_MOE", 38, DType::MXFP4, &[]),
    recipe("Q4_0", 2, DType::Q4_0, &[rule(Part::Down, &[If::Importance(true), If::First(8)], DType::Q4_1)]),
    recipe("Q4_1", 3, DType::Q4_1, &[]),
    recipe(
        "Q4_K_S",
        14,
        DType::Q4_K,
        &[
            rule(Part::Value, &[If::Below(4)], DType::Q5_K),
            rule(Part::Down, &[NF, If::First(8)], DType::Q5_K),
            OUT_E8,
        ],
    ),
    recipe(
        "Q4_K_M",
        15,
        DType::Q4_K,
        &[
            rule(Part::Value, &[If::MoreBits], DType::Q6_K),
            rule(Part::Down, &[If::WideHead(true), If::First(16)], DType::Q6_K),
            rule(Part::Down, &[If::WideHead(true), If::MoreBits], DType::Q5_K),
            rule(Part::Down, &[NF, If::MoreBits], DType::Q6_K),
            OUT_E8,
        ],
    ),
    recipe("Q5_0", 8, DType::Q5_0, &[rule(Part::Down, &[If::Importance(true), If::First(8)], DType::Q5_1)]),
    recipe("Q5_1", 9, DType::Q5_1, &[]),
    recipe("Q5_K_S", 16, DType::Q5_K, &[]),
    recipe(
        "Q5_K_M",
        17,
        DType::Q5_K,
        &[rule(Part::Value, &[If::MoreBits], DType::Q6_K), rule(Part::Down, &[If::MoreBits], DType::Q6_K)],
    ),
    recipe("Q6_K", 18, DType::Q6_K, &[]),
    recipe("Q8_0", 7, DType::Q8_0, &[]),
    recipe("F16", 1, DType::F16, &[]),
    recipe("BF16", 32, DType::BF16, &[]),
    recipe("F32", 0, DType::F32, &[]),
];

/// Other names of recipes.
pub(super) const ALIASES: &[(&str, &str)] = &[("Q3_K", "Q3_K_M"), ("Q4_K", "Q4_K_M"), ("Q5_K", "Q5_K_M")];

/// What a row length that is no whole number of blocks turns a type into; types that are not named have no other.
pub(super) const FALLBACKS: &[(DType, DType)] = &[
    (DType::IQ1_S, DType::IQ4_NL),
    (DType::IQ1_M, DType::IQ4_NL),
    (DType::IQ2_XXS, DType::IQ4_NL),
    (DType::IQ2_XS, DType::IQ4_NL),
    (DType::IQ2_S, DType::IQ4_NL),
    (DType::IQ3_XXS, DType::IQ4_NL),
    (DType::IQ3_S, DType::IQ4_NL),
    (DType::IQ4_XS, DType::IQ4_NL),
    (DType::Q2_0, DType::Q4_0),
    (DType::Q2_K, DType::Q4_0),
    (DType::Q3_K, DType::Q4_0),
    (DType::TQ1_0, DType::Q4_0),
    (DType::TQ2_0, DType::Q4_0),
    (DType::Q4_K, DType::Q5_0),
    (DType::Q5_K, DType::Q5_1),
    (DType::Q6_K, DType::Q8_0),
];

/// Types that are garbage without importance weights, but for the embeddings and the output.
pub(super) const NEEDS_IMPORTANCE: &[DType] =
    &[DType::IQ1_S, DType::IQ1_M, DType::IQ2_XXS, DType::IQ2_XS, DType::IQ2_S, DType::IQ3_XXS];

/// Architectures whose head is Q8_0 in every recipe, and which some recipes treat apart.
pub(super) const WIDE_HEADS: &[&str] = &["falcon"];

/// Architectures whose 70 B models share each value head among eight: architecture, layers, and whether older models with
/// as many layers do not share.
pub(super) const SEVENTY_BILLION: &[(&str, u32, bool)] = &[
    ("llama", 80, true),
    ("qwen2", 80, false),
    ("deci", 80, false),
    ("olmo", 80, false),
    ("jais2", 68, false),
];

/// Weights that keep their type because they are small or fragile: parts of their names.
pub(super) const KEPT: &[&str] = &[
    "_norm.weight",
    // Which expert takes a token.
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    // Gemma 3n.
    "altup",
    "laurel",
    "per_layer_model_proj",
    // Short convolutions of Mamba, Kimi, LFM2.
    "ssm_conv1d",
    "shortconv.conv.weight",
    // MiniMax's indexer.
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    // RWKV.
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    // Relative positions of T5.
    "attn_rel_b.weight",
    // Images and sound.
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
];

/// Whole names of weights that keep their type.
pub(super) const KEPT_NAMES: &[&str] = &["position_embd.weight", "token_types.weight"];

/// Weights that one architecture keeps besides: architecture, parts of names.
pub(super) const KEPT_OF: &[(&str, &[&str])] = &[(
    "glm5-next",
    &[
        "hc_",
        "indexer.attn_q_b",
        "indexer.attn_k",
        "indexer.proj",
        "indexer_compressor_gate",
        "indexer_compressor_ape",
        "ssm_f_a.weight",
        "ssm_f_b.weight",
        "ssm_g_a.weight",
        "ssm_g_b.weight",
        "ssm_beta.weight",
        "attn_kv_a_mqa.weight",
        "attn_k_b.weight",
        "attn_v_b.weight",
    ],
)];

/// Weights that one architecture has in `Q8_0`, whatever the recipe: architecture, parts of names.
pub(super) const Q8_0_OF: &[(&str, &[&str])] = &[("glm5-next", &["attn_q_a", "attn_q_b", "nextn.eh_proj"])];
