//! leaderKill: podKill of whoever leads.

use soak_api::{Leader, LeaderKill, PodKill};

use super::{Deed, Event, Place};

impl Event for LeaderKill {
    fn deed(&self, place: &Place) -> Option<Deed> {
        let component = self.component.clone();
        PodKill { component }.deed(place)
    }

    fn leader(&self) -> Option<&Leader> {
        Some(&self.leader)
    }
}
