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
    ("top_n_sigma",       "",                   -1.0..=100.0, |o, v| o.top_n_sigma = v.max(0.0)),
    ("xtc_probability",   "",                   0.0..=1.0,    |o, v| o.xtc_probability = v),
    ("xtc_threshold",     "",                   0.0..=1.0,    |o, v| o.xtc_threshold = v),
    ("dynatemp_range",    "",                   0.0..=100.0,  |o, v| o.dynatemp_range = v),
    ("dynatemp_exponent", "",                   0.0..=100.0,  |o, v| o.dynatemp_exponent = v),
];

/// A step of the sampler: its letter and its names in llama-server's `samplers`, and what the options are without it.
type Step = (char, &'static [&'static str], fn(&mut SampleOptions));

/// In the order in which they run.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    ('e', &["penalties"],            |o| (o.repeat_penalty, o.frequency_penalty, o.presence_penalty) = (1.0, 0.0, 0.0)),
    ('d', &["dry"],                  |_| {}),
    ('s', &["top_n_sigma"],          |o| o.top_n_sigma = 0.0),
    ('k', &["top_k"],                |o| o.top_k = 0),
    ('y', &["typ_p", "typical_p"],   |o| o.typical_p = 1.0),
    ('p', &["top_p"],                |o| o.top_p = 1.0),
    ('m', &["min_p"],                |o| o.min_p = 0.0),
    ('x', &["xtc"],                  |o| o.xtc_probability = 0.0),
    ('t', &["temperature", "temp"],  |o| (o.temperature, o.dynatemp_range) = (1.0, 0.0)),
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
    // With a probability of 0 it is off all the same.
    sampling.xtc_threshold = 0.1;
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
    samplers(fields, &mut sampling)?;
    sampling.logit_bias = biases(fields, app.shared.backend.facts().vocab)?;
    Ok(AnswerOptions {
        sampling,
        max_tokens: max_tokens(fields, &["max_completion_tokens", "max_tokens"], defaults.least_tokens)?
            .or(n_predict(fields)?)
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

/// llama-server's word for `max_tokens`; -1 is as many as there is room for.
fn n_predict(fields: Fields<'_>) -> Result<Option<usize>, Refusal> {
    let wanted = fields.integer("n_predict", -1..=i64::from(MAX_TOKENS))?;
    match (wanted, fields.get("n_predict")) {
        (Some(0), Some(value)) => Err(fields.wrong("n_predict", value, "-1, or a whole number from 1")),
        (Some(-1), _) => Ok(Some(usize::MAX)),
        (wanted, _) => Ok(wanted.and_then(|tokens| usize::try_from(tokens).ok())),
    }
}

/// Steps that are left out are off; the order is always the same.
fn samplers(fields: Fields<'_>, sampling: &mut SampleOptions) -> Result<(), Refusal> {
    let path = fields.path("samplers");
    let step = |word: &str| STEPS.iter().position(|(_, names, _)| names.contains(&word));
    let letter = |found: char| STEPS.iter().position(|(letter, ..)| *letter == found);
    let names = || STEPS.iter().map(|(_, names, _)| names[0]).collect::<Vec<_>>().join(", ");
    let known: Option<Vec<usize>> = match fields.get("samplers") {
        None => return Ok(()),
        Some(Value::String(letters)) => letters.chars().map(letter).collect(),
        Some(Value::Array(list)) => list.iter().map(|word| word.as_str().and_then(step)).collect(),
        Some(_) => None,
    };
    let value = fields.get("samplers").unwrap_or(&Value::Null);
    let known = known.ok_or_else(|| Refusal::field(path, value, format!("a list of {}", names())))?;
    if !known.is_sorted_by(|one, next| one < next) {
        let param = fields.path("samplers");
        return Err(Refusal::Unsupported { param, what: "samplers run once, in the order of llama.cpp" });
    }
    for (_, (.., without)) in STEPS.iter().enumerate().filter(|(at, _)| !known.contains(at)) {
        without(sampling);
    }
    Ok(())
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
    let inside = fields.inside(object, &path);
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
