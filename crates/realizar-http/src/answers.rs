//! Several answers of one request as one stream of events, and what becomes of them when client or server leaves.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use realizar_engine::{AnswerOptions, Finish, Timings, Token, Usage};
use serde_json::Value;
use tokio::sync::Notify;

use crate::app::Shared;
use crate::backend::{Answer, Job, Next};
use crate::body::{Pen, Reserved};
use crate::keys::KeyPlace;
use crate::lifecycle::Phase;
use crate::record::Tally;
use crate::refusal::Refusal;
use crate::routes::Call;
use crate::sse;

/// Events that come faster than this go out together: the reader is not woken for each of them, which would take more
/// time from the thread that computes than a person could notice.
const FAST: Duration = Duration::from_millis(1);
/// How long such events are gathered.
const BEAT: Duration = Duration::from_millis(6);
/// Longer than any connection lasts.
const FOREVER: Duration = Duration::from_secs(1 << 32);
/// At so many bytes of events, they go out before more are looked for.
const PIECE: usize = 16 << 10;

/// What a token takes until its answer is written, beside its text.
const TOKEN: usize = 128;
/// The same for a token whose probability is told, as a tree of values.
const ENTRY: usize = 1 << 10;

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
    pulse: Pulse,
}

/// How fast events come.
#[derive(Debug)]
struct Pulse {
    /// When the last wait was over.
    woke: Instant,
    /// Events since then.
    events: u32,
    /// Whether the next wait is for a beat and not for a wake.
    quick: bool,
}

impl Pulse {
    /// A wait is over; `answers` are under way.
    fn beat(&mut self, answers: usize) {
        let now = Instant::now();
        let answers = u32::try_from(answers).unwrap_or(u32::MAX);
        self.quick = now.saturating_duration_since(self.woke) * answers < FAST * self.events;
        (self.woke, self.events) = (now, 0);
    }
}

impl Answers {
    /// Submits `choices` answers for each prompt, or none at all. An answer of no tokens needs no model. The prompts came in
    /// the field `field`, which is a list if there are several.
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        (field, prompts): (&str, &[Vec<u32>]),
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
        let most = shared.backend.facts().places + shared.backend.load().queue_limit;
        let (count, several) = (prompts.len() * choices, choices > 1);
        if count > most && options.max_tokens != Some(0) {
            let (param, got) = if several { ("n", choices) } else { (field, prompts.len()) };
            let want = format!("so few that all {count} answers find one of {most} places");
            return Err(Refusal::field(param, &Value::from(got), want));
        }
        let tally = &call.tally;
        let wake = Arc::new(Notify::new());
        let mut live = Vec::with_capacity(prompts.len() * choices);
        for (at, prompt) in prompts.iter().enumerate() {
            tally.prompt(prompt.len());
            for choice in 0..choices {
                let mut options = options.clone();
                options.sampling.choice = u32::try_from(choice).unwrap_or(u32::MAX);
                if options.max_tokens == Some(0) {
                    let (facts, param) = (shared.backend.facts(), item(field, at, prompts.len() > 1));
                    if facts.embeddings {
                        return Err(Refusal::NoText { param });
                    }
                    if prompt.len() > facts.context {
                        let (tokens, context) = (prompt.len(), facts.context);
                        return Err(Refusal::ContextLength { param, tokens, context });
                    }
                    live.push(Some(Box::new(Nothing { prompt: prompt.len() }) as Box<dyn Answer>));
                    continue;
                }
                let waker = Arc::clone(&wake);
                let job = Job {
                    prompt: prompt.clone(),
                    options,
                    owner: call.owner.number,
                    reader: Arc::as_ptr(&wake).addr() as u64,
                    deadline: shared.settings.limits.answer_time,
                    wake: Arc::new(move || waker.notify_one()),
                };
                let answer = shared
                    .backend
                    .submit(job)
                    .map_err(|error| Refusal::from(error).of(&item(field, at, prompts.len() > 1)))?;
                live.push(Some(answer));
            }
        }
        let (shared, tally) = (Arc::clone(shared), tally.clone());
        let _place = call.place.clone();
        let start = Instant::now();
        let pulse = Pulse { woke: start, events: 0, quick: false };
        Ok(Self { shared, live, wake, tally, _place, turn: 0, start, last: None, pulse })
    }

    /// Where it is counted what they take.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// How many answers there are, ended ones included.
    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }

    /// The next event of any answer; `None` when all have ended.
    async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            if let Some(event) = self.poll()? {
                return Ok(Some(event));
            }
            if self.over() {
                return Ok(None);
            }
            self.wait(FOREVER).await?;
        }
    }

    /// Hands all events to `render` and writes what that makes of them, until all answers have ended. What is there
    /// already goes out in one piece.
    pub(crate) async fn pour(
        mut self,
        pen: &Pen,
        keep_alive: Duration,
        mut render: impl FnMut(Event, &mut Vec<u8>),
    ) -> Result<(), Refusal> {
        let mut out = Vec::new();
        loop {
            // Should it fail or panic, what came before goes out first.
            let gathered = catch_unwind(AssertUnwindSafe(|| self.gather(&mut render, &mut out)));
            let full = out.len() >= PIECE;
            if !out.is_empty() {
                pen.write(std::mem::take(&mut out)).await;
            }
            gathered.unwrap_or_else(|panic| resume_unwind(panic))?;
            if full {
                continue;
            }
            if self.over() {
                return Ok(());
            }
            if !self.wait(keep_alive).await? {
                pen.write(sse::COMMENT).await;
            }
        }
    }

    /// Hands over what is there already, up to a piece.
    fn gather(
        &mut self,
        render: &mut impl FnMut(Event, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        while out.len() < PIECE {
            let Some(event) = self.poll()? else { break };
            render(event, out);
        }
        Ok(())
    }

    /// Whether all answers have ended.
    fn over(&self) -> bool {
        self.live.iter().all(Option::is_none)
    }

    /// Waits until there may be something new, at most this long. Tells whether there may be.
    async fn wait(&mut self, time: Duration) -> Result<bool, Refusal> {
        let quick = std::mem::take(&mut self.pulse.quick);
        if quick {
            self.hush(true);
        }
        let woken = tokio::select! {
            () = self.wake.notified() => true,
            () = tokio::time::sleep(if quick { BEAT } else { time }) => quick,
            () = self.shared.life.reached(Phase::Stopped) => return Err(Refusal::Draining),
        };
        if quick {
            self.hush(false);
        }
        self.pulse.beat(self.live.len());
        Ok(woken)
    }

    fn hush(&mut self, hushed: bool) {
        for answer in self.live.iter_mut().flatten() {
            answer.hush(hushed);
        }
    }

    fn poll(&mut self) -> Result<Option<Event>, Refusal> {
        let count = self.live.len();
        for index in (self.turn..count).chain(0..self.turn) {
            let Some(answer) = &mut self.live[index] else { continue };
            match answer.next() {
                Next::Pending => continue,
                Next::Token(token) => {
                    self.pulse.events = self.pulse.events.saturating_add(1);
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

    /// Waits for all answers, which take their part of the memory for all bodies.
    pub(crate) async fn collect(mut self) -> Result<(Vec<Whole>, Reserved), Refusal> {
        let (mut held, mut bytes) = (Reserved::default(), 0);
        let mut parts: Vec<(String, Vec<Token>, Option<End>)> =
            self.live.iter().map(|_| (String::new(), Vec::new(), None)).collect();
        while let Some(event) = self.next().await? {
            match event {
                Event::Token(index, token) => {
                    let entries: usize = token.logprobs.iter().map(|told| 1 + told.top.len()).sum();
                    bytes += TOKEN + 2 * token.text.len() + ENTRY * entries;
                    self.shared.memory.grow(&mut held, bytes)?;
                    parts[index].0.push_str(&token.text);
                    parts[index].1.push(token);
                }
                Event::Finished(index, end) => parts[index].2 = Some(end),
            }
        }
        let whole = |(text, tokens, end): (String, Vec<Token>, Option<End>)| {
            end.map(|end| Whole { text, tokens, end }).ok_or(Refusal::Internal)
        };
        Ok((parts.into_iter().map(whole).collect::<Result<_, Refusal>>()?, held))
    }
}

/// The path of a prompt.
pub(crate) fn item(field: &str, at: usize, several: bool) -> String {
    if several { format!("{field}[{at}]") } else { field.to_owned() }
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

/// The word of the OpenAI interface for the end of an answer.
pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        _ => "stop",
    }
}
