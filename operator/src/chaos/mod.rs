//! How each kind of event is carried out, and on whom. Each is a file of its own and a line below.

mod evict;
mod leader_kill;
mod network_partition;
mod pod_crash;
mod pod_kill;
mod pod_restart;
mod rollout;
mod scale;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use soak_api::{ChaosKind, CrashEndpoint, Guard, Leader, Plan, PlannedEvent, SoakTest, Span};

use crate::facts::Owner;
use crate::workload;

/// How late an event may still be carried out.
pub(crate) const LATEST: SignedDuration = SignedDuration::from_secs(10);

/// How many events a component may be recovering from at once, where they may overlap.
pub(crate) const MOST_AT_ONCE: usize = 8;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The pod's object is deleted.
    Delete {
        /// How long it is given between SIGTERM and SIGKILL; never 0, at which the object would vanish before its container
        /// is dead.
        grace_period_seconds: u32,
    },
    /// The pod is evicted, if its disruption budgets allow it.
    Evict,
    /// The pod's process is asked to crash.
    Crash(CrashEndpoint),
    /// The pod is cut off from the network for a while.
    CutOff { lasts: Span },
    /// The component has so many pods for a while.
    Scale { replicas: u32, lasts: Span },
    /// All pods of the component are replaced.
    Rollout,
}

impl Deed {
    /// Whether the pod goes.
    pub(crate) fn ends_the_pod(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::Evict)
    }

    /// Whether it is done to all of the component, by its Deployment, and not to one pod.
    pub(crate) fn is_of_component(&self) -> bool {
        matches!(self, Self::Scale { .. } | Self::Rollout)
    }

    /// Whether it goes with no other event on its component, however much may overlap: while it lasts the component is not
    /// what it is planned to be, and nobody could tell which event it has recovered from.
    pub(crate) fn goes_alone(&self) -> bool {
        self.is_of_component() || matches!(self, Self::CutOff { .. })
    }

    /// How long it lasts until it is undone; `None` where there is nothing to undo.
    pub(crate) fn lasts(&self) -> Option<&Span> {
        match self {
            Self::CutOff { lasts } | Self::Scale { lasts, .. } => Some(lasts),
            _ => None,
        }
    }

    /// How many of a component's planned pods go, beside the one that is hit, that nobody names beforehand.
    pub(crate) fn takes(&self, planned: u32) -> u32 {
        match self {
            Self::Scale { replicas, .. } => planned.saturating_sub(*replicas),
            Self::Rollout => planned,
            _ => 0,
        }
    }

    /// The same when it is undone.
    pub(crate) fn takes_undone(&self, planned: u32) -> u32 {
        match self {
            Self::Scale { replicas, .. } => replicas.saturating_sub(planned),
            _ => 0,
        }
    }
}

/// What an event is drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) draw: u64,
    /// How many pods its component is planned to have.
    pub(crate) planned: u32,
    /// How many of them have to be ready whatever happens.
    pub(crate) least: u32,
}

/// One kind of event.
pub(crate) trait Event {
    /// What is done; `None` where that would leave too few pods ready.
    fn deed(&self, place: &Place) -> Option<Deed>;

    /// Whether it ends the container of the pod that it is recorded with.
    fn ends_a_container(&self) -> bool {
        true
    }

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
        ChaosKind::Scale(scale) => scale,
        ChaosKind::Rollout(rollout) => rollout,
        ChaosKind::NetworkPartition(partition) => partition,
    }
}

/// What the planned event does to the soak's workload; `None` where nothing may be done.
pub(crate) fn deed(test: &SoakTest, plan: &Plan, planned: &PlannedEvent) -> Option<Deed> {
    let kind = plan.kind(planned)?;
    let chaos = test.spec.chaos.as_ref()?;
    let replicas = workload::replicas(test, kind.component());
    event(kind).deed(&Place {
        draw: planned.draw,
        planned: replicas,
        least: least_ready(&chaos.guard, replicas),
    })
}

/// How many of so many planned pods of a component have to be ready whatever happens.
pub(crate) fn least_ready(guard: &Guard, planned: u32) -> u32 {
    let least = u64::from(planned) * u64::from(guard.min_ready_percent);
    u32::try_from(least.div_ceil(100)).unwrap_or(u32::MAX)
}

/// The same of the event of that index; `None` where there is none.
pub(crate) fn deed_of(test: &SoakTest, plan: &Plan, index: u32) -> Option<Deed> {
    let planned = plan.events().get(usize::try_from(index).ok()?)?;
    deed(test, plan, planned)
}

/// The kinds of the soak's events that end no container of the pod that they are recorded with.
pub(crate) fn sparing(test: &SoakTest) -> BTreeSet<&'static str> {
    let events = test.spec.chaos.iter().flat_map(|chaos| &chaos.events);
    let kinds = events.filter_map(soak_api::ChaosEvent::kind);
    kinds
        .filter(|kind| !event(kind).ends_a_container())
        .map(|kind| kind.name())
        .collect()
}

/// Whether any event of the soak is of a kind that cuts pods off.
pub(crate) fn cuts_off(test: &SoakTest) -> bool {
    let mut events = test.spec.chaos.iter().flat_map(|chaos| &chaos.events);
    events.any(|event| event.network_partition.is_some())
}

/// Whether the component's Deployment has as many pods as an event has given it: the last that changed it, or one before if that
/// one scales nothing. Where the plan is not known any event may have.
pub(crate) fn is_as_scaled(
    test: &SoakTest,
    plan: Option<&Plan>,
    component: &str,
    owner: &Owner,
) -> bool {
    let Some(last) = owner.event.and_then(|index| usize::try_from(index).ok()) else {
        return false;
    };
    let Some(plan) = plan else {
        return true;
    };
    let given = |planned: &PlannedEvent| {
        let kind = plan.kind(planned)?;
        match deed(test, plan, planned)? {
            Deed::Scale { replicas, .. } if kind.component() == component => Some(replicas),
            _ => None,
        }
    };
    if let Some(replicas) = plan.events().get(last).and_then(given) {
        return replicas == owner.replicas;
    }
    let mut before = plan.events().iter().take(last).filter_map(given);
    before.any(|replicas| replicas == owner.replicas)
}

/// The components that events of the soak scale.
pub(crate) fn scaled(test: &SoakTest) -> impl Iterator<Item = &str> {
    let events = test.spec.chaos.iter().flat_map(|chaos| &chaos.events);
    events.filter_map(|event| Some(event.scale.as_ref()?.component.as_str()))
}
