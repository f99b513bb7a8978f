//! Families of encoders.

use super::Family;
use super::families::LLAMA;
use super::forms::Form;
use super::implied;
use crate::arch;

const GELU_ERF: &[&str] = &["gelu"];

pub(super) const BERT: Family = Family {
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
    activations: GELU_ERF,
    ..LLAMA
};

pub(super) const ROBERTA: Family = Family {
    classes: &["RobertaModel", "XLMRobertaModel", "RobertaForMaskedLM", "XLMRobertaForMaskedLM"],
    model_types: &["roberta", "xlm-roberta"],
    stems: &["", "roberta."],
    forms: &[("position_embd.weight", Form::behind_padding("embeddings.position_embeddings.weight"))],
    implied: implied::roberta,
    ..BERT
};

pub(super) const DISTIL_BERT: Family = Family {
    classes: &["DistilBertModel", "DistilBertForMaskedLM"],
    model_types: &["distilbert"],
    stems: &["", "distilbert."],
    layers: "transformer.layer.",
    parts: &[
        ("attn_q", "attention.q_lin"),
        ("attn_k", "attention.k_lin"),
        ("attn_v", "attention.v_lin"),
        ("attn_output", "attention.out_lin"),
        ("attn_output_norm", "sa_layer_norm"),
        ("ffn_up", "ffn.lin1"),
        ("ffn_down", "ffn.lin2"),
        ("layer_output_norm", "output_layer_norm"),
    ],
    implied: implied::distilbert,
    ..BERT
};

pub(super) const NOMIC_BERT: Family = Family {
    classes: &["NomicBertModel"],
    model_types: &["nomic_bert"],
    facts: &arch::nomic_bert::FACTS,
    globals: &[
        ("token_embd", "embeddings.word_embeddings"),
        ("token_types", "embeddings.token_type_embeddings"),
        ("token_embd_norm", "emb_ln"),
    ],
    layers: "encoder.layers.",
    parts: &[
        ("attn_qkv", "attn.Wqkv"),
        ("attn_output", "attn.out_proj"),
        ("attn_output_norm", "norm1"),
        ("ffn_up", "mlp.fc11"),
        ("ffn_gate", "mlp.fc12"),
        ("ffn_down", "mlp.fc2"),
        ("layer_output_norm", "norm2"),
    ],
    activations: &["swiglu"],
    only: &[("prenorm", false), ("use_rms_norm", false), ("causal", false)],
    ..BERT
};

pub(super) const JINA_BERT_V2: Family = Family {
    classes: &["JinaBertModel", "JinaBertForMaskedLM"],
    model_types: &[],
    facts: &arch::jina_bert_v2::FACTS,
    parts: &[
        ("attn_q", "attention.self.query"),
        ("attn_k", "attention.self.key"),
        ("attn_v", "attention.self.value"),
        ("attn_output", "attention.output.dense"),
        ("attn_output_norm", "attention.output.LayerNorm"),
        ("ffn_down", "mlp.wo"),
        ("layer_output_norm", "mlp.layernorm"),
    ],
    forms: &[
        ("ffn_gate.weight", Form::upper_half("mlp.gated_layers.weight")),
        ("ffn_up.weight", Form::lower_half("mlp.gated_layers.weight")),
    ],
    ..BERT
};
