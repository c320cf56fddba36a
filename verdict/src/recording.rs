//! A run as a file has it: what somebody recorded of a soak that is over, judged without a cluster.
//!
//! A file knows less than the operator does. What it leaves out is worked out from what it holds: which pods belong
//! together from their names, when a component was whole again from the starts of its pods.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::criterion::{Criterion, Measured, Signal, Source, Span, Trend};
use crate::early::judge_with_looks;
use crate::footprint::{Footprint, footprints};
use crate::judgement::{Judgement, Outcome};
use crate::run::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};
use crate::samples::median;

/// How long after an event a component without a new pod counts as recovered, in steps.
const RECOVERY_STEPS: f64 = 4.0;

/// A pod that starts this long after an event replaces the pod that was hit, in seconds.
const REPLACED_WITHIN: f64 = 600.0;

/// How long survivors may stay lifted after a recovery where the file does not say, in seconds, and as a share of the
/// usual time between two events: the rest has to be left to be judged.
const COOLDOWN_SECONDS: f64 = 60.0;
const COOLDOWN_SHARE: f64 = 0.25;

/// One signal of one soak, as recorded. Unknown fields are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    /// What was measured; left out where the series are the answer to a query.
    #[serde(default)]
    pub signal: Option<RecordedSignal>,
    /// The distance of two samples in seconds; worked out where left out.
    #[serde(default)]
    pub step_seconds: Option<f64>,
    /// How long each incarnation warms up, in seconds; nothing before is judged.
    #[serde(default)]
    pub warmup_seconds: f64,
    /// The memory limit of a container in bytes, for the projection of when it is reached.
    #[serde(default)]
    pub limit_bytes: Option<f64>,
    /// The series, one for each incarnation and label set.
    #[serde(default)]
    pub series: Vec<RecordedSeries>,
    /// The load of the same pods and incarnations, for criteria that name one with `per`; ignored by all others.
    #[serde(default)]
    pub load: Vec<RecordedSeries>,
    /// What chaos did.
    #[serde(default)]
    pub chaos_events: Vec<RecordedEvent>,
    /// What the run is held to; a trend with its defaults where there are none.
    #[serde(default)]
    pub criteria: Vec<Criterion>,
    /// Why the samples may not be all that there are, in plain words; any entry rules out Passed.
    #[serde(default)]
    pub gaps: Vec<String>,
}

/// What a recording measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RecordedSignal {
    /// Tasks alive.
    #[serde(rename = "tasks", alias = "Tasks")]
    Tasks,
    /// Memory in bytes.
    #[serde(rename = "memory", alias = "Memory")]
    Memory,
}

/// The samples of one series during one incarnation.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedSeries {
    /// The pod's name. A StatefulSet's pod keeps it over restarts, a Deployment's does not.
    pub pod: String,
    /// Counts up for each start under the same name.
    #[serde(default = "first")]
    pub incarnation: u32,
    /// What tells series of one incarnation apart.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When the incarnation started, in the same clock as the samples; its first sample where left out.
    #[serde(default)]
    pub start_unix: Option<f64>,
    /// The workload component that the pod belongs to; from its name where left out.
    #[serde(default)]
    pub component: Option<String>,
    /// Pairs of seconds and value; null is a sample that was missed.
    #[serde(deserialize_with = "samples")]
    pub samples: Vec<Sample>,
}

/// One chaos event.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedEvent {
    /// When it happened, in the same clock as the samples.
    pub t: f64,
    /// Such as `PodKill`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The pod that was hit.
    #[serde(default)]
    pub pod: String,
    /// When its component was whole again; from the starts of its pods where left out.
    #[serde(default)]
    pub recovered: Option<f64>,
}

/// What one or several recordings came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Failed if any criterion is, else Inconclusive if any is, else Passed.
    pub outcome: Outcome,
    /// Each criterion with its evidence.
    pub criteria: Vec<Judged>,
    /// What grew in tasks and in bytes, where one recording has the tasks and another the memory of the same soak.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub footprints: Vec<Footprint>,
}

/// One criterion of a [`Report`].
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// The unit of what it measures, in which pods and parts are told, whatever its limit is in.
    #[serde(skip)]
    pub measured_in: &'static str,
    /// The answer and what it rests on.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Report {
    fn of(criteria: Vec<Judged>, footprints: Vec<Footprint>) -> Self {
        Self {
            outcome: Outcome::worst(criteria.iter().map(|c| c.judgement.outcome)),
            criteria,
            footprints,
        }
    }

    /// Judges several recordings of one soak, each under the name by which it is told apart, into one report.
    ///
    /// A criterion is judged on its own recording if that holds what it is about, else on the first other one that does.
    /// Criteria of the same name from several recordings are told apart by the names of those. Where one recording has
    /// the tasks of the soak and another its memory, the report says what grew in both.
    pub fn of_all(recordings: &[(String, Recording)]) -> Self {
        if let [(_, only)] = recordings {
            return only.judge();
        }
        let mut asked: Vec<Vec<Criterion>> = vec![Vec::new(); recordings.len()];
        for (place, (_, recording)) in recordings.iter().enumerate() {
            for criterion in recording.criteria() {
                let answers = |other: &usize| recordings[*other].1.answers(&criterion).is_ok();
                let place = if answers(&place) {
                    place
                } else {
                    (0..recordings.len()).find(answers).unwrap_or(place)
                };
                // Asked by several recordings, and answered by one of them.
                if !asked[place].contains(&criterion) {
                    asked[place].push(criterion);
                }
            }
        }
        let mut of_name: BTreeMap<String, usize> = BTreeMap::new();
        for criterion in asked.iter().flatten() {
            *of_name.entry(criterion.name.clone()).or_default() += 1;
        }
        let mut judged = Vec::new();
        for ((name, recording), criteria) in recordings.iter().zip(asked) {
            for mut one in recording.judged(criteria) {
                if of_name.get(&one.name).is_some_and(|count| *count > 1) {
                    one.name = format!("{} ({name})", one.name);
                }
                judged.push(one);
            }
        }
        let first = |signal: RecordedSignal| {
            let mut all = recordings.iter().map(|(_, recording)| recording);
            all.find(|recording| recording.signal == Some(signal))
        };
        let footprints = match (first(RecordedSignal::Tasks), first(RecordedSignal::Memory)) {
            (Some(tasks), Some(memory)) => footprints(&tasks.run(), &memory.run()),
            _ => Vec::new(),
        };
        Self::of(judged, footprints)
    }
}

impl Recording {
    /// Judges every criterion; a recording without any is held to a trend with its defaults.
    pub fn judge(&self) -> Report {
        Report::of(self.judged(self.criteria()), Vec::new())
    }

    fn judged(&self, criteria: Vec<Criterion>) -> Vec<Judged> {
        let run = self.run();
        let judged = criteria.into_iter().map(|criterion| {
            let judgement = match (criterion.kind(), self.answers(&criterion)) {
                (Ok(kind), Ok(())) if criterion.fail_fast => judge_with_looks(&kind, &run),
                (Ok(kind), Ok(())) => crate::judge(&kind, &run),
                (Ok(_), Err(why)) => Judgement::inconclusive(why),
                (Err(problem), _) => Judgement::inconclusive(format!("{problem}.")),
            };
            Judged {
                measured_in: criterion.kind().map_or("", |kind| match kind.source() {
                    Source::Pods(of) => of.unit(),
                    Source::Counter(_) | Source::Query(_) | Source::Events => "",
                }),
                name: criterion.name,
                judgement,
            }
        });
        judged.collect()
    }

    fn criteria(&self) -> Vec<Criterion> {
        if !self.criteria.is_empty() {
            return self.criteria.clone();
        }
        let trend = Trend {
            signal: Some(match self.signal {
                Some(RecordedSignal::Memory) => Signal::Memory,
                _ => Signal::Tasks,
            }),
            query: None,
            per: None,
            horizon: Span::from_seconds(24 * 3_600),
            max_percent: 5.0,
            window: None,
        };
        vec![Criterion {
            name: "trend".to_owned(),
            trend: Some(trend),
            ..Criterion::default()
        }]
    }

    /// The same, judged as if each criterion that can had `failFast`.
    #[must_use]
    pub fn failing_fast(mut self) -> Self {
        self.criteria = self.criteria();
        for criterion in &mut self.criteria {
            criterion.fail_fast = criterion.delta.is_none();
        }
        self
    }

    /// The same, with growth and trends judged at equal load of the answer to `per`, but for those that name a load of
    /// their own.
    #[must_use]
    pub fn at_equal_load(mut self, per: &str) -> Self {
        self.criteria = self.criteria();
        for criterion in &mut self.criteria {
            let growth = criterion.growth.as_mut().map(|growth| &mut growth.per);
            let trend = criterion.trend.as_mut().map(|trend| &mut trend.per);
            for own in growth.into_iter().chain(trend) {
                own.get_or_insert_with(|| per.to_owned());
            }
        }
        self
    }

    /// Whether the series are what the criterion asks for; a criterion of no kind asks for nothing.
    fn answers(&self, criterion: &Criterion) -> Result<(), String> {
        let Ok(kind) = criterion.kind() else {
            return Ok(());
        };
        let asked = match kind.source() {
            Source::Pods(Measured::Signal(signal)) => Some(*signal),
            Source::Pods(Measured::Query(_)) | Source::Counter(_) | Source::Query(_) => None,
            Source::Events => return Ok(()),
        };
        let held = self.signal.map(|signal| match signal {
            RecordedSignal::Tasks => Signal::Tasks,
            RecordedSignal::Memory => Signal::Memory,
        });
        match (asked, held) {
            (Some(asked), Some(held)) if asked != held => Err(format!(
                "the file holds {held:?}, the criterion is about {asked:?}: judge a file that holds it."
            )),
            (None, Some(held)) => Err(format!(
                "the file holds {held:?}, not the answer to the criterion's query: judge a file without a signal whose series are that answer."
            )),
            _ => Ok(()),
        }
    }

    /// The run that the file tells of.
    pub fn run(&self) -> Run {
        let step = self.step_seconds.unwrap_or_else(|| self.usual_step());
        let spans: Vec<Option<(f64, f64)>> = self.series.iter().map(span).collect();
        let known = || spans.iter().flatten();
        let last = known()
            .map(|(_, last)| *last)
            .fold(f64::NEG_INFINITY, f64::max);
        let start = self
            .series
            .iter()
            .zip(&spans)
            .filter_map(|(series, span)| Some((series, (*span)?)))
            .map(|(series, (first, _))| first.max(started(series) + self.warmup_seconds))
            .fold(f64::INFINITY, f64::min);
        // Without a sample after warm-up there is no window, and nothing is judged.
        let window = if start <= last {
            Window { start, end: last }
        } else {
            Window {
                start: 0.0,
                end: 0.0,
            }
        };
        let series: Vec<IncarnationSeries> = self
            .series
            .iter()
            .zip(&spans)
            .map(|(series, span)| IncarnationSeries {
                component: component_of(series),
                pod: series.pod.clone(),
                incarnation: series.incarnation,
                started_at: started(series),
                ended_at: self.ended(series, *span, last, step),
                labels: series.labels.clone(),
                samples: series.samples.clone(),
            })
            .collect();
        let events = self.events(&series, step);
        Run {
            window,
            settle_end: last,
            warm_up_seconds: self.warmup_seconds,
            step_seconds: step,
            cooldown_seconds: cooldown(&events),
            components: components(&series, window, self.limit_bytes),
            series,
            events,
            load: self.loads(),
            left_out: Vec::new(),
            gaps: self.gaps.clone(),
        }
    }

    /// The load, of the component that its pod is of.
    fn loads(&self) -> Vec<IncarnationSeries> {
        let components = self.series.iter();
        let components: BTreeMap<&str, String> = components
            .map(|one| (one.pod.as_str(), component_of(one)))
            .collect();
        let of = |one: &RecordedSeries| {
            let known = components.get(one.pod.as_str()).cloned();
            known.unwrap_or_else(|| component_of(one))
        };
        self.load
            .iter()
            .map(|one| IncarnationSeries {
                component: of(one),
                pod: one.pod.clone(),
                incarnation: one.incarnation,
                started_at: started(one),
                ended_at: None,
                labels: one.labels.clone(),
                samples: one.samples.clone(),
            })
            .collect()
    }

    fn usual_step(&self) -> f64 {
        let steps = self.series.iter().flat_map(|series| {
            let pairs = series.samples.windows(2);
            pairs
                .map(|pair| pair[1].t - pair[0].t)
                .filter(|step| *step > 0.0)
        });
        median(steps.collect()).unwrap_or(f64::NAN)
    }

    /// When the incarnation ended: at the event that hit its pod, or after its last sample if others have later ones.
    fn ended(
        &self,
        series: &RecordedSeries,
        span: Option<(f64, f64)>,
        last: f64,
        step: f64,
    ) -> Option<f64> {
        let (first, end) = span?;
        let hit = self
            .chaos_events
            .iter()
            .filter(|event| {
                event.pod == series.pod && event.t > first && event.t >= end - 4.0 * step
            })
            .filter(|event| event.t <= end + 4.0 * step)
            .map(|event| event.t)
            .reduce(f64::min);
        hit.or_else(|| (end < last - 4.0 * step).then_some(end + step / 2.0))
    }

    /// The events with the component that they hit and its recovery.
    fn events(&self, series: &[IncarnationSeries], step: f64) -> Vec<ChaosEvent> {
        let owner: BTreeMap<&str, &str> = series
            .iter()
            .map(|one| (one.pod.as_str(), one.component.as_str()))
            .collect();
        let mut starts: Vec<(&str, f64)> = series
            .iter()
            .map(|one| (one.component.as_str(), one.started_at))
            .collect();
        starts.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)));
        let mut events: Vec<ChaosEvent> = self
            .chaos_events
            .iter()
            .filter(|event| event.t.is_finite())
            .map(|event| {
                let component = owner
                    .get(event.pod.as_str())
                    .map_or_else(|| stem(&event.pod), |component| (*component).to_owned());
                let from = starts
                    .partition_point(|(name, at)| (*name, *at) <= (component.as_str(), event.t));
                let replaced = starts
                    .get(from)
                    .filter(|(name, at)| *name == component && *at <= event.t + REPLACED_WITHIN)
                    .map(|(_, at)| *at);
                let guess = replaced.unwrap_or(event.t) + RECOVERY_STEPS * step;
                ChaosEvent {
                    at: event.t,
                    recovered_at: Some(event.recovered.unwrap_or(guess)),
                    undone_at: None,
                    tells_recovery: true,
                    kind: event.kind.clone(),
                    component,
                    pod: event.pod.clone(),
                }
            })
            .collect();
        events.sort_by(|a, b| a.at.total_cmp(&b.at));
        events
    }
}

fn first() -> u32 {
    1
}

fn started(series: &RecordedSeries) -> f64 {
    let first = || span(series).map_or(f64::NAN, |(first, _)| first);
    series.start_unix.unwrap_or_else(first)
}

/// The first and last instant of a series.
fn span(series: &RecordedSeries) -> Option<(f64, f64)> {
    let instants = || series.samples.iter().map(|s| s.t).filter(|t| t.is_finite());
    Some((instants().reduce(f64::min)?, instants().reduce(f64::max)?))
}

fn component_of(series: &RecordedSeries) -> String {
    series
        .component
        .clone()
        .unwrap_or_else(|| stem(&series.pod))
}

/// How long survivors may stay lifted after a recovery.
fn cooldown(events: &[ChaosEvent]) -> f64 {
    let usual = median(
        events
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .collect(),
    );
    usual.map_or(COOLDOWN_SECONDS, |usual| {
        COOLDOWN_SECONDS.min(usual * COOLDOWN_SHARE)
    })
}

/// The components, each with the number of pods that it had on average.
fn components(
    series: &[IncarnationSeries],
    window: Window,
    memory_limit_bytes: Option<f64>,
) -> Vec<Component> {
    let mut alive: BTreeMap<&str, BTreeMap<(&str, u32), f64>> = BTreeMap::new();
    for one in series {
        let inside = |t: f64| t.clamp(window.start, window.end);
        let end = inside(one.ended_at.unwrap_or(window.end));
        let spent = end - inside(one.started_at).min(end);
        let longest = alive
            .entry(&one.component)
            .or_default()
            .entry((&one.pod, one.incarnation))
            .or_default();
        *longest = longest.max(spent);
    }
    let length = window.end - window.start;
    alive
        .into_iter()
        .map(|(name, pods)| {
            let average = (pods.values().sum::<f64>() / length)
                .round()
                .clamp(1.0, 1e6);
            Component {
                name: name.to_owned(),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 1 and a million"
                )]
                replicas: average as u32,
                memory_limit_bytes,
            }
        })
        .collect()
}

/// The part of a pod's name that its siblings share: `worker` of `worker-7f9c8d54b-x2kq1`, `worker-3` and `worker3`.
fn stem(pod: &str) -> String {
    let generated = |part: &str| {
        part.bytes()
            .all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let parts: Vec<&str> = pod.split('-').collect();
    let named = if let [named @ .., hash, random] = parts.as_slice()
        && !named.is_empty()
        && random.len() == 5
        && (8..=10).contains(&hash.len())
        && generated(random)
        && generated(hash)
    {
        named.len()
    } else {
        let digits = |part: &&str| part.bytes().any(|b| b.is_ascii_digit());
        parts.iter().position(digits).unwrap_or(parts.len())
    };
    if named > 0 {
        return parts[..named].join("-");
    }
    let bare = parts[0].trim_end_matches(|c: char| c.is_ascii_digit());
    if bare.is_empty() {
        pod.to_owned()
    } else {
        bare.to_owned()
    }
}

/// Reads samples; what is null or not a number is a sample that was missed, and is left out by the judges.
fn samples<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Sample>, D::Error> {
    struct Pair(Option<Sample>);

    impl<'de> Deserialize<'de> for Pair {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(PairVisitor)
        }
    }

    struct PairVisitor;

    impl<'de> Visitor<'de> for PairVisitor {
        type Value = Pair;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a pair of seconds and value, such as [1700000000, 12]")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Pair, E> {
            Ok(Pair(None))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Pair, A::Error> {
            let missing = |index| de::Error::invalid_length(index, &self);
            let t: Number = pair.next_element()?.ok_or_else(|| missing(0))?;
            let v: Number = pair.next_element()?.ok_or_else(|| missing(1))?;
            while pair.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Pair(Some(Sample { t: t.0, v: v.0 })))
        }
    }

    /// A number, as JSON or as Prometheus writes it; NaN where there is none.
    struct Number(f64);

    impl<'de> Deserialize<'de> for Number {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NumberVisitor)
        }
    }

    struct NumberVisitor;

    impl Visitor<'_> for NumberVisitor {
        type Value = Number;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number or null")
        }

        fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
            Ok(Number(value))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
            Ok(Number(value as f64))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
            Ok(Number(value as f64))
        }

        fn visit_unit<E>(self) -> Result<Number, E> {
            Ok(Number(f64::NAN))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
            text.parse()
                .map(Number)
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    let pairs: Option<Vec<Pair>> = Option::deserialize(deserializer)?;
    Ok(pairs
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pair| pair.0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(json: &serde_json::Value) -> Recording {
        serde_json::from_value(json.clone()).expect("a recording")
    }

    #[test]
    fn pods_belong_together_by_the_stem_of_their_names() {
        for pod in [
            "worker-0",
            "worker-12",
            "worker-7f9c8d54b-x2kq7",
            "worker3",
            "worker",
        ] {
            assert_eq!(stem(pod), "worker", "{pod}");
        }
        assert_eq!(stem("sim-worker-6fd898dcf7-6lmxb"), "sim-worker");
        assert_eq!(stem("w-0-r3"), "w");
        assert_eq!(stem("17"), "17");
    }

    #[test]
    fn what_was_missed_is_left_out_and_unknown_fields_are_ignored() {
        let file = recording(&serde_json::json!({
            "signal": "tasks", "colour": "blue",
            "series": [{"pod": "w-0", "extra": 1, "samples": [[0, 1], null, [1, null], [2, "3.5"], [3, 2, 9]]}],
        }));
        let values: Vec<f64> = file.series[0].samples.iter().map(|s| s.v).collect();
        assert_eq!(values.len(), 4);
        assert!(values[1].is_nan());
        assert_eq!((values[0], values[2], values[3]), (1.0, 3.5, 2.0));
    }

    #[test]
    fn an_empty_recording_is_inconclusive() {
        for json in [
            serde_json::json!({}),
            serde_json::json!({"signal": "memory", "series": []}),
            serde_json::json!({"signal": "tasks", "series": [{"pod": "w-0", "samples": null}]}),
        ] {
            assert_eq!(
                recording(&json).judge().outcome,
                Outcome::Inconclusive,
                "{json}"
            );
        }
    }

    #[test]
    fn a_leaking_pod_fails_and_a_steady_one_passes() {
        let file = |slope: f64| {
            let series: Vec<_> = ["w-0", "w-1"]
                .iter()
                .map(|pod| {
                    let samples: Vec<_> = (0..1440)
                        .map(|i| {
                            (
                                15 * i,
                                1000.0 + slope * f64::from(i) + f64::from(i * 37 % 11),
                            )
                        })
                        .collect();
                    serde_json::json!({"pod": pod, "start_unix": -3600, "samples": samples})
                })
                .collect();
            recording(&serde_json::json!({"signal": "tasks", "step_seconds": 15, "warmup_seconds": 600, "series": series}))
                .judge()
        };
        let steady = file(0.0);
        assert_eq!(steady.outcome, Outcome::Passed, "{:?}", steady.criteria);
        let leaking = file(0.1);
        assert_eq!(leaking.outcome, Outcome::Failed, "{:?}", leaking.criteria);
    }

    #[test]
    fn a_criterion_about_another_signal_is_inconclusive() {
        let report = recording(&serde_json::json!({
            "signal": "tasks",
            "series": [{"pod": "w-0", "samples": [[0, 1], [15, 1], [30, 1]]}],
            "criteria": [{"name": "memory", "trend": {"signal": "Memory"}}],
        }))
        .judge();
        assert_eq!(report.outcome, Outcome::Inconclusive);
        assert!(
            report.criteria[0]
                .judgement
                .sentence
                .contains("holds Tasks")
        );
    }

    fn of_pods(signal: &str, leak: f64, criteria: &serde_json::Value) -> Recording {
        let series: Vec<_> = ["w-0", "w-1"]
            .iter()
            .map(|pod| {
                let value = |i: i32| 1000.0 + leak * f64::from(i) + f64::from(i * 37 % 11);
                let samples: Vec<_> = (0..720).map(|i| (15 * i, value(i))).collect();
                serde_json::json!({"pod": pod, "start_unix": -3600, "samples": samples})
            })
            .collect();
        recording(&serde_json::json!({
            "signal": signal, "step_seconds": 15, "series": series, "criteria": criteria,
        }))
    }

    fn together(recordings: [(&str, Recording); 2]) -> Report {
        Report::of_all(&recordings.map(|(name, recording)| (name.to_owned(), recording)))
    }

    #[test]
    fn tasks_and_memory_of_one_soak_are_one_report_with_what_grew_in_both() {
        let none = serde_json::json!([]);
        let report = together([
            ("tasks.json", of_pods("tasks", 1.0, &none)),
            ("memory.json", of_pods("memory", 4096.0, &none)),
        ]);
        let names: Vec<&str> = report.criteria.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["trend (tasks.json)", "trend (memory.json)"]);
        let [footprint] = report.footprints.as_slice() else {
            panic!("{:?}", report.footprints);
        };
        let per_task = footprint.total.bytes_per_task.expect("a ratio").estimate;
        assert!((per_task - 4096.0).abs() < 50.0, "{per_task}");
    }

    #[test]
    fn each_criterion_is_judged_once_on_the_recording_that_answers_it() {
        let all = serde_json::json!([
            {"name": "memory", "growth": {"signal": "Memory", "maxPercent": 5}},
            {"name": "tasks", "growth": {"signal": "Tasks", "maxPercent": 5}},
        ]);
        let report = together([
            ("tasks.json", of_pods("tasks", 0.0, &all)),
            ("memory.json", of_pods("memory", 0.0, &all)),
        ]);
        let names: Vec<&str> = report.criteria.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["tasks", "memory"]);
        assert_eq!(report.outcome, Outcome::Passed, "{:?}", report.criteria);
    }

    #[test]
    fn a_criterion_that_no_recording_answers_is_inconclusive_among_several() {
        let memory = serde_json::json!([{"name": "memory", "growth": {"signal": "Memory", "maxPercent": 5}}]);
        let report = together([
            ("a.json", of_pods("tasks", 0.0, &memory)),
            ("b.json", of_pods("tasks", 0.0, &serde_json::json!([]))),
        ]);
        assert_eq!(report.outcome, Outcome::Inconclusive);
        let sentence = &report.criteria[0].judgement.sentence;
        assert!(sentence.contains("holds Tasks"), "{sentence}");
        assert!(report.footprints.is_empty());
    }

    #[test]
    fn growth_that_a_recorded_load_explains_passes_and_without_the_load_nothing_does() {
        let load = |i: i32| 100.0 + f64::from(i) / 24.0 + 9.0 * (f64::from(i) / 70.0).sin();
        let series = |value: &dyn Fn(i32) -> f64| {
            let pods = [1, 2].map(|pod| {
                let samples: Vec<_> = (0..1440).map(|i| (15 * i, value(i * pod))).collect();
                serde_json::json!({"pod": format!("w-{pod}"), "start_unix": -3600, "samples": samples})
            });
            serde_json::json!(pods)
        };
        let mut file = serde_json::json!({
            "signal": "tasks", "step_seconds": 15,
            "series": series(&|i| 500.0 + 4.0 * load(i) + f64::from(i * 37 % 11)),
            "load": series(&load),
        });
        let conditioned = |file: &serde_json::Value| recording(file).at_equal_load("partitions");
        let passed = conditioned(&file).judge();
        assert_eq!(passed.outcome, Outcome::Passed, "{:?}", passed.criteria);
        assert!(
            passed.criteria[0]
                .judgement
                .sentence
                .contains(" at equal partitions (")
        );
        assert_eq!(recording(&file).judge().outcome, Outcome::Failed);
        file["load"] = serde_json::json!([]);
        let unknown = conditioned(&file).judge();
        assert_eq!(unknown.outcome, Outcome::Inconclusive);
        assert_eq!(
            unknown.criteria[0].judgement.sentence,
            "no series of partitions was found for w, at equal load of which growth is asked for."
        );
    }

    #[test]
    fn a_query_is_judged_on_a_file_without_a_signal_and_on_no_other() {
        let pods = ["w-0", "w-1"].map(|pod| {
            let samples: Vec<_> = (0..400).map(|i| (15 * i, 12)).collect();
            serde_json::json!({"pod": pod, "samples": samples})
        });
        let mut file = serde_json::json!({
            "series": pods,
            "criteria": [{"name": "own", "growth": {"query": "go_goroutines", "maxAbsolute": 3}}],
        });
        let report = recording(&file).judge();
        assert_eq!(report.outcome, Outcome::Passed);
        assert_eq!(
            report.criteria[0].judgement.sentence,
            "w go_goroutines did not grow over 1h 39m (interval 0 to 0), limit 3."
        );
        file["signal"] = "tasks".into();
        let report = recording(&file).judge();
        assert_eq!(report.outcome, Outcome::Inconclusive);
        assert!(
            report.criteria[0]
                .judgement
                .sentence
                .contains("not the answer to the criterion's query")
        );
    }
}
