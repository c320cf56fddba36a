//! The partitions that a worker owns right now: one pull loop each, and nothing else.

mod partition;
mod rebalance;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub(crate) use partition::ACK_WAIT;

use rebalance::Rebalance;
use turns::Turns;

use crate::leak::{Event, Site};
use crate::nats::Nats;
use crate::tasks::{Component, Tasks};
use crate::telemetry::{InFlight, counter, gauge, latency};

/// How long processing one message takes.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    /// At least.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

/// What a worker counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    owned: Gauge,
    received: Counter,
    acked: Counter,
    redelivered: Counter,
    in_flight: Gauge,
    lag: Gauge,
    latency: Histogram,
    rebalance: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        Self {
            owned: gauge(
                registry,
                "soak_sim_partitions_owned",
                "Partitions that this worker consumes",
            ),
            received: counter(registry, "soak_sim_messages_received", "Messages processed"),
            acked: counter(
                registry,
                "soak_sim_messages_acked",
                "Messages acknowledged, hence in the ledger",
            ),
            redelivered: counter(
                registry,
                "soak_sim_messages_redelivered",
                "Messages processed that the server had delivered before",
            ),
            in_flight: InFlight::register(registry),
            lag: gauge(
                registry,
                "soak_sim_messages_lag",
                "Messages waiting in the partitions of this worker, as the server said with the last message of each",
            ),
            latency: latency(
                registry,
                "soak_sim_message_latency_seconds",
                "Time from publishing a message to having processed it",
            ),
            rebalance: latency(
                registry,
                "soak_sim_rebalance_duration_seconds",
                "Time from an assignment being written to this worker owning what it gives it",
            ),
        }
    }
}

/// What all pull loops of a worker share.
#[derive(Debug)]
struct Shared {
    nats: Nats,
    metrics: Metrics,
    delay: Delay,
    instance: String,
    turns: Turns,
}

/// The pull loops of a worker.
#[derive(Debug)]
pub(crate) struct Consumers {
    shared: Arc<Shared>,
    tasks: Tasks,
    leak: Site,
    loops: BTreeMap<u32, Component>,
}

impl Consumers {
    /// The component that all pull loops belong to.
    pub(crate) const COMPONENT: &'static str = "consume";

    pub(crate) fn new(
        nats: Nats,
        tasks: Tasks,
        metrics: Metrics,
        delay: Delay,
        leak: Site,
        instance: String,
    ) -> Self {
        let shared = Arc::new(Shared {
            nats,
            metrics,
            delay,
            instance,
            turns: Turns::default(),
        });
        Self {
            shared,
            tasks,
            leak,
            loops: BTreeMap::new(),
        }
    }

    /// Owns exactly these partitions from now on: ends the loops of others, then starts what is
    /// missing. Returns when the old loops are gone and the new ones started. `since` is when the
    /// assignment was written that says so.
    pub(crate) async fn own(&mut self, partitions: &BTreeSet<u32>, since: SystemTime) {
        let rebalance = Rebalance::new(since, self.shared.metrics.rebalance.clone());
        let gained: Vec<u32> = partitions
            .iter()
            .filter(|p| !self.loops.contains_key(p))
            .copied()
            .collect();
        let (kept, revoked) = std::mem::take(&mut self.loops)
            .into_iter()
            .partition(|(p, _)| partitions.contains(p));
        self.loops = kept;
        join_all(revoked.values().map(Component::stop)).await;
        let released = revoked.keys().copied().map(Event::PartitionReleased);
        let kept = self.loops.keys().copied().map(Event::PartitionKept);
        for event in released.chain(kept) {
            self.leak.tell(event);
        }
        for partition in gained {
            self.start(partition, rebalance.clone()).await;
            let nats = &self.shared.nats;
            self.leak.tell(Event::PartitionTaken(partition, nats));
        }
        self.shared
            .metrics
            .owned
            .set(i64::try_from(self.loops.len()).unwrap_or(i64::MAX));
    }

    /// Ends all loops and waits for them: each writes down and acknowledges what it processed.
    pub(crate) async fn stop(&mut self) {
        join_all(self.loops.values().map(Component::stop)).await;
        self.loops.clear();
        self.shared.metrics.owned.set(0);
    }

    async fn start(&mut self, partition: u32, rebalance: Rebalance) {
        let component = self.tasks.component(Self::COMPONENT);
        let shared = Arc::clone(&self.shared);
        let work =
            |stop| async move { partition::consume(&shared, partition, rebalance, stop).await };
        component.start(format!("p-{partition}"), work).await;
        self.loops.insert(partition, component);
    }
}
