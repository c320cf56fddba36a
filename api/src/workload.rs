//! What is soaked.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

use crate::SpanRange;

/// The leak modes that go by the clock, as a CEL list.
macro_rules! paced {
    () => {
        "['ProducerTicker', 'PiledTimers', 'SlowDrip']"
    };
}

/// What is soaked. Exactly one kind is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.simulation) != has(self.existing)")
        .message("set exactly one of simulation, existing")
)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The built-in workload: producers and workers of a partitioned work system on NATS JetStream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Simulation>,
    /// Deployments in the SoakTest's namespace that are there before it and stay after it. None of them is ever changed: what
    /// is hit are their pods, and only those that agree to it by two labels of their pod template:
    /// `soak-operator.io/soaktest` with the SoakTest's name and `soak-operator.io/component` with the Deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
}

/// A workload whose kind is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WorkloadKind<'a> {
    /// The built-in workload.
    Simulation(&'a Simulation),
    /// What is there already.
    Existing(&'a Existing),
}

impl Workload {
    /// The one kind that is set; `None` where none or both are, which admission refuses.
    pub fn kind(&self) -> Option<WorkloadKind<'_>> {
        match (&self.simulation, &self.existing) {
            (Some(simulation), None) => Some(WorkloadKind::Simulation(simulation)),
            (None, Some(existing)) => Some(WorkloadKind::Existing(existing)),
            _ => None,
        }
    }
}

/// Deployments that are there before the SoakTest and stay after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Existing {
    /// Which. Each is a component of its own name.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub deployments: Vec<ExistingDeployment>,
    /// How long work goes on moving between pods once all are ready again after an event: levels of that time are not
    /// compared.
    #[serde(default = "half_a_minute")]
    pub cooldown: Span,
}

/// A Deployment that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExistingDeployment {
    /// Its name, by which events and results call the component.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("use the name of a Deployment, of at most 63 lower case letters, digits and dashes"))]
    pub name: String,
    /// How many pods it has. The soak waits for just as many before it begins.
    #[schemars(range(min = 1, max = 500))]
    pub replicas: u32,
}

/// Producers publish numbered messages to partitions, workers own partitions and take over from each other, and a
/// ledger counts what was lost or done twice. The operator deploys a NATS server for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.weights.distribution != 'Exponential' || double(self.messageRate) * (has(self.weights.extremeWeight) ? double(self.weights.extremeWeight) : 100.0) <= 1000.0")
        .message("the heaviest partitions are published messageRate times weights.extremeWeight (100 where left out) messages a second, and may be at most 1000: lower one of the two")
)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// How many partitions the work is split into.
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: u32,
    /// Messages a second published to a partition of weight 1, from 0.01 to 1000.
    #[x_kube(validation = Rule::new("double(self) >= 0.01 && double(self) <= 1000.0").message("messageRate must be from 0.01 to 1000 messages a second"))]
    #[serde(default = "one")]
    pub message_rate: f64,
    /// The least size of a message in bytes; as small as can be, some 50, where left out.
    #[schemars(range(min = 64, max = 65_536))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<u32>,
    /// How heavy partitions are: a partition of weight 3 has three times the messages of one of weight 1.
    #[serde(default)]
    pub weights: Weights,
    /// How partitions are shared out among workers.
    #[serde(default)]
    pub assignment: Assignment,
    /// The pods that own partitions and process their messages: the component `worker`.
    pub workers: Workers,
    /// The pods that publish: the component `producer`.
    pub producers: Producers,
    /// A leak to switch on, as ground truth for demos and tests.
    #[serde(default)]
    pub leak: Leak,
}

/// How heavy partitions are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.distribution == 'Exponential' || !(has(self.extremeSharePercent) || has(self.extremeWeight))")
        .message("extremeSharePercent and extremeWeight are about distribution: Exponential: set it, or leave them out")
)]
#[serde(rename_all = "camelCase")]
pub struct Weights {
    /// How weights are spread.
    #[serde(default)]
    pub distribution: Distribution,
    /// How many percent of the partitions are extreme; 5 where left out.
    #[x_kube(validation = Rule::new("double(self) >= 0.0 && double(self) <= 100.0").message("extremeSharePercent must be from 0 to 100"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extreme_share_percent: Option<f64>,
    /// What an extreme partition weighs, and at most what any other does; 100 where left out.
    #[x_kube(validation = Rule::new("double(self) >= 1.0 && double(self) <= 1000.0").message("extremeWeight must be from 1 to 1000"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extreme_weight: Option<f64>,
}

/// How weights are spread over partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Distribution {
    /// Every partition weighs 1.
    #[default]
    Uniform,
    /// A few partitions are extreme, the others exponential with a mean of 1.
    Exponential,
}

/// How partitions are shared out among workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Assignment {
    /// By consistent hashing: a worker that goes takes only its own partitions along. Blind to weights.
    #[default]
    ConsistentHash,
    /// By consistent hashing with bounded loads: no worker has more than 15 % above the fairest share by weight. A worker
    /// that goes takes its own partitions along, and moves a few others.
    WeightedConsistentHash,
    /// In turn: even by number, but nearly all partitions move when a worker comes or goes.
    RoundRobin,
}

/// The pods that own partitions and process their messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// How many.
    #[schemars(range(min = 1, max = 500))]
    pub replicas: u32,
    /// How long a worker takes for a message, drawn evenly.
    #[serde(default = "some_milliseconds")]
    pub processing_delay: SpanRange,
    /// The image of the worker; the operator's own where left out.
    #[schemars(length(min = 1, max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// The pods that publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Producers {
    /// How many.
    #[schemars(range(min = 1, max = 500))]
    pub replicas: u32,
    /// The image of the producer; the operator's own where left out.
    #[schemars(length(min = 1, max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// A leak to switch on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(concat!("!has(self.every) || self.mode in ", paced!()))
        .message(concat!("every is for the leaks that go by the clock, ", paced!(), ": leave it out, this one goes by what happens"))
)]
#[serde(rename_all = "camelCase")]
pub struct Leak {
    /// Which.
    #[serde(default)]
    pub mode: LeakMode,
    /// How often ProducerTicker, PiledTimers and SlowDrip leave something behind, from 10ms; every 5s, 500ms and 1m where
    /// left out. The others leave something behind whenever what they wait for happens.
    #[x_kube(validation = Rule::new(concat!("!self.matches(", span!(), ") || duration(self) >= duration('10ms')")).message("every must be at least 10ms"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
}

/// The leaks that the simulation can recreate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LeakMode {
    /// No leak.
    #[default]
    None,
    /// Each partition that an assignment takes away from a worker leaves its pull loop blocked for ever: a task and 64 KiB.
    OrphanedPullLoop,
    /// Each assignment starts a worker's follower of assignments once more: a task.
    UnguardedStart,
    /// Each assignment starts the pull loops of partitions that a worker keeps once more: a task and 4 KiB each.
    ConsumeLoopPerRestart,
    /// Each worker that comes or goes leaves a monitor behind in every other: a task and 8 KiB.
    MonitorPerProcessEvent,
    /// Each partition that a worker takes over leaves a durable consumer behind in NATS.
    OrphanedConsumers,
    /// Each partition that an assignment takes away from a worker leaves its buffer behind: 256 KiB and no task.
    KeptBuffers,
    /// A producer leaves a ticker behind every now and then: a task.
    ProducerTicker,
    /// A worker sets a timer every now and then and never cancels it: 2 KiB and no task.
    PiledTimers,
    /// A worker leaves something behind once a minute, whatever happens: a task and 16 KiB.
    SlowDrip,
}

impl LeakMode {
    /// Whether it leaks by the clock, so that `every` sets its pace.
    pub fn is_paced(self) -> bool {
        paced!().contains(&format!("'{self}'"))
    }
}

/// The names that users write and the simulation's programs take.
macro_rules! display_as_written {
    ($($name:ident),+) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self:?}")
            }
        })+
    };
}

display_as_written!(LeakMode, Distribution, Assignment);

fn one() -> f64 {
    1.0
}

fn half_a_minute() -> Span {
    Span::from_seconds(30)
}

fn some_milliseconds() -> SpanRange {
    SpanRange {
        min: Span::from_milliseconds(10),
        max: Span::from_milliseconds(50),
    }
}
