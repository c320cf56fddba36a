//! podRestart: a deletion that gives the pod the time that the user chose.

use soak_api::PodRestart;

use super::{Deed, Event, Place};

impl Event for PodRestart {
    /// In whole seconds, at least one.
    fn deed(&self, _: &Place) -> Option<Deed> {
        let seconds = self.grace_period.duration().as_secs();
        Some(Deed::Delete {
            grace_period_seconds: u32::try_from(seconds).unwrap_or(u32::MAX).max(1),
        })
    }
}
