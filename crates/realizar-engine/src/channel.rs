//! The way from the scheduler to one caller: a bounded queue of events that neither side waits for under a lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::EngineError;
use crate::event::{Finish, Timings, Token, Usage};

/// What happens to a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A token was picked.
    Token(Token),
    /// The answer is complete; nothing follows.
    Finished {
        /// Why it ended.
        finish: Finish,
        /// How many tokens it took.
        usage: Usage,
        /// Where the time went.
        timings: Timings,
    },
    /// The answer could not be completed; nothing follows.
    Failed(EngineError),
}

/// What a look into a ticket gives.
#[derive(Debug)]
pub enum TryNext {
    /// The next event.
    Event(Event),
    /// Nothing yet.
    Pending,
    /// The last event was taken before.
    Closed,
}

/// Called after an event was put in, but see [`Ticket::hush`]; must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Tells the scheduler that a look at its requests is worthwhile.
pub(crate) type Nudge = Arc<dyn Fn() + Send + Sync>;

struct State {
    events: VecDeque<Event>,
    /// An event after which nothing follows was put in.
    ended: bool,
    /// The reader sleeps until there is an event: only then does telling it cost a call of the system.
    asleep: bool,
}

impl State {
    fn take(&mut self) -> TryNext {
        match self.events.pop_front() {
            Some(event) => TryNext::Event(event),
            None if self.ended => TryNext::Closed,
            None => TryNext::Pending,
        }
    }

    /// Whether taking `found` made room in a channel that was full, so that its answer can go on; or room enough for one
    /// that gave its place up.
    fn made_room(&self, found: &TryNext, capacity: usize) -> bool {
        let left = self.events.len();
        matches!(found, TryNext::Event(_)) && (left + 1 == capacity || left == capacity / 2) && !self.ended
    }
}

struct Channel {
    state: Mutex<State>,
    filled: Condvar,
    capacity: usize,
    cancelled: AtomicBool,
    /// The reader looks by itself for a while.
    hushed: AtomicBool,
    wake: Option<Wake>,
    nudge: Nudge,
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the two ends of a channel that holds `capacity` events; the last event always finds room.
pub(crate) fn channel(capacity: usize, wake: Option<Wake>, nudge: Nudge) -> (Sink, Ticket) {
    let state =
        Mutex::new(State { events: VecDeque::with_capacity(capacity + 1), ended: false, asleep: false });
    let (cancelled, hushed) = (AtomicBool::new(false), AtomicBool::new(false));
    let channel = Channel { state, filled: Condvar::new(), capacity, cancelled, hushed, wake, nudge };
    let channel = Arc::new(channel);
    (Sink(Arc::clone(&channel)), Ticket(channel))
}

/// The scheduler's end.
pub(crate) struct Sink(Arc<Channel>);

impl Sink {
    /// Whether the caller went away or wants no more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Whether the next token must wait until the caller has taken one.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().events.len() >= self.0.capacity
    }

    /// Whether at least half of the channel is free.
    pub(crate) fn has_room(&self) -> bool {
        self.0.lock().events.len() <= self.0.capacity / 2
    }

    pub(crate) fn send(&self, event: Event) {
        let mut state = self.0.lock();
        state.ended |= !matches!(event, Event::Token(_));
        state.events.push_back(event);
        let urgent = state.ended || state.events.len() * 2 > self.0.capacity;
        let asleep = state.asleep;
        drop(state);
        if asleep {
            self.0.filled.notify_one();
        }
        if let Some(wake) = &self.0.wake
            && (urgent || !self.0.hushed.load(Ordering::Acquire))
        {
            wake();
        }
    }
}

/// The caller's end of a request. Dropping it cancels the request, whose memory is free within one step.
pub struct Ticket(Arc<Channel>);

impl Ticket {
    /// The next event, without waiting.
    pub fn try_next(&mut self) -> TryNext {
        let mut state = self.0.lock();
        let found = state.take();
        let nudge = state.made_room(&found, self.0.capacity);
        drop(state);
        if nudge {
            (self.0.nudge)();
        }
        found
    }

    /// The next event, waiting for at most `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> TryNext {
        let end = Instant::now() + timeout;
        let mut state = self.0.lock();
        while state.events.is_empty() && !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.asleep = true;
            state = self.0.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.asleep = false;
        }
        drop(state);
        self.try_next()
    }

    /// The next event; `None` after the last one.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.next_timeout(Duration::from_secs(3600)) {
                TryNext::Event(event) => return Some(event),
                TryNext::Pending => {}
                TryNext::Closed => return None,
            }
        }
    }

    /// While hushed, tokens do not call the [`Wake`]: only the end does, and a channel that is half full. For a reader who
    /// looks again soon without being told; waking it for every token would cost the thread that computes.
    pub fn hush(&self, hushed: bool) {
        self.0.hushed.store(hushed, Ordering::Release);
    }

    /// Ends the request within one step. Events that were put in before stay; the last one tells `Cancelled`.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        (self.0.nudge)();
    }
}

impl Drop for Sink {
    /// A request never ends in silence, even if the scheduler does.
    fn drop(&mut self) {
        if !self.0.lock().ended {
            self.send(Event::Failed(EngineError::Stopped));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Ticket").field("waiting", &state.events.len()).field("ended", &state.ended).finish()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn token(id: u32) -> Event {
        Event::Token(Token { id, text: String::new(), logprobs: Vec::new() })
    }

    fn counter() -> (Arc<AtomicUsize>, Arc<dyn Fn() + Send + Sync>) {
        let count = Arc::new(AtomicUsize::new(0));
        let inner = Arc::clone(&count);
        (
            count,
            Arc::new(move || {
                inner.fetch_add(1, Ordering::SeqCst);
            }),
        )
    }

    #[test]
    fn events_come_in_order_and_end() {
        let ((woken, wake), (nudged, nudge)) = (counter(), counter());
        let (sink, mut ticket) = channel(2, Some(wake), nudge);
        assert!(matches!(ticket.try_next(), TryNext::Pending));
        sink.send(token(1));
        assert!(!sink.is_full());
        sink.send(token(2));
        assert!(sink.is_full());
        assert_eq!(format!("{ticket:?}"), "Ticket { waiting: 2, ended: false }");
        assert!(matches!(ticket.try_next(), TryNext::Event(Event::Token(Token { id: 1, .. }))));
        assert_eq!(
            nudged.load(Ordering::SeqCst),
            1,
            "the first event out of a full channel tells the scheduler"
        );
        sink.send(Event::Finished {
            finish: Finish::Eos,
            usage: Usage::default(),
            timings: Timings::default(),
        });
        assert!(matches!(ticket.next_event(), Some(Event::Token(Token { id: 2, .. }))));
        assert!(matches!(ticket.next_event(), Some(Event::Finished { finish: Finish::Eos, .. })));
        assert!(ticket.next_event().is_none());
        assert!(matches!(ticket.try_next(), TryNext::Closed));
        assert_eq!(woken.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn dropping_cancels() {
        let (nudged, nudge) = counter();
        let (sink, ticket) = channel(1, None, nudge);
        assert_eq!(format!("{sink:?}"), "Sink { cancelled: false }");
        drop(ticket);
        assert!(sink.is_cancelled());
        assert_eq!(nudged.load(Ordering::SeqCst), 1);
        sink.send(token(1));
    }

    #[test]
    fn a_reader_who_looks_by_itself_is_woken_for_the_end_and_for_want_of_room() {
        let (woken, wake) = counter();
        let (sink, mut ticket) = channel(4, Some(wake), Arc::new(|| {}));
        let count = || woken.load(Ordering::SeqCst);
        ticket.hush(true);
        sink.send(token(1));
        sink.send(token(2));
        assert_eq!(count(), 0);
        sink.send(token(3));
        assert_eq!(count(), 1, "more than half full");
        while let TryNext::Event(_) = ticket.try_next() {}
        sink.send(token(4));
        assert_eq!(count(), 1);
        sink.send(Event::Failed(EngineError::Stopped));
        assert_eq!(count(), 2, "the end");
        let (sink, ticket) = channel(4, Some(ticket.0.wake.clone().unwrap()), Arc::new(|| {}));
        ticket.hush(true);
        ticket.hush(false);
        sink.send(token(1));
        assert_eq!(count(), 3);
    }

    #[test]
    fn no_request_ends_in_silence() {
        let (sink, mut ticket) = channel(1, None, Arc::new(|| {}));
        drop(sink);
        assert!(matches!(ticket.next_event(), Some(Event::Failed(EngineError::Stopped))));
        assert!(ticket.next_event().is_none());
    }

    #[test]
    fn waiting_ends_by_time_or_by_an_event() {
        let (sink, mut ticket) = channel(1, None, Arc::new(|| {}));
        assert!(matches!(ticket.next_timeout(Duration::from_millis(5)), TryNext::Pending));
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            sink.send(token(7));
        });
        assert!(matches!(
            ticket.next_timeout(Duration::from_secs(20)),
            TryNext::Event(Event::Token(Token { id: 7, .. }))
        ));
        sender.join().expect("the sender ends");
    }
}
