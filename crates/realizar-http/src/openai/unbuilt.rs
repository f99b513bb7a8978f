//! Fields that would change the answer in a way that is not built. Where a value says that they are off, they are taken; any
//! other is refused by name, since an answer that ignored it would look like one that did not.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::fields::Fields;
use crate::refusal::Refusal;

use super::idle::check_idle;

const MAX_TOOLS: usize = 512;
const MOST: i64 = i32::MAX as i64;
const TOOLS: &str = "tools are not built in yet";
const GRAMMARS: &str = "grammars are not built in yet";
const SAMPLER: &str = "this sampler is not built in";

/// Which values of a field change nothing.
#[derive(Debug, Clone)]
pub(crate) enum Off {
    /// None at all.
    Never,
    /// A text, list or object without anything in it.
    Empty,
    /// Whole numbers in a range, up to this one.
    Whole(RangeInclusive<i64>, i64),
    /// Numbers in a range, up to this one.
    Number(RangeInclusive<f32>, f32),
    /// `false`.
    False,
    /// `true`.
    True,
    /// These words.
    Words(&'static [&'static str]),
    /// This number, `false` or `{}`.
    Nothing(f64),
}

/// A field, what leaves the answer as it is, and why nothing else can be asked for.
pub(crate) type Unbuilt = (&'static str, Off, &'static str);

#[rustfmt::skip]
const FIELDS: &[Unbuilt] = &[
    ("chat_template",       Off::Never,                    "templates come from the model or the operator"),
    ("functions",           Off::Empty,                    TOOLS),
    ("function_call",       Off::Words(&["none", "auto"]), TOOLS),
    ("grammar",             Off::Empty,                    GRAMMARS),
    ("json_schema",         Off::Never,                    GRAMMARS),
    ("structured_outputs",  Off::Never,                    GRAMMARS),
    ("guided_json",         Off::Never,                    GRAMMARS),
    ("guided_regex",        Off::Empty,                    GRAMMARS),
    ("guided_choice",       Off::Empty,                    GRAMMARS),
    ("guided_grammar",      Off::Empty,                    GRAMMARS),
    ("audio",               Off::Never,                    "there is no audio output"),
    ("lora",                Off::Empty,                    "there are no adapters"),
    ("response_fields",     Off::Empty,                    "answers are whole"),
    ("web_search_options",  Off::Never,                    "nothing is searched for"),
    ("mirostat",            Off::Whole(0..=2, 0),          SAMPLER),
    ("dry_multiplier",      Off::Number(0.0..=100.0, 0.0), SAMPLER),
    ("adaptive_target",     Off::Number(-1.0..=1.0, -1e-9), SAMPLER),
    ("min_keep",            Off::Whole(0..=MOST, 0),       SAMPLER),
    ("n_indent",            Off::Whole(0..=MOST, 0),       SAMPLER),
    ("n_probs",             Off::Whole(0..=MOST, 0),       "`logprobs` asks for probabilities"),
    ("n_cmpl",              Off::Whole(1..=MOST, 1),       "`n` asks for several answers"),
    ("post_sampling_probs", Off::False,                    "probabilities are those of the model"),
    ("t_max_predict_ms",    Off::Whole(-1..=MOST, 0),      "the time of an answer is the operator's to bound"),
    ("min_tokens",          Off::Whole(0..=MOST, 0),       SAMPLER),
    ("stop_token_ids",      Off::Empty,                    "answers stop at texts and at the model's own end"),
    ("bad_words",           Off::Empty,                    "`logit_bias` bans tokens"),
    ("allowed_token_ids",   Off::Empty,                    "`logit_bias` bans tokens"),
    ("skip_special_tokens", Off::True,                     "control tokens have no text"),
    ("include_stop_str_in_output", Off::False,             "a stop string is no part of the answer"),
    ("prompt_logprobs",     Off::Never,                    "prompts are not scored"),
    ("truncate_prompt_tokens", Off::Never,                 "nothing is cut in silence"),
    ("thinking_budget_tokens", Off::Whole(-1..=MOST, -1),  "thinking is not bounded apart from the answer"),
    ("reasoning_budget_tokens", Off::Whole(-1..=MOST, -1), "thinking is not bounded apart from the answer"),
    ("reasoning_budget",    Off::Whole(-1..=MOST, -1),     "thinking is not bounded apart from the answer"),
    ("use_beam_search",     Off::False,                    "answers are drawn token by token"),
];

/// Refuses whatever asks for more than there is.
pub(crate) fn refuse_unbuilt(fields: Fields<'_>) -> Result<(), Refusal> {
    refuse(fields, FIELDS)?;
    check_idle(fields)?;
    tools(fields)?;
    modalities(fields)?;
    response_format(fields)
}

/// Refuses what is asked for of these fields.
pub(crate) fn refuse(fields: Fields<'_>, unbuilt: &[Unbuilt]) -> Result<(), Refusal> {
    for (name, off, what) in unbuilt {
        let Some(value) = fields.get(name) else { continue };
        let neutral = match (off, value) {
            (Off::Never, _) => false,
            (Off::Empty, Value::String(text)) => text.is_empty(),
            (Off::Empty, Value::Array(list)) => list.is_empty(),
            (Off::Empty, Value::Object(object)) => object.is_empty(),
            (Off::Words(words), Value::String(word)) => words.contains(&word.as_str()),
            (Off::Empty | Off::Words(_), _) => false,
            (Off::Whole(range, off), _) => {
                fields.integer(name, range.clone())?.is_some_and(|number| number <= *off)
            }
            (Off::Number(range, off), _) => {
                fields.number(name, range.clone())?.is_some_and(|number| number <= *off)
            }
            (Off::False, _) => fields.boolean(name)? == Some(false),
            (Off::True, _) => fields.boolean(name)? == Some(true),
            (Off::Nothing(_), Value::Bool(asked)) => !asked,
            (Off::Nothing(_), Value::Object(object)) => object.is_empty(),
            (Off::Nothing(number), value) => value.as_f64() == Some(*number),
        };
        if !neutral {
            return Err(Refusal::Unsupported { param: fields.path(name), what });
        }
    }
    Ok(())
}

fn tools(fields: Fields<'_>) -> Result<(), Refusal> {
    fields.boolean("parallel_tool_calls")?;
    let unsupported = |name: &str| Refusal::Unsupported { param: fields.path(name), what: TOOLS };
    let off = match fields.get("tool_choice") {
        None => false,
        Some(Value::String(word)) if word == "auto" => false,
        Some(Value::String(word)) if word == "none" => true,
        Some(Value::String(word)) if word == "required" => return Err(unsupported("tool_choice")),
        Some(Value::Object(_)) => return Err(unsupported("tool_choice")),
        Some(value) => return Err(fields.wrong("tool_choice", value, "none, auto, required or a function")),
    };
    let list = fields.list("tools", 0..=MAX_TOOLS)?.unwrap_or_default();
    let mut names = BTreeSet::new();
    for (at, tool) in list.iter().enumerate() {
        let path = format!("{}[{at}]", fields.path("tools"));
        let Some(map) = tool.as_object() else { return Err(Refusal::field(path, tool, "an object")) };
        let tool = fields.inside(map, &path);
        if let Some(kind) = tool.text("type")?.filter(|kind| *kind != "function") {
            return Err(tool.wrong("type", &Value::from(kind), "function"));
        }
        let path = tool.path("function");
        let function = tool.object("function")?.ok_or_else(|| tool.missing("function"))?;
        let function = fields.inside(function, &path);
        let name = function.text("name")?.ok_or_else(|| function.missing("name"))?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            let want = "1 to 64 letters, digits, `_`, `.` or `-`";
            return Err(function.wrong("name", &Value::from(name), want));
        }
        function.text("description")?;
        function.object("parameters")?;
        function.boolean("strict")?;
        if !names.insert(name.to_owned()) {
            return Err(function.wrong("name", &Value::from(name), "a name that no other tool has"));
        }
    }
    if list.is_empty() || off { Ok(()) } else { Err(unsupported("tools")) }
}

fn modalities(fields: Fields<'_>) -> Result<(), Refusal> {
    for (at, kind) in fields.list("modalities", 0..=16)?.unwrap_or_default().iter().enumerate() {
        let param = format!("{}[{at}]", fields.path("modalities"));
        match kind.as_str() {
            Some("text") => {}
            Some("audio" | "image") => {
                return Err(Refusal::Unsupported { param, what: "answers are text" });
            }
            _ => return Err(Refusal::field(param, kind, "text")),
        }
    }
    Ok(())
}

fn response_format(fields: Fields<'_>) -> Result<(), Refusal> {
    let Some(format) = fields.object("response_format")? else { return Ok(()) };
    let path = fields.path("response_format");
    let inside = fields.inside(format, &path);
    match inside.text("type")? {
        Some("text") => Ok(()),
        Some("json_object" | "json_schema" | "grammar") => {
            Err(Refusal::Unsupported { param: path, what: GRAMMARS })
        }
        Some(other) => Err(inside.wrong("type", &Value::from(other), "text, json_object or json_schema")),
        None => Err(inside.missing("type")),
    }
}
