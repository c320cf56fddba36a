//! `ConsumeLoopPerRestart`: a worker that follows a new assignment starts all its pull loops,
//! those of partitions that it keeps included, which have one already.
//!
//! One event is one partition kept over one assignment. It costs one task of component `consume`
//! and 4 KiB, until the process ends. A worker killed and replaced makes two assignments: with 60
//! partitions and 6 workers that is about twenty events in each survivor.

use super::{Event, Leak, Role, Site};
use crate::consume::Consumers;

const BYTES: usize = 4 * 1024;

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: Consumers::COMPONENT,
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::PartitionKept(partition) = event {
        site.leave_task(
            format!("again-{partition}"),
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
    async fn each_partition_kept_costs_one_task_and_4_kib() {
        let cost = Cost {
            component: "consume",
            tasks: 1,
            bytes: 4_096,
        };
        costs(LeakMode::ConsumeLoopPerRestart, Event::PartitionKept, cost).await;
    }
}
