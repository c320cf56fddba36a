//! What was observed in one soak, as far as one criterion needs it.

use std::collections::BTreeMap;

/// One measured value. `t` is in seconds since the Unix epoch, as scraped; `v` is in the signal's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Seconds since the Unix epoch.
    pub t: f64,
    /// The value; NaN and infinities are allowed here and left out, and counted, by the judges.
    pub v: f64,
}

/// The samples of one series during one incarnation of a pod: from one start of its container to its end.
///
/// A pod that restarts its container, or one that comes back under its old name, is a new incarnation.
#[derive(Clone, Debug, PartialEq)]
pub struct IncarnationSeries {
    /// The workload component that the pod belongs to, such as `worker`.
    pub component: String,
    /// The pod's name.
    pub pod: String,
    /// Counts up for each start of a container under the same pod name, from 1.
    pub incarnation: u32,
    /// When the incarnation started, in seconds since the Unix epoch.
    pub started_at: f64,
    /// When it was gone or its removal was asked for, whichever was first; `None` while it lives.
    pub ended_at: Option<f64>,
    /// Labels that tell series of one incarnation apart, such as `component=consume` of a task gauge.
    pub labels: BTreeMap<String, String>,
    /// In time order, though the judges sort and deduplicate again.
    pub samples: Vec<Sample>,
}

/// A component of the workload, as planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name, such as `worker`.
    pub name: String,
    /// How many pods it is meant to have.
    pub replicas: u32,
    /// The memory at which one of its containers is killed, in bytes, where there is such a limit.
    pub memory_limit_bytes: Option<f64>,
}

/// One chaos event that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct ChaosEvent {
    /// When it was carried out, in seconds since the Unix epoch.
    pub at: f64,
    /// When its component was back at its planned replicas, all ready; `None` if never seen.
    pub recovered_at: Option<f64>,
    /// When it was undone, in seconds since the Unix epoch, where it lasts for a while: recovery begins only then.
    pub undone_at: Option<f64>,
    /// Whether its recovery says anything: not where it was never seen to happen, however much it may have disturbed.
    pub tells_recovery: bool,
    /// Such as `podKill`.
    pub kind: String,
    /// The component that was hit.
    pub component: String,
    /// The pod that was hit.
    pub pod: String,
}

/// A stretch of time in seconds since the Unix epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its first instant.
    pub start: f64,
    /// Its last instant.
    pub end: f64,
}

/// Everything that one criterion is judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The judged window: from the end of warm-up, `duration` long.
    pub window: Window,
    /// When the settle phase ended; the settle window is `window.end..=settle_end`.
    pub settle_end: f64,
    /// How long each incarnation takes to warm up, in seconds; nothing before is judged.
    pub warm_up_seconds: f64,
    /// The expected distance of two samples of one series, in seconds.
    pub step_seconds: f64,
    /// How long a workload keeps moving work around after a component is ready again, in seconds: the stretch from a
    /// chaos event to this long after its recovery is not a settled level and is left out of growth.
    pub cooldown_seconds: f64,
    /// The components that the criterion is about.
    pub components: Vec<Component>,
    /// The observed series, split by incarnation.
    pub series: Vec<IncarnationSeries>,
    /// The load of the same incarnations, split as the series are, where a criterion names one; several of one
    /// incarnation are added up. Ignored where none does.
    pub load: Vec<IncarnationSeries>,
    /// The chaos events that were carried out, of every component, in time order.
    pub events: Vec<ChaosEvent>,
    /// What was left out of it beforehand and why, in plain words; told, and no reason against Passed.
    pub left_out: Vec<String>,
    /// Why the data may be incomplete, in plain words, such as a partial response; any entry rules out Passed.
    pub gaps: Vec<String>,
}

impl Run {
    /// Why nothing can be judged on this run, in plain words.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let window = self.window;
        let length = window.end - window.start;
        if !(length.is_finite() && length > 0.0) {
            Some("its window has no length")
        } else if !(self.step_seconds.is_finite() && self.step_seconds > 0.0) {
            Some("the step of its samples is not known")
        } else if !(self.warm_up_seconds.is_finite() && self.settle_end.is_finite()) {
            Some("its phases are not known")
        } else if self.cooldown_seconds.is_nan() {
            Some("how long the workload takes to settle is not known")
        } else {
            None
        }
    }
}
