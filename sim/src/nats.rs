//! The connection to NATS, the buckets that every process makes sure of, and the streams that are
//! created by whoever is the first to miss one.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::CreateStreamError;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, ErrorCode, kv, stream};
use async_nats::{ConnectOptions, Event};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::names;

/// How long a renewed entry of the claims bucket lives.
pub const CLAIM_EXPIRY: Duration = Duration::from_secs(4);
/// Bound on every request, so that a dead server is noticed before a claim expires.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the server remembers message ids: far above any retry of one number.
const DEDUP_WINDOW: Duration = Duration::from_secs(120);
/// Of all streams together, in equal parts. Oldest messages of a stream go first when a soak
/// outlives its part; an hour at 1 500 messages/s fits where partitions weigh the same.
const STREAMS_MAX_BYTES: i64 = 2 << 30;
const STREAM_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
const RETRY: Duration = Duration::from_millis(500);

/// A connection, with the handles that all components share.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Core NATS.
    pub client: async_nats::Client,
    /// The `JetStream` context: one for all, since each brings a task of its own.
    pub jetstream: jetstream::Context,
    /// How many partitions the simulation has, and with that how many streams.
    pub partitions: u32,
    /// What was received.
    pub ledger: kv::Store,
    /// What the operator asks for.
    pub control: kv::Store,
    /// Who holds which id.
    pub claims: kv::Store,
    /// Who owns which partition.
    pub assignment: kv::Store,
    /// Counts connections: a change means that waiting pull requests may be gone.
    pub connections: watch::Receiver<u64>,
}

/// Why a stream has no new consumer.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The stream was missing, and could not be created.
    #[error("failed to create the stream: {0}")]
    Stream(#[from] CreateStreamError),
    /// The server refused the consumer.
    #[error("failed to create a consumer: {0}")]
    Consumer(#[from] ConsumerError),
}

impl Nats {
    /// Connects, and makes sure of the buckets; tries for as long as it takes.
    pub async fn open(url: &str, name: &str, partitions: u32) -> Self {
        let (connected, connections) = watch::channel(0_u64);
        let client = until_ok("connect to NATS", || {
            let connected = connected.clone();
            ConnectOptions::new()
                .name(name)
                .request_timeout(Some(REQUEST_TIMEOUT))
                .connection_timeout(REQUEST_TIMEOUT)
                .ping_interval(Duration::from_secs(5))
                .reconnect_delay_callback(|attempts| {
                    Duration::from_millis(100 * u64::try_from(attempts).unwrap_or(1).min(10))
                })
                .event_callback(move |event| {
                    if event == Event::Connected {
                        connected.send_modify(|count| *count += 1);
                    }
                    async {}
                })
                .connect(url)
        })
        .await;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(1024)
            .build(client.clone());
        let bucket = |name, max_age| {
            let jetstream = &jetstream;
            async move {
                until_ok("create a bucket", || {
                    jetstream.create_key_value(bucket_config(name, max_age))
                })
                .await
            }
        };
        Self {
            partitions,
            ledger: bucket(names::LEDGER, Duration::ZERO).await,
            control: bucket(names::CONTROL, Duration::ZERO).await,
            claims: bucket(names::CLAIMS, CLAIM_EXPIRY).await,
            assignment: bucket(names::ASSIGNMENT, Duration::ZERO).await,
            jetstream,
            client,
            connections,
        }
    }

    /// Creates the stream with this number unless it is there.
    pub async fn create_stream(&self, number: u32) -> Result<stream::Stream, CreateStreamError> {
        let config = stream_config(number, names::streams(self.partitions).end);
        self.jetstream.get_or_create_stream(config).await
    }

    /// Creates a consumer of the stream with this number, or binds to the one that is there. Takes
    /// one request, and more only where the stream is missing.
    pub async fn create_consumer(
        &self,
        stream: u32,
        config: pull::Config,
    ) -> Result<PullConsumer, BindError> {
        let create = || {
            self.jetstream
                .create_consumer_on_stream(config.clone(), names::stream(stream))
        };
        match create().await {
            Err(error) if says_no_stream(&error) => {
                self.create_stream(stream).await?;
                Ok(create().await?)
            }
            created => Ok(created?),
        }
    }
}

fn says_no_stream(error: &ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// The stream with this number, of so many.
fn stream_config(number: u32, streams: u32) -> stream::Config {
    stream::Config {
        name: names::stream(number),
        subjects: vec![names::subjects(number)],
        retention: stream::RetentionPolicy::Limits,
        storage: stream::StorageType::File,
        discard: stream::DiscardPolicy::Old,
        max_bytes: STREAMS_MAX_BYTES / i64::from(streams.max(1)),
        max_age: STREAM_MAX_AGE,
        duplicate_window: DEDUP_WINDOW,
        allow_direct: true,
        num_replicas: 1,
        ..stream::Config::default()
    }
}

fn bucket_config(name: &str, max_age: Duration) -> kv::Config {
    kv::Config {
        bucket: name.into(),
        history: 1,
        max_age,
        storage: stream::StorageType::File,
        num_replicas: 1,
        ..kv::Config::default()
    }
}

/// Calls until it succeeds, and says what it is waiting for: the first time, then every ten
/// seconds or so.
async fn until_ok<T, E, F, M>(what: &str, mut attempt: M) -> T
where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
    M: FnMut() -> F,
{
    let mut failures = 0_u32;
    loop {
        match attempt().await {
            Ok(value) => {
                if failures > 0 {
                    info!(failures, "managed to {what}");
                }
                return value;
            }
            Err(error) => {
                if failures.is_multiple_of(20) {
                    warn!(%error, failures, "failed to {what}, still trying");
                }
                failures += 1;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
