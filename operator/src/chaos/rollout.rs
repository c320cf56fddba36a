//! rollout: all pods of a component are replaced.

use soak_api::Rollout;

use super::{Deed, Event, Place};
use crate::workload::rolled_at_once;

impl Event for Rollout {
    fn deed(&self, place: &Place) -> Option<Deed> {
        let meanwhile = place.planned.saturating_sub(rolled_at_once(place.planned));
        (meanwhile >= place.least).then_some(Deed::Rollout)
    }

    fn ends_a_container(&self) -> bool {
        false
    }
}
