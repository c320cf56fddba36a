//! How each kind of event is carried out, and on whom. Each is a file of its own and a line below.

mod evict;
mod leader_kill;
mod pod_crash;
mod pod_kill;
mod pod_restart;

use soak_api::{ChaosKind, CrashEndpoint, Leader, Plan};

pub(crate) use leader_kill::find as find_leader;

/// What is done to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Its object is deleted.
    Delete {
        /// How long it is given between SIGTERM and SIGKILL; never 0, at which the object would vanish before its container
        /// is dead.
        grace_period_seconds: u32,
    },
    /// It is evicted, if its disruption budgets allow it.
    Evict,
    /// Its process is asked to crash.
    Crash(CrashEndpoint),
}

impl Deed {
    /// Whether the pod goes, or only its container.
    pub(crate) fn ends_the_pod(&self) -> bool {
        !matches!(self, Self::Crash(_))
    }
}

/// One kind of event.
pub(crate) trait Event {
    /// What is done to its pod.
    fn deed(&self) -> Deed;

    /// The leader that it is about; any pod where there is none.
    fn leader(&self) -> Option<&Leader> {
        None
    }
}

/// The event of this kind.
pub(crate) fn event(kind: &ChaosKind) -> &dyn Event {
    match kind {
        ChaosKind::PodKill(kill) => kill,
        ChaosKind::PodRestart(restart) => restart,
        ChaosKind::PodCrash(crash) => crash,
        ChaosKind::LeaderKill(kill) => kill,
        ChaosKind::Evict(evict) => evict,
    }
}

/// What the event of that place in the plan does; `None` where there is none.
pub(crate) fn deed(plan: &Plan, index: u32) -> Option<Deed> {
    let planned = plan.events().get(usize::try_from(index).ok()?)?;
    plan.kind(planned).map(|kind| event(kind).deed())
}
