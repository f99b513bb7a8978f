//! Tiny models of architectures without a golden file against the probabilities that llama.cpp gives: `tests/data/llama.cpp`
//! holds these, its `make.py` how they were made. And golden files with other numbers or more tensors: `changed.py`.

use std::sync::Arc;

use realizar_model::Model;
use realizar_quant::DType;
use serde_json::Value;

use crate::file::{Fact, ModelFile, Tensor};
use crate::golden::{self, Run, all, chain, ids, last};
use crate::transformers;

/// The largest difference between logarithms of probabilities. The peer's GELU is a table in F16.
const LIMIT: f64 = 2e-4;
const LIMIT_OF_GELU: f64 = 0.02;
/// Some of these models are less even.
const LIMIT_OF_CHANGED: f64 = 1e-3;

fn model(golden: &Value) -> ModelFile {
    let arch = golden["architecture"].as_str().unwrap();
    let mut file = ModelFile::default();
    file.set("general.architecture", Fact::Text(arch.to_owned()));
    for (key, number) in golden["numbers"].as_object().unwrap() {
        file.set(&format!("{arch}.{key}"), Fact::U32(number.as_u64().unwrap() as u32));
    }
    for (key, number) in golden["floats"].as_object().unwrap() {
        file.set(&format!("{arch}.{key}"), Fact::F32(number.as_f64().unwrap() as f32));
    }
    add(&mut file, &golden["tensors"]);
    file
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from(x - most).exp()).sum();
    row.iter().map(|x| f64::from(x - most) - sum.ln()).collect()
}

/// The largest difference of the probabilities' logarithms after each of the prefixes.
fn worst(name: &str, file: &ModelFile, golden: &Value) -> f64 {
    let model = Model::load(&*file.source()).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
    assert_eq!(model.warnings(), [], "{name}");
    let model = Arc::new(model);
    let mut worst = 0.0_f64;
    for (length, expected) in ids(&golden["lengths"]).into_iter().zip(golden["rows"].as_array().unwrap()) {
        let mut session = Run { context: 32, chunk: 7, ..Run::plain() }.session(&model);
        let seq = session.open().unwrap();
        let found = log_softmax(&last(&mut session, seq, &ids(&golden["tokens"])[..length as usize]));
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            worst = worst.max((found - expected.as_f64().unwrap()).abs());
        }
    }
    worst
}

/// The golden files in `folder`, with their names.
fn goldens(folder: &str) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(golden::own().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            out.push((name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn add(file: &mut ModelFile, rows: &Value) {
    let made = rows.as_array().unwrap().iter().map(|row| transformers::tensor(row, DType::F32));
    file.tensors.extend(made.map(|made| Tensor {
        name: made.name,
        dims: made.dims,
        dtype: made.dtype,
        data: made.data,
    }));
}

#[test]
fn changed_golden_files_agree_with_the_peer() {
    let Some(data) = golden::shared("golden files with other numbers") else { return };
    let mut failures = Vec::new();
    let goldens = goldens("llama.cpp/changed");
    assert!(goldens.len() >= 24);
    for (name, golden) in goldens {
        let mut file = ModelFile::open(&data.join(format!("{}.gguf", golden["file"].as_str().unwrap())));
        for (key, value) in golden["set"].as_object().unwrap() {
            let fact = match value {
                Value::Array(_) => Fact::U32s(ids(value)),
                Value::Bool(truth) => Fact::Bool(*truth),
                Value::Number(number) if number.is_u64() => Fact::U32(number.as_u64().unwrap() as u32),
                _ => Fact::F32(value.as_f64().unwrap() as f32),
            };
            file.set(key, fact);
        }
        for key in golden["remove"].as_array().unwrap() {
            file.remove(key.as_str().unwrap());
        }
        add(&mut file, &golden["add"]);
        let worst = worst(&name, &file, &golden);
        eprintln!("{name}: {worst:.1e}");
        if worst > LIMIT_OF_CHANGED {
            failures.push(format!("{name}: off by {worst:.1e}, above {LIMIT_OF_CHANGED:.0e}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Files of Qwen 3 Next that were made before its projections were taken apart.
#[test]
fn an_older_projection_gives_the_same_bits() {
    let Some(data) = golden::shared("older files of qwen3next") else { return };
    let newer = ModelFile::open(&data.join("zoo-modern/qwen3next.gguf"));
    let mut older = newer.clone();
    let number = |key: &str| newer.number(&format!("qwen3next.ssm.{key}"));
    let (dim, keys, heads) = (number("state_size"), number("group_count"), number("time_step_rank"));
    let wide = heads / keys * dim;
    for layer in 0..newer.number("qwen3next.block_count") {
        let has = newer.tensors.iter().any(|tensor| tensor.name == format!("blk.{layer}.attn_gate.weight"));
        if !has {
            continue;
        }
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let (qkv, gate) = (older.tensor(&name("attn_qkv")).clone(), older.tensor(&name("attn_gate")).clone());
        let row = qkv.data.len() / qkv.dims[0];
        let mut data = Vec::new();
        for head in 0..keys {
            let parts = [(0, dim), (keys * dim, dim), (2 * keys * dim, wide)];
            for (start, width) in parts {
                data.extend_from_slice(&qkv.data[(start + head * width) * row..][..width * row]);
            }
            data.extend_from_slice(&gate.data[head * wide * row..][..wide * row]);
        }
        older.drop_tensor(&name("attn_qkv")).drop_tensor(&name("attn_gate"));
        let dims = vec![qkv.dims[0] + gate.dims[0], qkv.dims[1]];
        older.tensors.push(Tensor { name: name("ssm_in"), dims, dtype: qkv.dtype, data });
    }
    assert_ne!(newer.tensors.len(), older.tensors.len());
    let rows = |file: &ModelFile| {
        let model = Model::load(&*file.source()).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(model.warnings(), []);
        let mut session = Run::plain().session(&Arc::new(model));
        let seq = session.open().unwrap();
        all(&mut session, seq, &[1, 40, 41, 97, 200, 12, 7])
    };
    assert!(rows(&newer) == rows(&older));
}

#[test]
fn tiny_models_agree_with_the_peer() {
    let goldens = goldens("llama.cpp");
    for (name, golden) in &goldens {
        let file = model(golden);
        let gated = file.tensors.iter().any(|tensor| tensor.name.contains("ffn_gate"));
        let (worst, limit) = (worst(name, &file, golden), if gated { LIMIT } else { LIMIT_OF_GELU });
        assert!(worst <= limit, "{name}: off by {worst:.1e}, above {limit:.0e}");
        eprintln!("{name}: {worst:.1e}");
    }
    assert!(goldens.len() >= 4);
}
