//! `SlowDrip`: once a minute something is left behind in a worker, whatever else happens.
//!
//! One event is one minute, unless told otherwise. It costs one task of component `claim` and
//! 16 KiB, until the process ends: about a megabyte and sixty tasks an hour, slow and steady, with
//! no event of chaos to blame.

use std::time::Duration;

use super::{Event, Leak, Role, Site};

const BYTES: usize = 16 * 1024;

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: "claim",
    pace: Some(Duration::from_secs(60)),
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::Tick = event {
        site.leave_task("drip".into(), BYTES, std::future::pending::<()>());
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs, costs_by_the_clock};
    use super::*;

    const COST: Cost = Cost {
        component: "claim",
        tasks: 1,
        bytes: 16_384,
    };

    #[tokio::test]
    async fn each_drip_costs_one_task_and_16_kib() {
        costs(LeakMode::SlowDrip, |_| Event::Tick, COST).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_drips_once_a_minute_or_as_told() {
        costs_by_the_clock(LeakMode::SlowDrip, Duration::from_secs(60), COST).await;
    }
}
