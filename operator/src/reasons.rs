//! The words that conditions, events and records use, in one place: people alert on them.

use soak_api::HealthBreach;

/// Types of conditions.
pub(crate) mod condition {
    pub(crate) const WORKLOAD_READY: &str = "WorkloadReady";
    pub(crate) const METRICS_AVAILABLE: &str = "MetricsAvailable";
    pub(crate) const CHAOS_HEALTHY: &str = "ChaosHealthy";
    pub(crate) const CLEANED_UP: &str = "CleanedUp";
    pub(crate) const COMPLETE: &str = "Complete";
    pub(crate) const PASSED: &str = "Passed";
}

/// Why an event was not carried out, or not in the ordinary way.
pub(crate) mod chaos {
    pub(crate) const SUSPENDED: &str = "Suspended";
    pub(crate) const NOT_RECOVERED: &str = "NotRecovered";
    pub(crate) const MISSED: &str = "Missed";
    pub(crate) const PROTECTED: &str = "Protected";
    pub(crate) const TOO_FEW_READY: &str = "TooFewReady";
    pub(crate) const DRY_RUN: &str = "DryRun";
    pub(crate) const TOO_YOUNG: &str = "TooYoung";
    pub(crate) const NO_LEADER: &str = "NoLeader";
    pub(crate) const NO_RESTART: &str = "NoRestart";
    pub(crate) const NO_CANDIDATE: &str = "NoCandidate";
    pub(crate) const LATE: &str = "Late";
    pub(crate) const TOO_LATE: &str = "TooLate";
    pub(crate) const TARGET_GONE: &str = "TargetGone";
    pub(crate) const UNCONFIRMED: &str = "Unconfirmed";
    pub(crate) const ENDED: &str = "Ended";
    pub(crate) const REFUSED: &str = "Refused";
    pub(crate) const NOT_REACHED: &str = "NotReached";
    pub(crate) const NOT_CUT_OFF: &str = "NotCutOff";
}

/// What happened to the workload that chaos did not do.
pub(crate) use soak_api::breach;

/// The breach in a sentence.
pub(crate) fn describe(breach: &HealthBreach) -> String {
    let whom = if breach.pod.is_empty() {
        &breach.component
    } else {
        &breach.pod
    };
    let detail = if breach.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", breach.detail)
    };
    format!("{whom}: {}{detail}", breach.reason)
}
