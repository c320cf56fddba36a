//! Publishing to one partition: each number once, none left out, whatever fails.
//!
//! A number is given up only when the server has stored it. Until then it is sent again under the
//! same id, which the server stores once. Every message names the last one of its partition that
//! its sender knows of. A producer that has lost its id without knowing it yet is refused as soon
//! as its successor has published, and two of them never store different messages under one
//! number, nor leave one out.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream::context::{
    CreateStreamError, GetStreamError, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::ledger;
use crate::message::Numbered;
use crate::names;
use crate::nats::Nats;
use crate::telemetry::{InFlight, Ready, counter};

const RETRY: Duration = Duration::from_millis(200);

/// What a producer counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    sent: Counter,
    retries: Counter,
    in_flight: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        Self {
            sent: counter(
                registry,
                "soak_sim_messages_sent",
                "Messages that the server has stored",
            ),
            in_flight: InFlight::register(registry),
            retries: counter(
                registry,
                "soak_sim_publish_retries",
                "Times that a number was sent again under the same id",
            ),
        }
    }
}

/// What the publishing tasks of a producer share.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) nats: Nats,
    pub(crate) metrics: Metrics,
    pub(crate) draining: watch::Receiver<bool>,
    /// Messages per second to partition 0, 1, 2 and so on.
    pub(crate) rates: Vec<f64>,
    pub(crate) payload_bytes: usize,
    pub(crate) ready: Ready,
}

/// Where a partition ends: the last number, and its place in the partition's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tail {
    number: u64,
    sequence: u64,
}

impl Publishing {
    /// Publishes the numbers of a partition at the rate, after the last one that is stored.
    pub(crate) async fn publish(&self, partition: u32, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.publish_forever(partition) => {}
        }
    }

    async fn publish_forever(&self, partition: u32) {
        let mut tail = self.tail(partition).await;
        self.ready.set(true);
        let period = Duration::from_secs_f64(1.0 / self.rates[partition as usize]);
        // Partitions take turns within a period instead of all publishing at its start.
        let phase = (xxh3_64(&partition.to_le_bytes()) % 1000) as f64 / 1000.0;
        let mut ticks =
            tokio::time::interval_at(tokio::time::Instant::now() + period.mul_f64(phase), period);
        // After a stall of the server the rate goes on as before: no burst to catch up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = self.draining.clone();
        loop {
            ticks.tick().await;
            if draining.wait_for(|draining| !*draining).await.is_err() {
                // Nobody watches any more: we are about to be stopped.
                return std::future::pending().await;
            }
            tail = self.store_next(partition, tail).await;
        }
    }

    /// Sends the next number until the stream has it, and returns the new tail.
    async fn store_next(&self, partition: u32, tail: Tail) -> Tail {
        let message = Numbered::now(partition, tail.number + 1);
        loop {
            match self.send(&message, tail).await {
                Ok(sequence) => {
                    self.metrics.sent.inc();
                    return Tail {
                        number: message.number,
                        sequence,
                    };
                }
                // Somebody else has published: a former or the next holder of our id, or we
                // ourselves in an attempt whose answer was lost. The stream knows.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    debug!(
                        partition,
                        number = message.number,
                        "the partition has moved on"
                    );
                    return self.tail(partition).await;
                }
                Err(error) => {
                    warn!(partition, number = message.number, %error, "failed to publish, trying again");
                    self.metrics.retries.inc();
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn send(&self, message: &Numbered, tail: Tail) -> Result<u64, PublishError> {
        let _in_flight = InFlight::one(&self.metrics.in_flight);
        let publish = PublishMessage::build()
            .payload(message.encode(self.payload_bytes))
            .message_id(message.id())
            .expected_last_subject_sequence(tail.sequence);
        let ack = self
            .nats
            .jetstream
            .send_publish(names::subject(message.partition), publish)
            .await?
            .await?;
        Ok(ack.sequence)
    }

    /// Reads where the partition ends, for as long as it takes.
    async fn tail(&self, partition: u32) -> Tail {
        loop {
            match self.try_tail(partition).await {
                Ok(tail) => return tail,
                Err(error) => {
                    warn!(partition, %error, "failed to read the end of the partition, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn try_tail(&self, partition: u32) -> Result<Tail, TailError> {
        let number = names::stream_of(partition);
        let stream = self
            .nats
            .jetstream
            .get_stream_no_info(names::stream(number))
            .await?;
        let read = || stream.direct_get_last_for_subject(names::subject(partition));
        let mut last = read().await;
        if last.as_ref().is_err_and(nobody_answers) {
            self.nats.create_stream(number).await?;
            last = read().await;
        }
        match last {
            Ok(last) => {
                let number = Numbered::decode(&last.payload)?.number;
                Ok(Tail {
                    number,
                    sequence: last.sequence,
                })
            }
            // Nothing published yet, or the stream has let all of it go: then the ledger still
            // knows how far the numbers were.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let (entry, _) = ledger::read(&self.nats.ledger, partition).await?;
                Ok(Tail {
                    number: entry.received.highest().unwrap_or(0),
                    sequence: 0,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// As is with a stream that nobody has created yet.
fn nobody_answers(error: &DirectGetError) -> bool {
    matches!(
        error.kind(),
        DirectGetErrorKind::ErrorResponse(StatusCode::NO_RESPONDERS, _)
    )
}

#[derive(Debug, thiserror::Error)]
enum TailError {
    #[error("failed to name the stream: {0}")]
    Name(#[from] GetStreamError),
    #[error("failed to create the stream: {0}")]
    Create(#[from] CreateStreamError),
    #[error("failed to read the last message: {0}")]
    Read(#[from] DirectGetError),
    #[error("failed to decode the last message: {0}")]
    Decode(#[from] serde_json::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
}
