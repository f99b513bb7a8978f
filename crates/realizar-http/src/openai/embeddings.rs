//! `POST /v1/embeddings`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::fields::Fields;
use crate::refusal::Refusal;
use crate::routes::{self, Call};

use super::completions::{Prompt, prompts};
use super::{PROMPT, check_model};

const MAX_INPUTS: usize = 2048;
/// Tokens of a request, in contexts.
const CONTEXTS: usize = 16;

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
    if !facts.embeddings {
        return Err(Refusal::NoEmbeddings);
    }
    let context = facts.context;
    let (all, tokens) = app
        .blocking(move |backend| {
            // All are known to fit before the first is computed.
            let mut tokens = 0;
            let mut all = Vec::with_capacity(inputs.len());
            for (at, input) in inputs.into_iter().enumerate() {
                let ids = match input {
                    Prompt::Text(text) => backend.encode(&text, PROMPT)?,
                    Prompt::Ids(ids) => ids,
                };
                if ids.len() > context {
                    return Err(Refusal::ContextLength { tokens: ids.len(), context });
                }
                tokens += ids.len();
                if tokens > context.saturating_mul(CONTEXTS) {
                    let got = format!("token {tokens} of this request");
                    let want = format!("within {CONTEXTS} times the context of {context}");
                    return Err(Refusal::Field { param: format!("input[{at}]"), got, want });
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
    let data = vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = if packed { json!(pack(vector)) } else { json!(vector) };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let data: Vec<Value> = data.collect();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    let answer = json!({ "object": "list", "data": data, "model": facts.id, "usage": usage });
    Ok(routes::json(StatusCode::OK, &answer))
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
