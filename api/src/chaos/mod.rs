//! What is done to the workload. Each event is a file of its own and a line in the list below.

mod evict;
mod leader_kill;
mod network_partition;
mod pod_crash;
mod pod_kill;
mod pod_restart;
mod rollout;
mod scale;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

pub use evict::Evict;
pub use leader_kill::{Leader, LeaderKill};
pub use network_partition::NetworkPartition;
pub use pod_crash::{CrashEndpoint, PodCrash};
pub use pod_kill::PodKill;
pub use pod_restart::PodRestart;
pub use rollout::Rollout;
pub use scale::{Change, Scale};

/// Names with commas between them.
macro_rules! list {
    ($first:literal $(, $name:literal)*) => {
        concat!($first $(, ", ", $name)*)
    };
}

/// The kinds of events: the entry in the spec, of whose kinds exactly one is set, and the checked form.
macro_rules! events {
    ($($(#[$doc:meta])* $field:ident, $name:literal, $kind:ident;)+) => {
        /// One kind of event, and how often and when it comes. Exactly one kind is set.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
        #[x_kube(
            validation = Rule::new(concat!("[", $("has(self.", $name, "), ",)+ "].filter(x, x).size() == 1"))
                .message(concat!("set exactly one of ", list!($($name),+), " in each event")),
            validation = Rule::new("!has(self.every) || !has(self.weight)")
                .message("an event with every keeps a cadence of its own and is not drawn: leave weight out")
        )]
        #[serde(rename_all = "camelCase")]
        pub struct ChaosEvent {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$kind>,
            )+
            /// How often it is drawn, against the weights of the others; 1 where left out.
            #[schemars(range(min = 1, max = 1_000))]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub weight: Option<u32>,
            /// Instead of being drawn: this long after `guard.startAfter`, and then again and again.
            #[x_kube(validation = Rule::new(concat!("!self.matches(", span!(), ") || duration(self) >= duration('1s')")).message("every must be at least 1s"))]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub every: Option<Span>,
            /// Pods that are younger than this are not hit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub min_age: Option<Span>,
            /// So many of these at most; later it is drawn no more.
            #[schemars(range(min = 1, max = 1_000_000))]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub max_events: Option<u32>,
        }

        /// The rule that an event `e` is about a component of the simulation, in CEL.
        pub(crate) const IS_OF_SIMULATION: &str =
            concat!($("(!has(e.", $name, ") || e.", $name, ".component in ['worker', 'producer']) && ",)+ "true");

        /// The rule that an event `e` is about one of the Deployments that are there, in CEL.
        pub(crate) const IS_OF_EXISTING: &str = concat!(
            $("(!has(e.", $name, ") || self.workload.existing.deployments.exists(d, d.name == e.", $name, ".component)) && ",)+
            "true"
        );

        /// An event whose kind is known.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ChaosKind {
            $(
                $(#[$doc])*
                $kind($kind),
            )+
        }

        /// An event that admission should have refused.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("spec.chaos.events[{index}]: set exactly one of {}", list!($($name),+))]
        pub struct InvalidChaos {
            /// Its place in the list, from 0.
            pub index: usize,
        }

        impl ChaosEvent {
            /// The one kind that is set; `None` where none or several are.
            pub fn kind(&self) -> Option<ChaosKind> {
                let mut kinds = [$(self.$field.clone().map(ChaosKind::$kind)),+].into_iter().flatten();
                kinds.next().filter(|_| kinds.next().is_none())
            }
        }

        impl ChaosKind {
            /// The kind's name, as in the spec.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                }
            }

            /// The component that it hits.
            pub fn component(&self) -> &str {
                match self {
                    $(Self::$kind(event) => &event.component,)+
                }
            }
        }
    };
}

events! {
    /// Kills a pod.
    pod_kill, "podKill", PodKill;
    /// Restarts a pod with a grace period.
    pod_restart, "podRestart", PodRestart;
    /// Crashes the process in a pod.
    pod_crash, "podCrash", PodCrash;
    /// Kills the leader.
    leader_kill, "leaderKill", LeaderKill;
    /// Evicts a pod, as draining its node would.
    evict, "evict", Evict;
    /// Scales a component, and scales it back.
    scale, "scale", Scale;
    /// Replaces all pods of a component.
    rollout, "rollout", Rollout;
    /// Cuts a pod off from the network for a while.
    network_partition, "networkPartition", NetworkPartition;
}

/// The seeded schedule of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.interval) || self.events.all(e, has(e.every))")
        .message("spec.chaos.interval is the pause between events that are drawn: set it, or give every event an every of its own"),
    validation = Rule::new("!has(self.interval) || self.events.exists(e, !has(e.every))")
        .message("spec.chaos.interval is the pause between events that are drawn, and every event here has an every of its own: leave interval out")
)]
#[serde(rename_all = "camelCase")]
pub struct Chaos {
    /// The pause between the instants of two events that are drawn, itself drawn evenly.
    #[x_kube(validation = Rule::new(concat!("!self.min.matches(", span!(), ") || duration(self.min) >= duration('1s')")).message("spec.chaos.interval.min must be at least 1s"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<SpanRange>,
    /// When events are refused rather than done.
    #[serde(default)]
    pub guard: Guard,
    /// Record what would have been done, with its pod, and do nothing. Such a soak proves nothing and cannot pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What happens: drawn by weight, or at a cadence of its own.
    #[schemars(length(min = 1, max = 32))]
    pub events: Vec<ChaosEvent>,
}

/// When events are refused rather than done.
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
    /// Begin an event although a component has not recovered from the last: up to eight at once, as far as
    /// minReadyPercent allows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overlap: bool,
    /// A component that is not ready again this long after an event fails the soak's health.
    #[schemars(schema_with = "crate::soaktest::positive_span")]
    #[serde(default = "five_minutes")]
    pub recovery_timeout: Span,
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
    /// The kinds of the events, or the first event that sets none or several.
    pub fn kinds(&self) -> Result<Vec<ChaosKind>, InvalidChaos> {
        let kinds = self.events.iter().enumerate();
        kinds
            .map(|(index, event)| event.kind().ok_or(InvalidChaos { index }))
            .collect()
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            min_ready_percent: half(),
            start_after: one_minute(),
            overlap: false,
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
