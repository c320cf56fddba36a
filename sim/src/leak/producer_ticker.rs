//! `ProducerTicker`: a producer starts its publishing anew every now and then, as after a change
//! of its settings, and leaves the ticker of the start before running.
//!
//! One event is one such start, every 5 s unless told otherwise. It costs one task of component
//! `publish`, which wakes once a second for nothing, until the process ends.

use std::time::Duration;

use super::{Event, Leak, Role, Site};
use crate::producer::Publishers;

pub(super) const LEAK: Leak = Leak {
    role: Role::Producer,
    component: Publishers::COMPONENT,
    pace: Some(Duration::from_secs(5)),
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::Tick = event {
        site.leave_task("ticker".into(), 0, tick_forever());
    }
}

async fn tick_forever() {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs, costs_by_the_clock};
    use super::*;

    const COST: Cost = Cost {
        component: "publish",
        tasks: 1,
        bytes: 0,
    };

    #[tokio::test]
    async fn each_start_costs_one_task() {
        costs(LeakMode::ProducerTicker, |_| Event::Tick, COST).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_starts_anew_every_five_seconds_or_as_told() {
        costs_by_the_clock(LeakMode::ProducerTicker, Duration::from_secs(5), COST).await;
    }
}
