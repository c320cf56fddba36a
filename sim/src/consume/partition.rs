//! The pull loop of one partition: fetch, process, write down, acknowledge; in that order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, AckKind, consumer, consumer::pull};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use xxhash_rust::xxh3::xxh3_64;

use super::rebalance::Rebalance;
use super::{Delay, Shared};
use crate::ledger::{Batch, LedgerError, Pen};
use crate::message::Numbered;
use crate::names;
use crate::nats::BindError;
use crate::pull::{Pull, PullError};
use crate::telemetry::InFlight;

/// After this the server hands what a dead owner had fetched to the next one.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(10);
/// Most messages between two writes to the ledger.
const MAX_BATCH: usize = 256;
/// Longest time between two writes: far below [`ACK_WAIT`], or slow work would be redelivered.
const MAX_GATHER: Duration = Duration::from_secs(1);
/// How long a batch of several waits for one more: messages under load come that close.
const LINGER: Duration = Duration::from_millis(1);
/// Past this age a batch waits for nothing more, and is acknowledged as soon as it is written.
const MAX_LINGER: Duration = Duration::from_millis(50);
/// Messages that the server lets be unacknowledged: several batches, a dead owner's included.
const MAX_ACK_PENDING: i64 = 1024;
/// How long an ending loop tries to write down what it processed; the pod's grace is 2 s.
const LAST_WRITE: Duration = Duration::from_millis(1500);
const REBIND: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum ConsumeError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Consumes a partition until told to stop, and binds anew whenever the binding breaks. The
/// rebalance that brought it is let go of once it is bound.
pub(super) async fn consume(
    shared: &Shared,
    partition: u32,
    rebalance: Rebalance,
    stop: CancellationToken,
) {
    let mut rebalance = Some(rebalance);
    while !stop.is_cancelled() {
        if let Err(error) = bound(shared, partition, &mut rebalance, &stop).await {
            warn!(partition, %error, "failed to consume, binding again");
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(REBIND) => {}
            }
        }
    }
    if let Some(rebalance) = rebalance {
        rebalance.overtaken();
    }
}

async fn bound(
    shared: &Shared,
    partition: u32,
    rebalance: &mut Option<Rebalance>,
    stop: &CancellationToken,
) -> Result<(), ConsumeError> {
    let Some(turn) = shared.turns.take(stop).await else {
        return Ok(());
    };
    let consumer = shared
        .nats
        .create_consumer(names::stream_of(partition), durable(partition))
        .await?;
    let mut pen = Pen::open(&shared.nats.ledger, partition, writer(&shared.instance)).await?;
    let mut pull = Pull::open(&shared.nats, consumer, pull_size(shared.delay)).await?;
    drop(turn);
    debug!(partition, "bound");
    drop(rebalance.take());
    let result = run(shared, &mut pull, &mut pen, stop).await;
    pull.close().await;
    result
}

async fn run(
    shared: &Shared,
    pull: &mut Pull,
    pen: &mut Pen,
    stop: &CancellationToken,
) -> Result<(), ConsumeError> {
    let mut processed = Vec::with_capacity(MAX_BATCH);
    let mut lag = Lag::none(&shared.metrics.lag);
    loop {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            message = pull.next() => message?,
        };
        let broken = gather(shared, pull, first, &mut processed, stop).await;
        if let Some(last) = processed.last() {
            lag.set(last.message.info().map_or(0, |info| info.pending));
        }
        let batch = batch_of(&processed);
        tokio::select! {
            () = pen.write(&batch) => {}
            () = last_chance(stop) => return Ok(()),
        }
        for of in processed.drain(..) {
            if of.message.ack().await.is_ok() {
                shared.metrics.acked.inc();
            }
        }
        if let Some(error) = broken {
            return Err(error.into());
        }
    }
}

/// A message that was processed and is not acknowledged yet.
struct Processed {
    message: jetstream::Message,
    number: u64,
    redelivered: bool,
    _in_flight: InFlight,
}

/// Messages waiting in one partition: this loop's part of the sum, and none once it has ended.
struct Lag<'a> {
    sum: &'a Gauge,
    own: i64,
}

impl<'a> Lag<'a> {
    fn none(sum: &'a Gauge) -> Self {
        Self { sum, own: 0 }
    }

    fn set(&mut self, messages: u64) {
        let before = std::mem::replace(&mut self.own, i64::try_from(messages).unwrap_or(i64::MAX));
        self.sum.inc_by(self.own - before);
    }
}

impl Drop for Lag<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Processes the first message and all that are here by then, or follow closely. A write costs the
/// server more than a message does, so batches grow with the load; a single message, as an idle
/// partition has it, waits for nothing.
async fn gather(
    shared: &Shared,
    pull: &mut Pull,
    first: jetstream::Message,
    processed: &mut Vec<Processed>,
    stop: &CancellationToken,
) -> Option<PullError> {
    let started = Instant::now();
    let mut message = first;
    loop {
        processed.extend(process(shared, message).await);
        if processed.len() >= MAX_BATCH || started.elapsed() >= MAX_GATHER || stop.is_cancelled() {
            return None;
        }
        let lingers = processed.len() > 1 && started.elapsed() < MAX_LINGER;
        let next = match pull.next_now() {
            Ok(None) if lingers => tokio::time::timeout(LINGER, pull.next())
                .await
                .map_or(Ok(None), |next| next.map(Some)),
            now => now,
        };
        match next {
            Ok(Some(next)) => message = next,
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

async fn process(shared: &Shared, message: jetstream::Message) -> Option<Processed> {
    let Ok(numbered) = Numbered::decode(&message.payload) else {
        warn!(subject = %message.subject, "a message that is not ours, terminating it");
        let _ = message.ack_with(AckKind::Term).await;
        return None;
    };
    let in_flight = InFlight::one(&shared.metrics.in_flight);
    let redelivered = message.info().is_ok_and(|info| info.delivered > 1);
    let delay = delay_of(shared.delay, &numbered);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    shared.metrics.received.inc();
    if redelivered {
        shared.metrics.redelivered.inc();
    }
    shared.metrics.latency.observe(numbered.age().as_secs_f64());
    Some(Processed {
        message,
        number: numbered.number,
        redelivered,
        _in_flight: in_flight,
    })
}

fn batch_of(processed: &[Processed]) -> Batch {
    Batch {
        numbers: processed.iter().map(|of| of.number).collect(),
        redelivered: processed.iter().map(|of| u64::from(of.redelivered)).sum(),
    }
}

async fn last_chance(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WRITE).await;
}

fn durable(partition: u32) -> pull::Config {
    pull::Config {
        durable_name: Some(names::durable(partition)),
        filter_subject: names::subject(partition),
        ack_policy: consumer::AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_ACK_PENDING,
        deliver_policy: consumer::DeliverPolicy::All,
        ..pull::Config::default()
    }
}

/// A name for one binding of one process: a ledger entry tells apart whose write it saw by it.
fn writer(instance: &str) -> String {
    static BINDINGS: AtomicU64 = AtomicU64::new(0);
    format!("{instance}.{}", BINDINGS.fetch_add(1, Ordering::Relaxed))
}

/// As many messages as are processed in a third of [`ACK_WAIT`] even at the slowest.
fn pull_size(delay: Delay) -> usize {
    let slowest = delay.max.as_micros().max(1);
    let fit = ACK_WAIT.as_micros() / 3 / slowest;
    usize::try_from(fit)
        .unwrap_or(MAX_BATCH)
        .clamp(1, MAX_BATCH)
}

/// Spread over the range by the message itself, so that a run can be repeated.
fn delay_of(delay: Delay, message: &Numbered) -> Duration {
    let span = delay.max.saturating_sub(delay.min);
    let draw = xxh3_64(message.id().as_bytes()) % 1001;
    delay.min + span.mul_f64(draw as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(min: u64, max: u64) -> Delay {
        Delay {
            min: Duration::from_millis(min),
            max: Duration::from_millis(max),
        }
    }

    #[test]
    fn no_more_is_pulled_than_is_processed_before_the_server_gives_up() {
        assert_eq!(pull_size(delay(0, 0)), MAX_BATCH);
        assert_eq!(pull_size(delay(10, 50)), 66);
        assert_eq!(pull_size(delay(0, 60_000)), 1);
    }

    #[test]
    fn delays_stay_in_their_range_and_differ() {
        let range = delay(10, 50);
        let drawn: std::collections::BTreeSet<_> = (1..100)
            .map(|number| delay_of(range, &Numbered::now(3, number)))
            .collect();
        assert!(
            drawn
                .iter()
                .all(|delay| (range.min..=range.max).contains(delay))
        );
        assert!(drawn.len() > 50);
    }
}
