//! The answer to one criterion.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wording::{bytes, seconds};

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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesGrowth {
    /// What it is the growth of: a pod's name, or label values such as `consume`.
    pub name: String,
    /// Growth over the soak's duration in the signal's unit.
    pub growth: f64,
    /// Its 95 % interval, where one can be had.
    pub interval: Option<Interval>,
}

/// What a signal does over time, as far as the data tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Course {
    /// It stays where it is.
    Flat,
    /// It goes up evenly.
    Growing,
    /// It goes down evenly.
    Shrinking,
    /// It goes up faster and faster, or began to go up.
    Accelerating,
    /// It goes up slower and slower, or stopped going up.
    Saturating,
    /// It changed its level once.
    Stepwise,
    /// It comes and goes.
    Periodic,
}

/// When a pod reaches its memory limit if growth goes on as it is, in seconds after the window's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// The limit, in bytes.
    pub limit_bytes: f64,
    /// The likeliest; `None` where it does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The soonest, by the upper end of growth's 95 % interval; `None` where even that does not grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soonest_seconds: Option<f64>,
    /// The latest, by the lower end; `None` where it may not grow at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_seconds: Option<f64>,
}

/// The answer to one criterion, with the evidence it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// What each kind of chaos event leaves in the mean pod that survives it, in the signal's unit, the largest first,
    /// at most five.
    pub per_event: Vec<SeriesGrowth>,
    /// What the signal does over time; `None` where it is not about growth.
    pub course: Option<Course>,
    /// When a pod reaches its memory limit; `None` where there is no limit, or the signal is another.
    pub reach: Option<Reach>,
    /// How long a soak's window would have to be to decide what this one could not, in seconds; `None` where it did
    /// decide, or no length can be named.
    pub decided_after_seconds: Option<f64>,
    /// What was left out and why, in plain words.
    pub excluded: Vec<String>,
    /// One sentence that a person understands, with the numbers and, when Inconclusive, what would decide it.
    pub sentence: String,
}

impl Outcome {
    /// What several outcomes come to together: Failed if any is, else Inconclusive if any is, else Passed. Nothing at
    /// all is Inconclusive, for an unknown is never a pass.
    pub fn worst(outcomes: impl IntoIterator<Item = Self>) -> Self {
        outcomes.into_iter().max().unwrap_or(Self::Inconclusive)
    }

    /// The outcome of an upper limit: what is not known is Inconclusive.
    pub(crate) fn at_most(interval: Option<Interval>, limit: f64) -> Self {
        match interval {
            Some(interval) if interval.high <= limit => Self::Passed,
            Some(interval) if interval.low > limit => Self::Failed,
            _ => Self::Inconclusive,
        }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Growing => "growing",
            Self::Shrinking => "shrinking",
            Self::Accelerating => "accelerating",
            Self::Saturating => "saturating",
            Self::Stepwise => "stepwise",
            Self::Periodic => "periodic",
        })
    }
}

/// Such as `a pod reaches its limit of 512 MiB in 3d 4h (2d 6h to 5d)`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = bytes(self.limit_bytes);
        let Some(likeliest) = self.seconds else {
            return write!(f, "no pod is on its way to its limit of {limit}");
        };
        write!(
            f,
            "a pod reaches its limit of {limit} in {}",
            seconds(likeliest)
        )?;
        let soonest = self.soonest_seconds.map_or("-".to_owned(), seconds);
        match self.latest_seconds {
            Some(latest) => write!(f, " ({soonest} to {})", seconds(latest)),
            None => write!(f, " ({soonest} at the soonest, perhaps never)"),
        }
    }
}

impl Interval {
    /// The interval of a value that is known exactly.
    pub(crate) fn exactly(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }
}

impl Judgement {
    /// A judgement of nothing but the reason why there is none.
    pub(crate) fn inconclusive(sentence: String) -> Self {
        Self {
            outcome: Outcome::Inconclusive,
            component: None,
            estimate: None,
            interval: None,
            limit: 0.0,
            unit: "",
            samples: 0,
            incarnations: 0,
            worst_pods: Vec::new(),
            contributions: Vec::new(),
            per_event: Vec::new(),
            course: None,
            reach: None,
            decided_after_seconds: None,
            excluded: Vec::new(),
            sentence,
        }
    }

    /// A run on which nothing can be judged, and why.
    pub(crate) fn unjudged(problem: &str) -> Self {
        Self::inconclusive(format!("the run cannot be judged: {problem}."))
    }

    /// Never a pass where data may be missing, and says so.
    pub(crate) fn doubted_for(self, gaps: &[String]) -> Self {
        if gaps.is_empty() || self.outcome == Outcome::Failed {
            return self;
        }
        Self {
            outcome: Outcome::Inconclusive,
            sentence: format!(
                "{} The data may be incomplete: {}.",
                self.sentence,
                gaps.join("; ")
            ),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{self, Failed, Inconclusive, Passed};

    #[test]
    fn one_failure_fails_all() {
        assert_eq!(Outcome::worst([Passed, Failed, Inconclusive]), Failed);
    }

    #[test]
    fn one_unknown_is_never_a_pass() {
        assert_eq!(Outcome::worst([Passed, Inconclusive, Passed]), Inconclusive);
        assert_eq!(Outcome::worst([Passed, Passed]), Passed);
    }

    #[test]
    fn nothing_judged_is_not_a_pass() {
        assert_eq!(Outcome::worst([]), Inconclusive);
    }
}
