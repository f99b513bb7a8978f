//! A sentence-embedding model that people use, against the vectors of its reference.

use std::path::PathBuf;
use std::sync::Arc;

use realizar_model::{Encoder, EncoderOptions, Model, Pooling};
use realizar_tensor::{Kernels, Pool};
use serde_json::Value;

use crate::golden::{self, ids};

/// Where the model's folder is, for those who have it: it is too large to come along.
const FOLDER: &str = "REALIZAR_MINILM";

#[test]
fn sentence_vectors_agree() {
    let Some(data) = golden::shared("sentence embedding") else { return };
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        eprintln!("SKIPPED (no {FOLDER}): sentence embedding");
        return;
    };
    let text = std::fs::read_to_string(data.join("embedding/minilm.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let source = realizar_format::open(&folder).unwrap();
    let model = Arc::new(Model::load(&*source).unwrap());
    let options = EncoderOptions { pool: Pool::new(2).unwrap(), kernels: Kernels::detect(), max_tokens: 256 };
    let mut encoder = Encoder::new(model, options).unwrap();
    let (mut least, mut worst) = (1.0f64, 0.0f64);
    for sentence in json["rows"].as_array().unwrap() {
        let vector = encoder.encode(&ids(&sentence["ids"]), Pooling::Mean, true).unwrap();
        let expected = base64(sentence["vector"].as_str().unwrap());
        let expected: Vec<f32> =
            expected.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(vector.len(), expected.len());
        let pairs = || vector.iter().zip(&expected).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        least = least.min(pairs().map(|(a, b)| a * b).sum());
        worst = pairs().map(|(a, b)| (a - b).abs()).fold(worst, f64::max);
    }
    eprintln!("minilm: least cosine {least:.8}, largest difference {worst:.1e}");
    assert!(least >= 0.999_99 && worst < 1e-5, "cosine {least}, difference {worst}");
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|letter| *letter == byte));
    let (mut bits, mut held, mut out) = (0u32, 0, Vec::new());
    for digit in digits {
        (bits, held) = (bits << 6 | digit as u32, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}
