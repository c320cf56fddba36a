//! What the operator answers. Two axes that never mix: the phase says what the machinery is doing, the outcome what the
//! subject came to.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::{Course, Footprint, Interval, Outcome, Reach};

/// What the operator knows of a SoakTest: totals, the pending intent and the last events while it runs, the verdict at
/// the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SoakTestStatus {
    /// What the machinery is doing.
    pub phase: Phase,
    /// What the subject came to; set once, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<SoakOutcome>,
    /// One sentence on what is going on, or on why it ended as it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How much of warm-up, duration and settle has gone, such as 42%.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub progress: String,
    /// The seed of the chaos plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The version of the rules by which the seed becomes a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_version: Option<u32>,
    /// The generation of the spec that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When each phase began.
    pub times: PhaseTimes,
    /// The SoakTest is Completed by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub deadline_at: Option<Timestamp>,
    /// The workload's components.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub components: Vec<ComponentStatus>,
    /// What was done to its pods.
    pub chaos: ChaosStatus,
    /// What happened to its pods that chaos did not do, the first five.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub breaches: Vec<HealthBreach>,
    /// How much of the soak an operator was there.
    pub presence: Presence,
    /// How much the journal must hold.
    pub journal: JournalStatus,
    /// The workload has been told to finish what it has and to start nothing new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub drained_at: Option<Timestamp>,
    /// What the criteria measured so far, while the soak runs: advice, not a verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub estimates: Vec<Estimate>,
    /// The criteria of which nothing could be measured so far, and why: what is to be mended, or what is still awaited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub unmeasured: Vec<Unmeasured>,
    /// How many of the planned looks, at which a criterion may fail fast, are behind us.
    #[serde(skip_serializing_if = "is_zero")]
    pub looks: u32,
    /// The criterion that ended the soak before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_fast: Option<FailedFast>,
    /// The verdict, criterion by criterion; health and evidence first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub criteria: Vec<CriterionResult>,
    /// What grew in tasks and in bytes, the component that grew most tasks first; where criteria are about both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub footprints: Vec<Footprint>,
    /// The ConfigMap that keeps what the outcome rests on, for reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// For `kubectl wait`: WorkloadReady, MetricsAvailable, ChaosHealthy, CleanedUp, Complete, Passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What the machinery is doing.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Pending,
    /// The workload is created and becomes ready.
    Deploying,
    /// The workload reaches its steady state.
    WarmingUp,
    /// The judged window: chaos happens.
    Soaking,
    /// The workload recovers and drains.
    Settling,
    /// The criteria are held against what was measured.
    Judging,
    /// The workload is removed, or left as `cleanup` says.
    CleaningUp,
    /// The end.
    Completed,
}

/// What the subject came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SoakOutcome {
    /// Every criterion is proven to hold.
    Passed,
    /// At least one criterion is proven not to hold.
    Failed,
    /// At least one criterion could be proven neither way, and none failed.
    Inconclusive,
    /// Somebody ended it.
    Aborted,
    /// It could not be run.
    Error,
}

/// When each phase began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PhaseTimes {
    /// The SoakTest was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub deploying: Option<Timestamp>,
    /// The workload was ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub warming_up: Option<Timestamp>,
    /// The judged window began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub soaking: Option<Timestamp>,
    /// The judged window ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub settling: Option<Timestamp>,
    /// The workload had settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub judging: Option<Timestamp>,
    /// The outcome was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub cleaning_up: Option<Timestamp>,
    /// The end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub completed: Option<Timestamp>,
}

/// One component of the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// How many pods it is meant to have.
    pub desired: u32,
    /// How many are ready and not terminating.
    pub ready: u32,
}

/// What was done to the workload's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChaosStatus {
    /// Events injected of those planned, such as 5/8.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Events that the plan holds for the judged window.
    pub planned: u32,
    /// Events whose instant has come and which are settled one way or the other.
    pub due: u32,
    /// Events carried out and seen to be carried out.
    pub injected: u32,
    /// When the next event is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub next_at: Option<Timestamp>,
    /// The event that is written down and perhaps not yet done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingIntent>,
    /// The events that a component has not yet recovered from: one, or several where they may overlap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub recovering: Vec<Recovering>,
    /// The last events, eight with those that are pending or not yet recovered from; all of them are in the journal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub recent: Vec<EventRecord>,
}

/// An event that is written down before it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingIntent {
    /// The event's place in the plan, from 0.
    pub index: u32,
    /// Such as podKill.
    pub kind: String,
    /// The component that is hit.
    pub component: String,
    /// The pod that is hit, and no other; the Deployment where the event is about all of a component.
    pub pod: String,
    /// Its uid: one of the same name that is another is not touched.
    pub uid: String,
    /// How often its container had been restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// When the plan wanted it.
    #[schemars(schema_with = "instant")]
    pub planned_at: Timestamp,
    /// When it was written down.
    #[schemars(schema_with = "instant")]
    pub decided_at: Timestamp,
}

impl PendingIntent {
    /// The earliest instant at which it was asked for: its own, or that of writing it down where that was later.
    pub fn asked_from(&self) -> Timestamp {
        self.planned_at.max(self.decided_at)
    }
}

/// An event that was done, while its component is not yet back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovering {
    /// The event as far as it is known.
    pub event: EventRecord,
    /// The component did not come back within the recovery timeout; that has been counted.
    #[serde(default)]
    pub overdue: bool,
    /// When it is to be undone; nothing where there is nothing to undo, or where it has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub undo_at: Option<Timestamp>,
    /// Undoing it has begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoing: bool,
    /// So many pods of the component are still to go because of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub goes: u32,
}

impl From<EventRecord> for Recovering {
    fn from(event: EventRecord) -> Self {
        Self {
            event,
            overdue: false,
            undo_at: None,
            undoing: false,
            goes: 0,
        }
    }
}

/// What became of one planned event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// The event's place in the plan, from 0.
    pub index: u32,
    /// Such as podKill.
    pub kind: String,
    /// The component.
    pub component: String,
    /// The pod that was hit, where there was one; the Deployment where the event is about all of a component.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Its uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// How often its container had been restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// When the plan wanted it.
    #[schemars(schema_with = "instant")]
    pub planned_at: Timestamp,
    /// When it was done: the API server accepted it, or the pod was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub injected_at: Option<Timestamp>,
    /// When it was undone, where that is part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub undone_at: Option<Timestamp>,
    /// When the component was back at its planned replicas, all ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub recovered_at: Option<Timestamp>,
    /// What became of it.
    pub result: EventResult,
    /// Why it was refused or given up, in PascalCase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EventResult {
    /// The API server accepted it for that very pod, or what it does was seen to happen; the only result that counts as
    /// proven.
    Injected,
    /// A guard refused it, nobody was there to do it, or nothing is to be done in a dry run.
    Skipped,
    /// It was written down, but came too late to be done.
    Abandoned,
    /// It was written down and the pod is gone, but nobody saw the API server accept it.
    Presumed,
    /// It was done, but what it does was not seen to happen.
    Unproven,
}

/// Something that happened to the workload and that chaos did not do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthBreach {
    /// When it was seen.
    #[schemars(schema_with = "instant")]
    pub at: Timestamp,
    /// The component.
    pub component: String,
    /// The pod, or empty where it is the component as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// What happened, in PascalCase: ContainerRestarted, OOMKilled, Evicted, PodDeleted, NotRecovered, NotUndone, DoneLate, MorePods, NodeLost.
    pub reason: String,
    /// The detail, such as the exit code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl HealthBreach {
    /// A node that was lost, an event that was done after it had been given up, or pods that somebody added, prove nothing
    /// about the workload either way: health cannot pass any more, and does not fail by it.
    pub fn proves_nothing(&self) -> bool {
        [breach::NODE_LOST, breach::DONE_LATE, breach::MORE_PODS].contains(&self.reason.as_str())
    }
}

/// Reasons of breaches of health: people alert on them.
pub mod breach {
    /// A container ended, and was started again.
    pub const CONTAINER_RESTARTED: &str = "ContainerRestarted";
    /// A container was ended for want of memory.
    pub const OOM_KILLED: &str = "OOMKilled";
    /// A pod was evicted, by whomever.
    pub const EVICTED: &str = "Evicted";
    /// A pod was deleted by somebody else.
    pub const POD_DELETED: &str = "PodDeleted";
    /// A component was not back within the recovery timeout.
    pub const NOT_RECOVERED: &str = "NotRecovered";
    /// An event could not be undone within the recovery timeout.
    pub const NOT_UNDONE: &str = "NotUndone";
    /// An event was carried out after it had been given up.
    pub const DONE_LATE: &str = "DoneLate";
    /// Somebody gave a Deployment that is not the soak's own more pods than are planned.
    pub const MORE_PODS: &str = "MorePods";
    /// A node went away, and its pods with it.
    pub const NODE_LOST: &str = "NodeLost";
}

/// What a soak that still runs can no longer avoid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foregone<'s> {
    /// Failed; or Inconclusive, and then Failed is still possible.
    pub outcome: SoakOutcome,
    /// Why.
    pub breach: &'s HealthBreach,
}

impl SoakTestStatus {
    /// What the soak can no longer avoid, whatever the criteria come to, unless it is aborted; nothing once there is an
    /// outcome.
    pub fn foregone(&self) -> Option<Foregone<'_>> {
        if self.outcome.is_some() {
            return None;
        }
        let proof = self.breaches.iter().find(|one| !one.proves_nothing());
        let (outcome, breach) = match proof {
            Some(breach) => (SoakOutcome::Failed, breach),
            None => (SoakOutcome::Inconclusive, self.breaches.first()?),
        };
        Some(Foregone { outcome, breach })
    }
}

impl Foregone<'_> {
    /// Such as `will be Failed`.
    pub fn in_words(&self) -> &'static str {
        match self.outcome {
            SoakOutcome::Failed => "will be Failed",
            _ => "will be Inconclusive at best",
        }
    }
}

/// How much of the soak an operator was there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Presence {
    /// The operator process that wrote this.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// When it last wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_instant")]
    pub seen_at: Option<Timestamp>,
    /// How much of the judged window and of settling nobody was there, in milliseconds.
    pub absent_milliseconds: i64,
}

/// How much the journal must hold, so that a torn one is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalStatus {
    /// How many ConfigMaps it has, named `<name>-journal-0` and up.
    pub chunks: u32,
    /// How many entries there are that count, those of `tail` with them.
    pub entries: u32,
    /// The last batch of entries that counts; each names the one before it. What is in the journal beside this chain was
    /// written by an operator that could not write its status, and did not happen so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// How many bytes the last ConfigMap holds.
    #[serde(skip_serializing_if = "is_zero")]
    pub filled: u32,
    /// The entries since then, a line each: they go to a ConfigMap together.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4_096))]
    pub tail: String,
}

/// What one criterion measured so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// The criterion's name.
    pub criterion: String,
    /// The component that is nearest to its limit, or beyond.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// What was measured, in `unit`.
    pub estimate: f64,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What it is held against.
    pub limit: f64,
    /// The unit of estimate, interval and limit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// A criterion of which nothing could be measured so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unmeasured {
    /// The criterion's name.
    pub criterion: String,
    /// Why, in a sentence.
    #[schemars(length(max = 400))]
    pub why: String,
}

impl Unmeasured {
    /// The criterion, and why in at most as many characters as the status may hold.
    pub fn new(criterion: &str, why: &str) -> Self {
        const MOST: usize = 400;
        let mut short = why.to_owned();
        if let Some((end, _)) = why.char_indices().nth(MOST) {
            short.truncate(end);
            short.pop();
            short.push('…');
        }
        Self {
            criterion: criterion.to_owned(),
            why: short,
        }
    }
}

/// The criterion that ended the soak before its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedFast {
    /// Its name.
    pub criterion: String,
    /// When it was looked at.
    #[schemars(schema_with = "instant")]
    pub at: Timestamp,
    /// What was seen.
    pub sentence: String,
}

/// What one criterion came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CriterionResult {
    /// Its name.
    pub name: String,
    /// Such as growth.
    pub kind: String,
    /// What it came to.
    pub outcome: Outcome,
    /// One sentence that a person understands.
    pub sentence: String,
    /// The component that decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// What it is held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The unit of estimate, interval and limit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How many samples it rests on.
    #[serde(default)]
    pub samples: u64,
    /// How many incarnations it rests on.
    #[serde(default)]
    pub incarnations: u32,
    /// The pods that grew most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub worst_pods: Vec<GrowthRow>,
    /// The parts of the signal by contribution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub contributions: Vec<GrowthRow>,
    /// What each kind of chaos event leaves in the mean pod that survives it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub per_event: Vec<GrowthRow>,
    /// What the signal does over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
    /// When a pod reaches its memory limit if growth goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// What was left out and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub excluded: Vec<String>,
}

/// The growth of one part of a signal over the soak's duration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrowthRow {
    /// A pod, or label values.
    pub name: String,
    /// The growth in the signal's unit.
    pub growth: f64,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

impl CriterionResult {
    /// What can be said in words alone: nothing was measured.
    pub fn in_words(name: &str, kind: &str, outcome: Outcome, sentence: String) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            outcome,
            sentence,
            component: None,
            estimate: None,
            interval: None,
            limit: None,
            unit: String::new(),
            samples: 0,
            incarnations: 0,
            worst_pods: Vec::new(),
            contributions: Vec::new(),
            per_event: Vec::new(),
            course: None,
            reach: None,
            excluded: Vec::new(),
        }
    }
}

impl From<Outcome> for SoakOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed => Self::Failed,
            Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An RFC 3339 instant, with fractions of a second.
fn instant(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time"})
}

fn optional_instant(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "nullable": true})
}
