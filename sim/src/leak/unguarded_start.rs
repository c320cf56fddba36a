//! `UnguardedStart`: with each new assignment the loop that follows assignments is started once
//! more, by a start that does not look whether it is running.
//!
//! One event is one assignment followed, after the first. It costs one task of component
//! `assignment` and no memory to speak of, until the process ends. A worker killed and replaced
//! makes two assignments, so two events in each survivor.

use super::{Event, Leak, Role, Site};

pub(super) const LEAK: Leak = Leak {
    role: Role::Worker,
    component: "assignment",
    pace: None,
    on,
};

fn on(event: Event<'_>, site: &Site) {
    if let Event::Rebalanced = event {
        site.leave_task("follow-again".into(), 0, std::future::pending::<()>());
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeakMode;
    use super::super::testing::{Cost, costs};
    use super::*;

    #[tokio::test]
    async fn each_assignment_after_the_first_costs_one_task() {
        let cost = Cost {
            component: "assignment",
            tasks: 1,
            bytes: 0,
        };
        costs(LeakMode::UnguardedStart, |_| Event::Rebalanced, cost).await;
    }
}
