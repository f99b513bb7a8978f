//! Valid containers, changed models: each is refused or runs.
#![no_main]

#[path = "../../../crates/realizar-model/tests/model/file.rs"]
#[expect(dead_code, reason = "shared with the crate's tests")]
mod file;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use file::{Fact, ModelFile, Tensor};
use libfuzzer_sys::fuzz_target;
use realizar_model::{
    ARCHITECTURES, Encoder, EncoderOptions, Model, Pooling, Role, Session, SessionOptions, Span, Want,
};
use realizar_quant::DType;
use realizar_tensor::{Kernels, KvType, Pool};

/// Elements of a tensor at most, and of activations.
const ELEMENTS: usize = 1 << 18;

/// Numbers that stand for others like them.
const NUMBERS: [u32; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 31, 32, 33, 48, 63, 64, 65, 128, 256, 1024, 100_000, 1 << 30, u32::MAX,
];

const FLOATS: [f32; 16] = [
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e-6, 1e4, 1e12, 1e30, f32::MAX, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY,
    f32::NEG_INFINITY, 2.0,
];

/// Keys that models have behind the name of their architecture.
const KEYS: &[&str] = &[
    "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length", "attention.sliding_window",
    "attention.sliding_window_pattern", "attention.key_length_swa", "attention.value_length_swa", "pooling_type",
    "rope.dimension_count", "rope.scaling.original_context_length", "rope.freq_base", "rope.freq_base_swa",
    "rope.scaling.factor", "rope.scaling.yarn_log_multiplier", "expert_count", "expert_used_count",
    "expert_feed_forward_length", "expert_group_count", "expert_group_used_count", "expert_gating_func",
    "expert_shared_count", "expert_shared_feed_forward_length", "expert_weights_scale", "expert_weights_norm",
    "leading_dense_block_count", "nextn_predict_layers", "attention.q_lora_rank", "attention.kv_lora_rank",
    "attention.key_length_mla", "attention.value_length_mla", "attention.scale", "attn_logit_softcapping",
    "final_logit_softcapping", "logit_scale", "residual_scale", "embedding_scale", "attention.temperature_scale",
    "attention.shared_kv_layers", "full_attention_interval", "attention.recurrent_layers", "ssm.conv_kernel",
    "ssm.state_size", "ssm.group_count", "ssm.inner_size", "ssm.time_step_rank", "shortconv.l_cache",
    "embedding_length_per_layer_input", "interleave_moe_layer_step", "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon", "kda.head_dim", "wkv.head_size", "attention.indexer.head_count",
    "attention.indexer.key_length", "attention.indexer.top_k", "altup.num_inputs", "activation_sparsity_scale",
];

fn models() -> &'static [ModelFile] {
    static MODELS: OnceLock<Vec<ModelFile>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/realizar-model/tests/data");
        let more = std::env::var("REALIZAR_FUZZ_MODELS").unwrap_or_default();
        let folders = std::iter::once(own).chain(more.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from));
        let mut files: Vec<PathBuf> = folders
            .flat_map(|folder| std::fs::read_dir(folder).expect("a folder of models"))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "gguf"))
            .collect();
        files.sort();
        files.iter().map(|path| ModelFile::open(path)).collect()
    })
}

/// Gives a tensor other dimensions, or another type, and as many bytes as it then needs.
fn reshape(tensor: &mut Tensor, dims: Vec<usize>, dtype: DType) {
    let elements = dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let Some(elements) = elements.filter(|elements| *elements <= ELEMENTS) else { return };
    let cols = dims.last().copied().unwrap_or(1);
    let Some(bytes) = dtype.row_bytes(cols).filter(|_| dtype.ggml_id().is_some()) else { return };
    let rows = if cols == 0 { 0 } else { elements / cols };
    let old = std::mem::take(&mut tensor.data);
    tensor.data = if old.is_empty() { vec![0; bytes * rows] } else { old.into_iter().cycle().take(bytes * rows).collect() };
    (tensor.dims, tensor.dtype) = (dims, dtype);
}

/// One change: what to do, where, and with what.
fn change(file: &mut ModelFile, [what, at, value, more]: [u8; 4]) {
    let number = NUMBERS[usize::from(value) % NUMBERS.len()].wrapping_add(u32::from(more % 4)).wrapping_sub(u32::from(more % 4 / 2));
    let float = FLOATS[usize::from(value) % FLOATS.len()];
    let fact_at = usize::from(at) % file.facts.len().max(1);
    let tensor_at = (usize::from(at) + 256 * usize::from(more & 3)) % file.tensors.len().max(1);
    let arch = file.facts.iter().find_map(|(key, fact)| match fact {
        Fact::Text(name) if key == "general.architecture" => Some(name.clone()),
        _ => None,
    });
    let own_key = || format!("{}.{}", arch.clone().unwrap_or_default(), KEYS[usize::from(at) % KEYS.len()]);
    match what % 16 {
        0 | 1 => {
            if let Some((_, fact)) = file.facts.get_mut(fact_at) {
                *fact = match fact {
                    Fact::F32(_) => Fact::F32(float),
                    Fact::Bool(truth) => Fact::Bool(!*truth),
                    Fact::Text(name) => Fact::Text(name.clone()),
                    _ => Fact::U32(number),
                };
            }
        }
        2 => drop(file.facts.get(fact_at).map(|(key, _)| key.clone()).map(|key| file.remove(&key).facts.len())),
        3 | 4 => drop(file.set(&own_key(), Fact::U32(number)).facts.len()),
        5 => drop(file.set(&own_key(), Fact::F32(float)).facts.len()),
        6 => drop(file.set(&own_key(), Fact::Bool(value % 2 == 0)).facts.len()),
        7 => {
            let list = (0..usize::from(more % 8)).map(|i| NUMBERS[(usize::from(value) + i) % 17]).collect();
            file.set(&own_key(), Fact::U32s(list));
        }
        8 => {
            // Another architecture, with the keys of this one.
            let other = ARCHITECTURES[usize::from(value) % ARCHITECTURES.len()].name;
            let prefix = format!("{}.", arch.clone().unwrap_or_default());
            for (key, _) in &mut file.facts {
                if let Some(rest) = key.strip_prefix(&prefix) {
                    *key = format!("{other}.{rest}");
                }
            }
            file.set("general.architecture", Fact::Text(other.to_owned()));
        }
        9 | 10 => {
            if let Some(tensor) = file.tensors.get_mut(tensor_at) {
                let (mut dims, dtype) = (tensor.dims.clone(), tensor.dtype);
                let dim = usize::from(more) / 4 % dims.len().max(1);
                match value % 4 {
                    0 => dims.reverse(),
                    1 => dims.insert(0, 1 + usize::from(value) / 64),
                    _ => {
                        if let Some(dim) = dims.get_mut(dim) {
                            *dim = number as usize;
                        }
                    }
                }
                reshape(tensor, dims, dtype);
            }
        }
        11 => {
            if let Some(tensor) = file.tensors.get_mut(tensor_at) {
                let dtype = DType::ALL[usize::from(value) % DType::ALL.len()];
                reshape(tensor, tensor.dims.clone(), dtype);
            }
        }
        12 => {
            if let Some(tensor) = file.tensors.get_mut(tensor_at) {
                let fill = [0_u8, 0x7f, 0x80, 0xff, 1, 0x3c][usize::from(value) % 6];
                tensor.data.iter_mut().step_by(1 + usize::from(more) / 16).for_each(|byte| *byte = fill);
            }
        }
        13 => {
            let other = usize::from(value) % file.tensors.len().max(1);
            if tensor_at != other {
                let name = file.tensors[other].name.clone();
                file.tensors[other].name = std::mem::replace(&mut file.tensors[tensor_at].name, name);
            }
        }
        14 if !file.tensors.is_empty() => drop(file.tensors.remove(tensor_at)),
        _ => {
            // A tensor of one block under the number of another.
            if let Some(tensor) = file.tensors.get(tensor_at) {
                let mut copy = tensor.clone();
                copy.name = copy.name.replacen(".0.", &format!(".{}.", value % 8), 1);
                if !file.tensors.iter().any(|tensor| tensor.name == copy.name) {
                    file.tensors.push(copy);
                }
            }
        }
    }
}

fn run(model: Model) {
    let model = Arc::new(model);
    let pool = Pool::new(1).expect("one thread");
    let kernels = Kernels::detect();
    if model.config().arch.role == Role::Encoder {
        let max_tokens = 4.min(model.config().context);
        let options = EncoderOptions { pool, kernels, max_tokens };
        if let Ok(mut encoder) = Encoder::new(model, options) {
            let _ = encoder.encode(&[0, 0][..2.min(max_tokens)], Pooling::Mean, true);
        }
        return;
    }
    let context = 8.min(model.config().context);
    let options = SessionOptions { pool, kernels, context, kv: KvType::F32, chunk: 4, max_sequences: 1, kv_blocks: None, checkpoints: 1 };
    let Ok(plan) = Session::memory_plan(&model, &options) else { return };
    if plan.kv_bytes + plan.state_bytes + plan.scratch_bytes > 1 << 28 {
        return;
    }
    let Ok(mut session) = Session::new(model, options) else { return };
    let seq = session.open().expect("a session has room for one sequence");
    for tokens in [[0, 0].as_slice(), &[0]] {
        let _ = session.forward(&[Span { seq, tokens, logits: Want::All }]);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&base, program)) = data.split_first() else { return };
    let models = models();
    let mut file = models[usize::from(base) % models.len()].clone();
    for &step in program.as_chunks::<4>().0.iter().take(12) {
        change(&mut file, step);
    }
    let Ok(source) = realizar_format::parse(file.to_bytes().into()) else { return };
    if let Ok(model) = Model::load(&*source) {
        run(model);
    }
});
