//! Stable ids: each is a key that its holder keeps alive, and that dies with it.
//!
//! The bucket expires what is not renewed for [`CLAIM_EXPIRY`], so a killed holder frees its id
//! without anybody judging it dead; one that ends in order deletes the key at once. A newcomer
//! waits for a free id among the planned ones: after each kill the same set of ids comes back, and
//! with it the same assignment. Only where more than are planned are welcome does it take an id
//! beyond those, and only once all of them have been held for longer than a dead holder's are.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::kv;
use futures::TryStreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::nats::CLAIM_EXPIRY;

/// How often a holder renews.
pub const RENEW: Duration = Duration::from_secs(1);
/// How often one who waits looks for a free id.
const LOOK: Duration = Duration::from_millis(500);

/// How long all ids are held before it is certain that none of them is a dead holder's.
const OUTLIVED: Duration = CLAIM_EXPIRY.saturating_add(RENEW);

/// A key held alone, for as long as it is renewed.
#[derive(Debug)]
pub struct Lease {
    store: kv::Store,
    key: String,
    holder: String,
    revision: u64,
    renewed: Instant,
}

impl Lease {
    /// Takes the key if nobody holds it. A failure to reach the bucket is a no.
    pub async fn take(store: &kv::Store, key: String, holder: &str) -> Option<Self> {
        let before = Instant::now();
        match store.update(&key, holder.to_owned().into(), 0).await {
            Ok(revision) => Some(Self {
                store: store.clone(),
                key,
                holder: holder.to_owned(),
                revision,
                renewed: before,
            }),
            Err(error) => {
                debug!(key, %error, "not taken");
                None
            }
        }
    }

    /// Keeps the key alive; false once it is lost, or must be taken for lost.
    pub async fn renew(&mut self) -> bool {
        let before = Instant::now();
        match self
            .store
            .update(&self.key, self.holder.clone().into(), self.revision)
            .await
        {
            Ok(revision) => {
                self.revision = revision;
                self.renewed = before;
            }
            // Either somebody else's, or ours from a renewal whose answer was lost.
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {
                match self.store.entry(&self.key).await {
                    Ok(Some(entry)) if entry.value == self.holder.as_bytes() => {
                        self.revision = entry.revision;
                    }
                    Ok(_) => return false,
                    Err(error) => warn!(key = self.key, %error, "failed to read a claim"),
                }
            }
            Err(error) => warn!(key = self.key, %error, "failed to renew a claim"),
        }
        // Past this the server has let it go: whoever cannot renew must stop before another starts.
        self.renewed.elapsed() < CLAIM_EXPIRY
    }

    /// Whether it is time to renew.
    pub fn due(&self) -> bool {
        self.renewed.elapsed() >= RENEW
    }

    /// Gives the key back at once, without a marker that the next holder would trip over.
    pub async fn release(self) {
        let subject = format!("{}{}", self.store.prefix, self.key);
        // Up to our own revision and no further: whatever came after it is another holder's.
        let purge = self
            .store
            .stream
            .purge()
            .filter(subject)
            .sequence(self.revision + 1);
        if let Err(error) = purge.await {
            warn!(key = self.key, %error, "failed to release a claim, it will expire");
        }
    }
}

/// The stable ids of one role.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The bucket of claims.
    pub store: kv::Store,
    /// `worker` or `producer`.
    pub role: &'static str,
    /// Ids are `0..planned`.
    pub planned: u32,
    /// Whether there may be more holders than planned, as after a scale-up.
    pub more: bool,
}

impl Ids {
    /// The ids that are held right now.
    pub async fn live(&self) -> Result<BTreeSet<u32>, async_nats::jetstream::stream::InfoError> {
        let prefix = format!("$KV.{}.{}.", self.store.name, self.role);
        let subjects = self
            .store
            .stream
            .info_with_subjects(format!("{prefix}*"))
            .await?;
        subjects
            .try_filter_map(|(subject, _)| {
                let id = subject
                    .strip_prefix(&prefix)
                    .and_then(|id| id.parse::<u32>().ok());
                async move { Ok(id) }
            })
            .try_collect()
            .await
    }

    /// Holds the lowest free id until told to stop, and shows which one; takes another if it is
    /// lost, the same if possible.
    pub async fn hold(
        self,
        holder: String,
        held: watch::Sender<Option<u32>>,
        stop: CancellationToken,
    ) {
        let mut before = None;
        while let Some((id, lease)) = self.acquire(&holder, before, &stop).await {
            info!(id, role = self.role, "holding an id");
            before = Some(id);
            held.send_replace(Some(id));
            let kept = keep(lease, &stop).await;
            held.send_replace(None);
            let Some(lease) = kept else {
                warn!(id, role = self.role, "lost the id");
                continue;
            };
            lease.release().await;
            return;
        }
    }

    async fn acquire(
        &self,
        holder: &str,
        before: Option<u32>,
        stop: &CancellationToken,
    ) -> Option<(u32, Lease)> {
        let mut waits = 0_u32;
        let mut all_held_since: Option<Instant> = None;
        loop {
            match self.live().await {
                Ok(live) => {
                    let all_held = (0..self.planned).all(|id| live.contains(&id));
                    all_held_since = all_held.then(|| all_held_since.unwrap_or_else(Instant::now));
                    let nobody_died = all_held_since.is_some_and(|at| at.elapsed() > OUTLIVED);
                    let beyond = if self.more && nobody_died {
                        live.len() + 1
                    } else {
                        0
                    };
                    let end = self.planned + u32::try_from(beyond).unwrap_or(0);
                    for id in before
                        .into_iter()
                        .chain(0..end)
                        .filter(|id| !live.contains(id))
                    {
                        let key = format!("{}.{id}", self.role);
                        if let Some(lease) = Lease::take(&self.store, key, holder).await {
                            return Some((id, lease));
                        }
                    }
                    if waits.is_multiple_of(20) {
                        info!(
                            role = self.role,
                            planned = self.planned,
                            "waiting for a free id"
                        );
                    }
                }
                Err(error) => warn!(%error, "failed to list the claims"),
            }
            waits += 1;
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Renews until told to stop; the lease comes back then, and nothing if it was lost.
async fn keep(mut lease: Lease, stop: &CancellationToken) -> Option<Lease> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Some(lease),
            () = tokio::time::sleep(RENEW) => {}
        }
        if !lease.renew().await {
            return None;
        }
    }
}
