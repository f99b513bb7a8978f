//! `POST /v1/embeddings`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Response;
use serde_json::{Value, json};

use crate::answers::item;
use crate::app::App;
use crate::body::Body;
use crate::fields::Fields;
use crate::refusal::Refusal;
use crate::routes::{self, Call};

use super::completions::{Prompt, empty, prompts};
use super::idle::check_user;
use super::{PROMPT, check_model};

const MAX_INPUTS: usize = 2048;
/// Tokens of a request, in contexts.
const CONTEXTS: usize = 16;
/// What a number of a vector takes: itself, and its text twice, alone and in the answer.
const NUMBER: usize = 40;

/// Vectors of texts.
pub(crate) async fn embeddings(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    let facts = app.shared.backend.facts();
    let inputs = prompts(fields, "input", facts.vocab)?;
    if inputs.len() > MAX_INPUTS {
        return Err(fields.wrong("input", &Value::from(inputs.len()), format!("at most {MAX_INPUTS}")));
    }
    let packed = match fields.text("encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(fields.wrong("encoding_format", &Value::from(other), "float or base64")),
    };
    if fields.integer("dimensions", 1..=i64::from(i32::MAX))?.is_some() {
        return Err(Refusal::Unsupported { param: fields.path("dimensions"), what: "vectors are not cut" });
    }
    check_user(fields)?;
    if fields.integer("embd_normalize", -1..=i64::from(i32::MAX))?.is_some_and(|norm| norm != 2) {
        let param = fields.path("embd_normalize");
        return Err(Refusal::Unsupported { param, what: "vectors have the length 1, which is 2 here" });
    }
    if !facts.embeddings {
        return Err(Refusal::NoEmbeddings);
    }
    // The vectors and their text, before any of them is computed.
    let held = app.shared.memory.take(inputs.len().saturating_mul(facts.width).saturating_mul(NUMBER))?;
    let (context, several) = (facts.context, inputs.len() > 1);
    let (all, tokens) = app
        .blocking(&call, move |backend| {
            // All are known to fit before the first is computed.
            let mut tokens = 0;
            let mut all = Vec::with_capacity(inputs.len());
            for (at, input) in inputs.into_iter().enumerate() {
                let ids = match input {
                    Prompt::Text(text) => backend.encode(&text, PROMPT)?,
                    Prompt::Ids(ids) => ids,
                };
                if ids.is_empty() {
                    return Err(empty("input", at, several));
                }
                if ids.len() > context {
                    let param = item("input", at, several);
                    return Err(Refusal::ContextLength { param, tokens: ids.len(), context });
                }
                tokens += ids.len();
                if tokens > context.saturating_mul(CONTEXTS) {
                    let got = format!("token {tokens} of this request");
                    let want = format!("within {CONTEXTS} times the context of {context}");
                    return Err(Refusal::Field { param: item("input", at, several), got, want });
                }
                all.push(ids);
            }
            Ok((all, tokens))
        })
        .await?;
    let wanted = Arc::new(AtomicBool::new(true));
    let _leaves = Leaves(Arc::clone(&wanted));
    let vectors = app
        .computing(move |backend| {
            let vector = |ids: &Vec<u32>| {
                // The client may be gone: nothing is left to do then.
                if wanted.load(Ordering::Relaxed) { Ok(backend.embed(ids)?) } else { Err(Refusal::Internal) }
            };
            all.iter().map(vector).collect::<Result<Vec<Vec<f32>>, Refusal>>()
        })
        .await?;
    call.tally.prompt(tokens);
    // As text at once: as a tree of values the numbers would take many times their size.
    let mut data = String::new();
    for (index, vector) in vectors.iter().enumerate() {
        let embedding = if packed { json!(pack(vector)).to_string() } else { numbers(vector) };
        let comma = if index > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ =
            write!(data, "{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":{embedding}}}");
    }
    let (model, usage) = (json!(facts.id), json!({ "prompt_tokens": tokens, "total_tokens": tokens }));
    let answer = format!("{{\"object\":\"list\",\"data\":[{data}],\"model\":{model},\"usage\":{usage}}}");
    Ok(routes::long(answer, held))
}

/// A vector as a list; what is no number has no place in JSON and becomes null.
fn numbers(vector: &[f32]) -> String {
    let mut out = String::from("[");
    for (at, number) in vector.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = match number.is_finite() {
            true => write!(out, "{comma}{number:?}"),
            false => write!(out, "{comma}null"),
        };
    }
    out.push(']');
    out
}

/// Tells the work of a request that nobody waits for it any more.
struct Leaves(Arc<AtomicBool>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Little-endian f32, as the official client unpacks them.
fn pack(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
