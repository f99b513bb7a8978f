//! `/generate`, its stream and its batch: a prompt goes in, the prompt with its continuation comes out.

use http::Response;
use realizar_engine::{AnswerOptions, SampleOptions};
use serde_json::{Value, json};

use crate::answers::{Answers, Event, Whole};
use crate::app::App;
use crate::body::{Body, Pen};
use crate::fields::Fields;
use crate::openai::{
    Off, PROMPT, Unbuilt, check_model, empty, max_tokens, refuse, refuse_unbuilt, stop_strings,
};
use crate::refusal::Refusal;
use crate::routes::{self, Call};
use crate::sse;

use super::tokens::texts;

const MAX_TOKENS: usize = 50;
const MAX_BATCH: usize = 128;

/// What the routes of the OpenAI interface know, where it would change the answer.
#[rustfmt::skip]
const OF_OTHERS: &[Unbuilt] = &[
    ("logprobs",              Off::Nothing(0.0),  ELSEWHERE),
    ("top_logprobs",          Off::Nothing(0.0),  ELSEWHERE),
    ("logit_bias",            Off::Empty,         ELSEWHERE),
    ("ignore_eos",            Off::False,         ELSEWHERE),
    ("echo",                  Off::False,         ELSEWHERE),
    ("max_completion_tokens", Off::Never,         ELSEWHERE),
    ("n_predict",             Off::Never,         ELSEWHERE),
    ("samplers",              Off::Never,         ELSEWHERE),
    ("min_p",                 Off::Nothing(0.0),  ELSEWHERE),
    ("typical_p",             Off::Nothing(1.0),  ELSEWHERE),
    ("repeat_penalty",        Off::Nothing(1.0),  ELSEWHERE),
    ("repetition_penalty",    Off::Nothing(1.0),  ELSEWHERE),
    ("frequency_penalty",     Off::Nothing(0.0),  ELSEWHERE),
    ("presence_penalty",      Off::Nothing(0.0),  ELSEWHERE),
    ("top_n_sigma",           Off::Nothing(-1.0), ELSEWHERE),
    ("xtc_probability",       Off::Nothing(0.0),  ELSEWHERE),
    ("dynatemp_range",        Off::Nothing(0.0),  ELSEWHERE),
];
const ELSEWHERE: &str = "`/v1/completions` has it";

/// `{prompt}` gives `{token_ids, text, num_generated, finish_reason}`.
pub(crate) async fn generate(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    let prompt = fields.text("prompt")?.ok_or_else(|| fields.missing("prompt"))?.to_owned();
    let (prompts, answers) = start(app, &call, vec![prompt], false).await?;
    let (parts, held) = answers.collect().await?;
    let results = results(&prompts, &parts);
    Ok(routes::long(results.first().unwrap_or(&Value::Null).to_string(), held))
}

/// `{prompts}` gives `{results}` in the same order.
pub(crate) async fn batch_generate(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    let prompts = texts(fields, "prompts")?;
    if prompts.len() > MAX_BATCH {
        return Err(fields.wrong("prompts", &json!(prompts), format!("a list of 1 to {MAX_BATCH}")));
    }
    let (prompts, answers) = start(app, &call, prompts, false).await?;
    let (parts, held) = answers.collect().await?;
    let ids: usize = prompts.iter().map(|prompt| prompt.ids.len()).sum();
    let bytes = held.bytes() + ids * size_of::<Value>();
    routes::written(bytes, move || json!({ "results": results(&prompts, &parts) }).to_string(), held).await
}

/// `{prompt}` gives an event `token` for each token, and an event `done`.
pub(crate) async fn stream_generate(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    let prompt = fields.text("prompt")?.ok_or_else(|| fields.missing("prompt"))?.to_owned();
    let (_, answers) = start(app, &call, vec![prompt], true).await?;
    let keep_alive = app.shared.settings.limits.keep_alive;
    let broken = sse::event("error", &Refusal::Internal.to_native());
    let body = Body::written(broken, |pen| async move {
        let tally = answers.tally();
        if let Err(refusal) = write(answers, &pen, keep_alive).await {
            tally.failed(&refusal);
            pen.write(sse::event("error", &refusal.to_native())).await;
        }
    });
    Ok(routes::events(body))
}

async fn write(answers: Answers, pen: &Pen, keep_alive: std::time::Duration) -> Result<(), Refusal> {
    let render = |event: Event, out: &mut Vec<u8>| {
        let text = match event {
            Event::Token(_, token) => {
                sse::event("token", &json!({ "token_id": token.id, "text": token.text }))
            }
            Event::Finished(_, end) => {
                let done = json!({
                    "num_generated": end.usage.completion_tokens,
                    "finish_reason": end.finish.name(),
                });
                sse::event("done", &done)
            }
        };
        out.extend_from_slice(text.as_bytes());
    };
    answers.pour(pen, keep_alive, render).await
}

/// A prompt with its tokens.
struct Prompt {
    text: String,
    ids: Vec<u32>,
}

/// Reads the options, encodes the prompts and submits them all.
async fn start(
    app: &App,
    call: &Call,
    texts: Vec<String>,
    streams: bool,
) -> Result<(Vec<Prompt>, Answers), Refusal> {
    let fields = Fields::of(call);
    check_model(app, fields)?;
    refuse_unbuilt(fields)?;
    refuse_of_others(fields, streams)?;
    let options = options(app, fields)?;
    app.check_queue()?;
    let (path, several) = if fields.get("prompts").is_some() { ("prompts", true) } else { ("prompt", false) };
    let prompts = app
        .blocking(call, move |backend| {
            let encode = |(at, text): (usize, String)| {
                let ids = if text.is_empty() { Vec::new() } else { backend.encode(&text, PROMPT)? };
                if ids.is_empty() { Err(empty(path, at, several)) } else { Ok(Prompt { text, ids }) }
            };
            texts.into_iter().enumerate().map(encode).collect::<Result<Vec<Prompt>, Refusal>>()
        })
        .await?;
    let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.ids.clone()).collect();
    let answers = Answers::submit(&app.shared, (path, &ids), 1, &options, call)?;
    Ok((prompts, answers))
}

/// Refuses [`OF_OTHERS`], several answers, and a stream where there is none.
fn refuse_of_others(fields: Fields<'_>, streams: bool) -> Result<(), Refusal> {
    let refused = |name: &str, what| Err(Refusal::Unsupported { param: fields.path(name), what });
    if fields.count("n", 1..=128)?.is_some_and(|choices| choices > 1) {
        return refused("n", "this route gives one answer to a prompt");
    }
    if fields.boolean("stream")?.is_some_and(|stream| stream != streams) {
        return refused("stream", "`/stream/generate` streams, the other routes do not");
    }
    refuse(fields, OF_OTHERS)
}

/// Options by strategy: `greedy` looks at no other number, the others at temperature and their own.
fn options(app: &App, fields: Fields<'_>) -> Result<AnswerOptions, Refusal> {
    let mut sampling = SampleOptions::greedy();
    let temperature = fields.number("temperature", 0.0..=100.0)?.unwrap_or(1.0);
    let top_k = fields.count("top_k", 1..=i32::MAX.cast_unsigned())?.unwrap_or(50);
    let top_p = fields.number("top_p", 0.0..=1.0)?.unwrap_or(0.9);
    match fields.text("strategy")? {
        None | Some("greedy") => {}
        Some("top_k") => {
            sampling.temperature = temperature;
            sampling.top_k = u32::try_from(top_k).unwrap_or(u32::MAX);
        }
        Some("top_p") => (sampling.temperature, sampling.top_p) = (temperature, top_p),
        Some(other) => return Err(fields.wrong("strategy", &Value::from(other), "greedy, top_k or top_p")),
    }
    sampling.seed = match fields.integer("seed", i64::MIN..=i64::MAX)? {
        Some(seed) => seed.cast_unsigned(),
        None => app.fresh_seed(),
    };
    let max_tokens = max_tokens(fields, &["max_tokens"], 1)?.or(Some(MAX_TOKENS));
    let stop = stop_strings(fields)?;
    Ok(AnswerOptions { sampling, max_tokens, stop, ignore_eos: false, logprobs: None })
}

fn results(prompts: &[Prompt], parts: &[Whole]) -> Vec<Value> {
    let result = |(prompt, part): (&Prompt, &Whole)| {
        let ids: Vec<u32> =
            prompt.ids.iter().copied().chain(part.tokens.iter().map(|token| token.id)).collect();
        json!({
            "token_ids": ids,
            "text": format!("{}{}", prompt.text, part.text),
            "num_generated": part.end.usage.completion_tokens,
            "finish_reason": part.end.finish.name(),
        })
    };
    prompts.iter().zip(parts).map(result).collect()
}
