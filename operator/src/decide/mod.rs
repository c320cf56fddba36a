//! Decides what comes next and why: pure, total, without client, clock or randomness.
//!
//! [`decide`] takes the SoakTest as it was last written, what was observed, and the instant, and answers with the
//! status to write, the entries to journal before it, and what to do once both are written. Each phase has its part of
//! the lifecycle below; what chaos and health add to it is in files of their own.

mod aftermath;
mod chaos;
mod conditions;
mod health;
mod lifecycle;
mod recovery;

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::{Evidence, PendingIntent, Phase, SoakTest, SoakTestStatus};

pub(crate) use aftermath::{Answer, resolve, undone};
pub(crate) use chaos::{LATEST, MOST_AT_ONCE, due};
pub(crate) use health::describe as describe_breach;
pub(crate) use lifecycle::LAST_CALL;

use crate::chaos::{self as chaos_kinds, Deed};
use crate::journal::{Entry, Journal};
use crate::observe::Observed;

/// What comes next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decision {
    /// The status to write.
    pub(crate) status: SoakTestStatus,
    /// What to write into the journal before it.
    pub(crate) journal: Vec<Entry>,
    /// What to keep for reports, written before the status; nothing hangs on it.
    pub(crate) evidence: Option<Box<Evidence>>,
    /// What to do once all is written.
    pub(crate) effect: Effect,
    /// What to tell people.
    pub(crate) announcements: Vec<Announcement>,
    /// When to look again, if nothing happens before.
    pub(crate) again: Duration,
}

/// What is done to the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Effect {
    /// Nothing.
    #[default]
    None,
    /// Create the workload, or bring it to what is planned.
    Deploy,
    /// Keep the pending intent until its instant: nobody has asked for it yet.
    Hold,
    /// Carry out the intent that is written down.
    Inject {
        intent: PendingIntent,
        deed: Deed,
        /// The pod's resource version as it was decided on.
        version: String,
        /// Whether an earlier pass may have done it already, and died before it could say so.
        again: bool,
    },
    /// Undo what these events have done.
    Undo(Vec<Undoing>),
    /// Undo what chaos has left behind in a workload that is to be kept.
    Restore,
    /// Tell the workload to finish what it has and to start nothing new.
    Drain,
    /// Remove the workload.
    Remove,
}

/// An event that is undone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Undoing {
    pub(crate) index: u32,
    pub(crate) component: String,
    pub(crate) deed: Deed,
}

/// An event of Kubernetes to publish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announcement {
    /// Whether somebody should look.
    pub(crate) warning: bool,
    /// In PascalCase.
    pub(crate) reason: &'static str,
    /// What it is about, of those with the same reason: of one thing Kubernetes keeps the first note and counts the others.
    pub(crate) about: String,
    /// For people.
    pub(crate) note: String,
}

/// The decision in the making.
struct Draft<'a> {
    test: &'a SoakTest,
    observed: &'a Observed,
    now: Timestamp,
    before: &'a SoakTestStatus,
    /// The journal as it will be once this decision is written; copied only by a decision that writes.
    journal: Cow<'a, Journal>,
    decision: Decision,
}

/// What comes next for `test`, and why.
pub(crate) fn decide(test: &SoakTest, observed: &Observed, now: Timestamp) -> Decision {
    let before = test.status.clone().unwrap_or_default();
    let journal = observed
        .journal
        .as_ref()
        .map_or_else(|_| Cow::default(), |journal| Cow::Borrowed(&**journal));
    let mut draft = Draft {
        test,
        observed,
        now,
        before: &before,
        journal,
        decision: Decision {
            status: before.clone(),
            ..Decision::default()
        },
    };
    if let Some((effect, again)) = chaos::on_the_tick(&draft) {
        draft.decision.effect = effect;
        draft.look_at(again);
        return draft.decision;
    }
    lifecycle::step(&mut draft);
    conditions::update(&mut draft);
    draft.finish()
}

impl Draft<'_> {
    fn status(&mut self) -> &mut SoakTestStatus {
        &mut self.decision.status
    }

    fn write(&mut self, entry: Entry) {
        self.journal.to_mut().add(entry.clone());
        self.decision.journal.push(entry);
    }

    fn announce(&mut self, warning: bool, reason: &'static str, note: impl Into<String>) {
        self.announce_about(reason, warning, reason, note);
    }

    fn announce_about(
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
    fn look_at(&mut self, at: Timestamp) {
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

    fn ready(&self, component: &str) -> usize {
        self.observed
            .pods
            .iter()
            .filter(|pod| pod.component == component && pod.serves())
            .count()
    }

    /// How many pods there are that are not on their way out.
    fn there(&self, component: &str) -> usize {
        let pods = self.observed.pods.iter();
        pods.filter(|pod| pod.component == component && !pod.terminating)
            .count()
    }

    fn desired(&self, component: &str) -> usize {
        self.planned(component) as usize
    }

    fn planned(&self, component: &str) -> u32 {
        let mut components = self.observed.components.iter();
        let found = components.find(|c| c.name == component);
        found.map_or(0, |component| component.replicas)
    }

    /// The pending intent, where this process has written it down and not asked for it yet.
    fn held(&self) -> Option<&PendingIntent> {
        let pending = self.before.chaos.pending.as_ref();
        pending.filter(|_| self.observed.held)
    }

    /// What the event of that index does; `None` where it is not known, for then it is not done any more.
    fn deed(&self, index: u32) -> Option<Deed> {
        let plan = self.observed.plan.as_ref().ok()?;
        chaos_kinds::deed_of(self.test, plan, index)
    }

    fn all_ready(&self) -> bool {
        self.observed
            .components
            .iter()
            .all(|c| self.ready(c.name) >= c.replicas as usize)
    }

    /// Writes are for changes: what moves by itself, such as progress and how many pods are ready, is brought along with
    /// them and once a heartbeat.
    fn finish(mut self) -> Decision {
        let heartbeat = heartbeat(self.test);
        let seen = self.before.presence.seen_at;
        let due = seen.is_none_or(|at| self.now.duration_since(at) >= heartbeat);
        if self.decision.status.phase != Phase::Completed {
            self.look_at(seen.filter(|_| !due).unwrap_or(self.now) + heartbeat);
        }
        let ready = self.decision.status.components.clone();
        self.decision
            .status
            .components
            .clone_from(&self.before.components);
        // What is not done on its instant is written down again, or it might be done on a SoakTest that is not the last any
        // more.
        let injects = matches!(self.decision.effect, Effect::Inject { .. });
        let changed = self.decision.status != *self.before || !self.decision.journal.is_empty();
        if changed || injects || (due && self.decision.status.phase != Phase::Completed) {
            self.decision.status.components = ready;
            let (now, operator) = (self.now, self.observed.operator.clone());
            let progress = lifecycle::progress(self.test, &self.decision.status, now);
            let status = self.status();
            status.presence.seen_at = Some(now);
            status.presence.operator = operator;
            status.progress = progress;
        }
        self.decision
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
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A span of the spec as a signed duration; spans are far below what that can hold.
fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_hours(24 * 3_650))
}

#[cfg(test)]
mod tests;
