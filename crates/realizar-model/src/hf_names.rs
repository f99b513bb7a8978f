//! Tensor names of Hugging Face checkpoints, per family of classes.

use realizar_format::TensorSource;
use realizar_tensor::PairOrder;

use crate::arch::{self, ArchFacts};
use crate::names;

/// Checkpoints that name their tensors alike and compute alike.
#[derive(Debug)]
pub(crate) struct Family {
    /// Values of `architectures` in `config.json`.
    pub(crate) classes: &'static [&'static str],
    /// What else such models are called: `model_type` of `config.json`, or what an `.apr` file says.
    pub(crate) model_types: &'static [&'static str],
    /// The architecture.
    pub(crate) facts: &'static ArchFacts,
    /// What all names but the head's may begin with.
    pub(crate) stems: &'static [&'static str],
    /// GGUF's name and the family's, for tensors of the whole model; behind the stem, except for the head.
    globals: &'static [(&'static str, &'static str)],
    /// What stands before the number of a layer.
    layers: &'static str,
    /// GGUF's name and the family's, for parts of a layer.
    parts: &'static [(&'static str, &'static str)],
    /// Which dimensions of a head rotate together in these checkpoints.
    pub(crate) pairs: PairOrder,
    /// Added to the gains of the norms.
    pub(crate) gain_offset: f32,
    /// What the activation may be called.
    pub(crate) activations: &'static [&'static str],
}

const GLOBALS: &[(&str, &str)] =
    &[("token_embd", "embed_tokens"), ("output_norm", "norm"), ("output", "lm_head")];

const PARTS: &[(&str, &str)] = &[
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

/// The names of most decoders.
const LLAMA: Family = Family {
    classes: &["LlamaForCausalLM", "MistralForCausalLM"],
    model_types: &["llama", "mistral"],
    facts: &arch::llama::FACTS,
    stems: &["model.", ""],
    globals: GLOBALS,
    layers: "layers.",
    parts: PARTS,
    pairs: PairOrder::Halves,
    gain_offset: 0.0,
    activations: &["silu", "swish"],
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

/// Every family.
pub(crate) const FAMILIES: &[Family] = &[
    LLAMA,
    Family {
        classes: &["Qwen2ForCausalLM", "Qwen2Model"],
        model_types: &["qwen2"],
        facts: &arch::qwen2::FACTS,
        ..LLAMA
    },
    Family {
        classes: &["Qwen3ForCausalLM", "Qwen3Model"],
        model_types: &["qwen3"],
        facts: &arch::qwen3::FACTS,
        ..LLAMA
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
    Family {
        classes: &["Olmo2ForCausalLM"],
        model_types: &["olmo2"],
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
        ..LLAMA
    },
    Family {
        classes: &["Phi3ForCausalLM"],
        model_types: &["phi3"],
        facts: &arch::phi3::FACTS,
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
        facts: &arch::starcoder2::FACTS,
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
        activations: &["gelu_pytorch_tanh"],
        ..LLAMA
    },
    GEMMA2,
    Family {
        classes: &["Gemma3ForCausalLM"],
        model_types: &["gemma3", "gemma3_text"],
        facts: &arch::gemma3::FACTS,
        ..GEMMA2
    },
    Family {
        classes: &["BertModel", "BertForMaskedLM"],
        model_types: &["bert"],
        facts: &arch::bert::FACTS,
        stems: &["", "bert."],
        globals: &[
            ("token_embd", "embeddings.word_embeddings"),
            ("position_embd", "embeddings.position_embeddings"),
            ("token_types", "embeddings.token_type_embeddings"),
            ("token_embd_norm", "embeddings.LayerNorm"),
        ],
        layers: "encoder.layer.",
        parts: &[
            ("attn_q", "attention.self.query"),
            ("attn_k", "attention.self.key"),
            ("attn_v", "attention.self.value"),
            ("attn_output", "attention.output.dense"),
            ("attn_output_norm", "attention.output.LayerNorm"),
            ("ffn_up", "intermediate.dense"),
            ("ffn_down", "output.dense"),
            ("layer_output_norm", "output.LayerNorm"),
        ],
        activations: &["gelu"],
        ..LLAMA
    },
];

impl Family {
    /// The stem by which the file has its embedding.
    pub(crate) fn stem(&self, source: &dyn TensorSource) -> Option<&'static str> {
        let has = |stem: &str| source.tensor(&self.global(stem, names::TOKEN_EMBEDDING)).is_some();
        self.stems.iter().copied().find(|stem| has(stem))
    }

    /// A tensor of the whole model.
    fn global(&self, stem: &str, name: &str) -> String {
        let (ours, kind) = name.rsplit_once('.').unwrap_or((name, "weight"));
        match self.globals.iter().find(|(gguf, _)| *gguf == ours) {
            Some((_, theirs @ "lm_head")) => format!("{theirs}.{kind}"),
            Some((_, theirs)) => format!("{stem}{theirs}.{kind}"),
            // It has no such tensor: the name that we know it by stands for it.
            None => name.to_owned(),
        }
    }

    /// Any tensor.
    pub(crate) fn tensor(&self, stem: &str, name: &str) -> String {
        let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            return self.global(stem, name);
        };
        let (ours, kind) = part.rsplit_once('.').unwrap_or((part, "weight"));
        match self.parts.iter().find(|(gguf, _)| *gguf == ours) {
            Some((_, theirs)) => format!("{stem}{}{layer}.{theirs}.{kind}", self.layers),
            None => name.to_owned(),
        }
    }
}
