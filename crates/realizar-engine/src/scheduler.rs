//! Continuous batching: one thread owns the model, and requests join and leave between its steps.
//!
//! A step holds the next token of every answer that is being written and, under a budget, pieces of prompts. Nothing that a
//! request gets depends on the others: the model's rows do not, and random numbers belong to (seed, position).

mod places;
mod running;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use realizar_tokenize::{TokenId, Tokenizer};

use crate::EngineError;
use crate::budget::Budget;
use crate::engine::Times;
use crate::event::Finish;
use crate::queue::{Job, Mode, Queue};
use crate::runner::{Part, Runner};
use crate::stats::Counters;

use self::places::{Parked, Turn};
use self::running::{End, Running, Written, gone};

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
    parked: Vec<Parked<'a>>,
    /// How long a reader may fall behind before its answer gives way.
    patience: Option<Duration>,
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

impl<R: Runner> Scheduler<R> {
    pub(crate) fn new(
        runner: R,
        tokenizer: Arc<Tokenizer>,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        limits: Limits,
    ) -> Self {
        publish(&runner, (0, 0), &counters);
        Self { runner, tokenizer, queue, counters, limits }
    }

    /// Works until the engine is stopped. Should the scheduler itself panic, nothing new is taken, and all who wait are told
    /// when their requests are dropped.
    pub(crate) fn serve(self) {
        let Self { runner, tokenizer, queue, counters, limits } = self;
        let budget = Budget::new(limits.prompt_tokens, limits.short_prompt);
        let (tokenizer, running, parked) = (tokenizer.as_ref(), Vec::new(), Vec::new());
        let (own, patience) = (Arc::clone(&queue), limits.times.stalled);
        let work =
            Work { runner, tokenizer, queue: own, counters, limits, budget, running, parked, patience };
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
            let now = Instant::now();
            self.expire(now);
            let stopped = self.admit(now);
            if stopped {
                return self.stop();
            }
            let stepped = self.step();
            self.retire();
            if !stepped {
                // Nothing can go on: wait for a request, for a caller who takes events, or for a deadline.
                let end = self.next_deadline(now);
                drop(self.queue.wait(end));
            }
        }
    }

    /// Takes requests from the queue while there is room. Tells whether the engine was stopped.
    fn admit(&mut self, now: Instant) -> bool {
        self.look_at_readers(now);
        let queue = Arc::clone(&self.queue);
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
        self.set_patience(state.waiting.len());
        while self.may_be_room(now) {
            let Some(turn) = self.next(&state.waiting) else { break };
            let blocks = self.blocks_of(turn, &state.waiting);
            if !self.make_room(blocks, now) {
                break; // Its turn is its turn: what is smaller does not pass by.
            }
            let opened = self.runner.open();
            match turn {
                Turn::Parked(at) => failed.extend(self.resume(at, blocks, opened)),
                Turn::Waiting(at) => {
                    let Some(job) = state.waiting.remove(at) else { break };
                    let answer = Written::new(job, now, self.tokenizer);
                    failed.extend(self.begin(answer, blocks, opened));
                }
            }
        }
        state.running = self.running.len() + self.parked.len();
        // Callers are told without the lock: their hooks may come back to the queue.
        drop(state);
        for (answer, error) in failed {
            answer.tell(Err(error.into()));
        }
        for (job, end) in ended {
            job.tell(end);
        }
        self.publish();
        false
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
        let running = self.running.iter_mut().map(|running| &mut running.answer);
        for answer in running.chain(self.parked.iter_mut().map(|parked| &mut parked.answer)) {
            answer.expire(first_token, now);
        }
        self.retire();
    }

    /// When something runs out next, as seen at `now`.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let Times { queue, first_token, .. } = self.limits.times;
        let state = self.queue.lock();
        let waiting = state.waiting.iter().flat_map(|job| {
            [job.deadline, deadline(job.submitted, queue), deadline(job.submitted, first_token)]
        });
        let running = self.running.iter().flat_map(|running| {
            let answer = &running.answer;
            let first = deadline(answer.submitted, first_token).filter(|_| answer.first_token.is_none());
            // Who has stalled for that long already gives way as soon as somebody comes.
            let stall =
                running.stalled.and_then(|since| deadline(since, self.patience)).filter(|end| *end > now);
            [answer.deadline, first, stall]
        });
        let parked = self.parked.iter().map(|parked| parked.answer.deadline);
        waiting.chain(running).chain(parked).flatten().min()
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
                    self.running[share.index].answer.end = Some(Err(error));
                }
            }
        }
        true
    }

    /// Decides what goes into a step: every answer's next token, then prompts in the order in which they came.
    fn share(&self) -> Step {
        let mut shares = Vec::new();
        for (index, running) in self.running.iter().enumerate() {
            if running.writes() && !running.answer.sink.is_full() {
                let end = running.answer.slot.tokens().len();
                shares.push(Share { index, start: running.fed, end, wanted: true });
            }
        }
        let answers = shares.len();
        let mut budget = self.budget.share(answers > 0);
        let mut prompt_tokens = 0;
        for (index, running) in self.running.iter().enumerate() {
            if running.writes() {
                continue;
            }
            let len = running.answer.slot.tokens().len();
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
            .flat_map(|share| {
                running[share.index].answer.slot.tokens()[share.start..share.end].iter().copied()
            })
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
            runner.forward(&parts, &mut |index, row| running[shares[index].index].answer.pick(row, tokenizer))
        })?;
        for share in shares {
            let running = &mut running[share.index];
            running.fed = share.end;
            let read = running.answer.has_read(share.start, share.end);
            self.counters.prompt_tokens.fetch_add(read as u64, Ordering::Relaxed);
            self.counters.generated_tokens.fetch_add(u64::from(share.wanted), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets go of what has ended, and tells the callers.
    fn retire(&mut self) {
        let mut ended = Vec::new();
        while let Some(at) = self.running.iter().position(|running| running.answer.end.is_some()) {
            let running = self.running.remove(at);
            // A sequence that cannot even be closed takes its blocks with it; the engine goes on with the others.
            let _ = guarded(|| self.runner.close(running.seq));
            ended.push(running.answer);
        }
        while let Some(at) = self.parked.iter().position(|parked| parked.answer.end.is_some()) {
            ended.push(self.parked.remove(at).answer);
        }
        let any = !ended.is_empty();
        for mut answer in ended {
            self.counters.answered(answer.admitted.elapsed());
            if let Some(end) = answer.end.take() {
                answer.tell(end);
            }
        }
        if any {
            self.publish();
        }
    }

    /// Ends everything.
    fn stop(mut self) {
        let running = self.running.iter_mut().map(|running| &mut running.answer);
        for answer in running.chain(self.parked.iter_mut().map(|parked| &mut parked.answer)) {
            answer.end = Some(Ok(Finish::Cancelled));
        }
        self.retire();
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        for job in waiting {
            job.tell(Ok(Finish::Cancelled));
        }
        self.queue.set_running(0);
    }

    fn publish(&self) {
        let (running, parked) = (self.running.len(), self.parked.len());
        // In this order: who waits for an idle engine finds its blocks free.
        publish(&self.runner, (running, parked), &self.counters);
        self.queue.set_running(running + parked);
    }
}

fn publish<R: Runner>(runner: &R, (running, parked): (usize, usize), counters: &Counters) {
    let (free, total) = runner.blocks();
    counters.running.store(running, Ordering::Relaxed);
    counters.parked.store(parked, Ordering::Relaxed);
    counters.kv_free.store(free, Ordering::Relaxed);
    counters.kv_total.store(total, Ordering::Relaxed);
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
