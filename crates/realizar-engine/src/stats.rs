//! Numbers that tell how busy an engine is. Reading them never waits for a step.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How busy an engine is, and what it has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests that wait.
    pub queued: usize,
    /// Requests that are being answered.
    pub running: usize,
    /// Requests that gave way to others, since their readers did not keep up.
    pub parked: usize,
    /// Blocks of the key/value memory.
    pub kv_blocks_total: usize,
    /// Those of them that no sequence holds.
    pub kv_blocks_free: usize,
    /// Tokens of prompts that the model has read.
    pub prompt_tokens_total: u64,
    /// Tokens that were picked.
    pub generated_tokens_total: u64,
    /// Steps of the model.
    pub steps: u64,
}

/// Where the scheduler leaves its numbers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) running: AtomicUsize,
    pub(crate) parked: AtomicUsize,
    pub(crate) kv_total: AtomicUsize,
    pub(crate) kv_free: AtomicUsize,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) generated_tokens: AtomicU64,
    pub(crate) steps: AtomicU64,
    /// Running mean of the time that an answer takes, in microseconds.
    answer_us: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self, queued: usize) -> Stats {
        Stats {
            queued,
            running: self.running.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            kv_blocks_total: self.kv_total.load(Ordering::Relaxed),
            kv_blocks_free: self.kv_free.load(Ordering::Relaxed),
            prompt_tokens_total: self.prompt_tokens.load(Ordering::Relaxed),
            generated_tokens_total: self.generated_tokens.load(Ordering::Relaxed),
            steps: self.steps.load(Ordering::Relaxed),
        }
    }

    /// Takes note of an answer's time; only the scheduler calls this.
    pub(crate) fn answered(&self, time: Duration) {
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let old = self.answer_us.load(Ordering::Relaxed);
        let mean = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.answer_us.store(mean, Ordering::Relaxed);
    }

    /// When a place in the queue may be free: `waiting` answers, `together` at a time; between 1 and 60 seconds.
    pub(crate) fn retry_after(&self, waiting: usize, together: usize) -> Duration {
        let rounds = (waiting / together.max(1) + 1) as u64;
        let us = self.answer_us.load(Ordering::Relaxed).saturating_mul(rounds);
        Duration::from_secs(us.div_ceil(1_000_000).clamp(1, 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_follows_the_time_of_answers() {
        let counters = Counters::default();
        assert_eq!(counters.retry_after(10, 2), Duration::from_secs(1), "nothing is known yet");
        counters.answered(Duration::from_secs(4));
        assert_eq!(counters.retry_after(4, 2), Duration::from_secs(12));
        for _ in 0..100 {
            counters.answered(Duration::from_millis(10));
        }
        assert_eq!(counters.retry_after(4, 2), Duration::from_secs(1));
        counters.answered(Duration::from_secs(100_000));
        assert_eq!(counters.retry_after(4, 2), Duration::from_secs(60));
    }
}
