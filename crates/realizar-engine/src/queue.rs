//! Requests that wait for their turn, and the bell that wakes the scheduler.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::SubmitError;
use crate::channel::Sink;
use crate::slot::Slot;

/// A request that was accepted.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) slot: Slot,
    pub(crate) sink: Sink,
    /// Whose it is.
    pub(crate) owner: u64,
    /// Who reads its events.
    pub(crate) reader: u64,
    pub(crate) submitted: Instant,
    pub(crate) deadline: Option<Instant>,
}

/// Whether an engine takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It does.
    Open,
    /// It answers what it has.
    Draining,
    /// It ends everything.
    Stopped,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) waiting: VecDeque<Job>,
    pub(crate) mode: Mode,
    /// Something happened since the scheduler looked last.
    pub(crate) rung: bool,
    /// Requests that were taken from `waiting` and have not ended.
    pub(crate) running: usize,
}

/// How many of those that `came` find no place among `places`, of which `running` are taken. The others have not been taken yet
/// because the scheduler looks between two steps; they do not count as waiting.
#[must_use]
pub fn in_line(came: usize, running: usize, places: usize) -> usize {
    came.saturating_sub(places.saturating_sub(running))
}

/// The queue between callers and the scheduler.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
    idle: Condvar,
    limit: usize,
    places: usize,
}

impl Queue {
    /// A queue of `limit` requests before `places` that are answered together.
    pub(crate) fn new(limit: usize, places: usize) -> Self {
        let state = State { waiting: VecDeque::new(), mode: Mode::Open, rung: false, running: 0 };
        Self { state: Mutex::new(state), bell: Condvar::new(), idle: Condvar::new(), limit, places }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests may wait.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Puts a request at the end. `retry_after` makes the hint for a caller that is turned away.
    pub(crate) fn push(
        &self,
        job: Job,
        retry_after: impl FnOnce(usize) -> Duration,
    ) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.mode != Mode::Open {
            return Err(SubmitError::Draining);
        }
        let waiting = in_line(state.waiting.len(), state.running, self.places);
        if waiting >= self.limit {
            return Err(SubmitError::QueueFull {
                waiting,
                limit: self.limit,
                retry_after: retry_after(waiting),
            });
        }
        state.waiting.push_back(job);
        state.rung = true;
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Makes the scheduler look at its requests.
    pub(crate) fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Changes the mode; an engine that was stopped stays so.
    pub(crate) fn set_mode(&self, mode: Mode) {
        let mut state = self.lock();
        if state.mode != Mode::Stopped {
            state.mode = mode;
        }
        state.rung = true;
        drop(state);
        self.bell.notify_one();
    }

    /// Waits until the bell rings, or until `end`.
    pub(crate) fn wait(&self, end: Option<Instant>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while !state.rung {
            state = match end {
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.rung = false;
        state
    }

    /// Takes note of how many requests are being answered.
    pub(crate) fn set_running(&self, running: usize) {
        let mut state = self.lock();
        state.running = running;
        if running == 0 && state.waiting.is_empty() {
            self.idle.notify_all();
        }
    }

    /// Waits until no request is left; false when `timeout` came first.
    pub(crate) fn wait_idle(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let busy = |state: &mut State| state.running > 0 || !state.waiting.is_empty();
        let (state, _) =
            self.idle.wait_timeout_while(state, timeout, busy).unwrap_or_else(PoisonError::into_inner);
        state.running == 0 && state.waiting.is_empty()
    }
}
