//! What a decision is made on, as one plain value.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use soak_api::verdict::Footprint;
use soak_api::{Chart, CriterionResult, Estimate, FailedFast, Plan, PlanError, Unmeasured};

use crate::facts::{Owner, PodFact};
use crate::journal::{Journal, JournalError};
use crate::lease::Led;
use crate::workload::Component;

/// What the operator sees of one SoakTest at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// The operator process that looks.
    pub(crate) operator: String,
    /// When the leader before this process led.
    pub(crate) led_before: Option<Led>,
    /// The workload as it is planned.
    pub(crate) components: Vec<Component>,
    /// Its pods as they are.
    pub(crate) pods: Vec<PodFact>,
    /// The last facts of pods that are gone, by uid.
    pub(crate) departed: HashMap<String, PodFact>,
    /// Nodes that are lost or drained, as far as a pod has gone with them.
    pub(crate) lost_nodes: HashSet<String>,
    /// What the API server itself still has of the workload, asked while cleaning up: the watch may not have seen yet
    /// what was created a moment ago.
    pub(crate) remaining: Vec<String>,
    /// The journal as it is written.
    pub(crate) journal: Result<Arc<Journal>, JournalError>,
    /// What chaos is to do; empty without chaos, or before there is a seed.
    pub(crate) plan: Result<Arc<Plan>, PlanError>,
    /// The pod that leads, or why it is not known, where the event that is due is about it.
    pub(crate) leader: Option<Result<String, String>>,
    /// Whether the pending intent is one that this process has written down and not asked for yet.
    pub(crate) held: bool,
    /// Why it is not known what has become of the pending intent's pod.
    pub(crate) unseen: Option<String>,
    /// The Deployments that events change, by component, where they are asked about; `None` for one that is gone.
    pub(crate) owners: BTreeMap<String, Result<Option<Owner>, String>>,
    /// The events by which pods are cut off, where they are asked about.
    pub(crate) cut_off: Option<Result<BTreeSet<u32>, String>>,
    /// Whether the workload was there as planned when that was last looked at, or why not; `None` where this process has not
    /// looked.
    pub(crate) deployed: Option<Result<(), String>>,
    /// Whether Prometheus answers; `None` where it was not asked this time.
    pub(crate) metrics: Option<Result<(), String>>,
    /// Where looking at what the soak comes to so far stands, and what the last look of this process came to.
    pub(crate) looking: Looking,
    pub(crate) look: Option<Look>,
    /// The verdict; `None` outside of judging.
    pub(crate) judged: Option<Result<Verdict, String>>,
}

/// What a look came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Look {
    /// What each criterion measured so far; advice, not a verdict.
    pub(crate) estimates: Vec<Estimate>,
    /// The criteria of which nothing could be measured so far.
    pub(crate) unmeasured: Vec<Unmeasured>,
    /// How many of the planned looks are behind us with this one.
    pub(crate) taken: u32,
    /// The criterion that fails fast and surely has failed.
    pub(crate) failed: Option<FailedFast>,
}

/// Where looking stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Looking {
    /// There is nothing to look at.
    #[default]
    Never,
    /// The next look is due then.
    From(Timestamp),
    /// It goes on.
    Underway,
}

/// What a soak came to, as the status holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Health and evidence first.
    pub(crate) criteria: Vec<CriterionResult>,
    /// What grew in tasks and in bytes, where the criteria are about both.
    pub(crate) footprints: Vec<Footprint>,
    /// What it was judged on.
    pub(crate) charts: Vec<Chart>,
}
