//! Who has a place among the answers that are being written: whose turn it is, and who gives a place up because its reader
//! does not keep up while others wait.
//!
//! An answer without a place keeps its tokens and nothing of the model. It goes on when its reader has caught up: another
//! sequence reads the tokens again, which gives the same scores, so the reader cannot tell.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use realizar_model::ModelError;

use crate::queue::Job;
use crate::runner::Runner;

use super::running::{Running, Written};
use super::{BLOCK_TOKENS, Work, guarded};

/// An answer that gave its place up.
#[derive(Debug)]
pub(super) struct Parked<'a> {
    pub(super) answer: Written<'a>,
    /// When its reader had caught up: from then on it waits for a place like a request that came then.
    ready: Option<Instant>,
}

/// Who is next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// This one of the requests that wait.
    Waiting(usize),
    /// This one of the answers that were parked.
    Parked(usize),
}

/// A sequence, or why there is none.
type Opened<R> = Result<<R as Runner>::Seq, ModelError>;

/// An answer that cannot have a place.
type Refused<'a> = (Written<'a>, ModelError);

/// The part of a time that each gets who has a place, when so many others wait for `places`.
fn share(time: Duration, waiting: usize, places: usize) -> Duration {
    time / u32::try_from(1 + waiting / places.max(1)).unwrap_or(u32::MAX)
}

impl<'a, R: Runner> Work<'a, R> {
    /// How long a reader may fall behind: the less, the more wait for each place.
    pub(super) fn set_patience(&mut self, waiting: usize) {
        let limits = &self.limits;
        self.patience = limits.times.stalled.map(|time| share(time, waiting, limits.sequences));
    }

    /// Takes note of the readers that do not keep up, and of those that have caught up.
    pub(super) fn look_at_readers(&mut self, now: Instant) {
        for running in &mut self.running {
            let sink = &running.answer.sink;
            if running.stalled.is_some() {
                // One event at a time is no sign of a reader that keeps up.
                running.stalled = running.stalled.filter(|_| !sink.has_room());
            } else if running.writes() && sink.is_full() {
                running.stalled = Some(now);
            }
        }
        for parked in self.parked.iter_mut().filter(|parked| parked.ready.is_none()) {
            parked.ready = parked.answer.sink.has_room().then_some(now);
        }
    }

    /// Whether a place is free, or may be given up: if not, nobody's turn need be found.
    pub(super) fn may_be_room(&self, now: Instant) -> bool {
        let late =
            |running: &Running<'_, R::Seq>| running.stalled.is_some_and(|since| self.is_late(since, now));
        self.running.len() < self.limits.sequences || self.running.iter().any(late)
    }

    /// Whether a reader has been behind for too long.
    fn is_late(&self, since: Instant, now: Instant) -> bool {
        self.patience.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
    }

    /// Whose turn it is: first those whose reader keeps up with what it has, as far as that is known; of them the owner of
    /// whom the fewest are being answered, then the reader of whom the fewest are, and of those the first who came. So nobody
    /// waits behind everything that one owner sends or one reader asked for.
    pub(super) fn next(&self, waiting: &VecDeque<Job>) -> Option<Turn> {
        let key = |owner, reader, since: Instant| {
            let stands =
                self.parked.iter().any(|parked| parked.answer.reader == reader && parked.ready.is_none());
            let running = || self.running.iter().map(|running| &running.answer);
            let of_owner = running().filter(|answer| answer.owner == owner).count();
            let of_reader = running().filter(|answer| answer.reader == reader).count();
            (stands, of_owner, of_reader, since)
        };
        let parked = self.parked.iter().enumerate();
        let parked = parked.filter_map(|(at, parked)| {
            Some((Turn::Parked(at), key(parked.answer.owner, parked.answer.reader, parked.ready?)))
        });
        let waiting = waiting.iter().enumerate();
        let waiting = waiting.map(|(at, job)| (Turn::Waiting(at), key(job.owner, job.reader, job.submitted)));
        waiting.chain(parked).min_by_key(|(_, key)| *key).map(|(turn, _)| turn)
    }

    /// Blocks that an answer may come to hold.
    pub(super) fn blocks_of(&self, turn: Turn, waiting: &VecDeque<Job>) -> usize {
        let slot = match turn {
            Turn::Waiting(at) => waiting.get(at).map(|job| &job.slot),
            Turn::Parked(at) => self.parked.get(at).map(|parked| &parked.answer.slot),
        };
        slot.map_or(0, |slot| slot.limit().div_ceil(BLOCK_TOKENS))
    }

    /// Whether an answer of so many blocks finds a place, parking those who hold up others for it if need be.
    pub(super) fn make_room(&mut self, blocks: usize, now: Instant) -> bool {
        let total = self.runner.blocks().1;
        let fits = |places: usize, held: usize| places < self.limits.sequences && held + blocks <= total;
        let held: usize = self.running.iter().map(|running| running.blocks).sum();
        if fits(self.running.len(), held) {
            return true;
        }
        let stalled = self.running.iter().enumerate();
        let mut stalled: Vec<(Instant, usize)> = stalled
            .filter_map(|(at, running)| {
                running.stalled.filter(|since| self.is_late(*since, now)).map(|since| (since, at))
            })
            .collect();
        // Who waits for a reader takes memory of its own, so there are no more of them than requests may wait.
        stalled.sort_unstable();
        stalled.truncate(self.queue.limit().saturating_sub(self.parked.len()));
        // As few as will do, those first that have stalled for longest; none if it would not help.
        let mut freed = 0;
        let enough = (1..=stalled.len()).find(|count| {
            freed += self.running[stalled[count - 1].1].blocks;
            fits(self.running.len() - count, held - freed)
        });
        let Some(enough) = enough else { return false };
        let mut places: Vec<usize> = stalled[..enough].iter().map(|(_, at)| *at).collect();
        // From behind, so that the others stay where they are.
        places.sort_unstable_by_key(|at| Reverse(*at));
        for at in places {
            self.park(at);
        }
        true
    }

    fn park(&mut self, at: usize) {
        let running = self.running.remove(at);
        // A sequence that cannot be closed takes its blocks with it; see `retire`.
        let _ = guarded(|| self.runner.close(running.seq));
        self.parked.push(Parked { answer: running.answer, ready: None });
    }

    /// Gives a parked answer its place; see [`begin`](Self::begin).
    pub(super) fn resume(&mut self, at: usize, blocks: usize, opened: Opened<R>) -> Option<Refused<'a>> {
        let Parked { answer, .. } = self.parked.remove(at);
        self.begin(answer, blocks, opened)
    }

    /// Gives an answer a place on a fresh sequence, or back with the error.
    pub(super) fn begin(
        &mut self,
        answer: Written<'a>,
        blocks: usize,
        opened: Opened<R>,
    ) -> Option<Refused<'a>> {
        match opened {
            Ok(seq) => {
                self.running.push(Running { answer, seq, fed: 0, blocks, stalled: None });
                None
            }
            Err(error) => Some((answer, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::share;

    #[test]
    fn row_122_the_more_wait_the_sooner_an_answer_gives_way() {
        let time = Duration::from_millis(1500);
        // Nobody waits for long behind others: all have had a turn after about that time.
        for (waiting, places, part) in [
            (0, 16, 1500),
            (15, 16, 1500),
            (16, 16, 750),
            (128, 16, 166),
            (256, 16, 88),
            (256, 1, 5),
            (3, 0, 375),
        ] {
            assert_eq!(share(time, waiting, places).as_millis(), part, "{waiting} for {places}");
        }
    }
}
