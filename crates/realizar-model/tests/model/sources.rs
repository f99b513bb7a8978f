//! The same weights from a GGUF file, a Hugging Face folder and an `.apr` file give the same logits.

use std::path::Path;
use std::sync::Arc;

use realizar_format::{AprWriter, Shape, TensorSource, Value};
use realizar_model::{Encoder, EncoderOptions, Model, Pooling};
use realizar_tensor::{Kernels, Pool};
use serde_json::json;

use crate::file::{ModelFile, Tensor};
use crate::golden::{self, Golden, Outcome, Run, chain, floats, ids, last, load, outcome};

/// Model of the zoo, class of the checkpoint, and what its `config.json` says beyond the widths.
type Checkpoint = (&'static str, &'static str, fn() -> serde_json::Value);

const CHECKPOINTS: &[Checkpoint] = &[
    ("llama-gqa", "LlamaForCausalLM", || json!({"hidden_act": "silu"})),
    ("llama-bias", "LlamaForCausalLM", || json!({"attention_bias": true})),
    (
        "llama-rope-yarn",
        "MistralForCausalLM",
        || json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}}),
    ),
    ("llama-rope-linear", "LlamaForCausalLM", || json!({"rope_scaling": {"type": "linear", "factor": 4}})),
    ("llama-untied", "LlamaForCausalLM", || json!({"tie_word_embeddings": false})),
    ("qwen2", "Qwen2ForCausalLM", || json!({})),
    ("qwen3", "Qwen3ForCausalLM", || json!({"head_dim": 32, "rope_theta": 1_000_000.0})),
    ("gemma", "GemmaForCausalLM", || json!({"head_dim": 32, "hidden_activation": "gelu_pytorch_tanh"})),
    ("olmo2", "Olmo2ForCausalLM", || json!({})),
    ("smollm3", "SmolLM3ForCausalLM", || json!({})),
    ("phi3", "Phi3ForCausalLM", || json!({"partial_rotary_factor": 1.0})),
    ("starcoder2", "Starcoder2ForCausalLM", || json!({"norm_epsilon": 0.002})),
    ("gemma2", "Gemma2ForCausalLM", || {
        json!({"head_dim": 32, "sliding_window": 16, "attn_logit_softcapping": 4.0,
            "final_logit_softcapping": 10.0})
    }),
    ("gemma3", "Gemma3ForCausalLM", || {
        json!({"head_dim": 16, "sliding_window": 16, "rope_local_base_freq": 10_000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}})
    }),
    ("granite", "GraniteForCausalLM", || {
        json!({"logits_scaling": 8.0, "residual_multiplier": 0.6, "embedding_multiplier": 3.0,
            "attention_multiplier": 0.17})
    }),
];

/// Names of a decoder's tensors as a checkpoint has them.
fn checkpoint_name(name: &str, architecture: &str) -> String {
    let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "token_embd.weight" => "model.embed_tokens.weight".into(),
            "output_norm.weight" => "model.norm.weight".into(),
            "output_norm.bias" => "model.norm.bias".into(),
            "output.weight" => "lm_head.weight".into(),
            other => panic!("{other}"),
        };
    };
    let (part, kind) = part.rsplit_once('.').unwrap();
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" if architecture.starts_with("gemma") && architecture != "gemma" => {
            "pre_feedforward_layernorm"
        }
        "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "attn_qkv" => "self_attn.qkv_proj",
        "ffn_up" if architecture == "phi3" => "mlp.gate_up_proj",
        "ffn_up" if architecture == "starcoder2" => "mlp.c_fc",
        "ffn_down" if architecture == "starcoder2" => "mlp.c_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "attn_output" => "self_attn.o_proj",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        other => panic!("{other}"),
    };
    format!("model.layers.{layer}.{part}.{kind}")
}

/// Rows of queries and keys from pairs side by side (as converters to GGUF lay them) to pairs half a head apart.
fn split_pairs(tensor: &mut Tensor, head_dim: usize) {
    let row_bytes = tensor.data.len() / tensor.dims[0];
    for head in tensor.data.chunks_mut(head_dim * row_bytes) {
        let rows: Vec<Vec<u8>> = head.chunks(row_bytes).map(<[u8]>::to_vec).collect();
        let (even, odd) = (rows.iter().step_by(2), rows.iter().skip(1).step_by(2));
        for (place, row) in head.chunks_mut(row_bytes).zip(even.chain(odd)) {
            place.copy_from_slice(row);
        }
    }
}

/// The model as its checkpoint would have it.
fn as_checkpoint(path: &Path, architecture: &str) -> Vec<Tensor> {
    let config = Model::load(&*realizar_format::open(path).unwrap()).unwrap().config().clone();
    let mut file = ModelFile::open(path);
    for tensor in &mut file.tensors {
        let turned = tensor.name.contains("attn_q.") || tensor.name.contains("attn_k.");
        if turned && matches!(architecture, "llama" | "granite" | "smollm3") {
            split_pairs(tensor, config.blocks[0].head_dim);
        }
        if architecture.starts_with("gemma") && tensor.name.contains("norm") {
            let less = |four: &[u8]| (f32::from_le_bytes(four.try_into().unwrap()) - 1.0).to_le_bytes();
            tensor.data = tensor.data.chunks_exact(4).flat_map(less).collect();
        }
        tensor.name = checkpoint_name(&tensor.name, architecture);
    }
    file.tensors
}

fn config_json(path: &Path, class: &str, more: serde_json::Value) -> serde_json::Value {
    let config = Model::load(&*realizar_format::open(path).unwrap()).unwrap().config().clone();
    let mut json = json!({
        "architectures": [class], "hidden_size": config.hidden, "num_hidden_layers": config.layers,
        "intermediate_size": config.blocks[0].ffn, "num_attention_heads": config.blocks[0].heads,
        "num_key_value_heads": config.blocks[0].kv_heads, "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps, "vocab_size": config.vocab, "rope_theta": config.rope.map(|rope| rope.base),
    });
    for (key, value) in more.as_object().unwrap() {
        json[key] = value.clone();
    }
    json
}

fn write_folder(folder: &Path, tensors: &[Tensor], config: &serde_json::Value) -> Box<dyn TensorSource> {
    let mut writer = realizar_format::SafetensorsWriter::new();
    for tensor in tensors {
        writer.tensor(&tensor.name, tensor.dtype, Shape::new(&tensor.dims).unwrap()).unwrap();
    }
    let mut data = writer.create(folder.join("model.safetensors")).unwrap();
    for tensor in tensors {
        data.write(&tensor.data).unwrap();
    }
    data.finish().unwrap().commit().unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    realizar_format::open(folder).unwrap()
}

fn golden_outcome(golden: &Golden, model: Model) -> Outcome {
    let model = Arc::new(model);
    outcome(golden, golden, &model, Run::plain())
}

fn check(golden: &Golden, model: Model, name: &str) {
    let result = golden_outcome(golden, model);
    let error = result.max_abs() / golden.number("logits_std");
    let limit = golden.json["tolerance"]["max_abs_over_std"].as_f64().unwrap();
    assert!(error <= limit && result.strayed.is_empty(), "{name}: {error} above {limit}");
}

#[test]
fn checkpoints_agree_with_their_goldens() {
    let mut ran = 0;
    for &(name, class, more) in CHECKPOINTS {
        let own = golden::own().join(format!("{name}.gguf")).is_file();
        let data = if own {
            Some(golden::own())
        } else {
            golden::shared("checkpoints").map(|data| data.join("zoo"))
        };
        let Some(data) = data else { continue };
        let golden = Golden::read(&data, name);
        let path = golden.file("model");
        let architecture = golden.json["arch"].as_str().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tensors = as_checkpoint(&path, architecture);
        let source = write_folder(folder.path(), &tensors, &config_json(&path, class, more()));
        check(&golden, load(&*source, name), name);
        ran += 1;
    }
    assert!(ran > 0);
}

#[test]
fn apr_files_agree_with_their_goldens() {
    let golden = Golden::read(&golden::own(), "llama-gqa");
    let path = golden.file("model");
    for (name, tensors, rope_type) in [
        ("GGUF names", ModelFile::open(&path).tensors, None),
        ("checkpoint names", as_checkpoint(&path, "llama"), None),
        (
            "checkpoint names in GGUF order",
            {
                let mut file = ModelFile::open(&path);
                file.tensors
                    .iter_mut()
                    .for_each(|tensor| tensor.name = checkpoint_name(&tensor.name, "llama"));
                file.tensors
            },
            Some(0),
        ),
        ("checkpoint order told", as_checkpoint(&path, "llama"), Some(2)),
    ] {
        let mut writer = AprWriter::new();
        let facts = [
            ("hidden_size", 64u32),
            ("num_layers", 2),
            ("num_heads", 4),
            ("num_kv_heads", 2),
            ("vocab_size", 272),
            ("intermediate_size", 48),
            ("max_position_embeddings", 256),
            ("rope_theta", 10_000),
        ];
        writer.metadata("architecture", Value::from("llama")).unwrap();
        writer.metadata("rms_norm_eps", Value::F32(0.002)).unwrap();
        for (key, value) in facts.into_iter().chain(rope_type.map(|kind| ("rope_type", kind))) {
            writer.metadata(key, Value::U32(value)).unwrap();
        }
        let mut tensors = tensors;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        for tensor in &tensors {
            writer.tensor(&tensor.name, tensor.dtype, Shape::new(&tensor.dims).unwrap()).unwrap();
        }
        let mut data = writer.begin(Vec::new()).unwrap();
        for tensor in &tensors {
            data.write(&tensor.data).unwrap();
        }
        let source = realizar_format::parse(data.finish().unwrap().into()).unwrap();
        check(&golden, load(&*source, name), name);
    }
}

/// The trained model as its makers export it: the same logits as from GGUF but for the order of summing.
#[test]
fn a_trained_checkpoint_agrees_with_its_gguf() {
    let Some(data) = golden::shared("demo checkpoint") else { return };
    let folder = data.join("demo-model");
    let logits = |source: &dyn TensorSource| {
        let model = Arc::new(load(source, "demo"));
        let mut session = Run::plain().session(&model);
        let seq = session.open().unwrap();
        last(&mut session, seq, &[1, 526, 527, 259, 1207, 383])
    };
    let gguf = logits(&*realizar_format::open(folder.join("demo-f16.gguf")).unwrap());
    let checkpoint = logits(&*realizar_format::open(folder.join("demo-hf")).unwrap());
    let worst = gguf.iter().zip(&checkpoint).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

/// Model of the zoo, class, stems, names of parts (the longest first), what the configuration says.
type EncoderCheckpoint = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    fn() -> serde_json::Value,
);

const BERT_NAMES: &[(&str, &str)] = &[
    ("token_embd_norm", "embeddings.LayerNorm"),
    ("token_embd", "embeddings.word_embeddings"),
    ("position_embd", "embeddings.position_embeddings"),
    ("token_types", "embeddings.token_type_embeddings"),
    ("blk", "encoder.layer"),
    ("attn_q", "attention.self.query"),
    ("attn_k", "attention.self.key"),
    ("attn_v", "attention.self.value"),
    ("attn_output_norm", "attention.output.LayerNorm"),
    ("attn_output", "attention.output.dense"),
    ("ffn_up", "intermediate.dense"),
    ("ffn_down", "output.dense"),
    ("layer_output_norm", "output.LayerNorm"),
];

const ENCODERS: &[EncoderCheckpoint] = &[
    ("bert-mean", "BertModel", &["", "bert."], BERT_NAMES, || {
        json!({"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 48, "num_attention_heads": 4,
            "max_position_embeddings": 128, "layer_norm_eps": 0.002, "hidden_act": "gelu"})
    }),
    (
        "nomic-bert",
        "NomicBertModel",
        &[""],
        &[
            ("token_embd_norm", "emb_ln"),
            ("token_embd", "embeddings.word_embeddings"),
            ("token_types", "embeddings.token_type_embeddings"),
            ("blk", "encoder.layers"),
            ("attn_qkv", "attn.Wqkv"),
            ("attn_output_norm", "norm1"),
            ("attn_output", "attn.out_proj"),
            ("ffn_up", "mlp.fc11"),
            ("ffn_gate", "mlp.fc12"),
            ("ffn_down", "mlp.fc2"),
            ("layer_output_norm", "norm2"),
        ],
        || {
            json!({"n_embd": 64, "n_layer": 2, "n_inner": 48, "n_head": 4, "n_positions": 256, "prenorm": false,
                "layer_norm_epsilon": 0.002, "activation_function": "swiglu", "rotary_emb_base": 1000,
                "rotary_emb_fraction": 1.0})
        },
    ),
    (
        "jina-bert-v2",
        "JinaBertForMaskedLM",
        &["", "bert."],
        &[
            ("token_embd_norm", "embeddings.LayerNorm"),
            ("token_embd", "embeddings.word_embeddings"),
            ("token_types", "embeddings.token_type_embeddings"),
            ("blk", "encoder.layer"),
            ("attn_q", "attention.self.query"),
            ("attn_k", "attention.self.key"),
            ("attn_v", "attention.self.value"),
            ("attn_output_norm", "attention.output.LayerNorm"),
            ("attn_output", "attention.output.dense"),
            ("ffn_gate", "mlp.gated_layers"),
            ("ffn_down", "mlp.wo"),
            ("layer_output_norm", "mlp.layernorm"),
        ],
        || {
            json!({"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 48, "num_attention_heads": 4,
                "max_position_embeddings": 128, "layer_norm_eps": 0.002, "hidden_act": "gelu"})
        },
    ),
];

/// Encoders by the names of their checkpoints, with and without their stem.
#[test]
fn encoder_checkpoints_agree_with_their_goldens() {
    let Some(data) = golden::shared("encoder checkpoints") else { return };
    for &(model, class, stems, names, config) in ENCODERS {
        let golden = Golden::read(&data.join("zoo"), model);
        let path = golden.file("model");
        let source = realizar_format::open(&path).unwrap();
        let wanted = Model::load(&*source).unwrap().config().clone();
        let expected = floats(&golden.file("embd_file"));
        for stem in stems {
            let mut file = ModelFile::open(&path);
            if class.starts_with("Jina") {
                // The gate and what stands beside it are one matrix there.
                let ups: Vec<Tensor> =
                    file.tensors.iter().filter(|tensor| tensor.name.contains("ffn_up")).cloned().collect();
                for up in ups {
                    let gate = file.tensor(&up.name.replace("ffn_up", "ffn_gate"));
                    gate.data.extend(&up.data);
                    gate.dims[0] *= 2;
                    file.drop_tensor(&up.name);
                }
            }
            for tensor in &mut file.tensors {
                let parts: Vec<&str> = tensor.name.split('.').collect();
                let named =
                    |part| names.iter().find(|(ours, _)| *ours == part).map_or(part, |(_, theirs)| *theirs);
                tensor.name = format!("{stem}{}", parts.into_iter().map(named).collect::<Vec<_>>().join("."));
            }
            let mut config = config();
            config["architectures"] = json!([class]);
            config["vocab_size"] = json!(wanted.vocab);
            let folder = tempfile::tempdir().unwrap();
            let loaded = Arc::new(load(&*write_folder(folder.path(), &file.tensors, &config), model));
            let options =
                EncoderOptions { pool: Pool::new(1).unwrap(), kernels: Kernels::detect(), max_tokens: 100 };
            let mut encoder = Encoder::new(loaded, options).unwrap();
            let vector = encoder.encode(&ids(&golden.json["sequences"][0]), Pooling::Mean, false).unwrap();
            let worst =
                vector.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            assert!(worst / golden.number("embd_std") < 0.003, "{model} {stem}: {worst}");
        }
    }
}

#[test]
fn checkpoints_that_are_something_else_are_refused() {
    let path = golden::own().join("llama-gqa.gguf");
    let tensors = as_checkpoint(&path, "llama");
    let cases: &[(&str, &str, serde_json::Value, &str)] = &[
        (
            "class",
            "PersimmonForCausalLM",
            json!({}),
            "`config.architectures` is \"PersimmonForCausalLM\"; supported: LlamaForC",
        ),
        (
            "class of GGUF files",
            "Qwen3NextForCausalLM",
            json!({}),
            "`config.architectures` is \"Qwen3NextForCausalLM\": folders of this class are not read, GGUF files made \
             of them are (as `qwen3next`)",
        ),
        (
            "activation",
            "LlamaForCausalLM",
            json!({"hidden_act": "relu"}),
            "`config.hidden_act` is \"relu\", expected silu",
        ),
        (
            "heads",
            "LlamaForCausalLM",
            json!({"num_attention_heads": 0}),
            "`config.num_attention_heads` is 0, expected",
        ),
        ("eps", "LlamaForCausalLM", json!({"rms_norm_eps": 0}), "`config.rms_norm_eps` is 0, expected"),
        (
            "missing",
            "LlamaForCausalLM",
            json!({"num_hidden_layers": 3}),
            "missing: model.layers.2.input_layernorm.weight",
        ),
        (
            "shape",
            "LlamaForCausalLM",
            json!({"intermediate_size": 40}),
            "`model.layers.0.mlp.down_proj.weight` has shape",
        ),
        ("head", "LlamaForCausalLM", json!({"tie_word_embeddings": false}), "missing: lm_head.weight"),
        (
            "scaling",
            "LlamaForCausalLM",
            json!({"rope_scaling": {"type": "longrope"}}),
            "`config.rope_scaling.type`",
        ),
        (
            "experts",
            "Qwen2ForCausalLM",
            json!({"num_experts": 4}),
            "`config.num_experts` above 0 is not supported",
        ),
    ];
    for (name, class, more, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let source = write_folder(folder.path(), &tensors, &config_json(&path, class, more.clone()));
        let error = chain(&Model::load(&*source).unwrap_err());
        assert!(error.contains(expected), "{name}: {error}");
    }
    let mut writer = AprWriter::new();
    writer.metadata("model_type", Value::from("linear_regression")).unwrap();
    let source = realizar_format::parse(writer.begin(Vec::new()).unwrap().finish().unwrap().into()).unwrap();
    let error = Model::load(&*source).unwrap_err().to_string();
    assert!(error.starts_with("`model_type` is \"linear_regression\"; supported: afmoe, "), "{error}");
}
