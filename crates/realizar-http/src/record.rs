//! The books on one request: opened when it comes in, closed when its answer is gone, whichever way that was.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::app::Shared;
use crate::refusal::Refusal;

/// What is told about a request when it is over. Nothing of what client or model wrote is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLog {
    /// The value of `x-request-id` in the answer.
    pub id: String,
    /// The method, `OTHER` for unusual ones.
    pub method: &'static str,
    /// The route of the table, `unknown` where none fits.
    pub route: &'static str,
    /// The status of the answer, 499 when the client went away before it had one.
    pub status: u16,
    /// The stable code of a refusal.
    pub code: Option<&'static str>,
    /// From the header to the last byte.
    pub duration: Duration,
    /// Tokens of the prompts.
    pub prompt_tokens: usize,
    /// Tokens of the answers.
    pub completion_tokens: usize,
    /// Whether a streamed answer came to its end.
    pub complete: bool,
}

/// Receives a log entry per request.
#[derive(Clone)]
pub struct LogSink(Arc<dyn Fn(&RequestLog) + Send + Sync>);

impl LogSink {
    /// Calls `sink` for each request; it must not block.
    pub fn new(sink: impl Fn(&RequestLog) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn write(&self, log: &RequestLog) {
        (self.0)(log);
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LogSink")
    }
}

/// Tokens that a request has used so far; shared between its handler and its record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    prompt: AtomicUsize,
    completion: AtomicUsize,
    /// Why an answer broke off after its head was sent.
    failed: OnceLock<&'static str>,
}

impl Tally {
    pub(crate) fn prompt(&self, tokens: usize) {
        self.0.prompt.fetch_add(tokens, Ordering::Relaxed);
    }

    /// An answer broke off after its head was sent.
    pub(crate) fn failed(&self, refusal: &Refusal) {
        // The first reason is the one.
        let _ = self.0.failed.set(refusal.code());
    }

    pub(crate) fn token(&self) {
        self.0.completion.fetch_add(1, Ordering::Relaxed);
    }
}

/// An open record; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Record {
    shared: Arc<Shared>,
    start: Instant,
    tally: Tally,
    log: RequestLog,
    broken: bool,
}

impl Record {
    pub(crate) fn open(shared: Arc<Shared>, id: String, method: &'static str) -> Self {
        shared.life.enter();
        let log = RequestLog {
            id,
            method,
            route: "unknown",
            status: 499,
            code: None,
            duration: Duration::ZERO,
            prompt_tokens: 0,
            completion_tokens: 0,
            complete: false,
        };
        Self { shared, start: Instant::now(), tally: Tally::default(), log, broken: false }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    pub(crate) fn route(&mut self, route: &'static str) {
        self.log.route = route;
    }

    pub(crate) fn answered(&mut self, status: u16, code: Option<&'static str>) {
        (self.log.status, self.log.code) = (status, code);
    }

    /// An answer came to its end.
    pub(crate) fn complete(&mut self) {
        self.log.complete = !self.broken;
    }

    /// The work behind a stream panicked.
    pub(crate) fn broke(&mut self) {
        self.log.code = Some(Refusal::Internal.code());
        self.broken = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.log.duration = self.start.elapsed();
        if let Some(&code) = self.tally.0.failed.get() {
            (self.log.code, self.log.complete) = (Some(code), false);
        }
        self.log.prompt_tokens = self.tally.0.prompt.load(Ordering::Relaxed);
        self.log.completion_tokens = self.tally.0.completion.load(Ordering::Relaxed);
        self.shared.metrics.request(&self.log);
        if let Some(sink) = &self.shared.settings.log {
            sink.write(&self.log);
        }
        self.shared.life.leave();
    }
}
