//! The answer to one criterion.

use serde::{Deserialize, Serialize};

/// What a criterion, or a whole soak, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Outcome {
    /// The whole interval of what was measured lies at or under the limit.
    Passed,
    /// It could not be measured well enough to say; never to be read as a pass.
    Inconclusive,
    /// The whole interval lies above the limit.
    Failed,
}

/// A two-sided 95 % interval in the unit of its estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The growth of one part of the signal, for the table of worst pods or of components by contribution.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesGrowth {
    /// What it is the growth of: a pod's name, or label values such as `consume`.
    pub name: String,
    /// Growth over the soak's duration in the signal's unit.
    pub growth: f64,
    /// Its 95 % interval, where one can be had.
    pub interval: Option<Interval>,
}

/// The answer to one criterion, with the evidence it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer.
    pub outcome: Outcome,
    /// The component that decided it, where components are judged apart.
    pub component: Option<String>,
    /// What was measured, in `unit`.
    pub estimate: Option<f64>,
    /// Its interval, in `unit`.
    pub interval: Option<Interval>,
    /// What it is held against, in `unit`.
    pub limit: f64,
    /// `%`, `tasks`, `bytes`, or empty for a query's own unit.
    pub unit: &'static str,
    /// How many samples were judged.
    pub samples: usize,
    /// How many incarnations were judged.
    pub incarnations: usize,
    /// The pods that grew most, worst first, at most five.
    pub worst_pods: Vec<SeriesGrowth>,
    /// The parts of the signal by label value, by contribution, at most ten; empty where series carry no labels.
    pub contributions: Vec<SeriesGrowth>,
    /// What was left out and why, in plain words.
    pub excluded: Vec<String>,
    /// One sentence that a person understands, with the numbers and, when Inconclusive, what would decide it.
    pub sentence: String,
}
