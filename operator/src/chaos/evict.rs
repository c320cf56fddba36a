//! evict: what draining a node does to each of its pods.

use soak_api::Evict;

use super::{Deed, Event};

impl Event for Evict {
    fn deed(&self) -> Deed {
        Deed::Evict
    }
}
