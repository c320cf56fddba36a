//! `MonitorPerProcessEvent`: for each worker that comes or goes a monitor is started, which waits
//! for an end that it has missed.
//!
//! One event is one id that a new assignment adds or drops. It costs one task of component
//! `election` and 8 KiB in every worker that follows the assignment, until the process ends. A
//! worker killed and replaced goes and comes: two events in each survivor.

use super::{Event, Leak, Role, Site};

const BYTES: usize = 8 * 1024;

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: "election",
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::MemberChanged(id) = event {
        site.leave_task(format!("monitor-{id}"), BYTES, std::future::pending::<()>());
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs};
    use super::*;

    #[tokio::test]
    async fn each_worker_that_comes_or_goes_costs_one_task_and_8_kib() {
        let cost = Cost {
            component: "election",
            tasks: 1,
            bytes: 8_192,
        };
        costs(LeakMode::MonitorPerProcessEvent, Event::MemberChanged, cost).await;
    }
}
