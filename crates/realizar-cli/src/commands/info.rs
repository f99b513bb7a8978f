//! `info`: what a model file holds.

use std::path::PathBuf;

use clap::Args;
use realizar_format::{TensorSource, Value};
use serde_json::{Map, json};

use crate::args::ComputeArgs;
use crate::error::CliError;
use crate::{load, output};

/// Elements of an array that are shown without `--full`.
const SHOWN: usize = 8;

/// Flags of `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A model file, or `demo` for the built-in model
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Only the tensors (with --metadata: both)
    #[arg(long)]
    tensors: bool,
    /// Only the metadata (with --tensors: both)
    #[arg(long)]
    metadata: bool,
    /// Long arrays in full
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Runs the command.
pub(crate) fn run(args: InfoArgs) -> Result<(), CliError> {
    let source = load::source(&args.path)?;
    let source = source.as_ref();
    load::warn_of(source.warnings(), args.compute.quiet);
    let mut out = summary(source);
    // In JSON, naming none of the two means both; for people it means a summary.
    let neither = !args.tensors && !args.metadata;
    if args.tensors || (args.json && neither) {
        out.insert("tensors".to_owned(), source.tensors().map(|tensor| tensor_json(&tensor)).collect());
    }
    if args.metadata || (args.json && neither) {
        let entry = |key: &str| Some((key.to_owned(), value_json(&source.metadata(key)?, args.full)));
        let metadata: Map<String, serde_json::Value> = source.metadata_keys().filter_map(entry).collect();
        out.insert("metadata".to_owned(), metadata.into());
    }
    if args.json { output::json_line(&out) } else { output::print(&text(&out)) }
}

/// The facts that lead the output.
fn summary(source: &dyn TensorSource) -> Map<String, serde_json::Value> {
    let text = |key: &str| source.get_str(key).ok().flatten();
    let number = |key: &str| source.get_u64(key).ok().flatten();
    // GGUF's keys first, then those of a folder's config.json.
    let architecture = text("general.architecture").or_else(|| text("config.model_type"));
    let of_architecture = |key: &str| architecture.and_then(|name| number(&format!("{name}.{key}")));
    let pieces = source.get_array("tokenizer.ggml.tokens").ok().flatten().map(|pieces| pieces.len() as u64);
    let mut parameters = 0u64;
    let mut bytes = 0u64;
    let mut types: Vec<(String, u64)> = Vec::new();
    for tensor in source.tensors() {
        parameters = parameters.saturating_add(tensor.shape.elements().unwrap_or(0) as u64);
        bytes = bytes.saturating_add(tensor.data.len() as u64);
        let name = tensor.dtype.to_string();
        match types.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => types.push((name, 1)),
        }
    }
    let types: Map<String, serde_json::Value> =
        types.into_iter().map(|(name, count)| (name, count.into())).collect();
    let fields = [
        ("format", json!(source.format().to_string())),
        ("architecture", json!(architecture)),
        ("name", json!(text("general.name"))),
        ("parameters", json!(parameters)),
        (
            "context",
            json!(of_architecture("context_length").or_else(|| number("config.max_position_embeddings"))),
        ),
        ("vocab", json!(of_architecture("vocab_size").or(pieces).or_else(|| number("config.vocab_size")))),
        ("file_type", json!(number("general.file_type").map(file_type))),
        ("bytes", json!(bytes)),
        ("types", types.into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Names of `general.file_type`, as llama.cpp numbers them.
const FILE_TYPES: &[(u64, &str)] = &[
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
];

fn file_type(number: u64) -> String {
    let known = FILE_TYPES.iter().find(|(id, _)| *id == number);
    known.map_or_else(|| format!("unknown ({number})"), |(_, name)| (*name).to_owned())
}

fn tensor_json(tensor: &realizar_format::TensorView<'_>) -> serde_json::Value {
    json!({
        "name": tensor.name,
        "dtype": tensor.dtype.to_string(),
        "shape": &tensor.shape[..],
        "offset": tensor.offset,
        "bytes": tensor.data.len(),
    })
}

/// A metadata value. A long array becomes its length and its first elements, unless `full`.
fn value_json(value: &Value<'_>, full: bool) -> serde_json::Value {
    if let Some(number) = value.as_u64() {
        return json!(number);
    }
    match value {
        Value::F32(number) => json!(number),
        Value::F64(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        Value::String(text) => json!(String::from_utf8_lossy(text.as_bytes())),
        Value::Array(array) => {
            let shown = if full { array.len() } else { SHOWN };
            let first: Vec<serde_json::Value> =
                array.iter().take(shown).map(|item| value_json(&item, full)).collect();
            if array.len() <= shown { first.into() } else { json!({ "length": array.len(), "first": first }) }
        }
        // What is left are negative integers.
        other => other
            .as_i128()
            .and_then(|number| i64::try_from(number).ok())
            .map_or(serde_json::Value::Null, Into::into),
    }
}

/// The same facts for people: a line each, tensors and metadata indented below.
fn text(facts: &Map<String, serde_json::Value>) -> String {
    let mut out = String::new();
    for (key, value) in facts {
        match (key.as_str(), value) {
            (_, serde_json::Value::Null) => {}
            ("tensors", serde_json::Value::Array(tensors)) => {
                out.push_str("tensors:\n");
                for tensor in tensors {
                    let field = |key: &str| plain(tensor.get(key).unwrap_or(&serde_json::Value::Null));
                    out.push_str(&format!(
                        "  {} {} {} ({} bytes)\n",
                        field("name"),
                        field("dtype"),
                        field("shape"),
                        field("bytes")
                    ));
                }
            }
            ("metadata" | "types", serde_json::Value::Object(entries)) => {
                out.push_str(&format!("{key}:\n"));
                for (key, value) in entries {
                    out.push_str(&format!("  {} = {}\n", key.escape_debug(), plain(value)));
                }
            }
            _ => out.push_str(&format!("{key}: {}\n", plain(value))),
        }
    }
    out
}

/// A value on one line; text without quotes, but with its control characters escaped.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}
