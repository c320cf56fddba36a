//! podKill: the shortest grace period at which the pod's object outlives its container.

use soak_api::PodKill;

use super::{Deed, Event, Place};

impl Event for PodKill {
    /// At a grace period of 1 the kubelet sends SIGTERM and, about two seconds later, SIGKILL.
    fn deed(&self, _: &Place) -> Option<Deed> {
        Some(Deed::Delete {
            grace_period_seconds: 1,
        })
    }
}
