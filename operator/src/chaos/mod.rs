//! How each kind of event is carried out. Each is a file of its own.

mod pod_kill;
mod pod_restart;

use soak_api::ChaosKind;

/// How long the pod is given between SIGTERM and SIGKILL, in seconds; never 0, at which the object would vanish before
/// its container is dead.
pub(crate) fn grace_period_seconds(kind: &ChaosKind) -> u32 {
    match kind {
        ChaosKind::PodKill(_) => pod_kill::GRACE_PERIOD_SECONDS,
        ChaosKind::PodRestart(restart) => pod_restart::grace_period_seconds(restart),
    }
}
