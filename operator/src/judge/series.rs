//! The soak as the journal tells it, and Prometheus' series split by incarnation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use soak_api::verdict::{ChaosEvent, Component, IncarnationSeries, Run, Sample, Window};
use soak_api::{EventRecord, EventResult, SoakTest};

use crate::chaos;
use crate::journal::{Incarnation, IncarnationId, Journal};
use crate::prometheus::{Answer, Series};
use crate::reasons::chaos as reason;
use crate::workload;

/// What the journal and the status know of the soak.
pub(super) struct Observation {
    /// Warm-up began; data are asked for from here on.
    pub(super) from: Timestamp,
    pub(super) window: (Timestamp, Timestamp),
    pub(super) settled: Timestamp,
    pub(super) components: Vec<workload::Component>,
    /// Incarnations by pod, first start first, each with its end.
    pods: BTreeMap<String, Vec<(Incarnation, Option<Timestamp>)>>,
    events: Vec<ChaosEvent>,
}

impl Observation {
    /// As far as it has come by `now`; `None` where it has not come to its window.
    pub(super) fn of(test: &SoakTest, journal: &Journal, now: Timestamp) -> Option<Self> {
        let times = &test.status.as_ref()?.times;
        let mut pods: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let ends = planned_ends(test, journal);
        for (incarnation, end) in journal.incarnations.values() {
            // An event's instant is more exact than the moment at which the pod was seen to be going.
            let end = ends.get(&incarnation.id).copied().or(*end);
            pods.entry(incarnation.pod.clone())
                .or_default()
                .push((incarnation.clone(), end));
        }
        for incarnations in pods.values_mut() {
            incarnations.sort_by_key(|(incarnation, _)| incarnation.started_at);
        }
        // What was not seen to happen, but may have, unsettles as much as what was; a crash that did not come does not.
        let did_not_come = [reason::NO_RESTART, reason::TARGET_GONE];
        let done = |event: &&EventRecord| match event.result {
            EventResult::Injected | EventResult::Presumed => true,
            EventResult::Unproven => !did_not_come.contains(&event.reason.as_str()),
            EventResult::Skipped | EventResult::Abandoned => false,
        };
        let over = journal.events.values().filter(done);
        // What goes on unsettles, too, and recovery from what is to be undone has not begun.
        let recovering = test
            .status
            .iter()
            .flat_map(|status| &status.chaos.recovering);
        let goes_on = recovering.map(|one| ChaosEvent {
            undone_at: one
                .undo_at
                .map(|_| seconds(now))
                .or(one.event.undone_at.map(seconds)),
            ..chaos_event(&one.event)
        });
        let mut events: Vec<_> = over.map(chaos_event).chain(goes_on).collect();
        events.sort_by(|a, b| a.at.total_cmp(&b.at));
        Some(Self {
            from: times.warming_up?,
            window: (times.soaking?, times.settling.unwrap_or(now)),
            settled: times.judging.unwrap_or(now),
            components: workload::components(test),
            pods,
            events,
        })
    }

    /// A run without series yet.
    pub(super) fn run(&self, test: &SoakTest) -> Run {
        let judged = self.components.iter().filter(|component| component.judged);
        Run {
            window: Window {
                start: seconds(self.window.0),
                end: seconds(self.window.1),
            },
            settle_end: seconds(self.settled),
            warm_up_seconds: test.spec.warm_up.duration().as_secs_f64(),
            step_seconds: test.spec.metrics.step.duration().as_secs_f64(),
            cooldown_seconds: workload::cooldown_seconds(&test.spec.workload),
            components: judged
                .map(|c| Component {
                    name: c.name.clone(),
                    replicas: c.replicas,
                    memory_limit_bytes: c.memory_limit_bytes(),
                })
                .collect(),
            series: Vec::new(),
            events: self.events.clone(),
            load: Vec::new(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// The matchers of the soak's own pods.
    pub(super) fn matchers(&self, test: &SoakTest) -> String {
        format!(
            "namespace=\"{}\",pod=~\"{}\"",
            test.namespace().unwrap_or_default(),
            workload::pod_names(&self.components)
        )
    }

    /// Whether a pod has a name as the soak's own pods have.
    pub(super) fn names(&self, pod: &str) -> bool {
        self.components.iter().any(|component| component.names(pod))
    }

    /// Leaves out the series of pods that have a name as the soak's own have, and are of no ReplicaSet that the journal knows:
    /// neighbours, and pods that were there before the template was changed.
    pub(super) fn without_neighbours(&self, mut series: Vec<Series>) -> Vec<Series> {
        let sets = self.sets();
        series.retain(|one| {
            let pod = one.labels.get("pod");
            pod.is_none_or(|pod| !self.names(pod) || sets.contains(of_set(pod)))
        });
        series
    }

    /// The ReplicaSets of the pods that the journal knows.
    fn sets(&self) -> BTreeSet<&str> {
        self.pods.keys().map(|pod| of_set(pod)).collect()
    }

    /// Splits an answer by incarnation, keeping the labels named. An incarnation of a component that answered at all and
    /// that has no samples of its own is there with none. What the journal does not know is a gap where it is of a ReplicaSet
    /// that it knows; others may have names that are alike.
    pub(super) fn split(&self, answer: Answer, keep: &[&str], run: &mut Run) {
        run.gaps.extend(answer.doubts());
        let known = self.sets();
        let mut unknown = BTreeSet::new();
        let mut answered = BTreeSet::new();
        for series in answer.series {
            let pod = series.labels.get("pod").cloned().unwrap_or_default();
            let Some(incarnations) = self.pods.get(&pod) else {
                if known.contains(of_set(&pod)) {
                    unknown.insert(pod);
                }
                continue;
            };
            let labels: BTreeMap<_, _> = keep
                .iter()
                .filter_map(|name| {
                    series
                        .labels
                        .get(*name)
                        .map(|value| ((*name).to_owned(), value.clone()))
                })
                .collect();
            for (place, (incarnation, end)) in incarnations.iter().enumerate() {
                let start = if place == 0 {
                    f64::NEG_INFINITY
                } else {
                    seconds(incarnation.started_at)
                };
                let next = incarnations
                    .get(place + 1)
                    .map_or(f64::INFINITY, |(next, _)| seconds(next.started_at));
                let samples: Vec<_> = series
                    .samples
                    .iter()
                    .filter(|sample| sample.t >= start && sample.t < next)
                    .copied()
                    .collect();
                if !samples.is_empty() {
                    answered.insert(incarnation.id.clone());
                    run.series
                        .push(series_of(place, incarnation, *end, labels.clone(), samples));
                }
            }
        }
        let components: BTreeSet<_> = run
            .series
            .iter()
            .map(|series| series.component.clone())
            .collect();
        for incarnations in self.pods.values() {
            for (place, (incarnation, end)) in incarnations.iter().enumerate() {
                if components.contains(&incarnation.component)
                    && !answered.contains(&incarnation.id)
                {
                    run.series.push(series_of(
                        place,
                        incarnation,
                        *end,
                        BTreeMap::new(),
                        Vec::new(),
                    ));
                }
            }
        }
        if let Some(first) = unknown.first() {
            run.gaps.push(format!(
                "{} pods are not in the journal, such as {first}",
                unknown.len()
            ));
        }
    }

    /// Every incarnation of a judged component, with its life inside the window, in seconds.
    pub(super) fn lives(&self) -> Vec<(String, f64, f64)> {
        let judged: BTreeSet<_> = self
            .components
            .iter()
            .filter(|c| c.judged)
            .map(|c| c.name.as_str())
            .collect();
        let window = (seconds(self.window.0), seconds(self.window.1));
        let all = self.pods.values().flatten();
        all.filter(|(incarnation, _)| judged.contains(incarnation.component.as_str()))
            .map(|(incarnation, end)| {
                let start = seconds(incarnation.started_at).max(window.0);
                (
                    incarnation.pod.clone(),
                    start,
                    end.map_or(window.1, seconds).min(window.1),
                )
            })
            .filter(|(_, start, end)| end > start)
            .collect()
    }
}

/// What the names of all pods of a ReplicaSet have in common: all but the last five characters.
fn of_set(pod: &str) -> &str {
    pod.len()
        .checked_sub(5)
        .and_then(|end| pod.get(..end))
        .unwrap_or(pod)
}

/// The samples of the pod's incarnation at `place`, from 0.
fn series_of(
    place: usize,
    incarnation: &Incarnation,
    end: Option<Timestamp>,
    labels: BTreeMap<String, String>,
    samples: Vec<Sample>,
) -> IncarnationSeries {
    IncarnationSeries {
        component: incarnation.component.clone(),
        pod: incarnation.pod.clone(),
        incarnation: u32::try_from(place + 1).unwrap_or(u32::MAX),
        started_at: seconds(incarnation.started_at),
        ended_at: end.map(seconds),
        labels,
        samples,
    }
}

fn chaos_event(event: &EventRecord) -> ChaosEvent {
    ChaosEvent {
        at: seconds(event.injected_at.unwrap_or(event.planned_at)),
        undone_at: event.undone_at.map(seconds),
        tells_recovery: event.result != EventResult::Unproven || event.undone_at.is_none(),
        recovered_at: event.recovered_at.map(seconds),
        kind: event.kind.clone(),
        component: event.component.clone(),
        pod: event.pod.clone(),
    }
}

/// The incarnations that events ended, each with the event's instant.
fn planned_ends(test: &SoakTest, journal: &Journal) -> BTreeMap<IncarnationId, Timestamp> {
    let hit = |event: &EventRecord| IncarnationId {
        uid: event.uid.clone(),
        restarts: event.restarts,
    };
    let sparing = chaos::sparing(test);
    let ends = |event: &&EventRecord| {
        event.result != EventResult::Unproven && !sparing.contains(event.kind.as_str())
    };
    journal
        .events
        .values()
        .filter(ends)
        .filter_map(|event| Some((hit(event), event.injected_at?)))
        .collect()
}

/// Seconds since the Unix epoch.
pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::judge::testing::{START, test};

    /// An event as the status or the journal has it.
    fn event(change: &serde_json::Value) -> EventRecord {
        let at = Timestamp::from_second(START + 100).expect("in range");
        let mut event = json!({
            "index": 0, "kind": "scale", "component": "worker", "pod": "demo-worker", "uid": "d0",
            "plannedAt": at, "injectedAt": at, "result": "Injected",
        });
        for (name, value) in change.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        serde_json::from_value(event).expect("an event")
    }

    #[test]
    fn an_event_that_goes_on_unsettles_and_is_not_yet_recovered_from() {
        let mut test = test();
        let now = Timestamp::from_second(START + 300).expect("in range");
        let status = test.status.as_mut().expect("a status");
        let lasting = soak_api::Recovering {
            undo_at: Some(now + SignedDuration::from_mins(5)),
            ..soak_api::Recovering::from(event(&json!({})))
        };
        status.chaos.recovering = vec![lasting];
        let observed = |test: &SoakTest| {
            let observation = Observation::of(test, &Journal::default(), now).expect("a window");
            observation.run(test).events.remove(0)
        };
        let lasts = observed(&test);
        assert_eq!(lasts.recovered_at, None);
        assert_eq!(
            lasts.undone_at,
            Some(seconds(now)),
            "nobody can have come back yet"
        );
        let status = test.status.as_mut().expect("a status");
        status.chaos.recovering[0].undo_at = None;
        status.chaos.recovering[0].event.undone_at = Some(now - SignedDuration::from_secs(20));
        assert_eq!(observed(&test).undone_at, Some(seconds(now) - 20.0));
    }

    #[test]
    fn recovery_is_not_told_by_what_was_never_seen_to_happen() {
        let at = Timestamp::from_second(START + 200).expect("in range");
        let tells = |change| chaos_event(&event(&change)).tells_recovery;
        assert!(tells(json!({"undoneAt": at})));
        assert!(!tells(json!({"undoneAt": at, "result": "Unproven"})));
        assert!(
            tells(json!({"result": "Unproven"})),
            "a rollout that never came to its end"
        );
    }

    #[test]
    fn what_may_have_happened_unsettles_and_a_crash_that_did_not_come_does_not() {
        let test = test();
        let unsettles = |change: serde_json::Value| {
            let mut journal = Journal::default();
            journal.events.insert(0, event(&change));
            let now = Timestamp::from_second(START + 900).expect("in range");
            let observation = Observation::of(&test, &journal, now).expect("a window");
            !observation.run(&test).events.is_empty()
        };
        let at = Timestamp::from_second(START + 200).expect("in range");
        for result in ["Injected", "Presumed"] {
            assert!(unsettles(json!({"result": result})), "{result}");
        }
        assert!(unsettles(json!({"result": "Unproven", "undoneAt": at})));
        assert!(
            unsettles(json!({"result": "Unproven"})),
            "a rollout that never came to its end"
        );
        for result in ["Skipped", "Abandoned"] {
            assert!(!unsettles(json!({"result": result})), "{result}");
        }
        assert!(!unsettles(
            json!({"result": "Unproven", "reason": "NoRestart"})
        ));
    }

    #[test]
    fn only_what_ends_a_container_ends_its_incarnation() {
        let mut test = test();
        let chaos = json!({"interval": {"min": "10s", "max": "10s"}, "events": [
            {"podKill": {"component": "worker"}}, {"networkPartition": {"component": "worker"}},
        ]});
        test.spec.chaos = Some(serde_json::from_value(chaos).expect("chaos"));
        for (kind, ended) in [("podKill", true), ("networkPartition", false)] {
            let mut journal = Journal::default();
            let hit = event(&json!({"kind": kind}));
            journal.events.insert(0, hit.clone());
            assert_eq!(!planned_ends(&test, &journal).is_empty(), ended, "{kind}");
        }
    }
}
