//! Pulling from a consumer without a task behind the scenes.
//!
//! The client's own message stream spawns a task per consumer, which no registry would know of.
//! Here the pull requests are sent by whoever reads, so that a pull loop is exactly one task.

use std::time::Duration;

use async_nats::jetstream::{self, AckKind, consumer::PullConsumer, consumer::pull};
use async_nats::{StatusCode, Subscriber};
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::nats::Nats;

const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Two heartbeats and a little: the server has forgotten our request.
const SILENCE: Duration = Duration::from_secs(7);
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Why nothing more comes from this consumer; bind again.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The subscription could not be made.
    #[error("failed to subscribe: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The request for messages could not be sent.
    #[error("failed to request messages: {0}")]
    Request(#[from] pull::BatchRequestError),
    /// The server says that there is nothing to pull from.
    #[error("failed to pull: consumer refused with {status}: {description}")]
    Refused {
        /// The status it answered with.
        status: StatusCode,
        /// Its own words.
        description: String,
    },
    /// The connection is closed for good.
    #[error("failed to pull: the subscription ended")]
    Ended,
}

/// A bound consumer: messages in order, asked for in batches.
pub struct Pull {
    consumer: PullConsumer,
    context: jetstream::Context,
    subscriber: Subscriber,
    inbox: String,
    connections: watch::Receiver<u64>,
    batch: usize,
    requested: usize,
    heard: Instant,
}

impl Pull {
    /// Binds to a consumer, with at most about one and a half `batch` on their way to us.
    pub async fn open(
        nats: &Nats,
        consumer: PullConsumer,
        batch: usize,
    ) -> Result<Self, PullError> {
        let inbox = nats.client.new_inbox();
        let subscriber = nats.client.subscribe(inbox.clone()).await?;
        let mut connections = nats.connections.clone();
        connections.mark_unchanged();
        Ok(Self {
            consumer,
            context: nats.jetstream.clone(),
            subscriber,
            inbox,
            connections,
            batch: batch.max(1),
            requested: 0,
            heard: Instant::now(),
        })
    }

    /// The next message, however long that takes. Dropping the future loses no message.
    pub async fn next(&mut self) -> Result<jetstream::Message, PullError> {
        loop {
            if self.requested <= self.batch / 2 {
                self.request().await?;
            }
            tokio::select! {
                message = self.subscriber.next() => {
                    let message = message.ok_or(PullError::Ended)?;
                    if let Some(message) = self.take(message)? {
                        return Ok(message);
                    }
                }
                changed = self.connections.changed() => {
                    changed.map_err(|_| PullError::Ended)?;
                    self.requested = 0;
                }
                () = tokio::time::sleep_until(self.heard + SILENCE) => {
                    debug!(consumer = %self.consumer.cached_info().name, "no heartbeat, asking again");
                    self.requested = 0;
                }
            }
        }
    }

    /// The next message if it is here already.
    pub fn next_now(&mut self) -> Result<Option<jetstream::Message>, PullError> {
        while let Some(message) = self.subscriber.next().now_or_never() {
            if let Some(message) = self.take(message.ok_or(PullError::Ended)?)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Unbinds, and hands back what was on its way, so that the next owner need not wait for it.
    pub async fn close(mut self) {
        if self.subscriber.drain().await.is_err() {
            return;
        }
        let deadline = Instant::now() + CLOSE_WITHIN;
        while let Ok(Some(message)) =
            tokio::time::timeout_at(deadline, self.subscriber.next()).await
        {
            if let Ok(Some(message)) = self.take(message) {
                let _ = message.ack_with(AckKind::Nak(None)).await;
            }
        }
    }

    async fn request(&mut self) -> Result<(), PullError> {
        // Counted first: a future dropped in between must not ask twice without knowing it.
        self.requested += self.batch;
        self.heard = Instant::now();
        let request = pull::BatchConfig {
            batch: self.batch,
            expires: Some(EXPIRES),
            idle_heartbeat: HEARTBEAT,
            ..pull::BatchConfig::default()
        };
        Ok(self
            .consumer
            .request_batch(request, self.inbox.as_str().into())
            .await?)
    }

    /// A message to hand on, or the account of a status.
    fn take(
        &mut self,
        message: async_nats::Message,
    ) -> Result<Option<jetstream::Message>, PullError> {
        self.heard = Instant::now();
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK) else {
            self.requested = self.requested.saturating_sub(1);
            return Ok(Some(jetstream::Message {
                message,
                context: self.context.clone(),
            }));
        };
        let description = message.description.as_deref().unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => Ok(None),
            StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED
                if !description.contains("Deleted") && !description.contains("push based") =>
            {
                let unused = message
                    .headers
                    .as_ref()
                    .and_then(|headers| headers.get("Nats-Pending-Messages"))
                    .and_then(|value| value.as_str().parse().ok())
                    .unwrap_or(self.batch);
                self.requested = self.requested.saturating_sub(unused);
                Ok(None)
            }
            status => Err(PullError::Refused {
                status,
                description: description.into(),
            }),
        }
    }
}
