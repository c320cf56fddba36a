//! The SoakTest itself.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::{Criterion, Span};

use crate::chaos::{IS_OF_EXISTING, IS_OF_SIMULATION};
use crate::{Chaos, SoakTestStatus, Workload};

/// Deploys a workload, or takes one that is there, keeps restarting its pods on a reproducible schedule, and says with evidence whether it leaked,
/// slowed down or lost work meanwhile.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "soak-operator.io",
    version = "v1alpha1",
    kind = "SoakTest",
    plural = "soaktests",
    shortname = "soak",
    category = "all",
    category = "soak",
    namespaced,
    status = "SoakTestStatus",
    derive = "PartialEq",
    doc = "Deploys a workload, or takes one that is there, keeps restarting its pods on a reproducible schedule, and says with evidence whether it leaked, slowed down or lost work meanwhile.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "What the machinery is doing"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome", description = "What the subject came to"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress", description = "Time gone of warm-up, duration and settle"),
    printcolumn(name = "Chaos", type_ = "string", json_path = ".status.chaos.summary", description = "Events injected of those planned"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name prefixes the workload's names: use at most 40 lower case letters, digits and dashes, starting with a letter"),
)]
#[x_kube(
    validation = Rule::new(unchanged!("duration")).message(fixed!("duration")),
    validation = Rule::new(unchanged!("warmUp")).message(fixed!("warmUp")),
    validation = Rule::new(unchanged!("settle")).message(fixed!("settle")),
    validation = Rule::new(unchanged!("deadline")).message(fixed!("deadline")),
    validation = Rule::new(unchanged!("seed")).message(fixed!("seed")),
    validation = Rule::new(unchanged!("workload")).message(fixed!("workload")),
    validation = Rule::new(unchanged!("chaos")).message(fixed!("chaos")),
    validation = Rule::new(unchanged!("metrics")).message(fixed!("metrics")),
    validation = Rule::new(unchanged!("criteria")).message(fixed!("criteria")),
    validation = Rule::new(unchanged!("cleanup")).message(fixed!("cleanup"))
)]
#[x_kube(
    validation = Rule::new(concat!("!self.duration.matches(", span!(), ") || !self.metrics.step.matches(", span!(), ") || duration(self.duration).getSeconds() >= 20 * duration(self.metrics.step).getSeconds()"))
        .message("spec.duration is shorter than 20 steps of spec.metrics.step, too short to judge anything: lengthen the duration or shorten the step"),
    validation = Rule::new(concat!("!has(self.deadline) || !self.deadline.matches(", span!(), ") || !self.duration.matches(", span!(), ") || !self.warmUp.matches(", span!(), ") || !self.settle.matches(", span!(), ") || duration(self.deadline) > duration(self.warmUp) + duration(self.duration) + duration(self.settle)"))
        .message("spec.deadline must be longer than warmUp + duration + settle: leave it out for their sum and 30m"),
    validation = Rule::new(concat!("!has(self.chaos) || !self.chaos.guard.startAfter.matches(", span!(), ") || !self.duration.matches(", span!(), ") || duration(self.chaos.guard.startAfter) < duration(self.duration)"))
        .message("spec.chaos.guard.startAfter must be shorter than spec.duration, or no chaos would ever happen"),
    validation = Rule::new(concat!("self.criteria.all(c, !has(c.trend) || !has(c.trend.window) || !c.trend.window.matches(", span!(), ") || !self.duration.matches(", span!(), ") || duration(c.trend.window) <= duration(self.duration))"))
        .message("spec.criteria: trend.window must not be longer than spec.duration"),
    validation = Rule::new("self.criteria.all(c, !(c.name in ['health', 'evidence']))")
        .message("spec.criteria: health and evidence are always judged: give the criterion another name"),
    validation = Rule::new("has(self.chaos) || !self.criteria.exists(c, has(c.recovery))")
        .message("spec.criteria: recovery measures how the workload recovers from chaos: set spec.chaos, or leave recovery out")
)]
#[x_kube(
    validation = Rule::new(format!("!has(self.workload.simulation) || !has(self.chaos) || self.chaos.events.all(e, {IS_OF_SIMULATION})"))
        .message("spec.chaos.events: component must be worker or producer, the components of the simulation"),
    validation = Rule::new(format!("!has(self.workload.existing) || !has(self.chaos) || self.chaos.events.all(e, {IS_OF_EXISTING})"))
        .message("spec.chaos.events: component must be the name of one of spec.workload.existing.deployments"),
    validation = Rule::new("!has(self.workload.existing) || !has(self.chaos) || self.chaos.events.all(e, !has(e.scale) && !has(e.rollout))")
        .message("spec.chaos.events: scale and rollout would change a Deployment that is not the soak's own: leave them out where spec.workload.existing is set"),
    validation = Rule::new("!has(self.workload.existing) || !has(self.chaos) || self.chaos.events.all(e, !has(e.leaderKill) || !has(e.leaderKill.leader.query) || e.leaderKill.leader.query != 'soak_sim_leader')")
        .message("spec.chaos.events: leaderKill.leader is known by a metric of the simulation where left out: set its lease, label or query"),
    validation = Rule::new("!has(self.workload.existing) || self.criteria.all(c, [has(c.growth) && has(c.growth.signal) && c.growth.signal == 'Tasks', has(c.trend) && has(c.trend.signal) && c.trend.signal == 'Tasks', has(c.delta) && has(c.delta.signal) && c.delta.signal == 'Tasks'].all(tasks, !tasks))")
        .message("spec.criteria: signal Tasks is a metric of the simulation: set query to one of your own, such as go_goroutines or jvm_threads_live_threads")
)]
#[serde(rename_all = "camelCase")]
pub struct SoakTestSpec {
    /// The judged window, such as 6h: from the end of warm-up.
    #[schemars(schema_with = "positive_span")]
    pub duration: Span,
    /// How long the workload, and each pod that starts later, takes to reach its steady state; not judged.
    #[serde(default = "ten_minutes")]
    pub warm_up: Span,
    /// How long the workload is given after the window to recover and to drain, before it is judged.
    #[serde(default = "two_minutes")]
    pub settle: Span,
    /// The SoakTest is Completed by then, counted from its start, whatever happens. The sum of warmUp, duration and
    /// settle and 30m where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Fixes the chaos plan: the same seed gives the same instants, kinds and draws. Drawn once and kept in the status
    /// where left out.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// What is soaked.
    pub workload: Workload,
    /// What is done to its pods; none where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chaos: Option<Chaos>,
    /// Where its signals come from.
    #[serde(default)]
    pub metrics: Metrics,
    /// What it is held to, beside health and evidence, which are always judged.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub criteria: Vec<Criterion>,
    /// What is kept afterwards.
    #[serde(default)]
    pub cleanup: Cleanup,
    /// Stops chaos; time runs on, and what was not injected counts as not injected.
    #[serde(default)]
    pub suspend: bool,
    /// Ends the soak now, with the outcome Aborted.
    #[serde(default)]
    pub abort: bool,
}

/// Where signals come from and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// The Prometheus that scrapes the workload; the operator's own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// How often the workload is scraped.
    #[schemars(schema_with = "positive_span")]
    #[serde(default = "fifteen_seconds")]
    pub step: Span,
}

/// A Prometheus server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Such as `http://prometheus.monitoring:9090`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''").message("use the address of a Prometheus server, such as http://prometheus.monitoring:9090"))]
    pub url: String,
}

/// What is kept after a SoakTest has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    /// What becomes of the workload that the soak has deployed; one that was there before is always left as it is.
    #[serde(default)]
    pub workload: WorkloadCleanup,
}

/// What becomes of the workload once the soak has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadCleanup {
    /// It is deleted.
    #[default]
    Delete,
    /// It is left running, until the SoakTest is deleted.
    Keep,
    /// It is deleted if the soak Passed, and left running otherwise.
    KeepOnFailure,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            prometheus: None,
            step: fifteen_seconds(),
        }
    }
}

/// A span that is not zero.
pub(crate) fn positive_span(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 20,
        "x-kubernetes-validations": [
            {"rule": concat!("self.matches(", span!(), ")"), "message": "use h, m, s: 168h, not 7d"},
            {"rule": concat!("!self.matches(", span!(), ") || duration(self) > duration('0s')"), "message": "must be longer than 0s"},
        ]
    })
}

fn ten_minutes() -> Span {
    Span::from_seconds(600)
}

fn two_minutes() -> Span {
    Span::from_seconds(120)
}

fn fifteen_seconds() -> Span {
    Span::from_seconds(15)
}
