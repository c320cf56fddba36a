//! The SoakTest API: what users write, what the operator answers in the status, and the rules admission holds both to.
//!
//! There is no I/O here. Everything that an API server can refuse is refused by the schema or by a CEL rule whose
//! message names the fix; what remains is checked by the types that the operator converts into.

/// The regular expression of a span as a CEL literal: cross-field rules guard on it, because `duration()` of anything
/// else is a type conversion error instead of a message.
macro_rules! span {
    () => {
        "'^([0-9]+(h|m|s|ms))+$'"
    };
}

/// The rule that keeps a field as it was created, also when it is optional and appears or vanishes.
macro_rules! unchanged {
    ($field:literal) => {
        concat!(
            "has(self.",
            $field,
            ") == has(oldSelf.",
            $field,
            ") && (!has(self.",
            $field,
            ") || self.",
            $field,
            " == oldSelf.",
            $field,
            ")"
        )
    };
}

/// The message of [`unchanged`].
macro_rules! fixed {
    ($field:literal) => {
        concat!("spec.", $field, " is fixed once the SoakTest exists, only abort and suspend may change: delete it and create another")
    };
}

mod chaos;
mod crd;
mod evidence;
mod labels;
mod plan;
mod soaktest;
mod status;
mod workload;

pub use chaos::{
    Change, Chaos, ChaosEvent, ChaosKind, CrashEndpoint, Evict, Guard, InvalidChaos, Leader,
    LeaderKill, NetworkPartition, PodCrash, PodKill, PodRestart, Rollout, Scale, SpanRange,
};
pub use crd::crd_yaml;
pub use evidence::{Chart, EVIDENCE_KEY, Evidence, Line};
pub use labels::{COMPONENT, EVENT, PROTECT, SOAK_TEST};
pub use plan::{Plan, PlanError, PlannedEvent};
pub use soak_verdict as verdict;
pub use soak_verdict::{Criterion, CriterionKind, Quantity, Signal, Span};
pub use soaktest::{Cleanup, Metrics, Prometheus, SoakTest, SoakTestSpec, WorkloadCleanup};
pub use status::{
    ChaosStatus, ComponentStatus, CriterionResult, Estimate, EventRecord, EventResult, FailedFast,
    Foregone, GrowthRow, HealthBreach, JournalStatus, PendingIntent, Phase, PhaseTimes, Presence,
    Recovering, SoakOutcome, SoakTestStatus, Unmeasured, breach,
};
pub use workload::{
    Assignment, Distribution, Existing, ExistingDeployment, Leak, LeakMode, Producers, Simulation,
    Weights, Workers, Workload, WorkloadKind,
};
