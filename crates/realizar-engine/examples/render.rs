//! Renders chat templates: one JSON object per line in (`template`, `messages`, `bos`, `eos`, `extra`,
//! `add_generation_prompt`, `now` in seconds), one out (`text` or `error`).
//!
//! `benches/compat/templates.py` compares this with Jinja2.

use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime};

use realizar_engine::{ChatMessage, ChatPrompt, ChatTemplate, EngineError};
use serde_json::{Map, Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        let answer = match render(&case) {
            Ok(text) => json!({"text": text}),
            Err(error) => json!({"error": error.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn render(case: &Value) -> Result<String, EngineError> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let template = ChatTemplate::compile(text("template"), text("bos"), text("eos"))?;
    let messages: Vec<ChatMessage> = case["messages"].as_array().into_iter().flatten().map(message).collect();
    template.render(&ChatPrompt {
        messages: &messages,
        add_generation_prompt: case["add_generation_prompt"] == true,
        extra: case["extra"].as_object().unwrap_or(&Map::new()),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(case["now"].as_u64().unwrap_or(0)),
    })
}

fn message(fields: &Value) -> ChatMessage {
    let text = |key: &str| fields[key].as_str().unwrap_or_default().to_owned();
    let extra =
        fields.as_object().into_iter().flatten().filter(|(key, _)| *key != "role" && *key != "content");
    ChatMessage {
        role: text("role"),
        content: text("content"),
        extra: extra.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}
