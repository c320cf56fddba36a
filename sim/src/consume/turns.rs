//! How many partitions of a worker are bound at the same time.
//!
//! At a cold start of many workers each asks for all its consumers in the same instant, and the
//! server creates one after the other. The queue outlasts the time a request is given: consumers
//! are asked for again while they are still being created, and the leader, whose requests stand in
//! the same queue, does not see for as long who is alive.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// Two keep the server busy, and with 100 workers the queue at a fraction of the time-out.
const AT_ONCE: usize = 2;

/// The turns that the partitions of a worker take at binding.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turns {
    /// Waits for a turn, which lasts until it is dropped; none if told to stop before.
    pub(super) async fn take(&self, stop: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            turn = self.0.acquire() => turn.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn everyone_has_a_turn_and_few_at_once() {
        let (turns, stop) = (Turns::default(), CancellationToken::new());
        let (now, most, had) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let bind = async || {
            let turn = turns.take(&stop).await.expect("nobody stops");
            now.set(now.get() + 1);
            most.set(now.get().max(most.get()));
            tokio::task::yield_now().await;
            now.set(now.get() - 1);
            had.set(had.get() + 1);
            drop(turn);
        };
        join_all((0..15).map(|_| bind())).await;
        assert_eq!((most.get(), had.get()), (AT_ONCE, 15));
    }

    #[tokio::test]
    async fn who_is_told_to_stop_waits_no_longer() {
        let (turns, stop) = (Turns::default(), CancellationToken::new());
        let mut taken = vec![];
        for _ in 0..AT_ONCE {
            taken.push(turns.take(&stop).await.expect("free"));
        }
        let mut waiting = Box::pin(turns.take(&stop));
        assert!(waiting.as_mut().now_or_never().is_none());
        stop.cancel();
        assert!(waiting.await.is_none());
        taken.clear();
        assert!(turns.take(&stop).await.is_none(), "though one is free");
    }
}
