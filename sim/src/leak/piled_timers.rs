//! `PiledTimers`: a loop sets itself a timer of a day each time round, and cancels none.
//!
//! One event is one time round, every 500 ms unless told otherwise. It costs 2 KiB, what the
//! timer would have woken, and the timer's own entry of some hundred bytes in the runtime; no
//! task. Component `assignment` of a worker: it is the loop that looks for new assignments.

use std::time::Duration;

use futures::FutureExt;

use super::{Event, Leak, Role, Site};

const BYTES: usize = 2 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: "assignment",
    pace: Some(Duration::from_millis(500)),
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::Tick = event {
        let mut timer = Box::pin(tokio::time::sleep(DAY));
        // The runtime knows of a timer only once it was polled.
        let _ = timer.as_mut().now_or_never();
        site.keep(BYTES, timer);
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs, costs_by_the_clock};
    use super::*;

    const COST: Cost = Cost {
        component: "assignment",
        tasks: 0,
        bytes: 2_048,
    };

    #[tokio::test]
    async fn each_time_round_costs_2_kib_and_no_task() {
        costs(LeakMode::PiledTimers, |_| Event::Tick, COST).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_round_twice_a_second_or_as_told() {
        costs_by_the_clock(LeakMode::PiledTimers, Duration::from_millis(500), COST).await;
    }
}
