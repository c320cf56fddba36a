//! What is done to the workload's pods. Each event is a file of its own.

mod pod_kill;
mod pod_restart;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

pub use pod_kill::PodKill;
pub use pod_restart::PodRestart;

/// The seeded schedule of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chaos {
    /// The pause between the instants of two events, drawn evenly.
    #[x_kube(validation = Rule::new(concat!("!self.min.matches(", span!(), ") || duration(self.min) >= duration('1s')")).message("spec.chaos.interval.min must be at least 1s"))]
    pub interval: SpanRange,
    /// When events are refused rather than done.
    #[serde(default)]
    pub guard: Guard,
    /// What is drawn from, by weight.
    #[schemars(length(min = 1, max = 32))]
    pub events: Vec<ChaosEvent>,
}

/// When events are refused rather than done. One event at a time, and none before the component has recovered from the
/// last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// An event is refused if it would leave fewer pods of its component ready than this percentage of those planned.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "half")]
    pub min_ready_percent: u8,
    /// No event in this first part of the judged window, so that there is a settled level to compare with.
    #[serde(default = "one_minute")]
    pub start_after: Span,
    /// A component that is not ready again this long after an event fails the soak's health.
    #[schemars(schema_with = "crate::soaktest::positive_span")]
    #[serde(default = "five_minutes")]
    pub recovery_timeout: Span,
}

/// One kind of event and how often it is drawn. Exactly one kind is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.podKill), has(self.podRestart)].filter(x, x).size() == 1").message("set exactly one of podKill, podRestart in each event"))]
#[serde(rename_all = "camelCase")]
pub struct ChaosEvent {
    /// Kills a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_kill: Option<PodKill>,
    /// Restarts a pod with a grace period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_restart: Option<PodRestart>,
    /// How often it is drawn, against the weights of the others.
    #[schemars(range(min = 1, max = 1_000))]
    #[serde(default = "once")]
    pub weight: u32,
}

/// An event whose kind is known.
#[derive(Clone, Debug, PartialEq)]
pub enum ChaosKind {
    /// See [`PodKill`].
    PodKill(PodKill),
    /// See [`PodRestart`].
    PodRestart(PodRestart),
}

/// An event that admission should have refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.chaos.events[{index}]: set exactly one of podKill, podRestart")]
pub struct InvalidChaos {
    /// Its place in the list, from 0.
    pub index: usize,
}

/// A stretch of lengths of time to draw from, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(concat!("!self.min.matches(", span!(), ") || !self.max.matches(", span!(), ") || duration(self.min) <= duration(self.max)")).message("min must not be longer than max"))]
#[serde(rename_all = "camelCase")]
pub struct SpanRange {
    /// The shortest.
    pub min: Span,
    /// The longest.
    pub max: Span,
}

impl Chaos {
    /// The events with their kinds and weights, or the first that sets none or several.
    pub fn kinds(&self) -> Result<Vec<(ChaosKind, u32)>, InvalidChaos> {
        self.events
            .iter()
            .enumerate()
            .map(
                |(index, event)| match (&event.pod_kill, &event.pod_restart) {
                    (Some(kill), None) => Ok((ChaosKind::PodKill(kill.clone()), event.weight)),
                    (None, Some(restart)) => {
                        Ok((ChaosKind::PodRestart(restart.clone()), event.weight))
                    }
                    _ => Err(InvalidChaos { index }),
                },
            )
            .collect()
    }
}

impl ChaosKind {
    /// The kind's name, as in the spec.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PodKill(_) => "podKill",
            Self::PodRestart(_) => "podRestart",
        }
    }

    /// The component that it hits.
    pub fn component(&self) -> &str {
        match self {
            Self::PodKill(kill) => &kill.component,
            Self::PodRestart(restart) => &restart.component,
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            min_ready_percent: half(),
            start_after: one_minute(),
            recovery_timeout: five_minutes(),
        }
    }
}

fn half() -> u8 {
    50
}

fn one_minute() -> Span {
    Span::from_seconds(60)
}

fn five_minutes() -> Span {
    Span::from_seconds(300)
}

fn once() -> u32 {
    1
}
