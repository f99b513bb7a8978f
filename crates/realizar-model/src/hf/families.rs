//! The table of families, after the modules of the transformers library and, where it has none, of the checkpoint's own
//! code.

use realizar_tensor::{GroupScore, PairOrder};

use super::encoders::{BERT, DISTIL_BERT, JINA_BERT_V2, NOMIC_BERT, ROBERTA};
use super::forms::{Form, Per};
use super::{Family, implied};
use crate::arch::{self, ArchFacts, Moe, Windows};

type Parts = &'static [(&'static str, &'static str)];

/// A head whose name begins with `/` has no stem.
const GLOBALS: Parts = &[("token_embd", "embed_tokens"), ("output_norm", "norm"), ("output", "/lm_head")];

const PARTS: Parts = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const SILU: &[&str] = &["silu", "swish"];
const GELU_TANH: &[&str] = &["gelu_pytorch_tanh", "gelu_new", "gelu_fast"];
const GELU_ERF: &[&str] = &["gelu"];

/// The names of most decoders.
pub(super) const LLAMA: Family = Family {
    classes: &["LlamaForCausalLM"],
    model_types: &["llama", "mistral"],
    facts: &arch::llama::FACTS,
    stems: &["model.", ""],
    globals: GLOBALS,
    layers: "layers.",
    parts: PARTS,
    forms: &[],
    pairs: PairOrder::Halves,
    gain_offset: 0.0,
    activations: SILU,
    implied: implied::nothing,
    only: &[],
};

const WINDOWED_LLAMA: ArchFacts = ArchFacts { windows: Windows::Every, ..arch::llama::FACTS };

const MISTRAL: Family =
    Family { classes: &["MistralForCausalLM"], model_types: &[], facts: &WINDOWED_LLAMA, ..LLAMA };

const MIXTRAL: Family = Family {
    classes: &["MixtralForCausalLM"],
    model_types: &["mixtral"],
    parts: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate_inp", "block_sparse_moe.gate"),
    ],
    forms: &[
        ("ffn_gate_exps.weight", Form::many("block_sparse_moe.experts.{}.w1.weight", Per::Expert)),
        ("ffn_up_exps.weight", Form::many("block_sparse_moe.experts.{}.w3.weight", Per::Expert)),
        ("ffn_down_exps.weight", Form::many("block_sparse_moe.experts.{}.w2.weight", Per::Expert)),
    ],
    ..MISTRAL
};

const EXPERT_FORMS: &[(&str, Form)] = &[
    ("ffn_gate_exps.weight", Form::many("mlp.experts.{}.gate_proj.weight", Per::Expert)),
    ("ffn_up_exps.weight", Form::many("mlp.experts.{}.up_proj.weight", Per::Expert)),
    ("ffn_down_exps.weight", Form::many("mlp.experts.{}.down_proj.weight", Per::Expert)),
];

const EXPERT_PARTS: Parts = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate_inp", "mlp.gate"),
    ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_expert.up_proj"),
    ("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    ("ffn_gate_inp_shexp", "mlp.shared_expert_gate"),
];

const QWEN2: Family = Family {
    classes: &["Qwen2ForCausalLM", "Qwen2Model"],
    model_types: &["qwen2"],
    facts: &arch::qwen2::FACTS,
    only: &[("use_sliding_window", false)],
    ..LLAMA
};

const QWEN3: Family = Family {
    classes: &["Qwen3ForCausalLM", "Qwen3Model"],
    model_types: &["qwen3"],
    facts: &arch::qwen3::FACTS,
    ..QWEN2
};

/// Norms around both branches.
const GEMMA2: Family = Family {
    classes: &["Gemma2ForCausalLM"],
    model_types: &["gemma2"],
    facts: &arch::gemma2::FACTS,
    parts: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("post_attention_norm", "post_attention_layernorm"),
        ("ffn_norm", "pre_feedforward_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
        ("post_ffw_norm", "post_feedforward_layernorm"),
    ],
    gain_offset: 1.0,
    activations: &["gelu_pytorch_tanh", "gelu"],
    ..LLAMA
};

/// The second version takes the groups that hold the best experts, later ones those of the best two.
const DEEPSEEK_V2: ArchFacts = ArchFacts {
    moe: match arch::deepseek2::FACTS.moe {
        Some(moe) => Some(Moe { group_score: GroupScore::Best, ..moe }),
        None => None,
    },
    ..arch::deepseek2::FACTS
};

const DEEPSEEK2: Family = Family {
    classes: &["DeepseekV2ForCausalLM"],
    model_types: &["deepseek_v2"],
    facts: &DEEPSEEK_V2,
    parts: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_q_a", "self_attn.q_a_proj"),
        ("attn_q_a_norm", "self_attn.q_a_layernorm"),
        ("attn_q_b", "self_attn.q_b_proj"),
        ("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"),
        ("attn_kv_a_norm", "self_attn.kv_a_layernorm"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
        ("ffn_gate_inp", "mlp.gate"),
        ("ffn_gate_shexp", "mlp.shared_experts.gate_proj"),
        ("ffn_up_shexp", "mlp.shared_experts.up_proj"),
        ("ffn_down_shexp", "mlp.shared_experts.down_proj"),
    ],
    forms: &[
        ("attn_k_b.weight", Form::latent_keys("self_attn.kv_b_proj.weight")),
        ("attn_v_b.weight", Form::latent_values("self_attn.kv_b_proj.weight")),
        ("exp_probs_b.bias", Form::one("mlp.gate.e_score_correction_bias")),
        ("ffn_gate_exps.weight", Form::many("mlp.experts.{}.gate_proj.weight", Per::Expert)),
        ("ffn_up_exps.weight", Form::many("mlp.experts.{}.up_proj.weight", Per::Expert)),
        ("ffn_down_exps.weight", Form::many("mlp.experts.{}.down_proj.weight", Per::Expert)),
    ],
    pairs: PairOrder::Adjacent,
    implied: implied::latent,
    only: &[("rope_interleave", true), ("attention_bias", false)],
    ..LLAMA
};

/// Every family.
pub(crate) const FAMILIES: &[Family] = &[
    LLAMA,
    MISTRAL,
    MIXTRAL,
    Family {
        classes: &["Mistral3ForConditionalGeneration"],
        model_types: &[],
        stems: &["language_model.model.", "model.language_model."],
        ..MISTRAL
    },
    // The newer ones, with their pictures or without, go by the type of their language part.
    Family {
        classes: &["Ministral3ForCausalLM", "Mistral3ForConditionalGeneration"],
        model_types: &["ministral3"],
        facts: &ArchFacts { windows: Windows::Every, ..arch::mistral3::FACTS },
        stems: &["model.", "language_model.model.", "model.language_model.", ""],
        ..MISTRAL
    },
    QWEN2,
    Family {
        classes: &["Qwen2MoeForCausalLM"],
        model_types: &["qwen2_moe"],
        facts: &arch::qwen2moe::FACTS,
        parts: EXPERT_PARTS,
        forms: EXPERT_FORMS,
        ..QWEN2
    },
    QWEN3,
    Family {
        classes: &["Qwen3MoeForCausalLM"],
        model_types: &["qwen3_moe"],
        facts: &arch::qwen3moe::FACTS,
        parts: EXPERT_PARTS,
        forms: EXPERT_FORMS,
        ..QWEN3
    },
    Family {
        classes: &["GraniteForCausalLM"],
        model_types: &["granite"],
        facts: &arch::granite::FACTS,
        ..LLAMA
    },
    Family {
        classes: &["GemmaForCausalLM"],
        model_types: &["gemma"],
        facts: &arch::gemma::FACTS,
        gain_offset: 1.0,
        activations: &["gelu_pytorch_tanh", "gelu"],
        ..LLAMA
    },
    GEMMA2,
    Family {
        classes: &["Gemma3ForCausalLM"],
        model_types: &["gemma3_text"],
        facts: &arch::gemma3::FACTS,
        implied: implied::gemma3,
        only: &[("use_bidirectional_attention", false)],
        ..GEMMA2
    },
    Family {
        classes: &["Gemma3ForConditionalGeneration"],
        model_types: &["gemma3"],
        facts: &arch::gemma3::FACTS,
        stems: &["language_model.model.", "model.language_model.", "model."],
        implied: implied::gemma3,
        ..GEMMA2
    },
    Family {
        classes: &["Olmo2ForCausalLM", "Olmo3ForCausalLM"],
        model_types: &["olmo2", "olmo3"],
        facts: &arch::olmo2::FACTS,
        parts: &[
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        ..LLAMA
    },
    Family {
        classes: &["SmolLM3ForCausalLM"],
        model_types: &["smollm3"],
        facts: &arch::smollm3::FACTS,
        only: &[("use_sliding_window", false)],
        ..LLAMA
    },
    Family {
        classes: &["PhiForCausalLM"],
        model_types: &["phi"],
        facts: &arch::phi2::FACTS,
        globals: &[
            ("token_embd", "embed_tokens"),
            ("output_norm", "final_layernorm"),
            ("output", "/lm_head"),
        ],
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.dense"),
            ("ffn_up", "mlp.fc1"),
            ("ffn_down", "mlp.fc2"),
        ],
        activations: GELU_TANH,
        only: &[("qk_layernorm", false)],
        ..LLAMA
    },
    Family {
        classes: &["Phi3ForCausalLM"],
        model_types: &["phi3"],
        facts: &ArchFacts { windows: Windows::Every, ..arch::phi3::FACTS },
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_qkv", "self_attn.qkv_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.gate_up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ],
        ..LLAMA
    },
    Family {
        classes: &["Starcoder2ForCausalLM"],
        model_types: &["starcoder2"],
        facts: &ArchFacts { windows: Windows::Every, ..arch::starcoder2::FACTS },
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.c_fc"),
            ("ffn_down", "mlp.c_proj"),
        ],
        activations: GELU_TANH,
        ..LLAMA
    },
    Family {
        classes: &["StableLmForCausalLM"],
        model_types: &["stablelm"],
        facts: &arch::stablelm::FACTS,
        forms: &[
            ("attn_q_norm.weight", Form::many("self_attn.q_layernorm.norms.{}.weight", Per::Head)),
            ("attn_k_norm.weight", Form::many("self_attn.k_layernorm.norms.{}.weight", Per::KvHead)),
        ],
        ..LLAMA
    },
    Family {
        classes: &["CohereForCausalLM"],
        model_types: &["cohere"],
        facts: &arch::command_r::FACTS,
        pairs: PairOrder::Adjacent,
        only: &[("attention_bias", false)],
        ..LLAMA
    },
    Family {
        classes: &["Cohere2ForCausalLM"],
        model_types: &["cohere2"],
        facts: &arch::cohere2::FACTS,
        pairs: PairOrder::Adjacent,
        only: &[("attention_bias", false)],
        ..LLAMA
    },
    Family {
        classes: &["Glm4ForCausalLM"],
        model_types: &["glm4"],
        facts: &arch::glm4::FACTS,
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("post_attention_norm", "post_self_attn_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.gate_up_proj"),
            ("ffn_down", "mlp.down_proj"),
            ("post_ffw_norm", "post_mlp_layernorm"),
        ],
        pairs: PairOrder::Adjacent,
        ..LLAMA
    },
    Family {
        classes: &["GPT2LMHeadModel"],
        model_types: &["gpt2"],
        facts: &arch::gpt2::FACTS,
        stems: &["transformer.", ""],
        globals: &[
            ("token_embd", "wte"),
            ("position_embd", "wpe"),
            ("output_norm", "ln_f"),
            ("output", "/lm_head"),
        ],
        layers: "h.",
        parts: &[
            ("attn_norm", "ln_1"),
            ("attn_qkv", "attn.c_attn"),
            ("attn_output", "attn.c_proj"),
            ("ffn_norm", "ln_2"),
            ("ffn_up", "mlp.c_fc"),
            ("ffn_down", "mlp.c_proj"),
        ],
        forms: &[
            ("attn_qkv.weight", Form::turned("attn.c_attn.weight")),
            ("attn_output.weight", Form::turned("attn.c_proj.weight")),
            ("ffn_up.weight", Form::turned("mlp.c_fc.weight")),
            ("ffn_down.weight", Form::turned("mlp.c_proj.weight")),
        ],
        activations: GELU_TANH,
        implied: implied::gpt2,
        only: &[("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false)],
        ..LLAMA
    },
    Family {
        classes: &["GPTNeoXForCausalLM"],
        model_types: &["gpt_neox"],
        facts: &arch::gptneox::FACTS,
        stems: &["gpt_neox.", ""],
        globals: &[("token_embd", "embed_in"), ("output_norm", "final_layer_norm"), ("output", "/embed_out")],
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_output", "attention.dense"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.dense_h_to_4h"),
            ("ffn_down", "mlp.dense_4h_to_h"),
        ],
        forms: &[
            ("attn_qkv.weight", Form::by_key_head("attention.query_key_value.weight")),
            ("attn_qkv.bias", Form::biases_by_key_head("attention.query_key_value.bias")),
        ],
        activations: GELU_ERF,
        ..LLAMA
    },
    Family {
        classes: &["FalconForCausalLM"],
        model_types: &["falcon"],
        facts: &arch::falcon::FACTS,
        stems: &["transformer.", ""],
        globals: &[("token_embd", "word_embeddings"), ("output_norm", "ln_f"), ("output", "/lm_head")],
        layers: "h.",
        parts: &[
            ("attn_output", "self_attention.dense"),
            ("ffn_up", "mlp.dense_h_to_4h"),
            ("ffn_down", "mlp.dense_4h_to_h"),
        ],
        forms: &[
            ("attn_qkv.weight", Form::by_key_head("self_attention.query_key_value.weight")),
            ("attn_norm.weight", Form::either("input_layernorm.weight", "ln_mlp.weight")),
            ("attn_norm.bias", Form::either("input_layernorm.bias", "ln_mlp.bias")),
            ("attn_norm_2.weight", Form::one("ln_attn.weight")),
            ("attn_norm_2.bias", Form::one("ln_attn.bias")),
        ],
        activations: GELU_ERF,
        implied: implied::falcon,
        only: &[("alibi", false), ("bias", false), ("parallel_attn", true)],
        ..LLAMA
    },
    DEEPSEEK2,
    Family {
        classes: &["DeepseekV3ForCausalLM"],
        model_types: &["deepseek_v3"],
        facts: &arch::deepseek2::FACTS,
        implied: implied::latent_sigmoid,
        ..DEEPSEEK2
    },
    Family {
        classes: &["GptOssForCausalLM"],
        model_types: &["gpt_oss"],
        facts: &arch::gpt_oss::FACTS,
        parts: &[
            ("attn_norm", "input_layernorm"),
            ("attn_q", "self_attn.q_proj"),
            ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"),
            ("attn_output", "self_attn.o_proj"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_gate_inp", "mlp.router"),
        ],
        forms: &[
            ("attn_sinks.weight", Form::one("self_attn.sinks")),
            ("ffn_gate_exps.weight", Form::packed_gates("mlp.experts.gate_up_proj")),
            ("ffn_up_exps.weight", Form::packed_ups("mlp.experts.gate_up_proj")),
            ("ffn_down_exps.weight", Form::packed("mlp.experts.down_proj")),
            ("ffn_gate_exps.bias", Form::gate_biases("mlp.experts.gate_up_proj_bias")),
            ("ffn_up_exps.bias", Form::up_biases("mlp.experts.gate_up_proj_bias")),
            ("ffn_down_exps.bias", Form::one("mlp.experts.down_proj_bias")),
        ],
        ..LLAMA
    },
    Family {
        classes: &["ExaoneForCausalLM"],
        model_types: &["exaone"],
        facts: &arch::exaone::FACTS,
        stems: &["transformer."],
        globals: &[("token_embd", "wte"), ("output_norm", "ln_f"), ("output", "/lm_head")],
        layers: "h.",
        parts: &[
            ("attn_norm", "ln_1"),
            ("attn_q", "attn.attention.q_proj"),
            ("attn_k", "attn.attention.k_proj"),
            ("attn_v", "attn.attention.v_proj"),
            ("attn_output", "attn.attention.out_proj"),
            ("ffn_norm", "ln_2"),
            ("ffn_gate", "mlp.c_fc_0"),
            ("ffn_up", "mlp.c_fc_1"),
            ("ffn_down", "mlp.c_proj"),
        ],
        ..LLAMA
    },
    Family {
        classes: &["InternLM2ForCausalLM"],
        model_types: &["internlm2"],
        facts: &arch::internlm2::FACTS,
        globals: &[("token_embd", "tok_embeddings"), ("output_norm", "norm"), ("output", "/output")],
        parts: &[
            ("attn_norm", "attention_norm"),
            ("attn_output", "attention.wo"),
            ("ffn_norm", "ffn_norm"),
            ("ffn_gate", "feed_forward.w1"),
            ("ffn_up", "feed_forward.w3"),
            ("ffn_down", "feed_forward.w2"),
        ],
        forms: &[("attn_qkv.weight", Form::by_key_head("attention.wqkv.weight"))],
        only: &[("bias", false)],
        ..LLAMA
    },
    BERT,
    ROBERTA,
    DISTIL_BERT,
    NOMIC_BERT,
    JINA_BERT_V2,
];
