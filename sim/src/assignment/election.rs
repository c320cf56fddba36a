//! The leader: whoever holds the leader's key watches the claims and assigns.

use std::time::Duration;

use async_nats::jetstream::kv;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Planner, Shares, Timing, current};
use crate::claim::{Ids, Lease};
use crate::names;
use crate::nats::Nats;

const TICK: Duration = Duration::from_millis(500);

/// Stands for election whenever this process holds an id, and leads while it is elected.
///
/// Every worker runs this one task all the time: leadership that moves must not move tasks.
#[allow(clippy::too_many_arguments)]
pub async fn lead(
    nats: Nats,
    ids: Ids,
    shares: Shares,
    holder: String,
    held: watch::Receiver<Option<u32>>,
    leading: Gauge,
    stop: CancellationToken,
) {
    let started = Instant::now();
    let mut term: Option<(Lease, Planner)> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(TICK) => {}
        }
        term = match term {
            Some((mut lease, planner)) => {
                if !lease.due() || lease.renew().await {
                    Some((lease, planner))
                } else {
                    None
                }
            }
            None if held.borrow().is_some() => stand(&nats, &holder).await.map(|lease| {
                info!("elected leader");
                (
                    lease,
                    Planner::new(ids.planned, shares.clone(), Timing::default()),
                )
            }),
            None => None,
        };
        leading.set(i64::from(term.is_some()));
        if let Some((_, planner)) = &mut term
            && let Err(error) = assign(&nats, &ids, planner, started.elapsed()).await
        {
            warn!(%error, "failed to assign partitions, trying again");
        }
    }
    leading.set(0);
    if let Some((lease, _)) = term {
        lease.release().await;
    }
}

async fn stand(nats: &Nats, holder: &str) -> Option<Lease> {
    // Reading first spares the server a refused write from every worker at every tick.
    match nats.claims.entry(names::LEADER).await {
        Ok(None) => Lease::take(&nats.claims, names::LEADER.into(), holder).await,
        _ => None,
    }
}

#[derive(Debug, thiserror::Error)]
enum LeadError {
    #[error(transparent)]
    Read(#[from] super::AssignmentError),
    #[error("failed to list the claims: {0}")]
    Claims(#[from] async_nats::jetstream::stream::InfoError),
    #[error("failed to write the assignment: {0}")]
    Write(#[from] kv::UpdateError),
    #[error("failed to encode the assignment: {0}")]
    Encode(#[from] serde_json::Error),
}

async fn assign(
    nats: &Nats,
    ids: &Ids,
    planner: &mut Planner,
    now: Duration,
) -> Result<(), LeadError> {
    let live = ids.live().await?;
    let in_force = current(&nats.assignment).await?;
    let revision = in_force.as_ref().map_or(0, |written| written.revision);
    let assignment = in_force.map(|written| written.assignment);
    if let Some(next) = planner.decide(now, &live, assignment.as_ref()) {
        // The revision keeps out a leader who has been replaced without knowing it yet.
        let value = serde_json::to_vec(&next)?;
        nats.assignment
            .update(names::CURRENT, value.into(), revision)
            .await?;
        info!(version = next.version, members = ?next.members, "assigned partitions");
    }
    Ok(())
}
