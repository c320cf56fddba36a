//! What the operator asks of a running simulation: so far, to drain.

use std::time::Duration;

use async_nats::jetstream::kv;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::names;

const LOOK: Duration = Duration::from_secs(1);

/// Shows whether the operator wants a drain: whether the key is there, whatever its value.
pub(crate) async fn watch_drain(
    store: kv::Store,
    draining: watch::Sender<bool>,
    stop: CancellationToken,
) {
    loop {
        match store.entry(names::DRAIN).await {
            Ok(entry) => {
                let wanted = entry.is_some_and(|entry| entry.operation == kv::Operation::Put);
                if draining.send_if_modified(|now| std::mem::replace(now, wanted) != wanted) {
                    info!(
                        draining = wanted,
                        "the operator changed its mind about draining"
                    );
                }
            }
            Err(error) => warn!(%error, "failed to look whether to drain"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
