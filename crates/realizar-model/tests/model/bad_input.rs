//! Files that are not models, or models whose numbers cannot be right: each is refused by name.

use realizar_model::{ARCHITECTURES, Model, ModelError, ModelWarning, check_tensors};
use realizar_quant::DType;

use crate::file::{Fact, ModelFile, Tensor};
use crate::golden::{self, chain};

/// Names a case, changes a good file, and says what the error must contain.
type Case = (&'static str, fn(&mut ModelFile), &'static str);

fn llama() -> ModelFile {
    ModelFile::open(&golden::own().join("llama-gqa.gguf"))
}

/// The same with four experts of which two serve a token.
fn mixture() -> ModelFile {
    let mut file = llama();
    file.set("llama.expert_count", Fact::U32(4)).set("llama.expert_used_count", Fact::U32(2));
    for layer in 0..2 {
        for part in ["gate", "up", "down"] {
            let name = format!("blk.{layer}.ffn_{part}.weight");
            let plain = file.tensor(&name).clone();
            let dims = [&[4], plain.dims.as_slice()].concat();
            let stack = Tensor {
                name: name.replace(".weight", "_exps.weight"),
                dims,
                data: plain.data.repeat(4),
                dtype: plain.dtype,
            };
            file.drop_tensor(&name).tensors.push(stack);
        }
        let data = vec![0; 4 * 64 * 4];
        let name = format!("blk.{layer}.ffn_gate_inp.weight");
        file.tensors.push(Tensor { name, dims: vec![4, 64], dtype: DType::F32, data });
    }
    file
}

fn refused(cases: &[Case], make: fn() -> ModelFile) {
    Model::load(&*make().source()).unwrap_or_else(|error| panic!("unchanged: {}", chain(&error)));
    for &(name, change, expected) in cases {
        let mut file = make();
        change(&mut file);
        let error = match Model::load(&*file.source()) {
            Err(error) => chain(&error),
            Ok(_) => panic!("{name}: loaded"),
        };
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: more than one line");
    }
}

fn set(file: &mut ModelFile, key: &str, value: u32) {
    file.set(&format!("llama.{key}"), Fact::U32(value));
}

fn set_f32(file: &mut ModelFile, key: &str, value: f32) {
    file.set(&format!("llama.{key}"), Fact::F32(value));
}

fn yarn(file: &mut ModelFile) {
    file.set("llama.rope.scaling.type", Fact::Text("yarn".into()));
}

#[test]
fn other_files_are_told_apart() {
    let cases: &[Case] = &[
        (
            "48 missing",
            |f| {
                f.remove("general.architecture");
            },
            "`general.architecture` is missing",
        ),
        (
            "48 not a string",
            |f| {
                f.set("general.architecture", Fact::U32(1));
            },
            "general.architecture",
        ),
        (
            "48 unknown",
            |f| {
                f.set("general.architecture", Fact::Text("lllama".into()));
            },
            "`general.architecture` is \"lllama\"; supported: afmoe, apertus, arcee,",
        ),
        (
            "48 long",
            |f| {
                f.set("general.architecture", Fact::Text("x".repeat(1 << 20)));
            },
            "xxx\"; supported",
        ),
        (
            "63 projector",
            |f| {
                f.set("general.architecture", Fact::Text("clip".into()));
            },
            "projector, not a model",
        ),
        (
            "63 lora",
            |f| {
                f.set("general.type", Fact::Text("adapter".into()));
            },
            "LoRA adapter, not a model",
        ),
        (
            "63 matrix",
            |f| {
                f.set("general.type", Fact::Text("imatrix".into()));
            },
            "importance matrix, not a model",
        ),
        (
            "63 vocabulary",
            |f| {
                f.set("general.type", Fact::Text("vocab".into()));
            },
            "vocabulary without weights",
        ),
        (
            "63 control vector",
            |f| {
                f.set("general.architecture", Fact::Text("controlvector".into()));
            },
            "control vector, not a model",
        ),
        ("10 no tensors", |f| f.tensors.clear(), "tensors are missing: token_embd.weight"),
    ];
    refused(cases, llama);
    let mut file = llama();
    file.set("general.architecture", Fact::Text("é".repeat(1000)));
    let error = Model::load(&*file.source()).unwrap_err();
    let ModelError::UnknownArchitecture { found, supported, .. } = error else { panic!("{error}") };
    assert_eq!((found.chars().count(), supported.len()), (66, ARCHITECTURES.len()));
}

/// Numbers of the metadata that cannot be right.
const NUMBERS: &[Case] = &[
    (
        "49 heads 0",
        |f| set(f, "attention.head_count", 0),
        "`llama.attention.head_count` is 0, expected 1..=4096",
    ),
    (
        "49 heads missing",
        |f| {
            f.remove("llama.attention.head_count");
        },
        "`llama.attention.head_count` is missing",
    ),
    ("49 width 0", |f| set(f, "embedding_length", 0), "`llama.embedding_length` is 0"),
    (
        "49 width missing",
        |f| {
            f.remove("llama.embedding_length");
        },
        "`llama.embedding_length` is missing",
    ),
    ("49 ffn 0", |f| set(f, "feed_forward_length", 0), "`llama.feed_forward_length` is 0"),
    (
        "49 ffn missing",
        |f| {
            f.remove("llama.feed_forward_length");
        },
        "`llama.feed_forward_length` is missing",
    ),
    (
        "50 width and heads",
        |f| set(f, "attention.head_count", 6),
        "`llama.embedding_length` is 64, but `llama.attention.head_count` is 6",
    ),
    ("50 kv heads 0", |f| set(f, "attention.head_count_kv", 0), "`llama.attention.head_count_kv` is 0"),
    (
        "50 kv heads above",
        |f| set(f, "attention.head_count_kv", 8),
        "`llama.attention.head_count` is 4, but `llama.attention.head_count_kv` is 8",
    ),
    (
        "50 kv heads not dividing",
        |f| set(f, "attention.head_count_kv", 3),
        "`llama.attention.head_count_kv` is 3",
    ),
    (
        "50 list too short",
        |f| {
            f.set("llama.attention.head_count_kv", Fact::U32s(vec![2]));
        },
        "`llama.attention.head_count_kv` is a list of 1, but `llama.block_count` is 2",
    ),
    (
        "50 list that varies",
        |f| {
            f.set("llama.attention.head_count_kv", Fact::U32s(vec![2, 1]));
        },
        "tensor `blk.1.attn_k.weight` has shape [32, 64], expected [16, 64]",
    ),
    (
        "50 list of words",
        |f| {
            f.set("llama.attention.head_count_kv", Fact::Texts(vec!["2".into()]));
        },
        "`llama.attention.head_count_kv`: found",
    ),
    ("51 no blocks", |f| set(f, "block_count", 0), "`llama.block_count` is 0, expected 1..=1024"),
    ("51 many blocks", |f| set(f, "block_count", 100_000), "`llama.block_count` is 100000"),
    (
        "27 blocks negative",
        |f| {
            f.set("llama.block_count", Fact::I32(-1));
        },
        "llama.block_count",
    ),
    (
        "27 blocks a word",
        |f| {
            f.set("llama.block_count", Fact::Text("2".into()));
        },
        "llama.block_count",
    ),
    ("27 blocks a fraction", |f| set_f32(f, "block_count", 3.5), "llama.block_count"),
    ("52 context 0", |f| set(f, "context_length", 0), "`llama.context_length` is 0"),
    ("52 context huge", |f| set(f, "context_length", u32::MAX), "`llama.context_length` is 4294967295"),
    ("drafts only", |f| set(f, "nextn_predict_layers", 2), "`llama.nextn_predict_layers` is 2"),
    (
        "55 eps missing",
        |f| {
            f.remove("llama.attention.layer_norm_rms_epsilon");
        },
        "`llama.attention.layer_norm_rms_epsilon` is missing",
    ),
    ("55 eps NaN", |f| set_f32(f, "attention.layer_norm_rms_epsilon", f32::NAN), "epsilon` is NaN"),
    ("55 eps infinite", |f| set_f32(f, "attention.layer_norm_rms_epsilon", f32::INFINITY), "epsilon` is inf"),
    (
        "55 eps 0",
        |f| set_f32(f, "attention.layer_norm_rms_epsilon", 0.0),
        "epsilon` is 0, expected a number above 0",
    ),
    ("55 eps below 0", |f| set_f32(f, "attention.layer_norm_rms_epsilon", -1.0), "epsilon` is -1"),
    ("55 eps 2", |f| set_f32(f, "attention.layer_norm_rms_epsilon", 2.0), "epsilon` is 2"),
    ("55 base 0", |f| set_f32(f, "rope.freq_base", 0.0), "`llama.rope.freq_base` is 0"),
    ("55 base below 1", |f| set_f32(f, "rope.freq_base", 1e-45), "`llama.rope.freq_base` is 0.0000"),
    (
        "55 factor almost 0",
        |f| set_f32(f, "rope.scaling.factor", 1e-45),
        "`llama.rope.scaling.factor` is 0.0000",
    ),
    ("55 base NaN", |f| set_f32(f, "rope.freq_base", f32::NAN), "`llama.rope.freq_base` is NaN"),
    (
        "55 factor 0",
        |f| {
            yarn(f);
            set_f32(f, "rope.scaling.factor", 0.0);
        },
        "`llama.rope.scaling.factor` is 0",
    ),
    ("56 rotated 0", |f| set(f, "rope.dimension_count", 0), "`llama.rope.dimension_count` is 0"),
    (
        "56 rotated odd",
        |f| set(f, "rope.dimension_count", 5),
        "`llama.rope.dimension_count` is 5, expected an even",
    ),
    (
        "56 rotated above",
        |f| set(f, "rope.dimension_count", 18),
        "`llama.rope.dimension_count` is 18, but `llama.attention.key_length` is 16",
    ),
    (
        "56 original context 0",
        |f| {
            yarn(f);
            set(f, "rope.scaling.original_context_length", 0);
        },
        "`llama.rope.scaling.original_context_length` is 0",
    ),
    (
        "unknown scaling",
        |f| {
            f.set("llama.rope.scaling.type", Fact::Text("su".into()));
        },
        "`llama.rope.scaling.type` \"su\" is not supported for architecture `llama`",
    ),
    (
        "57 tokens",
        |f| {
            f.set("tokenizer.ggml.tokens", Fact::Texts(vec![String::new(); 273]));
        },
        "`tokenizer.ggml.tokens` is 273, but `token_embd.weight` is a matrix of 272 rows",
    ),
    ("57 vocabulary", |f| set(f, "vocab_size", 300), "`llama.vocab_size` is 300, but `token_embd.weight`"),
    ("pooling", |f| set(f, "pooling_type", 5), "`llama.pooling_type` is 5"),
];

#[test]
fn numbers_that_cannot_be_right_are_refused() {
    refused(NUMBERS, llama);
}

#[test]
fn experts_that_cannot_be_right_are_refused() {
    let cases: &[Case] = &[
        ("61 none used", |f| set(f, "expert_used_count", 0), "`llama.expert_used_count` is 0"),
        (
            "61 not said",
            |f| {
                f.remove("llama.expert_used_count");
            },
            "`llama.expert_used_count` is missing",
        ),
        (
            "61 more used",
            |f| set(f, "expert_used_count", 5),
            "`llama.expert_count` is 4, but `llama.expert_used_count` is 5",
        ),
        ("61 a million", |f| set(f, "expert_count", 1_000_000), "`llama.expert_count` is 1000000"),
        (
            "61 groups",
            |f| set(f, "expert_group_count", 3),
            "`llama.expert_count` is 4, but `llama.expert_group_count` is 3",
        ),
        ("61 groups of one", |f| set(f, "expert_group_count", 4), "`llama.expert_group_count` is 4"),
        (
            "61 groups used",
            |f| {
                set(f, "expert_group_count", 2);
                set(f, "expert_group_used_count", 3);
            },
            "`llama.expert_group_used_count` is 3",
        ),
        ("61 scoring", |f| set(f, "expert_gating_func", 9), "`llama.expert_gating_func` is 9"),
        ("54 stack", |f| f.tensor("blk.1.ffn_up_exps.weight").dims = vec![48, 4, 64], "expected [4, 48, 64]"),
    ];
    refused(cases, mixture);
    let mut file = ModelFile::default();
    let qwen2 = llama();
    for (key, fact) in qwen2.facts {
        file.set(&key.replace("llama.", "qwen2."), fact);
    }
    file.tensors = qwen2.tensors;
    file.set("general.architecture", Fact::Text("qwen2".into())).set("qwen2.expert_count", Fact::U32(4));
    let error = Model::load(&*file.source()).unwrap_err().to_string();
    assert_eq!(error, "`qwen2.expert_count` above 0 is not supported for architecture `qwen2`");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let cases: &[Case] = &[
        (
            "53 missing",
            |f| {
                f.drop_tensor("blk.1.ffn_up.weight");
            },
            "tensors are missing: blk.1.ffn_up.weight",
        ),
        (
            "53 two missing",
            |f| {
                f.drop_tensor("output_norm.weight").drop_tensor("blk.0.attn_q.weight");
            },
            "tensors are missing: blk.0.attn_q.weight, output_norm.weight",
        ),
        (
            "53 empty",
            |f| {
                let tensor = f.tensor("blk.0.attn_k.weight");
                (tensor.dims, tensor.data) = (vec![0, 64], Vec::new());
            },
            "tensor `blk.0.attn_k.weight` has shape",
        ),
        (
            "54 transposed",
            |f| f.tensor("blk.0.ffn_up.weight").dims = vec![64, 48],
            "tensor `blk.0.ffn_up.weight` has shape [64, 48], expected [48, 64]",
        ),
        (
            "54 norm too short",
            |f| {
                let tensor = f.tensor("blk.0.ffn_norm.weight");
                tensor.dims = vec![32];
                tensor.data.truncate(128);
            },
            "tensor `blk.0.ffn_norm.weight` has shape [32], expected 64 elements",
        ),
        (
            "54 a matrix of whole numbers",
            |f| f.tensor("blk.0.ffn_up.weight").dtype = DType::I32,
            "tensor `blk.0.ffn_up.weight` cannot be used",
        ),
        (
            "54 a norm of whole numbers",
            |f| f.tensor("output_norm.weight").dtype = DType::I32,
            "tensor `output_norm.weight` cannot be used",
        ),
    ];
    refused(cases, llama);
    let mut file = llama();
    set(&mut file, "block_count", 8);
    let error = Model::load(&*file.source()).unwrap_err();
    let ModelError::MissingTensors { names, more } = &error else { panic!("{error}") };
    assert_eq!((names.len(), *more), (20, 6 * 9 - 20));
    assert!(error.to_string().ends_with(" and 34 more"), "{error}");
}

/// Found by fuzzing: layers with a window may have narrower heads than the others, and a rotation said for all of them
/// then left the head.
#[test]
fn a_rotation_wider_than_the_heads_of_window_layers_is_refused() {
    let mut file = ModelFile::open(&golden::own().join("gemma2.gguf"));
    file.set("gemma2.attention.key_length_swa", Fact::U32(16));
    file.set("gemma2.attention.value_length_swa", Fact::U32(16));
    // Layer 0 has the window: 4 heads of queries and 2 of keys and values, in rows of 64 floats.
    for (part, heads) in [("attn_q", 4), ("attn_k", 2), ("attn_v", 2)] {
        let tensor = file.tensor(&format!("blk.0.{part}.weight"));
        tensor.dims[0] = heads * 16;
        tensor.data.truncate(heads * 16 * 64 * 4);
    }
    let tensor = file.tensor("blk.0.attn_output.weight");
    tensor.dims[1] = 4 * 16;
    tensor.data.truncate(4 * 16 * 64 * 4);
    let refusal = |file: &ModelFile| match Model::load(&*file.source()) {
        Err(ModelError::Disagree { key, value, other, other_value, .. }) => {
            [key, value, other, other_value].join(" ")
        }
        other => panic!("{other:?}"),
    };
    let width = "gemma2.attention.key_length_swa 16";
    assert_eq!(refusal(&file), format!("gemma2.rope.dimension_count 32 {width}"), "said for all layers");
    file.remove("gemma2.rope.dimension_count");
    assert_eq!(
        refusal(&file),
        format!("gemma2.rope.dimension_count 32 {width}"),
        "by the width of the heads"
    );
    file.set("gemma2.rope.dimension_count_swa", Fact::U32(24));
    assert_eq!(refusal(&file), format!("gemma2.rope.dimension_count_swa 24 {width}"), "said for the window");
    file.set("gemma2.rope.dimension_count_swa", Fact::U32(16));
    Model::load(&*file.source()).unwrap();
}

/// Files in NVFP4 have factors beside their matrices; those of projections and experts are applied, others are not.
#[test]
fn a_factor_that_would_be_left_out_is_refused() {
    let factor = |name: &str, len: usize| {
        let data = 2.0_f32.to_le_bytes().repeat(len);
        Tensor { name: name.into(), dims: vec![len], dtype: DType::F32, data }
    };
    for part in ["blk.1.ffn_norm", "token_embd"] {
        let (mut file, name) = (mixture(), format!("{part}.scale"));
        file.tensors.push(factor(&name, 1));
        let error = Model::load(&*file.source()).unwrap_err();
        let ModelError::Unsupported { architecture, what } = error else { panic!("{part}: {error}") };
        assert_eq!((architecture, what), ("llama", format!("a factor on a weight there (`{name}`)")));
    }
    let mut file = mixture();
    for part in ["gate", "up", "down"] {
        file.tensors.push(factor(&format!("blk.1.ffn_{part}_exps.scale"), 4));
    }
    // Without a matrix it is a tensor like any other.
    file.tensors.push(factor("extra.scale", 1));
    let model = Model::load(&*file.source()).unwrap();
    assert_eq!(
        model.warnings(),
        [ModelWarning::SurplusTensors { count: 1, names: vec!["extra.scale".into()] }]
    );
}

#[test]
fn odd_files_load_with_a_warning() {
    let mut file = llama();
    let extra = Tensor { name: "extra.weight".into(), dims: vec![4], dtype: DType::F32, data: vec![0; 16] };
    file.tensors.push(extra);
    set(&mut file, "attention.sliding_window", 16);
    let model = Model::load(&*file.source()).unwrap();
    let expected = [
        ModelWarning::SurplusTensors { count: 1, names: vec!["extra.weight".into()] },
        ModelWarning::IgnoredKey { key: "llama.attention.sliding_window".into() },
    ];
    assert_eq!(model.warnings(), expected);
    assert_eq!(model.warnings()[0].to_string(), "1 tensors are not used by this architecture: extra.weight");
    assert_eq!((model.parameters(), model.weights_bytes()), (60_740, 4 * 60_740));
}

#[test]
fn a_list_of_equal_numbers_is_a_number() {
    let mut file = llama();
    file.set("llama.attention.head_count_kv", Fact::U32s(vec![2, 2]));
    assert_eq!(Model::load(&*file.source()).unwrap().config().blocks[0].kv_heads, 2);
}

/// Row 62: found on demand, with tensor and element.
#[test]
fn broken_weights_are_found() {
    let mut file = llama();
    check_tensors(&*file.source()).unwrap();
    file.tensor("blk.1.attn_v.weight").data[4 * 77..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = check_tensors(&*file.source()).unwrap_err().to_string();
    assert_eq!(error, "tensor `blk.1.attn_v.weight` holds NaN where a finite number is needed (element 77)");
    let mut file = ModelFile::open(&golden::own().join("llama-gqa256-Q4_K.gguf"));
    file.tensor("blk.0.ffn_down.weight").data[144 * 3..][..2].copy_from_slice(&0x7c00u16.to_le_bytes());
    let ModelError::TensorValue { tensor, index, .. } = check_tensors(&*file.source()).unwrap_err() else {
        panic!()
    };
    assert_eq!((tensor.as_str(), index / 256), ("blk.0.ffn_down.weight", 3));
}
