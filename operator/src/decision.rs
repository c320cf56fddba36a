//! What one decision comes to, as plain values: what is written, what is done, and what came of doing it.

use std::time::Duration;

use jiff::Timestamp;
use soak_api::{Evidence, PendingIntent, SoakTestStatus};

use crate::chaos::Deed;
use crate::journal::Entry;

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
    /// Keep the pending intent until its instant: nobody has asked for it yet. What its deed needs and does nothing by itself
    /// is made ready.
    Hold(Deed),
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

/// What came of carrying out an intent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tried {
    pub(crate) intent: PendingIntent,
    pub(crate) deed: Deed,
    pub(crate) answer: Answer,
    /// When it was last asked for, which is no later than it happened: the answer may come long after.
    pub(crate) asked_at: Timestamp,
    /// When the answer was there.
    pub(crate) answered_at: Timestamp,
}

/// What is said to what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was accepted for the intended pod or Deployment.
    Accepted,
    /// The pod or Deployment was gone, or its name had passed to another.
    Gone,
    /// It was refused, for the reason given.
    Refused(String),
    /// Nobody knows: no answer came.
    Unknown,
}
