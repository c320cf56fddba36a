//! networkPartition: a pod is cut off for a while.

use soak_api::NetworkPartition;

use super::{Deed, Event, Place};

impl Event for NetworkPartition {
    fn deed(&self, _: &Place) -> Option<Deed> {
        let lasts = self.lasts.clone();
        Some(Deed::CutOff { lasts })
    }

    fn ends_a_container(&self) -> bool {
        false
    }
}
