//! scale: a component has more or fewer pods for a while.

use soak_api::Scale;

use super::{Deed, Event, Place};

impl Event for Scale {
    fn deed(&self, place: &Place) -> Option<Deed> {
        let change = self.change(place.draw, place.planned, place.least)?;
        Some(Deed::Scale {
            replicas: place.planned.checked_add_signed(change.get())?,
            lasts: self.lasts.clone(),
        })
    }

    fn ends_a_container(&self) -> bool {
        false
    }
}
