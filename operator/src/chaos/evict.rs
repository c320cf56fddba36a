//! evict: what draining a node does to each of its pods.

use soak_api::Evict;

use super::{Deed, Event, Place};

impl Event for Evict {
    fn deed(&self, _: &Place) -> Option<Deed> {
        Some(Deed::Evict)
    }
}
