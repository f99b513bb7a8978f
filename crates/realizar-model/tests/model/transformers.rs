//! Small checkpoints of many classes against what the transformers library computes for them.
//!
//! The weights are made from the names of the tensors, as `tests/data/transformers/make.py` made them, and written into
//! a folder as that class of checkpoint has them: whole or in shards, in one of three types, all of which hold them
//! exactly.

use std::path::Path;
use std::sync::Arc;

use realizar_format::{SafetensorsWriter, Shape};
use realizar_model::{Encoder, EncoderOptions, GgufView, Model, Pooling, Role, Session, SessionOptions};
use realizar_quant::{DType, f32_to_bf16, f32_to_f16};
use realizar_tensor::{Kernels, KvType, Pool};
use serde_json::{Value, json};

use crate::golden::{self, Run, all, chain, ids};

/// Bytes from a name: the same in Python and here.
fn top_bytes(name: &str) -> impl Iterator<Item = u8> + use<> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (1_u64..).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 56) as u8
    })
}

pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) data: Vec<u8>,
}

/// One row of the golden's list: `[name, dims, scale, offset]`, or `[name, dims, "u8 FIRST COUNT"]` for codes.
pub(crate) fn tensor(row: &Value, dtype: DType) -> Tensor {
    let name = row[0].as_str().unwrap().to_owned();
    let dims: Vec<usize> = ids(&row[1]).into_iter().map(|dim| dim as usize).collect();
    let bytes = top_bytes(&name).take(dims.iter().product());
    if let Some(code) = row[2].as_str() {
        let range: Vec<u8> = code.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
        let data = bytes.map(|byte| if let [first, count] = range[..] { first + byte % count } else { byte });
        return Tensor { name, dims, dtype: DType::U8, data: data.collect() };
    }
    let (scale, offset) = (row[2].as_f64().unwrap() as f32, row[3].as_f64().unwrap() as f32);
    let values = bytes.map(|byte| offset + scale * (2.0 * f32::from(byte) - 255.0) / 256.0);
    let data = match dtype {
        DType::F32 => values.flat_map(f32::to_le_bytes).collect(),
        DType::F16 => values.flat_map(|value| f32_to_f16(value).to_le_bytes()).collect(),
        _ => values.flat_map(|value| f32_to_bf16(value).to_le_bytes()).collect(),
    };
    Tensor { name, dims, dtype, data }
}

fn write_file(path: &Path, tensors: &[Tensor]) {
    let mut writer = SafetensorsWriter::new();
    for tensor in tensors {
        writer.tensor(&tensor.name, tensor.dtype, Shape::new(&tensor.dims).unwrap()).unwrap();
    }
    let mut data = writer.create(path).unwrap();
    for tensor in tensors {
        data.write(&tensor.data).unwrap();
    }
    data.finish().unwrap().commit().unwrap();
}

/// Writes the folder, in `shards` files.
pub(crate) fn write_folder(folder: &Path, config: &Value, tensors: &[Tensor], shards: usize) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    if shards == 1 {
        write_file(&folder.join("model.safetensors"), tensors);
        return;
    }
    let mut map = serde_json::Map::new();
    for (index, part) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let file = format!("model-{index:05}.safetensors");
        map.extend(part.iter().map(|tensor| (tensor.name.clone(), json!(file))));
        write_file(&folder.join(&file), part);
    }
    std::fs::write(folder.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string())
        .unwrap();
}

pub(crate) fn rows(model: Model, tokens: &[u32]) -> Vec<Vec<f32>> {
    let model = Arc::new(model);
    if model.config().arch.role == Role::Encoder {
        let options =
            EncoderOptions { pool: Pool::new(1).unwrap(), kernels: Kernels::detect(), max_tokens: 20 };
        let mut encoder = Encoder::new(model.clone(), options).unwrap();
        let states = encoder.encode(tokens, Pooling::None, false).unwrap();
        return states.chunks(model.config().hidden).map(<[f32]>::to_vec).collect();
    }
    let mut session = Run { context: 32, chunk: 7, ..Run::plain() }.session(&model);
    let seq = session.open().unwrap();
    all(&mut session, seq, tokens)
}

/// What differs, or nothing.
fn compare(golden: &Value, found: &[Vec<f32>], limit: f64) -> Result<f64, String> {
    let numbers = |row: &Value| -> Vec<f64> {
        row.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let expected: Vec<Vec<f64>> = golden["rows"].as_array().unwrap().iter().map(numbers).collect();
    let count = expected.iter().flatten().count() as f64;
    let std = (expected.iter().flatten().map(|x| x * x).sum::<f64>() / count).sqrt();
    let (mut worst, mut at) = (0.0, 0);
    for (row, position) in expected.iter().zip(ids(&golden["positions"])) {
        let found = &found[position as usize];
        assert_eq!(found.len(), row.len());
        for (a, b) in found.iter().zip(row) {
            let error = (f64::from(*a) - b).abs() / std;
            if error > worst || error.is_nan() {
                (worst, at) = (error, position);
            }
        }
    }
    if worst <= limit { Ok(worst) } else { Err(format!("off by {worst:.1e} of the spread at position {at}")) }
}

/// The configuration as version 5 of the library writes it: everything about the rotation in one object, or in one
/// for each kind of layer.
pub(crate) fn newer(config: &Value) -> Value {
    let mut config = config.clone();
    if !config["rope_parameters"]["rope_theta"].is_null() {
        return config;
    }
    let object = config.as_object_mut().unwrap();
    let mut rope = serde_json::Map::new();
    for key in ["rope_theta", "partial_rotary_factor"] {
        rope.extend(object.remove(key).map(|value| (key.to_owned(), value)));
    }
    let scaling = object.remove("rope_scaling").unwrap_or_default();
    rope.insert("rope_type".into(), scaling.get("type").cloned().unwrap_or("default".into()));
    rope.extend(scaling.as_object().cloned().unwrap_or_default());
    rope.remove("type");
    object.remove("rope_parameters");
    let parameters = match object.remove("rope_local_base_freq") {
        Some(base) => json!({"full_attention": rope,
            "sliding_attention": {"rope_type": "default", "rope_theta": base}}),
        None => Value::Object(rope),
    };
    object.insert("rope_parameters".into(), parameters);
    config
}

/// The limit for the checkpoint with MXFP4 blocks: products with them round activations to eight bits.
const ROUNDED: f64 = 0.1;

/// Type of the weights, the limit in units of the golden's spread, files. The kernels for BF16 round activations to it.
/// Two files go with the newer form of the configuration.
const WAYS: &[(DType, f64, usize)] = &[(DType::F32, 1e-4, 1), (DType::F16, 1e-4, 2), (DType::BF16, 0.03, 3)];

#[test]
fn checkpoints_agree_with_the_transformers_library() {
    let only = std::env::var("REALIZAR_CHECKPOINT").ok();
    let folder = golden::own().join("transformers");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let mut failures = Vec::new();
    let mut worst = [0.0_f64; 2];
    for path in &files {
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let case = golden["case"].as_str().unwrap();
        if only.as_ref().is_some_and(|only| only != case) {
            continue;
        }
        let rounded = case == "gptoss-mxfp4";
        for &(dtype, limit, shards) in WAYS {
            let tensors: Vec<Tensor> =
                golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, dtype)).collect();
            let folder = tempfile::tempdir().unwrap();
            let config = if shards == 2 { newer(&golden["config"]) } else { golden["config"].clone() };
            write_folder(folder.path(), &config, &tensors, shards);
            let source = realizar_format::open(folder.path()).unwrap();
            let outcome = match Model::load(&*source) {
                Err(error) => Err(chain(&error)),
                Ok(model) => {
                    let mut warnings: Vec<String> =
                        model.warnings().iter().map(ToString::to_string).collect();
                    warnings.retain(|warning| !warning.contains("pooler."));
                    assert!(warnings.is_empty(), "{case}: {warnings:?}");
                    compare(
                        &golden,
                        &rows(model, &ids(&golden["ids"])),
                        if rounded { ROUNDED } else { limit },
                    )
                }
            };
            match outcome {
                Err(error) => failures.push(format!("{case} in {dtype}: {error}")),
                Ok(_) if rounded => {}
                Ok(error) => {
                    worst[usize::from(dtype == DType::BF16)] =
                        error.max(worst[usize::from(dtype == DType::BF16)])
                }
            }
        }
    }
    eprintln!(
        "{} checkpoints; off by at most {:.1e} of the spread, in BF16 {:.1e}",
        files.len(),
        worst[0],
        worst[1]
    );
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        WAYS.len() * files.len(),
        failures.join("\n")
    );
}

/// The language part of a model with eyes says in its own configuration what it is, and has its head beside its body,
/// where there is one. Read as the older kind, a Ministral 3 would be off by half of the spread.
#[test]
fn language_parts_of_larger_models_agree_too() {
    for (case, body, head) in [
        ("ministral3", "language_model.model.", "language_model.lm_head."),
        ("ministral3", "model.language_model.", "lm_head."),
        ("mistral-whole", "language_model.model.", "language_model.lm_head."),
        ("mistral-whole", "model.language_model.", "lm_head."),
    ] {
        let path = golden::own().join(format!("transformers/{case}.json"));
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut tensors: Vec<Tensor> =
            golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, DType::F32)).collect();
        for tensor in &mut tensors {
            tensor.name = match tensor.name.strip_prefix("model.") {
                Some(rest) => format!("{body}{rest}"),
                None => tensor.name.replace("lm_head.", head),
            };
        }
        let mut text = golden["config"].clone();
        text.as_object_mut().unwrap().remove("architectures");
        let config = json!({"architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3",
            "text_config": text});
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &config, &tensors, 1);
        let source = realizar_format::open(folder.path()).unwrap();
        let model = golden::load(&*source, case);
        compare(&golden, &rows(model, &ids(&golden["ids"])), 1e-4)
            .unwrap_or_else(|error| panic!("{case} in {body}: {error}"));
    }
}

/// GGUF has no key for how the second DeepSeek chooses groups of experts: such a model cannot be carried over, and stays
/// what it is where it has no groups.
#[test]
fn how_groups_are_chosen_is_not_lost() {
    for (case, expected) in [
        (
            "deepseek2-groups",
            Some(
                "the configuration's `group_score: Best` cannot be carried over: it would be read as `group_score: BestTwo`",
            ),
        ),
        ("deepseek2-lite", None),
        ("deepseek3", None),
    ] {
        let path = golden::own().join(format!("transformers/{case}.json"));
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let tensors: Vec<Tensor> =
            golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, DType::F32)).collect();
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &golden["config"], &tensors, 1);
        let source = realizar_format::open(folder.path()).unwrap();
        match (GgufView::new(&*source), expected) {
            (Err(error), Some(expected)) => {
                let error = chain(&error);
                assert!(error.contains(expected), "{case}: {error}");
            }
            (Ok(_), None) => {}
            (other, _) => panic!("{case}: {:?}", other.err()),
        }
    }
}

/// A folder of sentence-transformers says beside the weights how vectors are joined. Such a model opens no session.
#[test]
fn folders_say_how_they_pool() {
    let path = golden::own().join("transformers/bert.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tensors: Vec<Tensor> =
        golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, DType::F32)).collect();
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &golden["config"], &tensors, 1);
    let load = || Model::load(&*realizar_format::open(folder.path()).unwrap());
    let model = load().unwrap();
    assert_eq!(model.config().pooling, None);
    let options = SessionOptions {
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 16,
        kv: KvType::F32,
        chunk: 16,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 0,
    };
    let error = Session::new(Arc::new(model), options).unwrap_err().to_string();
    assert_eq!(error, "saying the next token (it is an encoder) is not supported for architecture `bert`");
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let cases: &[(&str, Option<Pooling>)] = &[
        ("cls_token", Some(Pooling::Cls)),
        ("mean_tokens", Some(Pooling::Mean)),
        ("lasttoken", Some(Pooling::Last)),
        ("max_tokens", None),
    ];
    for &(how, expected) in cases {
        let mut text = json!({"word_embedding_dimension": 32, "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": false});
        text[format!("pooling_mode_{how}")] = json!(true);
        std::fs::write(folder.path().join("1_Pooling/config.json"), text.to_string()).unwrap();
        match load() {
            Ok(model) => assert_eq!(model.config().pooling, expected, "{how}"),
            Err(error) => {
                let error = chain(&error);
                assert!(expected.is_none() && error.contains("pooling_mode_max_tokens"), "{how}: {error}");
            }
        }
    }
}
