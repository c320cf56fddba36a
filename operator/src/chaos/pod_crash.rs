//! podCrash: the process ends, the pod stays.

use soak_api::PodCrash;

use super::{Deed, Event};

impl Event for PodCrash {
    fn deed(&self) -> Deed {
        Deed::Crash(self.endpoint.clone())
    }
}
