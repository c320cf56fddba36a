//! The connection to NATS, and the streams and buckets that every process makes sure of.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::{self, kv, stream};
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
/// Oldest messages go first when a soak outlives this; an hour at 1 500 messages/s fits.
const STREAM_MAX_BYTES: i64 = 2 << 30;
const STREAM_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
const RETRY: Duration = Duration::from_millis(500);

/// A connection, with the handles that all components share.
#[derive(Clone, Debug)]
pub struct Nats {
    /// Core NATS.
    pub client: async_nats::Client,
    /// The `JetStream` context: one for all, since each brings a task of its own.
    pub jetstream: jetstream::Context,
    /// The stream of numbered messages.
    pub stream: stream::Stream,
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

impl Nats {
    /// Connects, and makes sure of the stream and the buckets; tries for as long as it takes.
    pub async fn open(url: &str, name: &str) -> Self {
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
        let stream = until_ok("create the stream", || {
            jetstream.get_or_create_stream(stream_config())
        });
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
            stream: stream.await,
            ledger: bucket(names::LEDGER, Duration::ZERO).await,
            control: bucket(names::CONTROL, Duration::ZERO).await,
            claims: bucket(names::CLAIMS, CLAIM_EXPIRY).await,
            assignment: bucket(names::ASSIGNMENT, Duration::ZERO).await,
            jetstream,
            client,
            connections,
        }
    }
}

fn stream_config() -> stream::Config {
    stream::Config {
        name: names::STREAM.into(),
        subjects: vec![names::SUBJECTS.into()],
        retention: stream::RetentionPolicy::Limits,
        storage: stream::StorageType::File,
        discard: stream::DiscardPolicy::Old,
        max_bytes: STREAM_MAX_BYTES,
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
