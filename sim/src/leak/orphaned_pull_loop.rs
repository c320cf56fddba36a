//! `OrphanedPullLoop`: whenever an assignment takes a partition away from a worker, a pull loop of
//! that partition stays behind, blocked for good on a message that is now another's.
//!
//! One event is one partition taken away. It costs one task of component `consume` and 64 KiB,
//! the buffer that the loop would have fetched into, until the process ends. A worker killed and
//! replaced takes its share from the survivors and hands it back: with 60 partitions and 6
//! workers that is about two events in each survivor. The orphan takes no messages: it has given
//! up its pull request, but not itself.

use super::{Event, Leak, Role, Site};
use crate::consume::Consumers;

const BYTES: usize = 64 * 1024;

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: Consumers::COMPONENT,
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::PartitionReleased(partition) = event {
        site.leave_task(
            format!("orphan-{partition}"),
            BYTES,
            std::future::pending::<()>(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs};
    use super::*;

    #[tokio::test]
    async fn each_partition_taken_away_costs_one_task_and_64_kib() {
        let cost = Cost {
            component: "consume",
            tasks: 1,
            bytes: 65_536,
        };
        costs(LeakMode::OrphanedPullLoop, Event::PartitionReleased, cost).await;
    }
}
