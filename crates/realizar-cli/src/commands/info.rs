//! `info`: what a model file holds.

use std::path::{Path, PathBuf};

use clap::Args;
use realizar_format::{AprV1, TensorSource, Value};
use realizar_model::{Model, Session, SessionOptions};
use realizar_tensor::Pool;
use realizar_tokenize::{Compat, EncodeOptions, Tokenizer};
use serde_json::{Map, json};

use crate::args::ComputeArgs;
use crate::error::CliError;
use crate::{load, output, session};

mod file_type;

use file_type::file_type;

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
    if let Some(classic) = classic(&args.path)? {
        let out = classic_facts(&classic, args.full);
        return if args.json { output::json_line(&out) } else { output::print(&text(&out)) };
    }
    let source = load::source(&args.path)?;
    let source = source.as_ref();
    load::warn_of(source.warnings(), args.compute.quiet);
    let mut out = summary(source);
    out.extend(of_the_tokenizer(source));
    out.extend(of_running(source, &args.compute)?);
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
    let mut types: Vec<(String, u64, u64)> = Vec::new();
    for tensor in source.tensors() {
        let elements = tensor.shape.elements().unwrap_or(0) as u64;
        parameters = parameters.saturating_add(elements);
        bytes = bytes.saturating_add(tensor.data.len() as u64);
        let name = tensor.dtype.to_string();
        match types.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, count, sum)) => (*count, *sum) = (*count + 1, sum.saturating_add(elements)),
            None => types.push((name, 1, elements)),
        }
    }
    types.sort_by_key(|(.., elements)| std::cmp::Reverse(*elements));
    let share = |elements: u64| if parameters == 0 { 0.0 } else { elements as f64 / parameters as f64 };
    let types: Map<String, serde_json::Value> = types
        .into_iter()
        .map(|(name, tensors, elements)| {
            (name, json!({"tensors": tensors, "parameters": elements, "share": share(elements)}))
        })
        .collect();
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

/// The tokenizer and the chat template, as far as the file has them.
fn of_the_tokenizer(source: &dyn TensorSource) -> Map<String, serde_json::Value> {
    let text = |key: &str| source.get_str(key).ok().flatten();
    let kind = match (text("tokenizer.ggml.model"), text("tokenizer.ggml.pre")) {
        (Some(model), Some(pre)) => Some(format!("{model}, {pre}")),
        (Some(model), None) => Some(model.to_owned()),
        (None, _) => ["tokenizer.json", "tokenizer.model"]
            .into_iter()
            .find(|name| source.companion(name).is_some())
            .map(str::to_owned),
    };
    // A `tokenizer.json` does not say which tokens these are; the files beside it do.
    let stated = |key: &str| {
        ["generation_config", "config"].into_iter().find_map(|file| {
            let found = source.metadata(&format!("{file}.{key}"))?;
            found.as_u32().or_else(|| u32::try_from(*found.as_array()?.to_i32s()?.first()?).ok())
        })
    };
    let tokenizer = kind.map(|kind| match realizar_engine::tokenizer(source, Compat::Original) {
        Ok(tokenizer) => json!({
            "kind": kind,
            "tokens": tokenizer.vocab_len(),
            "bos": token(&tokenizer, tokenizer.bos().or_else(|| stated("bos_token_id"))),
            "eos": token(&tokenizer, tokenizer.eos().or_else(|| stated("eos_token_id"))),
            "adds_bos": adds_bos(&tokenizer, tokenizer.bos().or_else(|| stated("bos_token_id"))),
        }),
        Err(error) => json!({ "kind": kind, "refused": CliError::from(error).to_line() }),
    });
    let file =
        source.companion("chat_template.jinja").map(|text| String::from_utf8_lossy(&text).into_owned());
    let key = ["tokenizer.chat_template", "tokenizer_config.chat_template", "chat_template"];
    let template = file.or_else(|| key.into_iter().find_map(text).map(str::to_owned));
    let fields = [("tokenizer", json!(tokenizer)), ("template", json!(template))];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Whether texts begin with this token.
fn adds_bos(tokenizer: &Tokenizer, bos: Option<u32>) -> bool {
    let options = EncodeOptions { add_special: true, parse_special: false };
    let first = tokenizer.encode(b"", options).ok().and_then(|ids| ids.first().copied());
    bos.is_some() && first == bos
}

fn token(tokenizer: &Tokenizer, id: Option<u32>) -> serde_json::Value {
    id.map_or(
        serde_json::Value::Null,
        |id| json!({ "id": id, "text": String::from_utf8_lossy(tokenizer.token_text(id)) }),
    )
}

/// Whether the model runs here, and the memory that a context takes: the one that was asked for, else the one that would
/// be set up unasked.
fn of_running(
    source: &dyn TensorSource,
    args: &ComputeArgs,
) -> Result<Map<String, serde_json::Value>, CliError> {
    let mut out = Map::new();
    let model = match Model::load(source) {
        Ok(model) => model,
        Err(error) => {
            out.insert("runs".to_owned(), json!(format!("no: {}", CliError::from(error).to_line())));
            return Ok(out);
        }
    };
    out.insert("runs".to_owned(), json!("yes"));
    if !model.config().causal() {
        return Ok(out);
    }
    let context = args.ctx.unwrap_or(model.config().context.min(session::UNASKED_CONTEXT));
    let options = SessionOptions {
        pool: Pool::new(1)?,
        kernels: session::kernels()?,
        context,
        kv: args.kv.into(),
        chunk: args.chunk,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: args.checkpoints,
    };
    let plan = Session::memory_plan(&model, &options)?;
    let own = plan.kv_bytes.saturating_add(plan.state_bytes).saturating_add(plan.scratch_bytes);
    let all = plan.weights_bytes.saturating_add(own);
    let memory = json!({
        "context": context,
        "weights": plan.weights_bytes,
        "kv": plan.kv_bytes,
        "states": plan.state_bytes,
        "scratch": plan.scratch_bytes,
        "bytes": all,
    });
    out.insert("memory".to_owned(), memory);
    Ok(out)
}

/// A classic model: an `.apr` file of version 1.
fn classic(path: &Path) -> Result<Option<AprV1>, CliError> {
    let mut head = [0; 4];
    let is_classic = path.is_file()
        && std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head))
            .is_ok()
        && &head == b"APRN";
    if !is_classic {
        return Ok(None);
    }
    Ok(Some(AprV1::open(path)?))
}

fn classic_facts(model: &AprV1, full: bool) -> Map<String, serde_json::Value> {
    let entry = |key: &str| Some((key.to_owned(), value_json(&model.metadata(key)?, full)));
    let metadata: Map<String, serde_json::Value> = model.metadata_keys().filter_map(entry).collect();
    let fields = [
        ("format", json!(".apr, version 1")),
        ("model_type", json!(model.model_type)),
        ("runs", json!("no: a classic model, not a transformer")),
        ("compression", json!(model.compression)),
        ("payload_bytes", json!(model.payload_bytes)),
        ("uncompressed_bytes", json!(model.uncompressed_bytes)),
        ("metadata", metadata.into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
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
            ("types", serde_json::Value::Object(types)) => {
                out.push_str("types:\n");
                for (name, facts) in types {
                    let field = |key: &str| facts.get(key).unwrap_or(&serde_json::Value::Null);
                    let share = 100.0 * field("share").as_f64().unwrap_or_default();
                    out.push_str(&format!(
                        "  {name}: {} tensors, {share:.1} % of the parameters\n",
                        field("tensors")
                    ));
                }
            }
            ("memory", facts) => {
                let mib = |key: &str| {
                    facts.get(key).and_then(serde_json::Value::as_f64).unwrap_or_default() / 1048576.0
                };
                // Most models have none.
                let states = match mib("states") {
                    0.0 => String::new(),
                    states => format!("recurrent states {states:.1}, "),
                };
                out.push_str(&format!(
                    "memory for a context of {}: {:.1} MiB (weights {:.1}, keys and values {:.1}, {states}work space {:.1})\n",
                    facts.get("context").unwrap_or(&serde_json::Value::Null),
                    mib("bytes"),
                    mib("weights"),
                    mib("kv"),
                    mib("scratch")
                ));
            }
            ("tokenizer", serde_json::Value::Object(facts)) => out.push_str(&tokenizer_line(facts)),
            ("template", serde_json::Value::String(template)) => {
                out.push_str(&format!("template: {} characters\n", template.chars().count()));
            }
            ("metadata", serde_json::Value::Object(entries)) => {
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

fn tokenizer_line(facts: &Map<String, serde_json::Value>) -> String {
    let word = |key: &str| facts.get(key).map(plain).unwrap_or_default();
    if facts.contains_key("refused") {
        return format!("tokenizer: {}, refused: {}\n", word("kind"), word("refused"));
    }
    let special = |key: &str| {
        let text = facts.get(key).and_then(|token| token.get("text")).map(plain);
        text.map_or_else(|| format!("no {key}"), |text| format!("{key} {text}"))
    };
    format!(
        "tokenizer: {}, {} tokens, {}, {}\n",
        word("kind"),
        word("tokens"),
        special("bos"),
        special("eos")
    )
}

/// A value on one line; text without quotes, but with its control characters escaped.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}
