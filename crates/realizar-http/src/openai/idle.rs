//! Fields that change nothing about an answer of this server: they are about accounts, caches and means that it has not, or
//! about what is off. Their values are checked all the same, so that a mistake is told here as it would be elsewhere.

use serde_json::Value;

use crate::fields::Fields;
use crate::refusal::{Refusal, cut};

const MOST: i64 = i32::MAX as i64;
/// Pairs of `metadata`, and the letters of their names and values.
const MAX_PAIRS: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;

/// What a value must be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Boolean,
    /// Text without control characters.
    Name,
    Words(&'static [&'static str]),
    Whole(i64, i64),
    Number(f32, f32),
    Texts,
    List,
    Object,
}

use Kind::{Boolean, List, Name, Number, Object, Texts, Whole, Words};

#[rustfmt::skip]
const FIELDS: &[(&str, Kind)] = &[
    // The OpenAI interface.
    ("store",                  Boolean),
    ("user",                   Name),
    ("safety_identifier",      Name),
    ("prompt_cache_key",       Name),
    ("prompt_cache_retention", Words(&["in-memory", "in_memory", "24h"])),
    ("service_tier",           Words(&["auto", "default", "flex", "scale", "priority"])),
    ("verbosity",              Words(&["low", "medium", "high"])),
    ("prediction",             Object),
    // llama-server.
    ("cache_prompt",           Boolean),
    ("n_cache_reuse",          Whole(0, MOST)),
    ("id_slot",                Whole(-1, MOST)),
    ("return_tokens",          Boolean),
    ("return_progress",        Boolean),
    ("timings_per_token",      Boolean),
    ("backend_sampling",       Boolean),
    ("parse_tool_calls",       Boolean),
    ("thinking_forced_open",   Boolean),
    ("reasoning_format",       Words(&["none", "auto", "deepseek", "deepseek-legacy"])),
    ("chat_format",            Whole(0, MOST)),
    ("speculative.n_min",      Whole(0, MOST)),
    ("speculative.n_max",      Whole(0, MOST)),
    ("speculative.p_min",      Number(0.0, 1.0)),
    // They matter only to what is not built. The context never moves, so nothing is kept or discarded.
    ("grammar_lazy",           Boolean),
    ("grammar_triggers",       List),
    ("preserved_tokens",       List),
    ("mirostat_tau",           Number(0.0, 100.0)),
    ("mirostat_eta",           Number(0.0, 1.0)),
    ("dry_base",               Number(0.0, 100.0)),
    ("dry_allowed_length",     Whole(0, MOST)),
    ("dry_penalty_last_n",     Whole(-1, MOST)),
    ("dry_sequence_breakers",  Texts),
    ("adaptive_decay",         Number(0.0, 1.0)),
    ("n_keep",                 Whole(-1, MOST)),
    ("n_discard",              Whole(0, MOST)),
];

/// Refuses those that have a wrong value.
pub(super) fn check_idle(fields: Fields<'_>) -> Result<(), Refusal> {
    for (name, kind) in FIELDS {
        match kind {
            Boolean => drop(fields.boolean(name)?),
            Name => drop(fields.name(name)?),
            Words(words) => word(fields, name, words)?,
            Whole(least, most) => drop(fields.integer(name, *least..=*most)?),
            Number(least, most) => drop(fields.number(name, *least..=*most)?),
            Texts => texts(fields, name)?,
            List => drop(fields.list(name, 0..=usize::MAX)?),
            Object => drop(fields.object(name)?),
        }
    }
    metadata(fields)
}

/// The end user's name, which every route takes.
pub(super) fn check_user(fields: Fields<'_>) -> Result<(), Refusal> {
    fields.name("user").map(drop)
}

fn word(fields: Fields<'_>, name: &str, words: &[&str]) -> Result<(), Refusal> {
    match fields.text(name)? {
        Some(word) if !words.contains(&word) => Err(fields.wrong(name, &Value::from(word), words.join(", "))),
        _ => Ok(()),
    }
}

fn texts(fields: Fields<'_>, name: &str) -> Result<(), Refusal> {
    let list = fields.list(name, 0..=usize::MAX)?.unwrap_or_default();
    match list.iter().enumerate().find(|(_, value)| !value.is_string()) {
        Some((at, value)) => Err(Refusal::field(format!("{}[{at}]", fields.path(name)), value, "a string")),
        None => Ok(()),
    }
}

/// Pairs of short texts.
fn metadata(fields: Fields<'_>) -> Result<(), Refusal> {
    let Some(pairs) = fields.object("metadata")? else { return Ok(()) };
    let path = fields.path("metadata");
    if pairs.len() > MAX_PAIRS || pairs.keys().any(|name| name.chars().count() > MAX_KEY) {
        let want = format!("at most {MAX_PAIRS} pairs with names of at most {MAX_KEY} letters");
        return Err(Refusal::field(path, &Value::Object(pairs.clone()), want));
    }
    let inside = fields.inside(pairs, &path);
    for name in pairs.keys() {
        let text = inside.text(name)?.unwrap_or_default();
        if text.chars().count() > MAX_VALUE {
            let param = inside.path(&cut(name, MAX_KEY));
            return Err(Refusal::field(param, &Value::from(text), format!("at most {MAX_VALUE} letters")));
        }
    }
    Ok(())
}
