//! From the first connection to the last: running, draining, stopped, and how many requests are under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are taken.
    Running,
    /// New requests are refused; those under way go on.
    Draining,
    /// Those under way are told to end.
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
    active: AtomicUsize,
    /// Rung when the last request leaves.
    idle: Notify,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running), active: AtomicUsize::new(0), idle: Notify::new() }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes on to a phase, never back.
    pub(crate) fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }

    pub(crate) async fn reached(&self, wanted: Phase) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    pub(crate) fn enter(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        if self.active.fetch_sub(1, Ordering::SeqCst) == 1 && self.phase() > Phase::Running {
            self.idle.notify_waiters();
        }
    }

    /// Once no new work is taken: waits until no request is under way, at most this long. Tells whether it came to that.
    pub(crate) async fn idle(&self, within: Duration) -> bool {
        let idle = async {
            loop {
                let rung = self.idle.notified();
                if self.active() == 0 {
                    return;
                }
                rung.await;
            }
        };
        tokio::time::timeout(within, idle).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, Phase};
    use std::time::Duration;

    #[tokio::test]
    async fn phases_only_advance_and_idle_waits_for_the_last_request() {
        let life = Lifecycle::new();
        life.enter();
        life.advance(Phase::Draining);
        life.advance(Phase::Running);
        assert_eq!((life.phase(), life.active()), (Phase::Draining, 1));
        assert!(!life.idle(Duration::from_millis(1)).await);
        let (idle, ()) = tokio::join!(life.idle(Duration::from_secs(5)), async { life.leave() });
        assert!(idle);
        life.advance(Phase::Stopped);
        life.reached(Phase::Stopped).await;
    }
}
