//! `KeptBuffers`: a worker that loses a partition keeps the buffer into which it fetched its
//! messages.
//!
//! One event is one partition taken away. It costs 256 KiB and no task, until the process ends:
//! memory of component `consume` that no count of tasks shows. A worker killed and replaced takes
//! its share from the survivors and hands it back: with 60 partitions and 6 workers that is about
//! two events, half a megabyte, in each survivor.

use super::{Event, Leak, Role, Site};
use crate::consume::Consumers;

const BYTES: usize = 256 * 1024;

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: Consumers::COMPONENT,
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::PartitionReleased(_) = event {
        site.keep(BYTES, ());
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs};
    use super::*;

    #[tokio::test]
    async fn each_partition_taken_away_costs_256_kib_and_no_task() {
        let cost = Cost {
            component: "consume",
            tasks: 0,
            bytes: 262_144,
        };
        costs(LeakMode::KeptBuffers, Event::PartitionReleased, cost).await;
    }
}
