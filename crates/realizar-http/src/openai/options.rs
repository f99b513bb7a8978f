//! Fields about how an answer is written, which all routes that generate share.

use std::ops::RangeInclusive;

use realizar_engine::{AnswerOptions, SampleOptions};
use serde_json::Value;

use crate::app::App;
use crate::fields::{Fields, whole};
use crate::refusal::Refusal;

const MAX_STOPS: usize = 64;
const MAX_STOP_BYTES: usize = 1024;
const MAX_BIASES: usize = 1024;
const MAX_TOKENS: u32 = u32::MAX;

/// What holds where a request says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) temperature: f32,
    pub(crate) max_tokens: Option<usize>,
    /// The fewest tokens that may be asked for.
    pub(crate) least_tokens: u32,
}

/// Numbers of the sampler: field, other name, range, and where the number goes.
type Number = (&'static str, &'static str, RangeInclusive<f32>, fn(&mut SampleOptions, f32));

#[rustfmt::skip]
const NUMBERS: &[Number] = &[
    ("temperature",       "",                   0.0..=2.0,    |o, v| o.temperature = v),
    ("top_p",             "",                   0.0..=1.0,    |o, v| o.top_p = v),
    ("min_p",             "",                   0.0..=1.0,    |o, v| o.min_p = v),
    ("typical_p",         "",                   0.0..=1.0,    |o, v| o.typical_p = v),
    ("repeat_penalty",    "repetition_penalty", 0.01..=100.0, |o, v| o.repeat_penalty = v),
    ("frequency_penalty", "",                   -2.0..=2.0,   |o, v| o.frequency_penalty = v),
    ("presence_penalty",  "",                   -2.0..=2.0,   |o, v| o.presence_penalty = v),
];

/// Reads every sampling field.
pub(crate) fn answer_options(
    app: &App,
    fields: Fields<'_>,
    defaults: Defaults,
) -> Result<AnswerOptions, Refusal> {
    let mut sampling = SampleOptions::greedy();
    sampling.temperature = defaults.temperature;
    // Penalties look at this many tokens once they are on.
    sampling.repeat_last_n = 64;
    for (name, other, range, set) in NUMBERS {
        for name in [name, other].into_iter().filter(|name| !name.is_empty()) {
            if let Some(number) = fields.number(name, range.clone())? {
                set(&mut sampling, number);
            }
        }
    }
    if let Some(keep) = fields.integer("top_k", -1..=i64::from(i32::MAX))? {
        sampling.top_k = u32::try_from(keep).unwrap_or(0);
    }
    if let Some(last) = fields.integer("repeat_last_n", -1..=i64::from(i32::MAX))? {
        sampling.repeat_last_n = usize::try_from(last).unwrap_or(usize::MAX);
    }
    sampling.seed = match fields.integer("seed", i64::MIN..=i64::MAX)? {
        Some(seed) => seed.cast_unsigned(),
        None => app.fresh_seed(),
    };
    sampling.logit_bias = biases(fields, app.shared.backend.facts().vocab)?;
    Ok(AnswerOptions {
        sampling,
        max_tokens: max_tokens(fields, &["max_completion_tokens", "max_tokens"], defaults.least_tokens)?
            .or(defaults.max_tokens),
        stop: stop_strings(fields)?,
        ignore_eos: fields.boolean("ignore_eos")?.unwrap_or(false),
        logprobs: None,
    })
}

/// The first of these fields that is given.
pub(crate) fn max_tokens(fields: Fields<'_>, names: &[&str], least: u32) -> Result<Option<usize>, Refusal> {
    let mut first = None;
    for name in names {
        first = first.or(fields.count(name, least..=MAX_TOKENS)?);
    }
    Ok(first)
}

/// A string, or a list of strings.
pub(crate) fn stop_strings(fields: Fields<'_>) -> Result<Vec<String>, Refusal> {
    let want = format!("a string of 1 to {MAX_STOP_BYTES} bytes");
    let check = |path: String, value: &Value| match value.as_str() {
        Some(text) if (1..=MAX_STOP_BYTES).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err(Refusal::field(path, value, &want)),
    };
    match fields.get("stop") {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_STOPS => list
            .iter()
            .enumerate()
            .map(|(at, value)| check(format!("{}[{at}]", fields.path("stop")), value))
            .collect(),
        Some(value @ Value::Array(_)) => {
            Err(fields.wrong("stop", value, format!("a list of 0 to {MAX_STOPS}")))
        }
        Some(value) => Ok(vec![check(fields.path("stop"), value)?]),
    }
}

/// An object from ids to numbers. Minus 100 is a ban, as it is at OpenAI in effect.
fn biases(fields: Fields<'_>, vocab: usize) -> Result<Vec<(u32, f32)>, Refusal> {
    let Some(object) = fields.object("logit_bias")? else { return Ok(Vec::new()) };
    if object.len() > MAX_BIASES {
        let value = Value::Object(object.clone());
        return Err(fields.wrong("logit_bias", &value, format!("an object of at most {MAX_BIASES} entries")));
    }
    let path = fields.path("logit_bias");
    let inside = Fields::at(object, &path);
    let mut biases = Vec::with_capacity(object.len());
    for key in object.keys() {
        // `+1` and `01` would be a second spelling of the same id.
        let id = key.parse::<u32>().ok().filter(|id| (*id as usize) < vocab && id.to_string() == *key);
        let Some(id) = id else {
            return Err(Refusal::field(
                &path,
                &Value::from(key.as_str()),
                format!("keyed by ids below {vocab}"),
            ));
        };
        let bias = inside.number(key, -100.0..=100.0)?.ok_or_else(|| inside.missing(key))?;
        biases.push((id, bias));
    }
    Ok(biases)
}

/// Ids of a token list; `path` names it.
pub(crate) fn token_ids(list: &[Value], path: &str, vocab: usize) -> Result<Vec<u32>, Refusal> {
    let id = |(at, value): (usize, &Value)| {
        let id = whole(value).and_then(|id| u32::try_from(id).ok()).filter(|id| (*id as usize) < vocab);
        id.ok_or_else(|| Refusal::field(format!("{path}[{at}]"), value, format!("a token id below {vocab}")))
    };
    list.iter().enumerate().map(id).collect()
}
