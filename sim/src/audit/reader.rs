//! Reading a stream in order, through an ephemeral consumer that acknowledges nothing.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use tracing::{debug, warn};

use crate::nats::{BindError, Nats};
use crate::pull::{Pull, PullError};

const BATCH: usize = 256;
/// How long the server keeps the consumer of a reader that is gone.
const FORGET: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(500);

/// What to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The stream with this number: every message, once.
    Stream(u32),
    /// The ledger: the last entry of each partition, then every new one; the former again after a
    /// break.
    Ledger,
}

/// A message as read.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) subject: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) sequence: u64,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error("failed to read in order: a message without a place in the stream")]
    Unplaced,
    #[error("failed to read in order: the server skipped to delivery {delivered} after {before}")]
    Skipped { before: u64, delivered: u64 },
}

/// Hands every message to `each`, in order and without holes, for as long as it is polled.
/// `bound` is called whenever reading begins.
pub(super) async fn follow(
    nats: &Nats,
    source: Source,
    mut bound: impl FnMut(),
    mut each: impl FnMut(Read<'_>),
) {
    let mut last = 0;
    loop {
        let error = match open(nats, source, last).await {
            Ok(pull) => {
                bound();
                read(pull, &mut last, &mut each).await
            }
            Err(error) => error,
        };
        warn!(?source, %error, "reading again");
        tokio::time::sleep(RETRY).await;
    }
}

async fn open(nats: &Nats, source: Source, last: u64) -> Result<Pull, ReadError> {
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGET,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = match source {
        Source::Stream(number) => {
            let from_there = pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: last + 1,
                },
                ..config
            };
            nats.create_consumer(number, from_there).await?
        }
        Source::Ledger => {
            let stream = &nats.ledger.stream;
            let subjects = &stream.cached_info().config.subjects;
            let by_subject = pull::Config {
                deliver_policy: DeliverPolicy::LastPerSubject,
                // A policy that goes by subject asks for one.
                filter_subject: subjects.first().cloned().unwrap_or_default(),
                ..config
            };
            let created = stream.create_consumer(by_subject).await;
            created.map_err(BindError::from)?
        }
    };
    debug!(?source, last, "reading");
    Ok(Pull::open(nats, consumer, BATCH).await?)
}

async fn read(mut pull: Pull, last: &mut u64, each: &mut impl FnMut(Read<'_>)) -> ReadError {
    let mut before = 0;
    loop {
        let message = match pull.next().await {
            Ok(message) => message,
            Err(error) => return error.into(),
        };
        let Ok(info) = message.info() else {
            return ReadError::Unplaced;
        };
        let (delivered, sequence) = (info.consumer_sequence, info.stream_sequence);
        if delivered != before + 1 {
            return ReadError::Skipped { before, delivered };
        }
        before = delivered;
        *last = sequence;
        each(Read {
            subject: &message.subject,
            payload: &message.payload,
            sequence,
        });
    }
}
