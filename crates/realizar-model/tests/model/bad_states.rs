//! Numbers and tensors of the newer architectures that cannot be right.

use std::sync::Arc;

use realizar_model::Model;

use crate::file::{Fact, ModelFile};
use crate::golden::{self, Run, all, chain};

/// Model, case, change, what the error must contain.
type Case = (&'static str, &'static str, fn(&mut ModelFile), &'static str);

fn number(file: &mut ModelFile, key: &str, value: u32) {
    file.set(key, Fact::U32(value));
}

fn list(file: &mut ModelFile, key: &str, values: &[u32]) {
    file.set(key, Fact::U32s(values.to_vec()));
}

const CASES: &[Case] = &[
    (
        "qwen35",
        "51 interval",
        |f| number(f, "qwen35.full_attention_interval", 0),
        "`qwen35.full_attention_interval` is 0",
    ),
    (
        "qwen35",
        "52 state size",
        |f| number(f, "qwen35.ssm.state_size", 17),
        "`qwen35.ssm.inner_size` is 64, but",
    ),
    (
        "qwen35",
        "52 key heads",
        |f| number(f, "qwen35.ssm.group_count", 3),
        "`qwen35.ssm.time_step_rank` is 4, but `qwen35.ssm.group_count` is 3",
    ),
    (
        "qwen35",
        "51 taps",
        |f| number(f, "qwen35.ssm.conv_kernel", 1),
        "`qwen35.ssm.conv_kernel` is 1, expected 2..=64",
    ),
    (
        "qwen35",
        "50 missing",
        |f| {
            f.remove("qwen35.ssm.inner_size");
        },
        "`qwen35.ssm.inner_size` is missing",
    ),
    (
        "qwen35",
        "54 no rates",
        |f| {
            f.drop_tensor("blk.1.ssm_a");
        },
        "tensors are missing: blk.1.ssm_a",
    ),
    (
        "qwen35",
        "55 taps of another number",
        |f| number(f, "qwen35.ssm.conv_kernel", 3),
        "tensor `blk.0.ssm_conv1d.weight` has shape",
    ),
    (
        "qwen35",
        "50 listed kinds",
        |f| {
            f.set("qwen35.attention.recurrent_layers", Fact::Bools(vec![true; 3]));
        },
        "one value per layer is needed",
    ),
    (
        "qwen35",
        "50 kinds that are no truth values",
        |f| list(f, "qwen35.attention.recurrent_layers", &[1, 1, 7, 0]),
        "`qwen35.attention.recurrent_layers` is 7, expected 0 or 1",
    ),
    (
        "qwen35",
        "27 kinds as a word",
        |f| {
            f.set("qwen35.attention.recurrent_layers", Fact::Text("all".into()));
        },
        "`qwen35.attention.recurrent_layers`",
    ),
    (
        "qwen35",
        "27 one kind for all",
        |f| {
            f.set("qwen35.attention.recurrent_layers", Fact::Bool(true));
        },
        "`qwen35.attention.recurrent_layers`",
    ),
    (
        "qwen35",
        "62 a rate that is no number",
        |f| f.tensor("blk.1.ssm_a").data[4..8].copy_from_slice(&f32::NAN.to_le_bytes()),
        "tensor `blk.1.ssm_a` holds NaN where a finite number is needed (element 1)",
    ),
    (
        "exaone-moe",
        "50 windows that are no truth values",
        |f| {
            let layers = f.number("exaone-moe.block_count");
            list(f, "exaone-moe.attention.sliding_window_pattern", &vec![2; layers]);
        },
        "`exaone-moe.attention.sliding_window_pattern` is 2, expected 0 or 1",
    ),
    (
        "gemma4-ple",
        "51 no width for embeddings that are there",
        |f| number(f, "gemma4.embedding_length_per_layer_input", 0),
        "`gemma4.embedding_length_per_layer_input` is 0, but `per_layer_token_embd.weight` is in the file",
    ),
    (
        "apertus",
        "53 a function without bounds",
        |f| {
            f.set("xielu.alpha_p", Fact::F32s(vec![3e38; 2]));
        },
        "`xielu.alpha_p` is 3",
    ),
    (
        "step35",
        "53 a bound below 0",
        |f| {
            let layers = f.number("step35.block_count");
            f.set("step35.swiglu_clamp_exp", Fact::F32s(vec![-1.0; layers]));
        },
        "`step35.swiglu_clamp_exp` is -1",
    ),
    (
        "qwen35",
        "49 no feed-forward width",
        |f| number(f, "qwen35.feed_forward_length", 0),
        "`qwen35.feed_forward_length` is 0",
    ),
    (
        "qwen35",
        "49 no heads",
        |f| number(f, "qwen35.attention.head_count", 0),
        "`qwen35.attention.head_count` is 0",
    ),
    (
        "qwen35",
        "49 no key heads",
        |f| number(f, "qwen35.attention.head_count_kv", 0),
        "`qwen35.attention.head_count_kv` is 0",
    ),
    (
        "falcon-h1",
        "49 no heads",
        |f| number(f, "falcon-h1.attention.head_count", 0),
        "`falcon-h1.attention.head_count` is 0",
    ),
    (
        "lfm2",
        "49 no feed-forward width",
        |f| number(f, "lfm2.feed_forward_length", 0),
        "`lfm2.feed_forward_length` is 0",
    ),
    (
        "lfm2",
        "49 no layer attends",
        |f| number(f, "lfm2.attention.head_count_kv", 0),
        "tensors are missing: blk.",
    ),
    (
        "glm4moe",
        "53 a shared expert without a number",
        |f| {
            f.remove("glm4moe.expert_shared_count");
        },
        "_shexp.weight`, which `glm4moe.expert_shared_count` would use) is not supported",
    ),
    (
        "bailingmoe2",
        "53 a shared expert without a number",
        |f| {
            f.remove("bailingmoe2.expert_shared_count");
        },
        "_shexp.weight`, which `bailingmoe2.expert_shared_count` would use) is not supported",
    ),
    (
        "deepseek32",
        "53 no shared expert",
        |f| number(f, "deepseek32.expert_shared_count", 0),
        "_shexp.weight`, which `deepseek32.expert_shared_count` would use) is not supported",
    ),
    (
        "nemotron_h_moe",
        "53 a shared expert without a width",
        |f| {
            f.remove("nemotron_h_moe.expert_shared_feed_forward_length");
        },
        "_shexp.weight`, which `nemotron_h_moe.expert_shared_feed_forward_length` would use) is not supported",
    ),
    (
        "mimo2",
        "53 a bias that the peer reads and does not add",
        |f| {
            let mut bias = f.tensor("blk.0.attn_norm.weight").clone();
            bias.name = "blk.0.attn_q.bias".into();
            f.tensors.push(bias);
        },
        "a weight there that its numbers leave out (tensor `blk.0.attn_q.bias`)",
    ),
    (
        "chatglm",
        "53 a bias of a part of one matrix",
        |f| {
            let mut bias = f.tensor("blk.0.attn_norm.weight").clone();
            bias.name = "blk.0.attn_q.bias".into();
            f.tensors.push(bias);
        },
        "a weight there that its numbers leave out (tensor `blk.0.attn_q.bias`)",
    ),
    (
        "granitehybrid-moe",
        "53 a shared expert without a width",
        |f| {
            f.remove("granitehybrid.expert_shared_feed_forward_length");
        },
        "_shexp.weight`, which `granitehybrid.expert_shared_feed_forward_length` would use) is not supported",
    ),
    (
        "gemma4-moe",
        "53 a branch without a width",
        |f| {
            f.remove("gemma4.feed_forward_length");
        },
        "gemma4",
    ),
    (
        "grok2",
        "56 a part of the ramp",
        |f| {
            f.set("grok.rope.scaling.type", Fact::Text("yarn".into()));
            f.set("grok.rope.scaling.factor", Fact::F32(4.0));
            f.set("grok.rope.scaling.yarn_ext_factor", Fact::F32(0.5));
        },
        "`grok.rope.scaling.yarn_ext_factor` 0.5",
    ),
    (
        "minimax-m2",
        "53 a bias that is not added",
        |f| {
            let mut bias = f.tensor("blk.0.attn_norm.weight").clone();
            bias.name = "blk.0.attn_norm.bias".into();
            f.tensors.push(bias);
        },
        "(tensor `blk.0.attn_norm.bias`)",
    ),
    (
        "qwen35",
        "54 another kind of layer",
        |f| {
            f.set("qwen35.attention.recurrent_layers", Fact::Bools(vec![true; 4]));
        },
        "tensors are missing: blk.3.",
    ),
    (
        "kimi-linear",
        "51 head",
        |f| number(f, "kimi-linear.kda.head_dim", 0),
        "`kimi-linear.kda.head_dim` is 0",
    ),
    ("lfm2", "51 taps", |f| number(f, "lfm2.shortconv.l_cache", 1), "`lfm2.shortconv.l_cache` is 1"),
    (
        "lfm2",
        "50 list",
        |f| list(f, "lfm2.attention.head_count_kv", &[0, 0, 1]),
        "`lfm2.attention.head_count_kv` is a list of 3",
    ),
    (
        "granitehybrid",
        "52 heads",
        |f| number(f, "granitehybrid.ssm.time_step_rank", 7),
        "`granitehybrid.ssm.inner_size` is 80, but",
    ),
    (
        "granitehybrid",
        "52 groups",
        |f| number(f, "granitehybrid.ssm.group_count", 3),
        "`granitehybrid.ssm.time_step_rank` is 10, but",
    ),
    (
        "nemotron_h",
        "50 list",
        |f| list(f, "nemotron_h.feed_forward_length", &[0, 64]),
        "`nemotron_h.feed_forward_length` is a list of 2",
    ),
    (
        "nemotron_h_moe",
        "51 latent",
        |f| number(f, "nemotron_h_moe.moe_latent_size", 0),
        "`nemotron_h_moe.moe_latent_size` is 0",
    ),
    (
        "mamba",
        "50 missing",
        |f| {
            f.remove("mamba.ssm.time_step_rank");
        },
        "`mamba.ssm.time_step_rank` is missing",
    ),
    (
        "rwkv7",
        "52 head",
        |f| number(f, "rwkv7.wkv.head_size", 48),
        "`rwkv7.embedding_length` is 64, but `rwkv7.wkv.head_size` is 48",
    ),
    (
        "exaone-moe",
        "50 pattern",
        |f| {
            f.set("exaone-moe.attention.sliding_window_pattern", Fact::Bools(vec![true; 2]));
        },
        "one value per layer is needed",
    ),
    (
        "gemma4-ple",
        "52 shared",
        |f| number(f, "gemma4.attention.shared_kv_layers", 5),
        "two layers at least must keep their own keys",
    ),
    (
        "gemma4-ple",
        "55 width",
        |f| number(f, "gemma4.embedding_length_per_layer_input", 7),
        "tensor `per_layer_token_embd.weight` has shape",
    ),
    (
        "apertus",
        "50 list",
        |f| {
            f.set("xielu.beta", Fact::F32s(vec![0.5; 3]));
        },
        "`xielu.beta` is a list of 3",
    ),
    (
        "apertus",
        "53 not a number",
        |f| {
            f.set("xielu.beta", Fact::F32s(vec![f32::NAN; 2]));
        },
        "`xielu.beta` is NaN",
    ),
    (
        "step35",
        "50 words",
        |f| {
            f.set("step35.swiglu_clamp_exp", Fact::Texts(vec!["a".into(); 3]));
        },
        "`step35.swiglu_clamp_exp`",
    ),
    (
        "ernie4_5-moe",
        "51 step",
        |f| number(f, "ernie4_5-moe.interleave_moe_layer_step", 0),
        "`ernie4_5-moe.interleave_moe_layer_step` is 0",
    ),
    (
        "mistral4",
        "51 temperature",
        |f| number(f, "mistral4.attention.temperature_length", 0),
        "`mistral4.attention.temperature_length` is 0",
    ),
    (
        "mpt",
        "53 bound",
        |f| {
            f.set("mpt.attention.clamp_kqv", Fact::F32(-1.0));
        },
        "`mpt.attention.clamp_kqv` is -1",
    ),
];

#[test]
fn wrong_numbers_are_refused_by_name() {
    let Some(data) = golden::shared("zoo-modern, bad input") else { return };
    for &(model, case, change, expected) in CASES {
        let mut file = ModelFile::open(&data.join(format!("zoo-modern/{model}.gguf")));
        Model::load(&*file.source()).unwrap_or_else(|error| panic!("{model}, unchanged: {}", chain(&error)));
        change(&mut file);
        let error = match Model::load(&*file.source()) {
            Err(error) => chain(&error),
            Ok(_) => panic!("{model}, {case}: loaded"),
        };
        assert!(error.contains(expected), "{model}, {case}: {error}");
        assert!(!error.contains('\n'), "{model}, {case}: more than one line");
    }
}

/// Heads that draft tokens stand behind the model's own layers; they are not run and not missed.
#[test]
fn draft_layers_are_skipped() {
    let Some(data) = golden::shared("zoo-modern, drafts") else { return };
    let mut file = ModelFile::open(&data.join("zoo-modern/glm4moe.gguf"));
    let plain = Arc::new(Model::load(&*file.source()).unwrap());
    let mut draft = file.tensor("blk.2.attn_norm.weight").clone();
    draft.name = "blk.3.nextn.enorm.weight".into();
    file.tensors.push(draft);
    number(&mut file, "glm4moe.block_count", 4);
    number(&mut file, "glm4moe.nextn_predict_layers", 1);
    let drafting = Arc::new(Model::load(&*file.source()).unwrap());
    assert_eq!((drafting.config().layers, drafting.config().drafts), (3, 1));
    assert_eq!(drafting.warnings(), []);
    let rows = |model: &Arc<Model>| {
        let mut session = Run::plain().session(model);
        let seq = session.open().unwrap();
        all(&mut session, seq, &[1, 40, 41, 42])
    };
    assert!(rows(&plain) == rows(&drafting));
}
