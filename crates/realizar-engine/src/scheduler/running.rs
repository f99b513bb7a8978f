//! An answer under way: what is known of it wherever it is, and what it holds of the model while it is being written.

use std::time::{Duration, Instant};

use realizar_tokenize::Tokenizer;

use crate::EngineError;
use crate::channel::{Event, Sink};
use crate::event::{Finish, Timings};
use crate::queue::Job;
use crate::slot::Slot;
use crate::text::TextStream;

use super::guarded;

/// How a request ended.
pub(super) type End = Result<Finish, EngineError>;

/// An answer that was begun. It can go on from here on any sequence that reads its tokens.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) slot: Slot,
    pub(super) sink: Sink,
    text: TextStream<'a>,
    pub(super) owner: u64,
    pub(super) reader: u64,
    pub(super) deadline: Option<Instant>,
    pub(super) submitted: Instant,
    pub(super) admitted: Instant,
    pub(super) first_token: Option<Instant>,
    /// Tokens that a sequence of this answer has read.
    pub(super) read: usize,
    /// How it ended, once it has.
    pub(super) end: Option<End>,
}

/// An answer that has a place among those that are being written.
#[derive(Debug)]
pub(super) struct Running<'a, S> {
    pub(super) answer: Written<'a>,
    pub(super) seq: S,
    /// Tokens that the sequence holds.
    pub(super) fed: usize,
    /// Blocks that it may come to hold.
    pub(super) blocks: usize,
    /// Since when its reader has not kept up.
    pub(super) stalled: Option<Instant>,
}

impl<S> Running<'_, S> {
    /// Whether its next token follows from the one before: all others have been read.
    pub(super) fn writes(&self) -> bool {
        self.answer.first_token.is_some() && self.fed + 1 == self.answer.slot.tokens().len()
    }
}

impl<'a> Written<'a> {
    pub(super) fn new(job: Job, now: Instant, tokenizer: &'a Tokenizer) -> Self {
        let Job { slot, sink, owner, reader, submitted, deadline } = job;
        let text = TextStream::after(slot.tokens(), tokenizer);
        let (admitted, first_token, read, end) = (now, None, 0, None);
        Self { slot, sink, text, owner, reader, deadline, submitted, admitted, first_token, read, end }
    }

    /// Picks the next token by its scores and sends it off. What goes wrong here is this request's alone.
    pub(super) fn pick(&mut self, row: &[f32], tokenizer: &Tokenizer) {
        match guarded(|| self.slot.pick(row, tokenizer, &mut self.text)) {
            Ok((token, finish)) => {
                self.first_token.get_or_insert_with(Instant::now);
                self.sink.send(Event::Token(token));
                self.end = finish.map(Ok);
            }
            Err(error) => self.end = Some(Err(error)),
        }
    }

    /// Notes that a sequence has read the tokens `from..to`; tells how many of them are of the prompt and are read for the
    /// first time.
    pub(super) fn has_read(&mut self, from: usize, to: usize) -> usize {
        let prompt = self.slot.prompt_tokens();
        let new = to.min(prompt).saturating_sub(from.max(self.read).min(prompt));
        self.read = self.read.max(to);
        new
    }

    /// Ends it if its caller went away or its time ran out.
    pub(super) fn expire(&mut self, first_token: Option<Duration>, now: Instant) {
        let late = |limit: &Duration| {
            self.first_token.is_none() && now.saturating_duration_since(self.submitted) >= *limit
        };
        self.end = gone(&self.sink, self.deadline, now)
            .map(Ok)
            .or_else(|| first_token.filter(late).map(|limit| Err(EngineError::FirstTokenTime { limit })));
    }

    pub(super) fn tell(self, end: End) {
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
    pub(super) fn tell(self, end: End) {
        let timings = Timings { queued: self.submitted.elapsed(), ..Timings::default() };
        self.sink.send(match end {
            Ok(finish) => Event::Finished { finish, usage: self.slot.usage(), timings },
            Err(error) => Event::Failed(error),
        });
    }
}

/// Why a request need not be gone on with.
pub(super) fn gone(sink: &Sink, deadline: Option<Instant>, now: Instant) -> Option<Finish> {
    if sink.is_cancelled() {
        return Some(Finish::Cancelled);
    }
    deadline.is_some_and(|deadline| deadline <= now).then_some(Finish::Deadline)
}
