//! Continuous batching: one thread owns the model, and requests join and leave between its steps.
//!
//! A step holds the next token of every answer that is being written and, under a budget, pieces of prompts. Nothing that a
//! request gets depends on the others: the model's rows do not, and random numbers belong to (seed, position).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use realizar_tokenize::{TokenId, Tokenizer};

use crate::EngineError;
use crate::budget::Budget;
use crate::channel::{Event, Sink};
use crate::engine::Times;
use crate::event::{Finish, Timings};
use crate::queue::{Job, Mode, Queue};
use crate::runner::{Part, Runner};
use crate::slot::Slot;
use crate::stats::Counters;
use crate::text::TextStream;

/// Tokens per block of the key/value memory.
pub(crate) const BLOCK_TOKENS: usize = realizar_model::Session::BLOCK_TOKENS;

/// How steps are put together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Answers that are written together.
    pub(crate) sequences: usize,
    /// Prompt tokens of a step, all prompts together.
    pub(crate) prompt_tokens: usize,
    /// The most tokens of a prompt that is not cut up beside answers.
    pub(crate) short_prompt: usize,
    /// How long requests may wait.
    pub(crate) times: Times,
}

/// What its thread begins with.
#[derive(Debug)]
pub(crate) struct Scheduler<R: Runner> {
    runner: R,
    tokenizer: Arc<Tokenizer>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    limits: Limits,
}

/// The thread's state.
#[derive(Debug)]
struct Work<'a, R: Runner> {
    runner: R,
    tokenizer: &'a Tokenizer,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    limits: Limits,
    budget: Budget,
    running: Vec<Running<'a, R::Seq>>,
}

/// An answer that is being written.
#[derive(Debug)]
struct Running<'a, S> {
    seq: S,
    slot: Slot,
    text: TextStream<'a>,
    sink: Sink,
    /// Tokens that the model has seen.
    fed: usize,
    /// Blocks that the sequence may come to hold.
    blocks: usize,
    owner: u64,
    deadline: Option<Instant>,
    submitted: Instant,
    admitted: Instant,
    first_token: Option<Instant>,
    /// How it ended, once it has.
    end: Option<End>,
}

/// What a step does with one request: this many of its tokens, from `fed` on.
#[derive(Debug, Clone, Copy)]
struct Share {
    index: usize,
    start: usize,
    end: usize,
    wanted: bool,
}

/// What a step does.
#[derive(Debug)]
struct Step {
    shares: Vec<Share>,
    /// Tokens of prompts among them.
    prompt_tokens: usize,
    /// Answers that it goes on with.
    answers: usize,
}

/// How a request ended.
type End = Result<Finish, EngineError>;

impl<R: Runner> Scheduler<R> {
    pub(crate) fn new(
        runner: R,
        tokenizer: Arc<Tokenizer>,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        limits: Limits,
    ) -> Self {
        publish(&runner, 0, &counters);
        Self { runner, tokenizer, queue, counters, limits }
    }

    /// Works until the engine is stopped. Should the scheduler itself panic, nothing new is taken, and all who wait are told
    /// when their requests are dropped.
    pub(crate) fn serve(self) {
        let Self { runner, tokenizer, queue, counters, limits } = self;
        let budget = Budget::new(limits.prompt_tokens, limits.short_prompt);
        let (tokenizer, running) = (tokenizer.as_ref(), Vec::new());
        let work = Work { runner, tokenizer, queue: Arc::clone(&queue), counters, limits, budget, running };
        if catch_unwind(AssertUnwindSafe(|| work.run())).is_err() {
            queue.set_mode(Mode::Stopped);
            let waiting = std::mem::take(&mut queue.lock().waiting);
            drop(waiting);
            queue.set_running(0);
        }
    }
}

impl<R: Runner> Work<'_, R> {
    fn run(mut self) {
        loop {
            // In this order: what ends makes room for what comes.
            self.expire(Instant::now());
            let stopped = self.admit();
            if stopped {
                return self.stop();
            }
            let stepped = self.step();
            self.retire();
            if !stepped {
                // Nothing can go on: wait for a request, for a caller who takes events, or for a deadline.
                let end = self.next_deadline();
                drop(self.queue.wait(end));
            }
        }
    }

    /// Takes requests from the queue while there is room. Tells whether the engine was stopped.
    fn admit(&mut self) -> bool {
        let queue = Arc::clone(&self.queue);
        let now = Instant::now();
        let (mut ended, mut failed) = (Vec::new(), Vec::new());
        let mut state = queue.lock();
        if state.mode == Mode::Stopped {
            return true;
        }
        // Those who went away, or whose time ran out, make room first.
        let waiting = state.waiting.len();
        for _ in 0..waiting {
            let Some(job) = state.waiting.pop_front() else { break };
            match self.given_up(&job, now) {
                Some(end) => ended.push((job, end)),
                None => state.waiting.push_back(job),
            }
        }
        while self.running.len() < self.limits.sequences {
            let Some((at, job)) = self.next(&state.waiting) else { break };
            let blocks = job.slot.limit().div_ceil(BLOCK_TOKENS);
            let held: usize = self.running.iter().map(|running| running.blocks).sum();
            if held + blocks > self.runner.blocks().1 {
                break; // Its turn is its turn: what is smaller does not pass by.
            }
            let Some(job) = state.waiting.remove(at) else { break };
            match self.runner.open() {
                Ok(seq) => self.running.push(Running::new(job, seq, blocks, now, self.tokenizer)),
                Err(error) => failed.push((job, error)),
            }
        }
        state.running = self.running.len();
        // Callers are told without the lock: their hooks may come back to the queue.
        drop(state);
        for (job, error) in failed {
            job.sink.send(Event::Failed(error.into()));
        }
        for (job, end) in ended {
            job.tell(end);
        }
        self.publish();
        queue.set_running(self.running.len());
        false
    }

    /// Whose turn it is: the owner of whom the fewest are being answered, and of those the first who came. So nobody waits
    /// behind everything that one owner sends.
    fn next<'a>(&self, waiting: &'a VecDeque<Job>) -> Option<(usize, &'a Job)> {
        let at_work = |owner| self.running.iter().filter(|running| running.owner == owner).count();
        waiting.iter().enumerate().min_by_key(|(_, job)| at_work(job.owner))
    }

    /// How a request that waits has ended, if it has.
    fn given_up(&self, job: &Job, now: Instant) -> Option<End> {
        let late = |limit: &Duration| now.saturating_duration_since(job.submitted) >= *limit;
        let times = &self.limits.times;
        gone(&job.sink, job.deadline, now).map(Ok).or_else(|| {
            let first = times.first_token.filter(late).map(|limit| EngineError::FirstTokenTime { limit });
            first.or_else(|| times.queue.filter(late).map(|limit| EngineError::QueueTime { limit })).map(Err)
        })
    }

    /// Ends requests whose caller went away or whose time ran out.
    fn expire(&mut self, now: Instant) {
        let first_token = self.limits.times.first_token;
        for running in &mut self.running {
            let late = |limit: &Duration| {
                running.first_token.is_none() && now.saturating_duration_since(running.submitted) >= *limit
            };
            running.end = gone(&running.sink, running.deadline, now)
                .map(Ok)
                .or_else(|| first_token.filter(late).map(|limit| Err(EngineError::FirstTokenTime { limit })));
        }
        self.retire();
    }

    /// When something runs out next.
    fn next_deadline(&self) -> Option<Instant> {
        let Times { queue, first_token, .. } = self.limits.times;
        let state = self.queue.lock();
        let waiting = state.waiting.iter().flat_map(|job| {
            [job.deadline, deadline(job.submitted, queue), deadline(job.submitted, first_token)]
        });
        let running = self.running.iter().flat_map(|running| {
            let first = deadline(running.submitted, first_token).filter(|_| running.first_token.is_none());
            [running.deadline, first]
        });
        waiting.chain(running).flatten().min()
    }

    /// Runs the model once. Tells whether there was anything to do.
    fn step(&mut self) -> bool {
        let Step { shares, prompt_tokens, answers } = self.share();
        if shares.is_empty() {
            return false;
        }
        self.counters.steps.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        if self.forward(&shares).is_ok() {
            self.budget.took(prompt_tokens, answers > 0, started.elapsed());
        } else {
            // One of them broke the step. Each on its own, from where the step began, shows which one it was; the others
            // get the same rows as they would have got together.
            for share in &shares {
                let (seq, fed) = (self.running[share.index].seq, self.running[share.index].fed);
                let again = guarded(|| self.runner.cut(seq, fed)).and_then(|()| self.forward(&[*share]));
                if let Err(error) = again {
                    self.running[share.index].end = Some(Err(error));
                }
            }
        }
        true
    }

    /// Decides what goes into a step: every answer's next token, then prompts in the order in which they came.
    fn share(&self) -> Step {
        let mut shares = Vec::new();
        for (index, running) in self.running.iter().enumerate() {
            if running.first_token.is_some() && !running.sink.is_full() {
                let end = running.slot.tokens().len();
                shares.push(Share { index, start: running.fed, end, wanted: true });
            }
        }
        let answers = shares.len();
        let mut budget = self.budget.share(answers > 0);
        let mut prompt_tokens = 0;
        for (index, running) in self.running.iter().enumerate() {
            if running.first_token.is_some() {
                continue;
            }
            let len = running.slot.tokens().len();
            let taken = budget.take(len, len - running.fed);
            if taken > 0 {
                let end = running.fed + taken;
                prompt_tokens += taken;
                shares.push(Share { index, start: running.fed, end, wanted: end == len });
            }
        }
        Step { shares, prompt_tokens, answers }
    }

    /// Feeds the model and lets each answer pick its token. An error means that nothing of it counts.
    fn forward(&mut self, shares: &[Share]) -> Result<(), EngineError> {
        let Self { runner, running, tokenizer, .. } = self;
        let tokens: Vec<TokenId> = shares
            .iter()
            .flat_map(|share| running[share.index].slot.tokens()[share.start..share.end].iter().copied())
            .collect();
        let mut rest = tokens.as_slice();
        let parts: Vec<Part<'_, R::Seq>> = shares
            .iter()
            .map(|share| {
                let (tokens, after) = rest.split_at(share.end - share.start);
                rest = after;
                Part { seq: running[share.index].seq, tokens, wanted: share.wanted }
            })
            .collect();
        guarded(|| {
            runner.forward(&parts, &mut |index, row| running[shares[index].index].pick(row, tokenizer))
        })?;
        for share in shares {
            let running = &mut running[share.index];
            running.fed = share.end;
            let prompt = running.slot.prompt_tokens();
            let read = share.end.min(prompt) - share.start.min(prompt);
            self.counters.prompt_tokens.fetch_add(read as u64, Ordering::Relaxed);
            self.counters.generated_tokens.fetch_add(u64::from(share.wanted), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets go of what has ended, and tells the callers.
    fn retire(&mut self) {
        let mut index = 0;
        let mut any = false;
        while index < self.running.len() {
            let Some(end) = self.running[index].end.take() else {
                index += 1;
                continue;
            };
            any = true;
            let running = self.running.remove(index);
            // A sequence that cannot even be closed takes its blocks with it; the engine goes on with the others.
            let _ = guarded(|| self.runner.close(running.seq));
            self.counters.answered(running.admitted.elapsed());
            running.tell(end);
        }
        if any {
            // In this order: who waits for an idle engine finds its blocks free.
            self.publish();
            self.queue.set_running(self.running.len());
        }
    }

    /// Ends everything.
    fn stop(mut self) {
        for running in &mut self.running {
            running.end = Some(Ok(Finish::Cancelled));
        }
        self.retire();
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        for job in waiting {
            job.tell(Ok(Finish::Cancelled));
        }
        self.queue.set_running(0);
    }

    fn publish(&self) {
        publish(&self.runner, self.running.len(), &self.counters);
    }
}

fn publish<R: Runner>(runner: &R, running: usize, counters: &Counters) {
    let (free, total) = runner.blocks();
    counters.running.store(running, Ordering::Relaxed);
    counters.kv_free.store(free, Ordering::Relaxed);
    counters.kv_total.store(total, Ordering::Relaxed);
}

impl<'a, S> Running<'a, S> {
    fn new(job: Job, seq: S, blocks: usize, now: Instant, tokenizer: &'a Tokenizer) -> Self {
        let Job { slot, sink, owner, submitted, deadline } = job;
        Self {
            seq,
            text: TextStream::after(slot.tokens(), tokenizer),
            slot,
            sink,
            fed: 0,
            blocks,
            owner,
            deadline,
            submitted,
            admitted: now,
            first_token: None,
            end: None,
        }
    }

    /// Picks the next token by its scores and sends it off. What goes wrong here is this request's alone.
    fn pick(&mut self, row: &[f32], tokenizer: &Tokenizer) {
        match guarded(|| self.slot.pick(row, tokenizer, &mut self.text)) {
            Ok((token, finish)) => {
                self.first_token.get_or_insert_with(Instant::now);
                self.sink.send(Event::Token(token));
                self.end = finish.map(Ok);
            }
            Err(error) => self.end = Some(Err(error)),
        }
    }

    fn tell(self, end: End) {
        let now = Instant::now();
        let first = self.first_token.unwrap_or(now);
        let timings = Timings {
            queued: self.admitted - self.submitted,
            prefill: first.saturating_duration_since(self.admitted),
            decode: now.saturating_duration_since(first),
        };
        self.sink.send(match end {
            Ok(finish) => Event::Finished { finish, usage: self.slot.usage(), timings },
            Err(error) => Event::Failed(error),
        });
    }
}

impl Job {
    /// Tells the caller of a request that was never begun.
    fn tell(self, end: End) {
        let timings = Timings { queued: self.submitted.elapsed(), ..Timings::default() };
        self.sink.send(match end {
            Ok(finish) => Event::Finished { finish, usage: self.slot.usage(), timings },
            Err(error) => Event::Failed(error),
        });
    }
}

/// Why a request need not be gone on with.
fn gone(sink: &Sink, deadline: Option<Instant>, now: Instant) -> Option<Finish> {
    if sink.is_cancelled() {
        return Some(Finish::Cancelled);
    }
    deadline.is_some_and(|deadline| deadline <= now).then_some(Finish::Deadline)
}

/// Runs something that may panic; a panic becomes an error.
///
/// What was changed half-way is only the state of the request at hand, which is given up, and the runner's, whose sequences
/// are cut back to a known length before they are used again.
fn guarded<T, E: Into<EngineError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(EngineError::Panicked { message })
        }
    }
}

/// The time by which a request must be answered.
pub(crate) fn deadline(submitted: Instant, time: Option<Duration>) -> Option<Instant> {
    // A time beyond what the clock can tell is no limit.
    time.and_then(|time| submitted.checked_add(time))
}

#[cfg(test)]
mod tests;
