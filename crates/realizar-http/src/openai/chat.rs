//! `POST /v1/chat/completions`.

use http::Response;
use realizar_engine::{ChatMessage, TokenLogprob};
use serde_json::{Map, Value, json};

use crate::answers::Answers;
use crate::app::App;
use crate::backend::Chat;
use crate::body::Body;
use crate::fields::Fields;
use crate::refusal::{Refusal, cut};
use crate::routes::Call;

use super::stream::{Part, Shape, View, finite, lossy, respond, top_entry};
use super::unbuilt::refuse_unbuilt;
use super::{Defaults, answer_options, check_model};

const MAX_MESSAGES: usize = 8192;
const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];
const ROLE_LIST: &str = "one of system, developer, user, assistant, tool, function";
/// Variables and functions of the template that are not the client's to set; nor is any name that begins with `__`.
const RESERVED: &[&str] = &[
    "messages",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
    "tools",
    "raise_exception",
    "strftime_now",
    "range",
    "namespace",
    "dict",
    "debug",
    "cycler",
    "joiner",
    "lipsum",
    "loop",
    "caller",
    "super",
    "self",
];
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh"];

const SHAPE: Shape =
    Shape { id: "chatcmpl-", objects: ("chat.completion", "chat.completion.chunk"), choice, logprobs };

/// Answers a conversation.
pub(crate) async fn chat(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    refuse_unbuilt(fields)?;
    let chat = conversation(fields)?;
    let mut options =
        answer_options(app, fields, Defaults { temperature: 1.0, max_tokens: None, least_tokens: 1 })?;
    let top = fields.count("top_logprobs", 0..=20)?;
    let logprobs = fields.boolean("logprobs")?.unwrap_or(false);
    if let (Some(_), false, Some(value)) = (top, logprobs, fields.get("top_logprobs")) {
        return Err(fields.wrong("top_logprobs", value, "left out unless logprobs is true"));
    }
    options.logprobs = logprobs.then_some(top.unwrap_or(0));
    let choices = fields.count("n", 1..=128)?.unwrap_or(1);
    let (stream, include_usage) = stream_fields(fields)?;
    app.check_queue()?;
    let prompt = app.blocking(&call, move |backend| Ok(backend.render_ids(&chat)?)).await?;
    let answers = Answers::submit(&app.shared, ("messages", &[prompt]), choices, &options, &call)?;
    let view = View { shape: SHAPE, stream, include_usage, logprobs, choices };
    respond(app, answers, view, Vec::new()).await
}

/// `stream` and `stream_options.include_usage`.
pub(super) fn stream_fields(fields: Fields<'_>) -> Result<(bool, bool), Refusal> {
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let Some(options) = fields.object("stream_options")? else { return Ok((stream, false)) };
    if !stream {
        let value = Value::Object(options.clone());
        return Err(fields.wrong("stream_options", &value, "left out unless stream is true"));
    }
    let path = fields.path("stream_options");
    let inside = fields.inside(options, &path);
    inside.boolean("include_obfuscation")?;
    let include = inside.boolean("include_usage")?;
    Ok((stream, include.unwrap_or(false)))
}

/// The messages and what else the template sees.
pub(crate) fn conversation(fields: Fields<'_>) -> Result<Chat, Refusal> {
    let messages = messages(fields)?;
    let mut extra = Map::new();
    if let Some(variables) = fields.object("chat_template_kwargs")? {
        let path = fields.path("chat_template_kwargs");
        let inside = fields.inside(variables, &path);
        inside.boolean("enable_thinking")?;
        let reserved = |name: &&String| RESERVED.contains(&name.as_str()) || name.starts_with("__");
        if let Some(name) = variables.keys().find(reserved) {
            return Err(Refusal::Unsupported {
                param: inside.path(&cut(name, 64)),
                what: "the server sets it",
            });
        }
        extra.clone_from(variables);
    }
    if let Some(effort) = fields.text("reasoning_effort")? {
        if !EFFORTS.contains(&effort) {
            return Err(fields.wrong("reasoning_effort", &Value::from(effort), EFFORTS.join(", ")));
        }
        let (name, value) = match effort {
            "none" => ("enable_thinking", Value::Bool(false)),
            effort => ("reasoning_effort", Value::from(effort)),
        };
        extra.entry(name).or_insert(value);
    }
    if fields.boolean("continue_final_message")? == Some(true) {
        let param = fields.path("continue_final_message");
        return Err(Refusal::Unsupported { param, what: "answers begin a turn of their own" });
    }
    let add_generation_prompt = fields.boolean("add_generation_prompt")?.unwrap_or(true);
    Ok(Chat { messages, add_generation_prompt, extra })
}

fn messages(fields: Fields<'_>) -> Result<Vec<ChatMessage>, Refusal> {
    let list = fields.list("messages", 1..=MAX_MESSAGES)?.ok_or_else(|| fields.missing("messages"))?;
    let each = list.iter().enumerate().map(|(at, value)| {
        let path = format!("{}[{at}]", fields.path("messages"));
        let Some(map) = value.as_object() else { return Err(Refusal::field(path, value, "an object")) };
        message(fields.inside(map, &path))
    });
    each.collect()
}

fn message(fields: Fields<'_>) -> Result<ChatMessage, Refusal> {
    let role = fields.text("role")?.ok_or_else(|| fields.missing("role"))?;
    if !ROLES.contains(&role) {
        return Err(fields.wrong("role", &Value::from(role), ROLE_LIST));
    }
    // The newer word for the same role; templates know the older one.
    let role = if role == "developer" { "system" } else { role };
    let mut extra = Map::new();
    for name in ["name", "tool_call_id", "reasoning_content"] {
        let text = if name == "reasoning_content" { fields.text(name)? } else { fields.name(name)? };
        if let Some(text) = text {
            extra.insert(name.to_owned(), Value::from(text));
        }
    }
    fields.text("refusal")?;
    for name in ["audio", "function_call"] {
        if fields.object(name)?.is_some() {
            let what = "earlier answers are texts and `tool_calls`";
            return Err(Refusal::Unsupported { param: fields.path(name), what });
        }
    }
    if let Some(calls) = fields.list("tool_calls", 0..=512)? {
        let calls: Result<Vec<Value>, Refusal> =
            calls.iter().enumerate().map(|call| tool_call(fields, call)).collect();
        extra.insert("tool_calls".to_owned(), Value::Array(calls?));
    }
    let content = match fields.get("content") {
        Some(value) => text_of(fields, value)?,
        None if role == "assistant" && extra.contains_key("tool_calls") => String::new(),
        None => return Err(fields.missing("content")),
    };
    Ok(ChatMessage { role: role.to_owned(), content, extra })
}

/// A string, or a list of text parts.
fn text_of(fields: Fields<'_>, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let mut text = String::new();
            for (at, part) in parts.iter().enumerate() {
                let path = format!("{}[{at}]", fields.path("content"));
                let Some(part) = part.as_object() else {
                    return Err(Refusal::field(path, part, "an object"));
                };
                let inside = fields.inside(part, &path);
                match inside.text("type")?.ok_or_else(|| inside.missing("type"))? {
                    "text" => text.push_str(inside.text("text")?.ok_or_else(|| inside.missing("text"))?),
                    "refusal" => {
                        text.push_str(inside.text("refusal")?.ok_or_else(|| inside.missing("refusal"))?);
                    }
                    "image_url" | "input_audio" | "file" => {
                        return Err(Refusal::Unsupported { param: path, what: "this model reads text only" });
                    }
                    other => return Err(inside.wrong("type", &Value::from(other), "text")),
                }
            }
            Ok(text)
        }
        _ => Err(fields.wrong("content", value, "a string or a list of parts")),
    }
}

/// An earlier call of a tool. On the wire its arguments are a text that holds JSON; templates want the object.
fn tool_call(fields: Fields<'_>, (at, value): (usize, &Value)) -> Result<Value, Refusal> {
    let path = format!("{}[{at}]", fields.path("tool_calls"));
    let Some(map) = value.as_object() else { return Err(Refusal::field(path, value, "an object")) };
    let call = fields.inside(map, &path);
    if let Some(kind) = call.text("type")?.filter(|kind| *kind != "function") {
        return Err(call.wrong("type", &Value::from(kind), "function"));
    }
    let function = call.object("function")?.ok_or_else(|| call.missing("function"))?;
    let path = call.path("function");
    let function = fields.inside(function, &path);
    let name = function.name("name")?.ok_or_else(|| function.missing("name"))?;
    let text = function.text("arguments")?.unwrap_or("{}");
    let arguments: Value = serde_json::from_str(text)
        .map_err(|_| function.wrong("arguments", &Value::from(text), "a string that holds JSON"))?;
    let id = call.name("id")?;
    Ok(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
}

fn choice(part: Part<'_>) -> Option<Value> {
    Some(match part {
        Part::Open => json!({
            "index": 0, "delta": { "role": "assistant", "content": null }, "logprobs": null, "finish_reason": null,
        }),
        Part::Text(text, logprobs) => json!({
            "index": 0, "delta": { "content": text }, "logprobs": logprobs, "finish_reason": null,
        }),
        Part::End(reason, logprobs) => json!({
            "index": 0, "delta": {}, "logprobs": logprobs, "finish_reason": reason,
        }),
        Part::Whole(text, reason, logprobs) => json!({
            "index": 0,
            "message": { "role": "assistant", "content": text, "refusal": null },
            "logprobs": logprobs,
            "finish_reason": reason,
        }),
    })
}

fn logprobs(tokens: &[TokenLogprob], _: usize) -> Value {
    let entry = |token: &TokenLogprob| {
        let top: Vec<Value> = token.top.iter().map(top_entry).collect();
        json!({
            "token": lossy(&token.bytes),
            "logprob": finite(token.logprob),
            "bytes": token.bytes,
            "id": token.id,
            "top_logprobs": top,
        })
    };
    json!({ "content": tokens.iter().map(entry).collect::<Vec<Value>>(), "refusal": null })
}
