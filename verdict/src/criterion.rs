//! What a soak is held to: the criteria as users write them, and the checked form that the judges take.
//!
//! The wire form is a struct of options, exactly one of which is set, because a flattened enum gives an API server
//! schema whose error messages name neither field nor fix. [`CriterionKind`] is what everything inside works with.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schemars")]
use serde_json::json;

use crate::quantity::Quantity;
use crate::selector::Selector;

/// What a criterion is told that measures nothing or two things.
macro_rules! one_measure {
    ($kind:literal) => {
        concat!(
            $kind,
            " needs exactly one thing to measure: set either signal or query"
        )
    };
}

/// One thing that the soak is held to. Exactly one of its kinds is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-validations" = [json!({
    "rule": "[has(self.growth), has(self.trend), has(self.increase), has(self.threshold), has(self.delta), has(self.recovery)].filter(x, x).size() == 1",
    "message": "set exactly one of growth, trend, increase, threshold, delta, recovery in each criterion"
}), json!({
    "rule": "!has(self.failFast) || !self.failFast || !has(self.delta)",
    "message": "delta is about the end of the soak and cannot fail fast: leave failFast out of this criterion"
})])))]
#[serde(rename_all = "camelCase")]
pub struct Criterion {
    /// A name for reports, unique in the list: lower case letters, digits and dashes.
    #[cfg_attr(
        feature = "schemars",
        schemars(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
        )
    )]
    pub name: String,
    /// End the soak as soon as this has surely failed, instead of going on to the end of the duration. The soak is looked
    /// at eight times while it runs, and each look has to be so sure that all of them together fail at most one of two
    /// hundred soaks that are just at their limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// How much a signal may grow over the soak's duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
    /// How much a signal may grow over a horizon if it goes on as it does at the end of the soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// How much a counter may count during the soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increase: Option<Increase>,
    /// A bound that the values of a query stay within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// How near a signal comes back to where it was before the chaos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// How fast the workload is whole again after a chaos event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

/// A criterion whose kind is known.
#[derive(Clone, Debug, PartialEq)]
pub enum CriterionKind {
    /// See [`Growth`].
    Growth(Measured, Growth),
    /// See [`Trend`].
    Trend(Measured, Trend),
    /// See [`Increase`].
    Increase(Increase),
    /// See [`Threshold`].
    Threshold(Threshold),
    /// See [`Delta`].
    Delta(Measured, Delta),
    /// See [`Recovery`].
    Recovery(Recovery),
}

/// What is measured in every pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A named preset.
    Signal(Signal),
    /// A query of the user's own: a plain selector, or any other expression that yields series with a label `pod`.
    Query(String),
}

impl Measured {
    /// `tasks`, `bytes`, or empty for a query's own unit: of that nothing is known but what a metric's name says by
    /// convention.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Signal(Signal::Tasks) => "tasks",
            Self::Signal(Signal::Memory) => "bytes",
            Self::Query(query) => match Selector::of(query).and_then(|selector| selector.name()) {
                Some(name) if name.ends_with("_bytes") => "bytes",
                _ => "",
            },
        }
    }

    /// The one that is set; `problem` where none or both are.
    fn one_of(
        signal: Option<Signal>,
        query: Option<&String>,
        problem: &'static str,
    ) -> Result<Self, &'static str> {
        match (signal, query) {
            (Some(signal), None) => Ok(Self::Signal(signal)),
            (None, Some(query)) => Ok(Self::Query(query.clone())),
            _ => Err(problem),
        }
    }
}

/// What a criterion is judged on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'c> {
    /// What is measured in every pod.
    Pods(&'c Measured),
    /// The series of a plain selector of counters.
    Counter(&'c str),
    /// The answer to an expression.
    Query(&'c str),
    /// The chaos events and their recoveries.
    Events,
}

impl CriterionKind {
    /// Such as `growth`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Growth(..) => "growth",
            Self::Trend(..) => "trend",
            Self::Increase(_) => "increase",
            Self::Threshold(_) => "threshold",
            Self::Delta(..) => "delta",
            Self::Recovery(_) => "recovery",
        }
    }

    /// The load that growth is judged at, where one is named.
    pub fn per(&self) -> Option<&str> {
        match self {
            Self::Growth(_, Growth { per, .. }) | Self::Trend(_, Trend { per, .. }) => {
                per.as_deref()
            }
            Self::Increase(_) | Self::Threshold(_) | Self::Delta(..) | Self::Recovery(_) => None,
        }
    }

    /// What has to be observed to judge it.
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Growth(of, _) | Self::Trend(of, _) | Self::Delta(of, _) => Source::Pods(of),
            Self::Increase(increase) => Source::Counter(&increase.query),
            Self::Threshold(threshold) => Source::Query(&threshold.query),
            Self::Recovery(_) => Source::Events,
        }
    }
}

/// A criterion that admission should have refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("criterion {name}: {problem}")]
pub struct InvalidCriterion {
    /// The criterion's name.
    pub name: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl Criterion {
    /// The one kind that is set, or an error that names the fix where none or several are, or where it measures nothing
    /// or two things.
    pub fn kind(&self) -> Result<CriterionKind, InvalidCriterion> {
        let mut kinds = [
            self.growth.as_ref().map(Growth::kind),
            self.trend.as_ref().map(Trend::kind),
            self.increase
                .clone()
                .map(|increase| Ok(CriterionKind::Increase(increase))),
            self.threshold
                .clone()
                .map(|threshold| Ok(CriterionKind::Threshold(threshold))),
            self.delta.as_ref().map(Delta::kind),
            self.recovery
                .clone()
                .map(|recovery| Ok(CriterionKind::Recovery(recovery))),
        ]
        .into_iter()
        .flatten();
        let kind = match (kinds.next(), kinds.next()) {
            (Some(Ok(CriterionKind::Delta(..))), None) if self.fail_fast => {
                Err("delta is about the end of the soak and cannot fail fast: leave failFast out")
            }
            (Some(kind), None) => kind,
            _ => Err("set exactly one of growth, trend, increase, threshold, delta, recovery"),
        };
        kind.map_err(|problem| InvalidCriterion {
            name: self.name.clone(),
            problem: problem.to_owned(),
        })
    }
}

impl Growth {
    /// The checked form, or what is wrong with it.
    pub(crate) fn kind(&self) -> Result<CriterionKind, &'static str> {
        let of = Measured::one_of(self.signal, self.query.as_ref(), one_measure!("growth"))?;
        Ok(CriterionKind::Growth(of, self.clone()))
    }
}

impl Trend {
    /// The checked form, or what is wrong with it.
    pub(crate) fn kind(&self) -> Result<CriterionKind, &'static str> {
        let of = Measured::one_of(self.signal, self.query.as_ref(), one_measure!("trend"))?;
        Ok(CriterionKind::Trend(of, self.clone()))
    }
}

impl Delta {
    /// The checked form, or what is wrong with it.
    pub(crate) fn kind(&self) -> Result<CriterionKind, &'static str> {
        let of = Measured::one_of(self.signal, self.query.as_ref(), one_measure!("delta"))?;
        Ok(CriterionKind::Delta(of, self.clone()))
    }
}

/// A named preset of what is measured in every pod. Exactly one of signal and query is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Signal {
    /// Tasks alive in the process: goroutines, threads, futures, whatever the runtime counts.
    Tasks,
    /// Resident memory of the process, in bytes.
    Memory,
}

/// Growth over the soak's duration: the robust slope within incarnations, pooled over a component's pods. At least one
/// of the two limits is set; where both are, both must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-validations" = [json!({
    "rule": "has(self.maxPercent) || has(self.maxAbsolute)",
    "message": "growth needs a limit: set maxPercent, maxAbsolute or both"
}), json!({
    "rule": "has(self.signal) != has(self.query)",
    "message": one_measure!("growth")
})])))]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// A named preset of what is measured. Exactly one of `signal` and `query` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What is measured instead of a preset: a plain selector such as `go_goroutines`, which is narrowed to the soak's own
    /// pods and taken as scraped, or any other expression that keeps the label `pod`.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The load that growth is judged at: a query such as `partitions_owned` with one series a pod, written as `query` is.
    /// What a unit of it costs is learnt from how the signal follows it up and down within each pod, and taken off.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// Limit in percent of the component's median settled level at the window's start, per pod.
    #[cfg_attr(feature = "schemars", schemars(range(min = 0, max = 100_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_percent: Option<f64>,
    /// Limit for the whole component, in tasks, bytes or the query's own unit, such as 300 or 40Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_absolute: Option<Quantity>,
}

/// Growth over a horizon, projected from the last part of the soak: a warm-up that levels off passes, steady growth
/// fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-validations" = [json!({
    "rule": "has(self.signal) != has(self.query)",
    "message": one_measure!("trend")
})])))]
#[serde(rename_all = "camelCase")]
pub struct Trend {
    /// A named preset of what is measured. Exactly one of `signal` and `query` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What is measured instead of a preset: a plain selector such as `go_goroutines`, which is narrowed to the soak's own
    /// pods and taken as scraped, or any other expression that keeps the label `pod`.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The load that growth is judged at: a query such as `partitions_owned` with one series a pod, written as `query` is.
    /// What a unit of it costs is learnt from how the signal follows it up and down within each pod, and taken off.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// How far ahead growth is projected.
    #[serde(default = "day")]
    pub horizon: Span,
    /// Limit in percent of the level at the start of `window`, per pod.
    #[cfg_attr(feature = "schemars", schemars(range(min = 0, max = 100_000)))]
    #[serde(default = "five")]
    pub max_percent: f64,
    /// The last part of the soak that is looked at; its second half where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
}

/// The exact count of a counter from the end of warm-up to the end of settling, summed over its series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Increase {
    /// A plain selector of counters, such as `soak_sim_messages_lost_total`; it is narrowed to the soak's own namespace
    /// and pods.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    pub query: String,
    /// How much it may count.
    #[cfg_attr(feature = "schemars", schemars(range(min = 0)))]
    #[serde(default)]
    pub max: f64,
    /// The counter is a total that outlives the pods that report it, so that a pod which was never scraped at its end
    /// hides nothing.
    #[serde(default)]
    pub durable: bool,
}

/// A bound that the values of a query stay within, from the end of warm-up for the soak's duration. Exactly one of
/// `max` and `min` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-validations" = [json!({
    "rule": "has(self.max) != has(self.min)",
    "message": "threshold needs exactly one bound: set either max or min"
})])))]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// Any Prometheus expression that yields instant vectors.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    pub query: String,
    /// No judged value lies above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// No judged value lies below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Judge a percentile of the values, such as p99 or p50, instead of the worst of them.
    #[cfg_attr(
        feature = "schemars",
        schemars(
            length(max = 6),
            regex(pattern = r"^p([1-9]|[1-9][0-9])(\.[0-9]{1,2})?$")
        )
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
}

/// The settled total of a component against its total at the end of warm-up: equal within a bound, in both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(extend("x-kubernetes-validations" = [json!({
    "rule": "has(self.signal) != has(self.query)",
    "message": one_measure!("delta")
})])))]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// A named preset of what is measured. Exactly one of `signal` and `query` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What is measured instead of a preset: a plain selector such as `go_goroutines`, which is narrowed to the soak's own
    /// pods and taken as scraped, or any other expression that keeps the label `pod`.
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// How far apart the two may be for the whole component, in tasks, bytes or the query's own unit, such as 5 or 1Mi.
    pub within: Quantity,
}

/// How long it takes from a chaos event until the component that it hit is back at its planned replicas, all ready. An
/// event that is never recovered from takes forever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// How long it may take.
    pub max: Span,
    /// Which percentile of all events may take that long; 100 means the slowest of them. A high percentile takes many
    /// events to prove: 72 of them for 95.
    #[cfg_attr(feature = "schemars", schemars(range(min = 1, max = 100)))]
    #[serde(default = "ninety_five")]
    pub percentile: f64,
}

/// A length of time as users write it: whole numbers with h, m, s or ms, such as `6h`, `90s`, `1h30m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    text: String,
    duration: Duration,
}

impl Span {
    /// The length of time.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// A span of whole seconds.
    pub fn from_seconds(seconds: u64) -> Self {
        Self {
            text: format!("{seconds}s"),
            duration: Duration::from_secs(seconds),
        }
    }

    /// A span of whole milliseconds.
    pub fn from_milliseconds(milliseconds: u64) -> Self {
        Self {
            text: format!("{milliseconds}ms"),
            duration: Duration::from_millis(milliseconds),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || format!("{text:?} is not a duration: use h, m, s: 168h, not 7d");
        let mut duration = Duration::ZERO;
        let mut rest = text;
        if rest.is_empty() || rest.len() > 20 {
            return Err(problem());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(problem)?;
            let number: u64 = rest[..digits].parse().map_err(|_| problem())?;
            rest = &rest[digits..];
            let unit = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let part = match &rest[..unit] {
                "h" => number.checked_mul(3_600).map(Duration::from_secs),
                "m" => number.checked_mul(60).map(Duration::from_secs),
                "s" => Some(Duration::from_secs(number)),
                "ms" => Some(Duration::from_millis(number)),
                _ => None,
            };
            duration = part
                .and_then(|part| duration.checked_add(part))
                .ok_or_else(problem)?;
            rest = &rest[unit..];
        }
        Ok(Self {
            text: text.to_owned(),
            duration,
        })
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.text
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 20,
            "x-kubernetes-validations": [
                {"rule": "self.matches('^([0-9]+(h|m|s|ms))+$')", "message": "use h, m, s: 168h, not 7d"},
            ]
        })
    }
}

fn day() -> Span {
    Span::from_seconds(24 * 3_600)
}

fn ninety_five() -> f64 {
    95.0
}

fn five() -> f64 {
    5.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(text: &str) -> Criterion {
        serde_json::from_str(text).expect("a criterion")
    }

    #[test]
    fn a_span_adds_up_its_parts() {
        let seconds = |text: &str| {
            text.parse::<Span>()
                .map(|span| span.duration().as_secs_f64())
        };
        assert_eq!(seconds("6h"), Ok(21_600.0));
        assert_eq!(seconds("1h30m"), Ok(5_400.0));
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("1s500ms"), Ok(1.5));
    }

    #[test]
    fn a_span_that_is_none_says_how_to_write_one() {
        for text in [
            "",
            "7d",
            "5",
            "h",
            "-5s",
            "1.5h",
            "5m3",
            "99999999999999999999h",
            "18446744073709551615h",
        ] {
            let problem = text.parse::<Span>().expect_err(text);
            assert!(problem.contains("use h, m, s"), "{problem}");
        }
    }

    #[test]
    fn a_span_keeps_the_words_it_was_written_in() {
        let span: Span = "90m".parse().expect("a span");
        assert_eq!(serde_json::to_string(&span).expect("JSON"), r#""90m""#);
        assert_eq!(span.to_string(), "90m");
    }

    #[test]
    fn a_criterion_has_exactly_one_kind() {
        let none = criterion(r#"{"name": "idle"}"#);
        let one =
            criterion(r#"{"name": "growth", "growth": {"signal": "Tasks", "maxPercent": 5}}"#);
        let two = criterion(
            r#"{"name": "both", "delta": {"signal": "Tasks", "within": 5}, "increase": {"query": "lost_total"}}"#,
        );
        assert!(matches!(one.kind(), Ok(CriterionKind::Growth(..))));
        for refused in [none, two] {
            let problem = refused.kind().expect_err("not one kind").to_string();
            assert!(
                problem.contains(&refused.name) && problem.contains("exactly one"),
                "{problem}"
            );
        }
    }

    #[test]
    fn what_is_measured_is_either_a_signal_or_a_query() {
        for (kind, limit) in [
            ("growth", "\"maxPercent\": 5"),
            ("trend", "\"maxPercent\": 5"),
            ("delta", "\"within\": 5"),
        ] {
            let measuring = |what: &str| {
                criterion(&format!(
                    "{{\"name\": \"a\", \"{kind}\": {{{what} {limit}}}}}"
                ))
            };
            let of = |what: &str| match measuring(what).kind() {
                Ok(
                    CriterionKind::Growth(of, _)
                    | CriterionKind::Trend(of, _)
                    | CriterionKind::Delta(of, _),
                ) => of,
                other => panic!("{other:?}"),
            };
            let query = "\"query\": \"go_goroutines\",";
            let signal = "\"signal\": \"Tasks\",";
            assert_eq!(of(query), Measured::Query("go_goroutines".to_owned()));
            assert_eq!(of(signal), Measured::Signal(Signal::Tasks));
            for wrong in [String::new(), format!("{query} {signal}")] {
                let problem = measuring(&wrong).kind().expect_err("not one").to_string();
                assert_eq!(
                    problem,
                    format!(
                        "criterion a: {kind} needs exactly one thing to measure: set either signal or query"
                    )
                );
            }
        }
    }

    #[test]
    fn a_querys_unit_is_told_by_its_metrics_name_or_not_at_all() {
        let unit = |query: &str| Measured::Query(query.to_owned()).unit();
        assert_eq!(unit("go_memstats_heap_inuse_bytes{a=\"b\"}"), "bytes");
        assert_eq!(unit("go_goroutines"), "");
        assert_eq!(unit("count by (pod) (size_bytes)"), "");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let trend = criterion(r#"{"name": "trend", "trend": {"signal": "Memory"}}"#)
            .trend
            .expect("a trend");
        assert_eq!(trend.horizon.duration().as_secs(), 86_400);
        assert_eq!(trend.max_percent, 5.0);
        let increase = criterion(r#"{"name": "loss", "increase": {"query": "lost_total"}}"#)
            .increase
            .expect("an increase");
        assert_eq!((increase.max, increase.durable), (0.0, false));
    }
}
