//! podCrash: the process ends, the pod stays.

use soak_api::PodCrash;

use super::{Deed, Event, Place};

impl Event for PodCrash {
    fn deed(&self, _: &Place) -> Option<Deed> {
        Some(Deed::Crash(self.endpoint.clone()))
    }
}
