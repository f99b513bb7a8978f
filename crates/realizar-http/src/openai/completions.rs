//! `POST /v1/completions`.

use http::Response;
use realizar_engine::TokenLogprob;
use serde_json::{Map, Value, json};

use crate::answers::{Answers, item};
use crate::app::App;
use crate::body::Body;
use crate::fields::Fields;
use crate::refusal::Refusal;
use crate::routes::Call;

use super::chat::stream_fields;
use super::stream::{Part, Shape, View, finite, lossy, respond};
use super::unbuilt::refuse_unbuilt;
use super::{Defaults, PROMPT, answer_options, check_model, token_ids};

/// Answers of one request in all.
const MAX_ANSWERS: usize = 128;
const WANT: &str = "a string, a list of strings, a list of token ids, or a list of such lists";

const SHAPE: Shape = Shape { id: "cmpl-", objects: ("text_completion", "text_completion"), choice, logprobs };

/// A prompt as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

/// Continues texts.
pub(crate) async fn completions(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    let prompts = prompts(fields, "prompt", app.shared.backend.facts().vocab)?;
    let echo = fields.boolean("echo")?.unwrap_or(false);
    let defaults = Defaults { temperature: 1.0, max_tokens: Some(16), least_tokens: u32::from(!echo) };
    let mut options = answer_options(app, fields, defaults)?;
    options.logprobs = fields.count("logprobs", 0..=5)?;
    let choices = fields.count("n", 1..=128)?.unwrap_or(1);
    if fields.count("best_of", 1..=20)?.is_some_and(|best| best != choices) {
        return Err(Refusal::Unsupported { param: fields.path("best_of"), what: "answers are not ranked" });
    }
    if fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Refusal::Unsupported { param: fields.path("suffix"), what: "texts are only continued" });
    }
    refuse_unbuilt(fields)?;
    if prompts.len() > MAX_ANSWERS {
        let want = format!("at most {MAX_ANSWERS} prompts");
        return Err(fields.wrong("prompt", &Value::from(vec![0; prompts.len()]), want));
    }
    if choices * prompts.len() > MAX_ANSWERS {
        let want = format!("at most {MAX_ANSWERS} for all {} prompts", prompts.len());
        return Err(fields.wrong("n", &Value::from(choices), want));
    }
    let logprobs = options.logprobs.is_some();
    if echo && logprobs {
        return Err(Refusal::Unsupported { param: fields.path("echo"), what: "prompts are not scored" });
    }
    let (stream, include_usage) = stream_fields(fields)?;
    app.check_queue()?;
    let (field, several) = (fields.path("prompt"), prompts.len() > 1);
    let path = field.clone();
    let (ids, texts) = app
        .blocking(&call, move |backend| {
            let mut all = (Vec::new(), Vec::new());
            for (at, prompt) in prompts.into_iter().enumerate() {
                let (ids, text) = match prompt {
                    Prompt::Text(text) if text.is_empty() => return Err(empty(&path, at, several)),
                    Prompt::Text(text) => (backend.encode(&text, PROMPT)?, text),
                    Prompt::Ids(ids) if echo => (ids.clone(), backend.decode(&ids)?),
                    Prompt::Ids(ids) => (ids, String::new()),
                };
                if ids.is_empty() {
                    return Err(empty(&path, at, several));
                }
                all.0.push(ids);
                all.1.push(text);
            }
            Ok(all)
        })
        .await?;
    let answers = Answers::submit(&app.shared, (&field, &ids), choices, &options, &call)?;
    let view = View { shape: SHAPE, stream, include_usage, logprobs, choices };
    respond(app, answers, view, if echo { texts } else { Vec::new() }).await
}

/// There is nothing to continue.
pub(crate) fn empty(path: &str, at: usize, several: bool) -> Refusal {
    Refusal::field(item(path, at, several), &Value::from(""), "a text of at least one token")
}

/// One prompt or several, as text or as ids.
pub(super) fn prompts(fields: Fields<'_>, name: &str, vocab: usize) -> Result<Vec<Prompt>, Refusal> {
    let path = fields.path(name);
    match fields.get(name).ok_or_else(|| fields.missing(name))? {
        Value::String(text) => Ok(vec![Prompt::Text(text.clone())]),
        value @ Value::Array(list) => match list.first() {
            Some(Value::Number(_)) => Ok(vec![Prompt::Ids(token_ids(list, &path, vocab)?)]),
            Some(_) if list.len() <= 2048 => list
                .iter()
                .enumerate()
                .map(|(at, value)| one(format!("{path}[{at}]"), value, vocab))
                .collect(),
            _ => Err(fields.wrong(name, value, WANT)),
        },
        value => Err(fields.wrong(name, value, WANT)),
    }
}

fn one(path: String, value: &Value, vocab: usize) -> Result<Prompt, Refusal> {
    match value {
        Value::String(text) => Ok(Prompt::Text(text.clone())),
        Value::Array(list) if !list.is_empty() => Ok(Prompt::Ids(token_ids(list, &path, vocab)?)),
        _ => Err(Refusal::field(path, value, "a string or a list of token ids")),
    }
}

fn choice(part: Part<'_>) -> Option<Value> {
    let (text, reason, logprobs) = match part {
        Part::Open => return None,
        Part::Text(text, logprobs) => (text, None, logprobs),
        Part::End(reason, logprobs) => ("", Some(reason), logprobs),
        Part::Whole(text, reason, logprobs) => (text, Some(reason), logprobs),
    };
    Some(json!({ "text": text, "index": 0, "logprobs": logprobs, "finish_reason": reason }))
}

fn logprobs(tokens: &[TokenLogprob], start: usize) -> Value {
    let mut offset = start;
    let (mut texts, mut scores, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for token in tokens {
        let text = lossy(&token.bytes);
        let top = token.top.iter().map(|top| (lossy(&top.bytes), json!(finite(top.logprob))));
        tops.push(Value::Object(top.collect::<Map<String, Value>>()));
        offsets.push(offset);
        offset += text.chars().count();
        texts.push(text);
        scores.push(finite(token.logprob));
    }
    json!({ "tokens": texts, "token_logprobs": scores, "top_logprobs": tops, "text_offset": offsets })
}
