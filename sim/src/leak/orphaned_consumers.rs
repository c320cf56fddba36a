//! `OrphanedConsumers`: a worker that takes a partition over makes a durable consumer of its own
//! beside the partition's, and nobody ever deletes it.
//!
//! One event is one partition taken over. It costs one durable consumer in NATS, for good: the
//! growth is in the server and in no process of the simulation, and shows in
//! `soak_sim_jetstream_consumers`, which every worker reports. A worker killed and replaced makes
//! about two takeovers of each of its partitions. The task of component `consume` that asks for
//! the consumer ends once the server has made it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::{Event, Leak, Role, Site};
use crate::consume::Consumers;
use crate::names;
use crate::nats::Nats;
use crate::process::instance;

const RETRY: Duration = Duration::from_millis(500);

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: Consumers::COMPONENT,
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::PartitionTaken(partition, nats) = event {
        let nats = nats.clone();
        site.leave_task(format!("orphan-{partition}"), 0, async move {
            make(&nats, partition).await;
        });
    }
}

/// Makes one more consumer of the partition, however long that takes.
async fn make(nats: &Nats, partition: u32) {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| xxh3_64(instance("orphan").as_bytes()));
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let config = pull::Config {
        // Unlike any other: under a name that is there already the server makes none.
        durable_name: Some(format!("orphan-{partition}-{:016x}-{made}", *PROCESS)),
        filter_subject: names::subject(partition),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let stream = names::stream_of(partition);
    while let Err(error) = nats.create_consumer(stream, config.clone()).await {
        warn!(partition, %error, "failed to leak a consumer, trying again");
        tokio::time::sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NatsServer, site};
    use super::super::{LeakMode, Leaks};
    use super::*;
    use crate::tasks::Tasks;

    /// In several streams.
    const PARTITIONS: u32 = 40;

    async fn consumers_after(mode: LeakMode, takeovers: u32) -> usize {
        let server = NatsServer::start();
        let nats = Box::pin(Nats::open(&server.url(), "test", PARTITIONS)).await;
        let tasks = Tasks::default();
        let site = site(Leaks { mode, every: None }, Role::Worker, &tasks);
        for takeover in 0..takeovers {
            // The same few partitions again and again: each time is a consumer more.
            site.tell(Event::PartitionTaken(takeover * 7 % PARTITIONS, &nats));
        }
        while tasks.total() > 0 {
            tokio::task::yield_now().await;
        }
        let account = nats.jetstream.query_account().await;
        account.expect("the server answers").consumers
    }

    #[tokio::test]
    async fn each_takeover_costs_one_consumer_in_nats() {
        assert_eq!(consumers_after(LeakMode::OrphanedConsumers, 20).await, 20);
        assert_eq!(consumers_after(LeakMode::None, 20).await, 0);
    }
}
