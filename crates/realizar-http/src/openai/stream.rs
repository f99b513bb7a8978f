//! Answers of the OpenAI interface, streamed or whole. Chat and completions differ only in how one choice looks.

use http::Response;
use realizar_engine::{TokenLogprob, TopLogprob, Usage};
use serde_json::{Value, json};

use crate::answers::{Answers, Event, Whole, finish_reason};
use crate::app::App;
use crate::body::{Body, Pen};
use crate::refusal::Refusal;
use crate::routes;
use crate::sse::{self, Mould};

use super::{FINGERPRINT, now, usage};

/// A part of one choice.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Before the first text.
    Open,
    /// Text, and what is to be said of its tokens.
    Text(&'a str, Value),
    /// The end, and what is left to be said of tokens.
    End(&'static str, Value),
    /// All at once.
    Whole(&'a str, &'static str, Value),
}

/// How one route writes its choices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Prefix of ids.
    pub(super) id: &'static str,
    /// `object` of whole answers and of chunks.
    pub(super) objects: (&'static str, &'static str),
    /// One choice, without its index; `None` says nothing.
    pub(super) choice: fn(Part<'_>) -> Option<Value>,
    /// What is said of tokens whose text begins at this offset in characters.
    pub(super) logprobs: fn(&[TokenLogprob], usize) -> Value,
}

/// What the client wants to see.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) shape: Shape,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) logprobs: bool,
    /// Answers for each prompt.
    pub(super) choices: usize,
}

/// Writes the answers. `echo` is put before the text of each prompt's choices.
pub(super) async fn respond(
    app: &App,
    answers: Answers,
    view: View,
    echo: Vec<String>,
) -> Result<Response<Body>, Refusal> {
    let head = Head {
        id: app.fresh_id(view.shape.id),
        created: now(),
        model: app.shared.backend.facts().id.clone(),
    };
    if view.stream {
        let keep_alive = app.shared.settings.limits.keep_alive;
        let broken = sse::data(&Refusal::Internal.to_openai());
        let body = Body::written(broken, |pen| async move {
            let tally = answers.tally();
            let mut stream = Stream::new(head, view, answers.count());
            if let Err(refusal) = stream.run(answers, &echo, keep_alive, &pen).await {
                tally.failed(&refusal);
                // The status is sent; the stream ends with the error, and without the mark of a good end.
                pen.write(sse::data(&refusal.to_openai())).await;
            }
        });
        return Ok(routes::events(body));
    }
    let (parts, held) = answers.collect().await?;
    routes::written(held.bytes(), move || whole(&head, view, &parts, &echo), held).await
}

/// All choices at once.
fn whole(head: &Head, view: View, parts: &[Whole], echo: &[String]) -> String {
    let choices = parts.iter().enumerate().map(|(index, part)| {
        let told = || part.tokens.iter().flat_map(|token| token.logprobs.iter().cloned()).collect::<Vec<_>>();
        let logprobs = if view.logprobs { (view.shape.logprobs)(&told(), 0) } else { Value::Null };
        let echo = echo.get(index / view.choices).map_or("", String::as_str);
        let text = format!("{echo}{}", part.text);
        indexed((view.shape.choice)(Part::Whole(&text, finish_reason(&part.end.finish), logprobs)), index)
    });
    let choices: Vec<Value> = choices.flatten().collect();
    let usages: Vec<(usize, Usage)> =
        parts.iter().enumerate().map(|(index, part)| (index / view.choices, part.end.usage)).collect();
    let mut answer = head.object(view.shape.objects.0, choices);
    answer["usage"] = usage(&usages);
    answer.to_string()
}

/// What every chunk of an answer repeats.
#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn object(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        })
    }
}

fn indexed(choice: Option<Value>, index: usize) -> Option<Value> {
    let mut choice = choice?;
    choice["index"] = json!(index);
    Some(choice)
}

/// A choice under way.
#[derive(Debug, Default)]
struct Choice {
    /// Tokens that are to be told of with the next text.
    tokens: Vec<TokenLogprob>,
    /// Characters of those that were told of.
    told: usize,
    /// A chunk with text and nothing else, made when the first is sent.
    mould: Option<Mould>,
}

#[derive(Debug)]
struct Stream {
    head: Head,
    view: View,
    choices: Vec<Choice>,
    usages: Vec<(usize, Usage)>,
}

impl Stream {
    fn new(head: Head, view: View, count: usize) -> Self {
        let choices = std::iter::repeat_with(Choice::default).take(count).collect();
        Self { head, view, choices, usages: Vec::new() }
    }

    async fn run(
        &mut self,
        answers: Answers,
        echo: &[String],
        keep_alive: std::time::Duration,
        pen: &Pen,
    ) -> Result<(), Refusal> {
        // The first byte goes out at once: clients and proxies give up on silence long before a long prompt is read.
        let mut out = Vec::new();
        for index in 0..self.choices.len() {
            self.put(index, Part::Open, &mut out);
            if let Some(text) = echo.get(index / self.view.choices).filter(|text| !text.is_empty()) {
                self.put(index, Part::Text(text, Value::Null), &mut out);
            }
        }
        if !out.is_empty() {
            pen.write(out).await;
        }
        answers.pour(pen, keep_alive, |event, out| self.event(event, out)).await?;
        let mut out = Vec::new();
        if self.view.include_usage {
            let mut chunk = self.head.object(self.view.shape.objects.1, vec![]);
            chunk["usage"] = usage(&self.usages);
            out.extend_from_slice(sse::data(&chunk).as_bytes());
        }
        out.extend_from_slice(sse::DONE.as_bytes());
        pen.write(out).await;
        Ok(())
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Token(index, token) => {
                self.choices[index].tokens.extend(token.logprobs);
                match self.logprobs(index, token.text.is_empty()) {
                    _ if token.text.is_empty() => {}
                    Value::Null => self.text(index, &token.text, out),
                    logprobs => self.put(index, Part::Text(&token.text, logprobs), out),
                }
            }
            Event::Finished(index, end) => {
                self.usages.push((index / self.view.choices, end.usage));
                let logprobs = self.logprobs(index, false);
                self.put(index, Part::End(finish_reason(&end.finish), logprobs), out);
            }
        }
    }

    /// What is to be said of the tokens of a choice since the last time, unless that has time.
    fn logprobs(&mut self, index: usize, later: bool) -> Value {
        let choice = &mut self.choices[index];
        if later || choice.tokens.is_empty() {
            return Value::Null;
        }
        let tokens = std::mem::take(&mut choice.tokens);
        let logprobs = (self.view.shape.logprobs)(&tokens, choice.told);
        choice.told += tokens.iter().map(|token| lossy(&token.bytes).chars().count()).sum::<usize>();
        logprobs
    }

    /// Appends a chunk with text and nothing else: nearly all of a stream.
    fn text(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        if self.choices[index].mould.is_none() {
            let mut chunk = Vec::new();
            self.put(index, Part::Text(Mould::TEXT, Value::Null), &mut chunk);
            self.choices[index].mould = Mould::of(&String::from_utf8_lossy(&chunk));
        }
        match &self.choices[index].mould {
            Some(mould) => mould.fill(text, out),
            None => self.put(index, Part::Text(text, Value::Null), out),
        }
    }

    fn put(&self, index: usize, part: Part<'_>, out: &mut Vec<u8>) {
        let Some(choice) = indexed((self.view.shape.choice)(part), index) else { return };
        let mut chunk = self.head.object(self.view.shape.objects.1, vec![choice]);
        if self.view.include_usage {
            chunk["usage"] = Value::Null;
        }
        out.extend_from_slice(sse::data(&chunk).as_bytes());
    }
}

/// A probability for JSON, which has no infinity.
pub(super) fn finite(logprob: f64) -> f64 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}

/// A token's bytes as text.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One of the best tokens as the chat route writes it.
pub(super) fn top_entry(top: &TopLogprob) -> Value {
    json!({ "token": lossy(&top.bytes), "logprob": finite(top.logprob), "bytes": top.bytes, "id": top.id })
}
