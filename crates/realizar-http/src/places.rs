//! Places for work that takes a while: a few at a time, and a queue before them that is bounded in length and in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// When to come back to a queue that is full.
const RETRY: Duration = Duration::from_secs(1);

/// So many places, and how many wait for one.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Somebody who waits.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Places {
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) }
    }

    /// A place, once there is one; at most `limit` wait, and none for longer than `time`. It belongs to the work, which goes
    /// on to its end even if nobody waits for it any more.
    pub(crate) async fn enter(&self, limit: usize, time: Duration) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waits = Waits(&self.waiting);
        if waiting >= limit {
            return Err(Refusal::QueueFull { waiting, limit, retry_after: RETRY });
        }
        match tokio::time::timeout(time, Arc::clone(&self.free).acquire_owned()).await {
            Ok(place) => place.map_err(|_| Refusal::Internal),
            Err(_) => Err(Refusal::QueueTime { limit: time }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Places;

    #[tokio::test]
    async fn row_157_who_finds_no_place_waits_for_a_while_and_not_with_everybody() {
        let places = Places::new(1);
        let short = Duration::from_millis(20);
        let long = Duration::from_secs(60);
        let first = places.enter(1, short).await.unwrap();
        assert_eq!(places.enter(1, short).await.unwrap_err().code(), "queue_timeout");
        assert_eq!(places.enter(0, short).await.unwrap_err().code(), "queue_full");
        let waits = places.enter(1, long);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            _ = &mut waits => panic!("there is no place"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(places.enter(1, long).await.unwrap_err().code(), "queue_full");
        drop(first);
        let second = waits.await.unwrap();
        drop(second);
        assert!(places.enter(0, short).await.is_ok());
    }
}
