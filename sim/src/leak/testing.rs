//! Holding a mode to what it says that an event costs.

use std::time::Duration;

use prometheus_client::registry::Registry;

use super::{Event, LeakMode, Leaks, Role, Site};
use crate::tasks::Tasks;

#[allow(clippy::unwrap_used)]
#[path = "../../tests/support/mod.rs"]
mod support;

pub(super) use support::NatsServer;

/// What one event leaves behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) component: &'static str,
    pub(super) tasks: usize,
    pub(super) bytes: i64,
}

/// A site as a process of this role has it.
pub(super) fn site(leaks: Leaks, role: Role, tasks: &Tasks) -> Site {
    Site::new(leaks, role, &mut Registry::default(), tasks)
}

fn role_of(mode: LeakMode) -> Role {
    mode.leak().expect("a leak").role
}

fn other(role: Role) -> Role {
    match role {
        Role::Worker => Role::Producer,
        Role::Producer => Role::Worker,
    }
}

/// Tasks alive by component, all of them.
fn alive(tasks: &Tasks) -> Vec<(String, usize)> {
    let mut components: Vec<String> = tasks
        .names()
        .iter()
        .filter_map(|name| Some(name.split_once('/')?.0.to_owned()))
        .collect();
    components.sort();
    components.dedup();
    components
        .into_iter()
        .map(|component| {
            let alive = tasks.alive(&component);
            (component, alive)
        })
        .collect()
}

/// Checks that N events cost N times `cost`, that everything else that happens costs nothing, and
/// that neither the other process nor a process without a leak is charged.
pub(super) async fn costs(mode: LeakMode, event: impl Fn(u32) -> Event<'static>, cost: Cost) {
    let role = role_of(mode);
    for events in [0, 1, 7, 100] {
        let tasks = Tasks::default();
        let here = site(Leaks { mode, every: None }, role, &tasks);
        for n in 0..events {
            here.tell(event(n));
        }
        let expected: Vec<_> = [(cost.component.to_owned(), cost.tasks * events as usize)]
            .into_iter()
            .filter(|(_, tasks)| *tasks > 0)
            .collect();
        assert_eq!(alive(&tasks), expected, "{events} events of {mode:?}");
        assert_eq!(
            (here.events(), here.bytes()),
            (u64::from(events), cost.bytes * i64::from(events)),
            "{events} events of {mode:?}"
        );
    }
    let set_off = std::mem::discriminant(&event(0));
    for (mode, role) in [
        (mode, other(role)),
        (LeakMode::None, role),
        (LeakMode::None, other(role)),
    ] {
        let tasks = Tasks::default();
        let here = site(Leaks { mode, every: None }, role, &tasks);
        here.tell(event(0));
        assert_eq!(
            (tasks.total(), here.events(), here.bytes()),
            (0, 0, 0),
            "{mode:?} in a {role:?}"
        );
    }
    let tasks = Tasks::default();
    let here = site(Leaks { mode, every: None }, role, &tasks);
    for another in [
        Event::Rebalanced,
        Event::MemberChanged(1),
        Event::PartitionKept(1),
        Event::PartitionReleased(1),
        Event::Tick,
    ] {
        if std::mem::discriminant(&another) != set_off {
            here.tell(another);
        }
    }
    assert_eq!(
        (tasks.total(), here.events(), here.bytes()),
        (0, 0, 0),
        "{mode:?}"
    );
}

/// Checks that the clock sets it off every `pace`, or as often as it is told to.
pub(super) async fn costs_by_the_clock(mode: LeakMode, pace: Duration, cost: Cost) {
    assert!(mode.is_paced());
    for (every, period) in [(None, pace), (Some(3 * pace), 3 * pace)] {
        let tasks = Tasks::default();
        let here = site(Leaks { mode, every }, role_of(mode), &tasks);
        let clock = here.start_clock().await.expect("a clock");
        assert_eq!((tasks.alive("leak"), here.events()), (1, 0));
        // Between two ticks: at the instant of one it is open whether it has come.
        tokio::time::sleep(10 * period + period / 2).await;
        clock.stop().await;
        assert_eq!((here.events(), here.bytes()), (10, 10 * cost.bytes));
        assert_eq!(tasks.total(), 10 * cost.tasks);
    }
}

#[tokio::test]
async fn without_a_leak_there_is_no_clock() {
    let tasks = Tasks::default();
    for mode in [LeakMode::None, LeakMode::KeptBuffers] {
        let every = Some(Duration::from_millis(1));
        let here = site(Leaks { mode, every }, Role::Worker, &tasks);
        assert!(here.start_clock().await.is_none());
    }
    assert_eq!(tasks.total(), 0);
}
