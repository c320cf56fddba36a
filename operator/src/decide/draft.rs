//! The decision in the making, and what every part of it asks.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::{PendingIntent, SoakTest, SoakTestStatus};

use crate::chaos::{self, Deed};
use crate::decision::{Announcement, Decision};
use crate::journal::{Entry, Journal};
use crate::observed::Observed;

/// How long before the deadline a soak is ended, so that it is Completed by then.
pub(crate) const LAST_CALL: SignedDuration = SignedDuration::from_secs(10);

/// The decision in the making.
pub(super) struct Draft<'a> {
    pub(super) test: &'a SoakTest,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) before: &'a SoakTestStatus,
    /// The journal as it will be once this decision is written; copied only by a decision that writes.
    pub(super) journal: Cow<'a, Journal>,
    pub(super) decision: Decision,
}

impl Draft<'_> {
    pub(super) fn status(&mut self) -> &mut SoakTestStatus {
        &mut self.decision.status
    }

    pub(super) fn write(&mut self, entry: Entry) {
        self.journal.to_mut().add(entry.clone());
        self.decision.journal.push(entry);
    }

    pub(super) fn announce(
        &mut self,
        warning: bool,
        reason: &'static str,
        note: impl Into<String>,
    ) {
        self.announce_about(reason, warning, reason, note);
    }

    pub(super) fn announce_about(
        &mut self,
        about: impl Into<String>,
        warning: bool,
        reason: &'static str,
        note: impl Into<String>,
    ) {
        self.decision.announcements.push(Announcement {
            warning,
            reason,
            about: about.into(),
            note: note.into(),
        });
    }

    /// Look again at `at` at the latest.
    pub(super) fn look_at(&mut self, at: Timestamp) {
        let wait = at
            .duration_since(self.now)
            .max(SignedDuration::from_millis(1))
            .unsigned_abs();
        self.decision.again = if self.decision.again.is_zero() {
            wait
        } else {
            self.decision.again.min(wait)
        };
    }

    pub(super) fn ready(&self, component: &str) -> usize {
        self.observed
            .pods
            .iter()
            .filter(|pod| pod.component == component && pod.serves())
            .count()
    }

    /// How many pods there are that are neither over nor on their way out.
    pub(super) fn there(&self, component: &str) -> usize {
        let pods = self.observed.pods.iter();
        pods.filter(|pod| pod.component == component && !pod.terminating && !pod.over)
            .count()
    }

    pub(super) fn desired(&self, component: &str) -> usize {
        self.planned(component) as usize
    }

    pub(super) fn planned(&self, component: &str) -> u32 {
        let mut components = self.observed.components.iter();
        let found = components.find(|c| c.name == component);
        found.map_or(0, |component| component.replicas)
    }

    /// The pending intent, where this process has written it down and not asked for it yet.
    pub(super) fn held(&self) -> Option<&PendingIntent> {
        let pending = self.before.chaos.pending.as_ref();
        pending.filter(|_| self.observed.held)
    }

    /// What the event of that index does; `None` where it is not known, for then it is not done any more.
    pub(super) fn deed(&self, index: u32) -> Option<Deed> {
        let plan = self.observed.plan.as_ref().ok()?;
        chaos::deed_of(self.test, plan, index)
    }

    /// Whether a component has more pods than are planned, so that somebody else has other plans for it.
    pub(super) fn too_many(&self) -> bool {
        let mut components = self.observed.components.iter();
        components.any(|c| self.there(&c.name) > c.replicas as usize)
    }

    pub(super) fn all_ready(&self) -> bool {
        self.observed
            .components
            .iter()
            .all(|c| self.ready(&c.name) >= c.replicas as usize)
    }
}

/// How often the operator shows that it is there: once a minute, more often in a soak so short that a minute matters. Each
/// soak has a pace of its own, up to a tenth slower, so that those that began together do not go on together.
pub(crate) fn heartbeat(test: &SoakTest) -> SignedDuration {
    let short = test.spec.duration.duration() < Duration::from_secs(20 * 60);
    let pace = if short { 10_000 } else { 60_000 };
    let uid = test.metadata.uid.as_deref().unwrap_or_default();
    let slower = i64::try_from(hash(uid) % 1_000).unwrap_or(0);
    SignedDuration::from_millis(pace + pace / 10 * slower / 1_000)
}

/// FNV-1a (Fowler, Noll, Vo, 1991).
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A span of the spec as a signed duration; spans are far below what that can hold.
pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_hours(24 * 3_650))
}
