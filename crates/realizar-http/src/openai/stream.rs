//! Answers of the OpenAI interface, streamed or whole. Chat and completions differ only in how one choice looks.

use http::{Response, StatusCode};
use realizar_engine::{Token, TopLogprob, Usage};
use serde_json::{Value, json};

use crate::answers::{Answers, Event, finish_reason};
use crate::app::App;
use crate::body::{Body, Pen};
use crate::refusal::Refusal;
use crate::{routes, sse};

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
    pub(super) logprobs: fn(&[Token], usize) -> Value,
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
            let count = answers.count();
            let mut stream = Stream::new(head, view, count, pen);
            let result = stream.run(answers, &echo, keep_alive).await;
            if let Err(refusal) = result {
                // The status is sent; the stream ends with the error, and without the mark of a good end.
                stream.pen.write(sse::data(&refusal.to_openai())).await;
            }
        });
        return Ok(routes::events(body));
    }
    let parts = answers.collect().await?;
    let choices = parts.iter().enumerate().map(|(index, part)| {
        let logprobs = if view.logprobs { (view.shape.logprobs)(&part.tokens, 0) } else { Value::Null };
        let echo = echo.get(index / view.choices).map_or("", String::as_str);
        let text = format!("{echo}{}", part.text);
        indexed((view.shape.choice)(Part::Whole(&text, finish_reason(&part.end.finish), logprobs)), index)
    });
    let choices: Vec<Value> = choices.flatten().collect();
    let usages: Vec<(usize, Usage)> =
        parts.iter().enumerate().map(|(index, part)| (index / view.choices, part.end.usage)).collect();
    let mut answer = head.object(view.shape.objects.0, choices);
    answer["usage"] = usage(&usages);
    Ok(routes::json(StatusCode::OK, &answer))
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
    /// Tokens that were not spoken of yet, because they have completed no letter.
    tokens: Vec<Token>,
    /// Characters that were sent.
    sent: usize,
}

#[derive(Debug)]
struct Stream {
    head: Head,
    view: View,
    choices: Vec<Choice>,
    usages: Vec<(usize, Usage)>,
    pen: Pen,
}

impl Stream {
    fn new(head: Head, view: View, count: usize, pen: Pen) -> Self {
        let choices = std::iter::repeat_with(Choice::default).take(count).collect();
        Self { head, view, choices, usages: Vec::new(), pen }
    }

    async fn run(
        &mut self,
        mut answers: Answers,
        echo: &[String],
        keep_alive: std::time::Duration,
    ) -> Result<(), Refusal> {
        // The first byte goes out at once: clients and proxies give up on silence long before a long prompt is read.
        for index in 0..self.choices.len() {
            self.send(index, Part::Open).await;
            if let Some(text) = echo.get(index / self.view.choices).filter(|text| !text.is_empty()) {
                self.send(index, Part::Text(text, Value::Null)).await;
            }
        }
        loop {
            match answers.next_within(keep_alive).await? {
                Err(_) => self.pen.write(sse::COMMENT).await,
                Ok(None) => break,
                Ok(Some(Event::Token(index, token))) => self.token(index, token).await,
                Ok(Some(Event::Finished(index, end))) => {
                    self.usages.push((index / self.view.choices, end.usage));
                    let logprobs = self.logprobs(index);
                    self.send(index, Part::End(finish_reason(&end.finish), logprobs)).await;
                }
            }
        }
        if self.view.include_usage {
            let mut chunk = self.head.object(self.view.shape.objects.1, vec![]);
            chunk["usage"] = usage(&self.usages);
            self.pen.write(sse::data(&chunk)).await;
        }
        self.pen.write(sse::DONE).await;
        Ok(())
    }

    async fn token(&mut self, index: usize, token: Token) {
        let text = token.text.clone();
        if self.view.logprobs {
            self.choices[index].tokens.push(token);
        }
        if !text.is_empty() {
            let logprobs = self.logprobs(index);
            self.choices[index].sent += text.chars().count();
            self.send(index, Part::Text(&text, logprobs)).await;
        }
    }

    /// What is to be said of the tokens of a choice since the last time.
    fn logprobs(&mut self, index: usize) -> Value {
        let choice = &mut self.choices[index];
        let tokens = std::mem::take(&mut choice.tokens);
        if tokens.is_empty() { Value::Null } else { (self.view.shape.logprobs)(&tokens, choice.sent) }
    }

    async fn send(&self, index: usize, part: Part<'_>) {
        let Some(choice) = indexed((self.view.shape.choice)(part), index) else { return };
        let mut chunk = self.head.object(self.view.shape.objects.1, vec![choice]);
        if self.view.include_usage {
            chunk["usage"] = Value::Null;
        }
        self.pen.write(sse::data(&chunk)).await;
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
