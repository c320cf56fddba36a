//! Prometheus' series as those of pods and their incarnations.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use soak_operator::prometheus::Series;
use soak_verdict::RecordedSeries;

/// Labels that change when a process starts anew.
const START: [&str; 4] = ["uid", "pod_uid", "container_id", "id"];

/// Labels of the target that was scraped rather than of what was measured.
const TARGET: [&str; 11] = [
    "container",
    "endpoint",
    "image",
    "instance",
    "job",
    "metrics_path",
    "namespace",
    "node",
    "prometheus",
    "prometheus_replica",
    "service",
];

/// How long Prometheus goes on telling the last value of a series that has ended, in seconds.
const LOOKBACK: f64 = 300.0;

/// What a series without any label of a target is about.
const EVERYTHING: &str = "all";

/// Series with the same values of these labels come from one start of one process.
type Identity = BTreeMap<&'static str, String>;

/// Splits the series by pod and by start, first start first; a pod without a `pod` label goes by its `instance`.
///
/// An error, with the fix, where one pod has series at the same time that are nowhere told apart but by their target:
/// adding them up would count something twice.
pub(crate) fn split(answer: Vec<Series>) -> anyhow::Result<Vec<RecordedSeries>> {
    let mut pods: BTreeMap<String, BTreeMap<Identity, Vec<Series>>> = BTreeMap::new();
    for series in answer.into_iter().filter(|s| !s.samples.is_empty()) {
        let starts = pods.entry(pod_of(&series)).or_default();
        starts.entry(identity(&series)).or_default().push(series);
    }
    let kept = telling_apart(pods.values().flat_map(BTreeMap::values));
    let mut recorded = Vec::new();
    for (pod, starts) in pods {
        for (place, start) in in_order(&pod, starts)?.into_iter().enumerate() {
            recorded.extend(start.series.into_iter().map(|series| {
                RecordedSeries {
                    pod: pod.clone(),
                    incarnation: u32::try_from(place + 1).unwrap_or(u32::MAX),
                    component: component_of(&series),
                    labels: series
                        .labels
                        .into_iter()
                        .filter(|(name, _)| kept.contains(name))
                        .collect(),
                    start_unix: None,
                    samples: series.samples,
                }
            }));
        }
    }
    Ok(recorded)
}

/// The load of each pod, cut where the incarnations of the signal begin: labels that tell starts apart may be missing in
/// either.
pub(crate) fn as_split(
    signal: &[RecordedSeries],
    load: Vec<RecordedSeries>,
) -> Vec<RecordedSeries> {
    let mut begins: BTreeMap<(&str, u32), f64> = BTreeMap::new();
    for series in signal {
        let first = series.samples.iter().map(|sample| sample.t);
        let begin = begins
            .entry((&series.pod, series.incarnation))
            .or_insert(f64::INFINITY);
        *begin = first.fold(*begin, f64::min);
    }
    let mut split = Vec::new();
    for series in load {
        let own = begins.range((series.pod.as_str(), 0)..=(series.pod.as_str(), u32::MAX));
        let own: Vec<(u32, f64)> = own.map(|((_, number), begin)| (*number, *begin)).collect();
        for (place, (number, begin)) in own.iter().enumerate() {
            let end = own.get(place + 1).map_or(f64::INFINITY, |(_, next)| *next);
            let inside = series.samples.iter().filter(|s| s.t >= *begin && s.t < end);
            split.push(RecordedSeries {
                incarnation: *number,
                samples: inside.copied().collect(),
                ..series.clone()
            });
        }
    }
    split
}

fn pod_of(series: &Series) -> String {
    let label = |name| series.labels.get(name).filter(|value| !value.is_empty());
    label("pod")
        .or_else(|| label("instance"))
        .map_or_else(|| EVERYTHING.to_owned(), Clone::clone)
}

/// Addresses say nothing of what belongs together; their job does. A pod's name says it itself.
fn component_of(series: &Series) -> Option<String> {
    if series.labels.contains_key("pod") {
        return None;
    }
    let job = series.labels.get("job").cloned();
    Some(job.unwrap_or_else(|| EVERYTHING.to_owned()))
}

fn identity(series: &Series) -> Identity {
    START
        .into_iter()
        .chain(TARGET)
        .filter_map(|name| Some((name, series.labels.get(name)?.clone())))
        .collect()
}

/// The labels in which series of one process differ.
fn telling_apart<'a>(processes: impl Iterator<Item = &'a Vec<Series>>) -> BTreeSet<String> {
    let mut apart = BTreeSet::new();
    for process in processes {
        let Some((first, others)) = process.split_first() else {
            continue;
        };
        for other in others {
            let names = first.labels.keys().chain(other.labels.keys());
            apart.extend(
                names
                    .filter(|name| first.labels.get(*name) != other.labels.get(*name))
                    .cloned(),
            );
        }
    }
    apart
}

/// One start of a process.
struct Start {
    identity: Identity,
    first: f64,
    last: f64,
    series: Vec<Series>,
}

/// The starts under one pod's name, one after the other: the last samples of one end where the next one begins.
fn in_order(pod: &str, starts: BTreeMap<Identity, Vec<Series>>) -> anyhow::Result<Vec<Start>> {
    let mut starts: Vec<Start> = starts
        .into_iter()
        .map(|(identity, series)| {
            let instants = || series.iter().flat_map(|s| s.samples.iter().map(|x| x.t));
            Start {
                first: instants().fold(f64::INFINITY, f64::min),
                last: instants().fold(f64::NEG_INFINITY, f64::max),
                identity,
                series,
            }
        })
        .collect();
    starts.sort_by(|a, b| a.first.total_cmp(&b.first));
    for later in 1..starts.len() {
        let (earlier, next) = starts.split_at_mut(later);
        let next = &next[0];
        for start in earlier {
            if overlap(start, next) > allowed(start, next) {
                bail!(ambiguous(pod, start, next));
            }
            for series in &mut start.series {
                series.samples.retain(|sample| sample.t < next.first);
            }
        }
    }
    for start in &mut starts {
        start.series.retain(|series| !series.samples.is_empty());
    }
    Ok(starts)
}

fn overlap(a: &Start, b: &Start) -> f64 {
    a.last.min(b.last) - b.first
}

/// How long two starts may seem to run at the same time. Where nothing says that they are starts, two that share half
/// of a life are two processes.
fn allowed(a: &Start, b: &Start) -> f64 {
    if START
        .iter()
        .any(|name| a.identity.get(name) != b.identity.get(name))
    {
        return LOOKBACK;
    }
    let shorter = (a.last - a.first).min(b.last - b.first);
    LOOKBACK.min(shorter / 2.0)
}

fn ambiguous(pod: &str, a: &Start, b: &Start) -> String {
    let value = |start: &Start, name| start.identity.get(name).cloned().unwrap_or_default();
    let differing: Vec<&str> = TARGET
        .into_iter()
        .chain(START)
        .filter(|name| a.identity.get(name) != b.identity.get(name))
        .collect();
    // Two of a kind are in there because something differs.
    let name = differing.first().copied().unwrap_or("instance");
    let (one, other) = (value(a, name), value(b, name));
    let named = if one.is_empty() { &other } else { &one };
    format!(
        "{pod} has several series at the same time that only {} tells apart ({one:?} and {other:?}): name one in the \
         query, such as {{{name}={named:?}}}",
        differing.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use soak_verdict::Sample;

    fn series(labels: &[(&str, &str)], from: u32, to: u32) -> Series {
        Series {
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            samples: (from..to)
                .step_by(15)
                .map(|t| Sample {
                    t: t.into(),
                    v: 1.0,
                })
                .collect(),
        }
    }

    /// Pod, incarnation and last instant of each series.
    fn starts(answer: Vec<Series>) -> Vec<(String, u32, f64)> {
        let recorded = split(answer).expect("no doubt");
        recorded
            .into_iter()
            .map(|s| (s.pod, s.incarnation, s.samples.last().expect("samples").t))
            .collect()
    }

    #[test]
    fn a_name_that_comes_back_with_another_uid_is_another_incarnation() {
        let second = series(&[("pod", "w-0"), ("uid", "aaa")], 900, 1800);
        let first = series(&[("pod", "w-0"), ("uid", "zzz")], 0, 900);
        let found = starts(vec![second, first]);
        assert_eq!(found, [("w-0".into(), 1, 885.0), ("w-0".into(), 2, 1785.0)]);
    }

    #[test]
    fn values_invented_after_a_pods_death_end_where_the_next_one_starts() {
        let first = series(&[("pod", "w-0"), ("container_id", "1")], 0, 1200);
        let second = series(&[("pod", "w-0"), ("container_id", "2")], 930, 1800);
        assert_eq!(starts(vec![first, second])[0], ("w-0".into(), 1, 915.0));
    }

    #[test]
    fn an_address_that_changes_is_a_start_and_labels_that_never_differ_in_a_pod_are_dropped() {
        let part = |component, instance, from, to| {
            let labels = [
                ("pod", "w-0"),
                ("instance", instance),
                ("component", component),
                ("pod_template_hash", "7f9"),
                ("job", "sim"),
            ];
            series(&labels, from, to)
        };
        let recorded = split(vec![
            part("consume", "10.0.0.1:80", 0, 900),
            part("fetch", "10.0.0.1:80", 0, 900),
            part("consume", "10.0.0.2:80", 900, 1800),
        ])
        .expect("no doubt");
        let labels: Vec<Vec<&str>> = recorded
            .iter()
            .map(|s| s.labels.values().map(String::as_str).collect())
            .collect();
        assert_eq!(labels, [["consume"], ["fetch"], ["consume"]]);
        let incarnations: Vec<u32> = recorded.iter().map(|s| s.incarnation).collect();
        assert_eq!(incarnations, [1, 1, 2]);
    }

    #[test]
    fn load_is_cut_where_the_incarnations_of_the_signal_begin() {
        let first = series(&[("pod", "w-0"), ("uid", "a")], 0, 900);
        let second = series(&[("pod", "w-0"), ("uid", "b")], 900, 1800);
        let signal = split(vec![first, second]).expect("no doubt");
        let load = [
            series(&[("pod", "w-0")], 0, 1800),
            series(&[("pod", "x-0")], 0, 60),
        ];
        let load = split(Vec::from(load)).expect("no doubt");
        let cut: Vec<(u32, f64, f64)> = as_split(&signal, load)
            .iter()
            .map(|s| {
                (
                    s.incarnation,
                    s.samples[0].t,
                    s.samples[s.samples.len() - 1].t,
                )
            })
            .collect();
        assert_eq!(cut, [(1, 0.0, 885.0), (2, 900.0, 1785.0)]);
    }

    #[test]
    fn two_containers_of_a_pod_are_not_added_up() {
        let pod = series(&[("pod", "w-0"), ("container", "")], 0, 1800);
        let app = series(&[("pod", "w-0"), ("container", "app")], 0, 1800);
        let problem = split(vec![pod, app]).expect_err("doubt").to_string();
        assert_eq!(
            problem,
            "w-0 has several series at the same time that only container tells apart (\"\" and \"app\"): name one in \
             the query, such as {container=\"app\"}"
        );
    }

    #[test]
    fn containers_without_a_pod_are_not_the_starts_of_their_node() {
        let one = series(&[("instance", "node-1"), ("id", "/a")], 0, 1800);
        let other = series(&[("instance", "node-1"), ("id", "/b")], 0, 1800);
        assert!(split(vec![one, other]).is_err());
    }

    #[test]
    fn without_a_pod_the_address_stands_for_it_and_the_job_for_the_component() {
        let one = series(&[("instance", "10.0.0.1:80"), ("job", "api")], 0, 60);
        let sum = series(&[], 0, 60);
        let recorded = split(vec![one, sum]).expect("no doubt");
        let named: Vec<(&str, Option<&str>)> = recorded
            .iter()
            .map(|s| (s.pod.as_str(), s.component.as_deref()))
            .collect();
        assert_eq!(named, [("10.0.0.1:80", Some("api")), ("all", Some("all"))]);
    }
}
