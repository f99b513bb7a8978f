//! Golden files and how an engine is judged by them: for the tests of this crate and for those of the command line.

use std::path::Path;

use serde_json::Value;

/// Unquantised decoders: logits within the file's tolerance, greedy tokens equal.
pub(crate) const ZOO: &[&str] = &[
    "llama-mha",
    "llama-gqa",
    "llama-mqa",
    "llama-bias",
    "llama-rope-linear",
    "llama-rope-llama3",
    "llama-rope-yarn",
    "llama-untied",
    "llama-tied",
    "llama-hd32",
    "mixtral",
    "mistral3",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "gemma",
    "gemma2",
    "gemma3",
    "phi2",
    "phi3",
    "phi3-longrope",
    "phi3-longrope-short",
    "gpt2",
    "gptneox",
    "gptneox-seqres",
    "falcon-7b",
    "falcon-40b",
    "starcoder2",
    "stablelm",
    "stablelm-2-12b",
    "olmo2",
    "olmo3",
    "granite",
    "command-r",
    "cohere2",
    "internlm2",
    "smollm3",
    "glm4",
    "exaone",
    "deepseek2",
    "deepseek3",
    "gpt-oss",
];

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&bytes(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Little-endian numbers without a header.
pub(crate) fn floats(path: &Path) -> Vec<f32> {
    bytes(path).as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

pub(crate) fn rms(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

/// Mean over the rows of KL(softmax(ideal) || softmax(other)).
pub(crate) fn mean_kl(ideal: &[f32], other: &[f32], vocab: usize) -> f64 {
    let pairs = ideal.chunks_exact(vocab).zip(other.chunks_exact(vocab));
    let sum: f64 = pairs.map(|(ideal, other)| kl(ideal, other)).sum();
    sum / (ideal.len() / vocab) as f64
}

/// Kullback-Leibler divergence of the second distribution from the first.
pub(crate) fn kl(ideal: &[f32], other: &[f32]) -> f64 {
    let (ideal, other) = (log_softmax(ideal), log_softmax(other));
    ideal.iter().zip(&other).map(|(a, b)| a.exp() * (a - b)).sum()
}

pub(crate) fn log_softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    let total: f64 = row.iter().map(|x| f64::from(x - largest).exp()).sum();
    row.iter().map(|x| f64::from(x - largest) - total.ln()).collect()
}
