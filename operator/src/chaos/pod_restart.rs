//! podRestart: a deletion that gives the pod the time that the user chose.

use soak_api::PodRestart;

/// The chosen grace period in whole seconds, at least one.
pub(super) fn grace_period_seconds(restart: &PodRestart) -> u32 {
    u32::try_from(restart.grace_period.duration().as_secs())
        .unwrap_or(u32::MAX)
        .max(1)
}
