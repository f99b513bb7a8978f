//! Writes what was looked at, tensor by tensor.

use std::ops::Range;
use std::path::Path;

use realizar_format::{
    AprWriter, DType, DataWriter, GgufWriter, NewFile, SafetensorsWriter, Shape, Value, release_pages,
    torn_pages,
};
use realizar_model::{GgufView, NewTensor};

use super::{ConvertError, json};

/// Is told how many bytes of weights are written, and of how many; `false` ends the conversion.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// What a conversion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// Tensors in the new model.
    pub tensors: usize,
    /// Bytes of their data.
    pub bytes: u64,
    /// How the new model names things.
    pub layout: &'static str,
    /// What was not carried over, and need not be.
    pub warnings: Vec<String>,
}

/// Bytes that are written at a time, if a row is not longer.
const PIECE: usize = 4 << 20;

pub(super) fn gguf(
    view: &GgufView<'_>,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let mut writer = GgufWriter::new();
    for (key, value) in view.metadata() {
        writer.metadata(key, value)?;
    }
    for tensor in view.tensors() {
        writer.tensor(&tensor.name, tensor.dtype, tensor.shape)?;
    }
    let data = writer.create(output)?;
    finish(view, data, "GGUF", progress)
}

pub(super) fn apr(
    view: &GgufView<'_>,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let mut writer = AprWriter::new();
    for (key, value) in view.metadata() {
        writer.metadata(key, value)?;
    }
    for (key, from) in apr_keys(view) {
        if let Some(value) = view.value(&from).filter(|_| view.value(key).is_none()) {
            writer.metadata(key, value)?;
        }
    }
    for tensor in view.tensors() {
        writer.tensor(&tensor.name, tensor.dtype, tensor.shape)?;
    }
    let data = writer.create(output)?;
    finish(view, data, "keys and names of GGUF", progress)
}

/// Members of `.apr` metadata that other readers look for, and the keys of GGUF that say the same.
fn apr_keys(view: &GgufView<'_>) -> Vec<(&'static str, String)> {
    let architecture =
        view.value("general.architecture").and_then(|value| value.as_str()).unwrap_or_default();
    let plain = [
        ("architecture", "general.architecture"),
        ("model_type", "general.architecture"),
        ("name", "general.name"),
        ("description", "general.description"),
        ("author", "general.author"),
        ("version", "general.version"),
        ("license", "general.license"),
        ("chat_template", "tokenizer.chat_template"),
        ("tokenizer.vocabulary", "tokenizer.ggml.tokens"),
        ("tokenizer.merges", "tokenizer.ggml.merges"),
        ("tokenizer.scores", "tokenizer.ggml.scores"),
        ("tokenizer.model_type", "tokenizer.ggml.model"),
        ("tokenizer.bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("tokenizer.eos_token_id", "tokenizer.ggml.eos_token_id"),
    ];
    let of_architecture = [
        ("hidden_size", "embedding_length"),
        ("num_layers", "block_count"),
        ("num_heads", "attention.head_count"),
        ("num_kv_heads", "attention.head_count_kv"),
        ("vocab_size", "vocab_size"),
        ("intermediate_size", "feed_forward_length"),
        ("max_position_embeddings", "context_length"),
        ("rope_theta", "rope.freq_base"),
        ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        ("head_dim", "attention.key_length"),
        ("num_experts", "expert_count"),
        ("num_experts_per_tok", "expert_used_count"),
        ("moe_intermediate_size", "expert_feed_forward_length"),
    ];
    let plain = plain.into_iter().map(|(key, from)| (key, from.to_owned()));
    plain.chain(of_architecture.map(|(key, from)| (key, format!("{architecture}.{from}")))).collect()
}

/// One safetensors file that says everything itself: GGUF's keys stand in its own metadata.
pub(super) fn safetensors(
    view: &GgufView<'_>,
    output: &Path,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let mut writer = SafetensorsWriter::new();
    let mut keys = serde_json::Map::new();
    for (key, value) in view.metadata() {
        keys.insert(key.to_owned(), json::value(key, value)?);
    }
    writer.metadata("gguf.json", &serde_json::Value::Object(keys).to_string())?;
    for tensor in view.tensors() {
        writer.tensor(&tensor.name, tensor.dtype, tensor.shape)?;
    }
    let data = writer.create(output)?;
    finish(view, data, "keys and names of GGUF", progress)
}

fn finish(
    view: &GgufView<'_>,
    data: DataWriter<NewFile>,
    layout: &'static str,
    progress: Progress<'_>,
) -> Result<Converted, ConvertError> {
    let mut read = |tensor, rows, scratch: &mut Vec<u8>, put: Put<'_>| put(view.rows(tensor, rows, scratch)?);
    let bytes = tensors(view.tensors(), &mut read, data, progress)?;
    Ok(Converted { tensors: view.tensors().len(), bytes, layout, warnings: view.warnings().to_vec() })
}

/// Takes the bytes of some rows.
pub(super) type Put<'p> = &'p mut dyn FnMut(&[u8]) -> Result<(), ConvertError>;
/// Gives the bytes of some rows of a tensor to the last argument.
pub(super) type Read<'r> =
    &'r mut dyn FnMut(usize, Range<usize>, &mut Vec<u8>, Put<'_>) -> Result<(), ConvertError>;

/// Writes the data of all tensors in their order; gives how many bytes there were.
pub(super) fn tensors(
    tensors: &[NewTensor],
    read: Read<'_>,
    mut data: DataWriter<NewFile>,
    progress: Progress<'_>,
) -> Result<u64, ConvertError> {
    let total = tensors.iter().map(NewTensor::bytes).sum();
    let mut done = 0;
    let mut scratch = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let (rows, step) = steps(tensor.dtype, &tensor.shape);
        let mut from = 0;
        while from < rows {
            let to = (from + step).min(rows);
            read(index, from..to, &mut scratch, &mut |bytes| {
                data.write(bytes)?;
                release_pages(bytes);
                done += bytes.len() as u64;
                Ok(())
            })?;
            if !progress(done, total) {
                return Err(ConvertError::Cancelled);
            }
            from = to;
        }
    }
    let file = data.finish()?;
    // What was read from pages that somebody took away is worth nothing.
    if torn_pages() > 0 {
        return Err(ConvertError::Torn);
    }
    file.commit()?;
    Ok(total)
}

/// How many rows there are, and how many are written at a time.
fn steps(dtype: DType, shape: &Shape) -> (usize, usize) {
    if shape.elements() == Some(0) {
        return (0, 1);
    }
    let row = dtype.row_bytes(shape.cols()).unwrap_or(PIECE).max(1);
    (shape.rows(), (PIECE / row).max(1))
}

/// A text for a key, if the value is one.
pub(super) fn text<'v>(view: &'v GgufView<'_>, key: &str) -> Option<&'v str> {
    match view.value(key)? {
        Value::String(text) => text.as_str().ok(),
        _ => None,
    }
}
