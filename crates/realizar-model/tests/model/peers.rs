//! Tiny models of architectures without a golden file against the probabilities that llama.cpp gives: `tests/data/llama.cpp`
//! holds these, its `make.py` how they were made.

use std::sync::Arc;

use realizar_model::Model;
use realizar_quant::DType;
use serde_json::Value;

use crate::file::{Fact, ModelFile, Tensor};
use crate::golden::{self, Run, chain, ids, last};
use crate::transformers;

/// The largest difference between logarithms of probabilities. The peer's GELU is a table in F16.
const LIMIT: f64 = 2e-4;
const LIMIT_OF_GELU: f64 = 0.02;

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
    let made = golden["tensors"].as_array().unwrap().iter().map(|row| transformers::tensor(row, DType::F32));
    file.tensors = made
        .map(|made| Tensor { name: made.name, dims: made.dims, dtype: made.dtype, data: made.data })
        .collect();
    file
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from(x - most).exp()).sum();
    row.iter().map(|x| f64::from(x - most) - sum.ln()).collect()
}

#[test]
fn tiny_models_agree_with_the_peer() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(golden::own().join("llama.cpp")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let golden: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = golden["architecture"].as_str().unwrap();
        let file = model(&golden);
        let model = Model::load(&*file.source()).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        assert_eq!(model.warnings(), [], "{name}");
        let gated = file.tensors.iter().any(|tensor| tensor.name.contains("ffn_gate"));
        let model = Arc::new(model);
        let mut worst = 0.0_f64;
        for (length, expected) in ids(&golden["lengths"]).into_iter().zip(golden["rows"].as_array().unwrap())
        {
            let mut session = Run { context: 32, chunk: 7, ..Run::plain() }.session(&model);
            let seq = session.open().unwrap();
            let found = log_softmax(&last(&mut session, seq, &ids(&golden["tokens"])[..length as usize]));
            let expected = expected.as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, expected) in found.iter().zip(expected) {
                worst = worst.max((found - expected.as_f64().unwrap()).abs());
            }
        }
        let limit = if gated { LIMIT } else { LIMIT_OF_GELU };
        assert!(worst <= limit, "{name}: off by {worst:.1e}, above {limit:.0e}");
        eprintln!("{name}: {worst:.1e}");
        names.push(name.to_owned());
    }
    assert!(names.len() > 1, "{names:?}");
}
