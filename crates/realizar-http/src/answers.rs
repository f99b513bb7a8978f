//! Several answers of one request as one stream of events, and what becomes of them when client or server leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use realizar_engine::{AnswerOptions, Finish, Timings, Token, Usage};
use serde_json::Value;
use tokio::sync::Notify;

use crate::app::Shared;
use crate::backend::{Answer, Job, Next};
use crate::keys::KeyPlace;
use crate::lifecycle::Phase;
use crate::record::Tally;
use crate::refusal::Refusal;
use crate::routes::Call;

/// What comes next, and of which answer.
#[derive(Debug)]
pub(crate) enum Event {
    Token(usize, Token),
    Finished(usize, End),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
}

/// One answer, complete.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) end: End,
}

/// The answers of one request. Dropping them ends their work.
pub(crate) struct Answers {
    shared: Arc<Shared>,
    live: Vec<Option<Box<dyn Answer>>>,
    wake: Arc<Notify>,
    tally: Tally,
    /// The request is under way for as long as its answers are.
    _place: Option<Arc<KeyPlace>>,
    /// Whose turn it is to be asked first, so that no answer starves the others.
    turn: usize,
    start: Instant,
    last: Option<Instant>,
}

impl Answers {
    /// Submits `choices` answers for each prompt, or none at all. An answer of no tokens needs no model.
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        prompts: &[Vec<u32>],
        choices: usize,
        options: &AnswerOptions,
        call: &Call,
    ) -> Result<Self, Refusal> {
        let memory = shared.backend.facts().memory;
        let tokens = prompts.iter().map(Vec::len).sum::<usize>().saturating_mul(choices);
        if memory > 0 && choices > 1 && tokens > memory {
            let want = format!("so few that the prompts of {tokens} tokens in all fit into {memory}");
            return Err(Refusal::field("n", &Value::from(choices), want));
        }
        let tally = &call.tally;
        let wake = Arc::new(Notify::new());
        let mut live = Vec::with_capacity(prompts.len() * choices);
        for prompt in prompts {
            tally.prompt(prompt.len());
            for choice in 0..choices {
                let mut options = options.clone();
                options.sampling.choice = u32::try_from(choice).unwrap_or(u32::MAX);
                if options.max_tokens == Some(0) {
                    live.push(Some(Box::new(Nothing { prompt: prompt.len() }) as Box<dyn Answer>));
                    continue;
                }
                let waker = Arc::clone(&wake);
                let job = Job {
                    prompt: prompt.clone(),
                    options,
                    owner: call.owner.number,
                    deadline: shared.settings.limits.answer_time,
                    wake: Arc::new(move || waker.notify_one()),
                };
                live.push(Some(shared.backend.submit(job)?));
            }
        }
        let (shared, tally) = (Arc::clone(shared), tally.clone());
        let _place = call.place.clone();
        Ok(Self { shared, live, wake, tally, _place, turn: 0, start: Instant::now(), last: None })
    }

    /// How many answers there are, ended ones included.
    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }

    /// The next event of any answer; `None` when all have ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            if self.live.iter().all(Option::is_none) {
                return Ok(None);
            }
            if let Some(event) = self.poll()? {
                return Ok(Some(event));
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.shared.life.reached(Phase::Stopped) => return Err(Refusal::Draining),
            }
        }
    }

    /// As [`next`](Self::next), but gives up waiting after a while: `Ok(None)` inside tells that.
    pub(crate) async fn next_within(
        &mut self,
        time: Duration,
    ) -> Result<Result<Option<Event>, Silence>, Refusal> {
        match tokio::time::timeout(time, self.next()).await {
            Ok(event) => event.map(Ok),
            Err(_) => Ok(Err(Silence)),
        }
    }

    fn poll(&mut self) -> Result<Option<Event>, Refusal> {
        let count = self.live.len();
        for index in (self.turn..count).chain(0..self.turn) {
            let Some(answer) = &mut self.live[index] else { continue };
            match answer.next() {
                Next::Pending => continue,
                Next::Token(token) => {
                    self.turn = (index + 1) % count;
                    self.time();
                    self.tally.token();
                    return Ok(Some(Event::Token(index, token)));
                }
                Next::Finished { finish: Finish::Deadline, .. } => return Err(Refusal::Deadline),
                Next::Finished { finish, usage, .. } => {
                    self.live[index] = None;
                    return Ok(Some(Event::Finished(index, End { finish, usage })));
                }
                Next::Failed(error) => return Err(error.into()),
                Next::Closed => return Err(Refusal::Internal),
            }
        }
        Ok(None)
    }

    fn time(&mut self) {
        let metrics = &self.shared.metrics;
        match self.last.replace(Instant::now()) {
            None => metrics.first_token(self.start.elapsed()),
            Some(last) => metrics.next_token(last.elapsed()),
        }
    }

    /// Waits for all answers.
    pub(crate) async fn collect(mut self) -> Result<Vec<Whole>, Refusal> {
        let mut parts: Vec<(String, Vec<Token>, Option<End>)> =
            self.live.iter().map(|_| (String::new(), Vec::new(), None)).collect();
        while let Some(event) = self.next().await? {
            match event {
                Event::Token(index, token) => {
                    parts[index].0.push_str(&token.text);
                    parts[index].1.push(token);
                }
                Event::Finished(index, end) => parts[index].2 = Some(end),
            }
        }
        let whole = |(text, tokens, end): (String, Vec<Token>, Option<End>)| {
            end.map(|end| Whole { text, tokens, end }).ok_or(Refusal::Internal)
        };
        parts.into_iter().map(whole).collect()
    }
}

/// The answer of a request that wants to see its prompt and nothing else.
struct Nothing {
    prompt: usize,
}

impl Answer for Nothing {
    fn next(&mut self) -> Next {
        let usage = Usage { prompt_tokens: self.prompt, ..Usage::default() };
        Next::Finished { finish: Finish::Length, usage, timings: Timings::default() }
    }
}

/// Nothing came in the time that was given.
#[derive(Debug)]
pub(crate) struct Silence;

/// The word of the OpenAI interface for the end of an answer.
pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        _ => "stop",
    }
}
