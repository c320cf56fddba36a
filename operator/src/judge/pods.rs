//! The answer to a query of the user's own, as series of the soak's pods, or what about the query is to be mended.

use std::collections::{BTreeMap, BTreeSet};

use soak_api::SoakTest;
use soak_api::verdict::Run;

use super::series::Observation;
use crate::prometheus::{Answer, Series};

/// Labels of the target that was scraped rather than of what was measured: they tell no parts of a pod apart.
const TARGET: [&str; 18] = [
    "__name__",
    "container",
    "container_id",
    "endpoint",
    "id",
    "image",
    "instance",
    "job",
    "metrics_path",
    "name",
    "namespace",
    "node",
    "pod",
    "pod_uid",
    "prometheus",
    "prometheus_replica",
    "service",
    "uid",
];

/// More parts of one pod are no longer looked at one by one: each makes the interval of all others wider.
const MOST_PARTS: usize = 50;

/// What is asked for and where, as sentences name it.
pub(super) struct Asked<'a> {
    pub(super) query: &'a str,
    /// Where Prometheus is.
    pub(super) url: &'a str,
    pub(super) namespace: &'a str,
}

impl Asked<'_> {
    /// The run that a criterion about the query is judged on, of those components only that have series; an error is one
    /// sentence that names the query and the fix.
    pub(super) fn run(
        &self,
        answer: Answer,
        observation: &Observation,
        test: &SoakTest,
    ) -> Result<Run, String> {
        let mut run = observation.run(test);
        let Answer { series, warnings } = answer;
        let (series, others): (Vec<_>, Vec<_>) = series
            .into_iter()
            .filter(|one| !one.samples.is_empty())
            .partition(|one| label(one, "namespace").is_none_or(|name| name == self.namespace));
        if !others.is_empty() {
            let count = others.len();
            run.left_out
                .push(format!("{count} series of other namespaces"));
        }
        let series = observation.without_neighbours(series);
        let answer = Answer { series, warnings };
        if answer.series.is_empty() {
            return Err(self.nothing(others.len(), &answer));
        }
        if let Some(foreign) = self.foreign(&answer.series, observation, test) {
            return Err(foreign);
        }
        let parts = self.parts(&answer.series)?;
        let keep: Vec<&str> = parts.iter().map(String::as_str).collect();
        observation.split(answer, &keep, &mut run);
        self.of_those_that_answered(&mut run);
        Ok(run)
    }

    fn nothing(&self, others: usize, answer: &Answer) -> String {
        let Self {
            query,
            url,
            namespace,
        } = self;
        let doubts: Vec<_> = answer.doubts().collect();
        let doubts = if doubts.is_empty() {
            String::new()
        } else {
            format!("; {}", doubts.join("; "))
        };
        if others > 0 {
            format!(
                "Prometheus at {url} has series of `{query}` in other namespaces only, none in {namespace}: look at its matchers{doubts}."
            )
        } else {
            format!(
                "Prometheus at {url} has no series of `{query}` from warm-up to the end of settling: look at the query, and whether the soak's pods export it and are scraped{doubts}."
            )
        }
    }

    /// What is wrong where series belong to no pod, or to one that is not the soak's.
    fn foreign(
        &self,
        series: &[Series],
        observation: &Observation,
        test: &SoakTest,
    ) -> Option<String> {
        let query = self.query;
        if series.iter().any(|one| label(one, "pod").is_none()) {
            return Some(format!(
                "`{query}` yields series without a pod label, which are growth of no pod in particular: add `by (pod)`, as in `sum by (pod) (...)`."
            ));
        }
        let foreign = series
            .iter()
            .filter_map(|one| label(one, "pod"))
            .find(|pod| !observation.names(pod))?;
        let matchers = observation.matchers(test);
        Some(format!(
            "`{query}` yields series of pods that are not the soak's own, such as {foreign}: add the matchers {{{matchers}}} to its selectors."
        ))
    }

    /// The labels that tell the parts of a pod apart: those in which series of one pod differ and that are not of the
    /// target. An error where two series of a pod at the same time differ in nothing else.
    fn parts(&self, series: &[Series]) -> Result<BTreeSet<String>, String> {
        let mut pods: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
        for one in series {
            let pod = label(one, "pod").unwrap_or_default();
            pods.entry(pod).or_default().push(one);
        }
        let apart: BTreeSet<String> = pods
            .values()
            .flat_map(|pod| differing(pod))
            .filter(|name| !TARGET.contains(name))
            .map(str::to_owned)
            .collect();
        for (pod, series) in pods {
            let mut parts: BTreeMap<Vec<Option<&str>>, Vec<&Series>> = BTreeMap::new();
            for one in series {
                let part = apart.iter().map(|name| label(one, name)).collect();
                parts.entry(part).or_default().push(one);
            }
            if parts.len() > MOST_PARTS {
                return Err(format!(
                    "`{}` yields {} series of {pod}, more than the {MOST_PARTS} that are told apart: add them up, as in `sum by (pod) (...)`.",
                    self.query,
                    parts.len()
                ));
            }
            for alike in parts.into_values() {
                self.one_after_the_other(pod, alike)?;
            }
        }
        Ok(apart)
    }

    /// An error where two series of a pod at the same time differ in nothing but these labels of the target.
    pub(super) fn distinct(&self, series: &[Series], target: &[&str]) -> Result<(), String> {
        let mut alike: BTreeMap<Vec<(&str, &str)>, Vec<&Series>> = BTreeMap::new();
        for one in series {
            let own = one.labels.iter();
            let own = own.filter(|(name, _)| *name == "pod" || !target.contains(&name.as_str()));
            let own = own.map(|(name, value)| (name.as_str(), value.as_str()));
            alike.entry(own.collect()).or_default().push(one);
        }
        alike.into_values().try_for_each(|series| {
            let pod = series.first().and_then(|one| label(one, "pod"));
            self.one_after_the_other(pod.unwrap_or_default(), series)
        })
    }

    /// A target that came back under other labels goes on with its series; two at the same time are counted twice.
    fn one_after_the_other(&self, pod: &str, mut series: Vec<&Series>) -> Result<(), String> {
        let span = |one: &Series| {
            let first = one.samples.first().map_or(f64::INFINITY, |s| s.t);
            let last = one.samples.last().map_or(f64::NEG_INFINITY, |s| s.t);
            (first, last)
        };
        series.sort_by(|a, b| span(a).0.total_cmp(&span(b).0));
        let mut until = (f64::NEG_INFINITY, None);
        for one in series {
            let (first, last) = span(one);
            if let (end, Some(earlier)) = until
                && first <= end
            {
                return Err(self.indistinguishable(pod, earlier, one));
            }
            if last > until.0 {
                until = (last, Some(one));
            }
        }
        Ok(())
    }

    fn indistinguishable(&self, pod: &str, a: &Series, b: &Series) -> String {
        let names: Vec<&str> = differing(&[a, b]).into_iter().collect();
        let example = names.iter().find_map(|name| {
            let value = label(a, name).or_else(|| label(b, name))?;
            Some(format!("name one of them, such as {name}={value:?}, or "))
        });
        format!(
            "`{}` yields several series of {pod} at the same time that only {} tells apart: {}add them up, as in `sum by (pod) (...)`.",
            self.query,
            names.join(", "),
            example.unwrap_or_default(),
        )
    }

    /// A query may be about one component only, such as the partitions that workers own.
    fn of_those_that_answered(&self, run: &mut Run) {
        let answered: BTreeSet<&str> = run.series.iter().map(|s| s.component.as_str()).collect();
        let (judged, silent): (Vec<_>, Vec<_>) = run
            .components
            .iter()
            .cloned()
            .partition(|component| answered.contains(component.name.as_str()));
        if judged.is_empty() {
            return;
        }
        run.components = judged;
        for component in silent {
            run.left_out.push(format!(
                "{}, which has no series of `{}`",
                component.name, self.query
            ));
        }
    }
}

/// A label's value; an empty one is none, as Prometheus has it.
fn label<'s>(series: &'s Series, name: &str) -> Option<&'s str> {
    let value = series.labels.get(name)?;
    Some(value.as_str()).filter(|value| !value.is_empty())
}

/// The labels in which series differ.
fn differing<'s>(series: &[&'s Series]) -> BTreeSet<&'s str> {
    let Some((first, others)) = series.split_first() else {
        return BTreeSet::new();
    };
    others
        .iter()
        .flat_map(|other| {
            let names = first.labels.keys().chain(other.labels.keys());
            names.filter(|name| label(first, name) != label(other, name))
        })
        .map(String::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use soak_api::verdict::{self, CriterionKind, Outcome, Sample};

    use super::*;
    use crate::judge::testing::{END, PRODUCER, START, WORKERS, observation, series, test};

    const QUERY: &str = "go_goroutines";

    fn asked(answer: Vec<Series>) -> Result<Run, String> {
        let test = test();
        let asked = Asked {
            query: QUERY,
            url: "http://prometheus:9090",
            namespace: "soak",
        };
        let answer = Answer {
            series: answer,
            warnings: Vec::new(),
        };
        asked.run(answer, &observation(&test), &test)
    }

    fn growth() -> CriterionKind {
        test().spec.criteria[0].kind().expect("a criterion")
    }

    fn workers(labels: &[(&str, &str)], value: f64) -> Vec<Series> {
        let own = |pod| [&[("pod", pod), ("namespace", "soak")], labels].concat();
        WORKERS
            .map(|pod| series(&own(pod), value))
            .into_iter()
            .collect()
    }

    #[test]
    fn one_series_a_pod_is_judged_and_named_by_its_metric() {
        let run = asked(workers(&[("instance", "10.0.0.1:9090")], 12.0)).expect("a run");
        assert!(run.series.iter().all(|one| one.labels.is_empty()));
        let judgement = verdict::judge(&growth(), &run);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        assert_eq!(
            judgement.sentence,
            "worker go_goroutines did not grow over 10m (interval 0 % to 0 %), limit 5 %."
        );
    }

    #[test]
    fn a_component_without_series_is_told_and_not_judged() {
        let run = asked(workers(&[], 12.0)).expect("a run");
        let judged: Vec<&str> = run.components.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(judged, ["worker"]);
        assert_eq!(
            run.left_out,
            ["producer, which has no series of `go_goroutines`"]
        );
        let mut both = workers(&[], 12.0);
        both.push(series(&[("pod", PRODUCER)], 12.0));
        assert_eq!(asked(both).expect("a run").components.len(), 2);
    }

    #[test]
    fn a_pod_of_a_judged_component_without_series_is_never_a_pass() {
        let run = asked(workers(&[], 12.0)[..1].to_vec()).expect("a run");
        assert_eq!(
            verdict::judge(&growth(), &run).outcome,
            Outcome::Inconclusive
        );
    }

    #[test]
    fn series_of_another_namespace_are_left_out_and_told() {
        let mut answer = workers(&[], 12.0);
        answer.push(series(
            &[("pod", WORKERS[0]), ("namespace", "other")],
            900.0,
        ));
        let run = asked(answer).expect("a run");
        assert_eq!(run.left_out[0], "1 series of other namespaces");
        let values = run.series.iter().flat_map(|one| &one.samples);
        assert!(values.map(|sample| sample.v).all(|v| v < 13.0));
        let none = asked(vec![series(
            &[("pod", WORKERS[0]), ("namespace", "other")],
            1.0,
        )]);
        let problem = none.expect_err("nothing of its own");
        assert!(
            problem.contains("other namespaces only, none in soak"),
            "{problem}"
        );
    }

    #[test]
    fn no_answer_names_the_query() {
        let empty = Series {
            samples: Vec::new(),
            ..series(&[("pod", WORKERS[0])], 1.0)
        };
        for answer in [Vec::new(), vec![empty]] {
            let problem = asked(answer).expect_err("no answer");
            assert!(
                problem.contains(
                    "Prometheus at http://prometheus:9090 has no series of `go_goroutines`"
                ),
                "{problem}"
            );
        }
    }

    #[test]
    fn series_without_a_pod_name_the_fix() {
        for labels in [&[][..], &[("pod", "")], &[("job", "soak")]] {
            let mut answer = workers(&[], 12.0);
            answer.push(series(labels, 12.0));
            let problem = asked(answer).expect_err("no pod");
            assert!(
                problem.contains("yields series without a pod label")
                    && problem.contains("add `by (pod)`"),
                "{problem}"
            );
        }
    }

    #[test]
    fn pods_of_others_name_the_matchers_that_keep_them_out() {
        for pod in [
            "shop-0",
            "demo-2-worker-6fd898-6lmxb",
            "demo-worker-0",
            "demo-other-6fd898-6lmxb",
        ] {
            let mut answer = workers(&[], 12.0);
            answer.push(series(&[("pod", pod)], 12.0));
            let problem = asked(answer).expect_err("a foreign pod");
            assert!(
                problem.contains(&format!("not the soak's own, such as {pod}"))
                    && problem.contains("{namespace=\"soak\",pod=~\"(?:demo-nats|"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_pod_of_a_replica_set_that_the_journal_does_not_know_is_a_neighbour() {
        // Twice, as none of the soak's own may be.
        let neighbour = |port| {
            series(
                &[("pod", "demo-worker-77aa-zzzzz"), ("instance", port)],
                900.0,
            )
        };
        let answer = [workers(&[], 12.0), vec![neighbour("1"), neighbour("2")]].concat();
        let run = asked(answer).expect("a run");
        assert_eq!(run.gaps, Vec::<String>::new());
        let judgement = verdict::judge(&growth(), &run);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
    }

    #[test]
    fn counters_that_only_the_target_tells_apart_are_refused_and_others_are_not() {
        let lost = |labels: &[(&str, &str)]| {
            series(
                &[&[("pod", WORKERS[0]), ("__name__", "lost")], labels].concat(),
                1.0,
            )
        };
        let asked = Asked {
            query: "lost",
            url: "http://prometheus:9090",
            namespace: "soak",
        };
        let apart = [lost(&[("partition", "1")]), lost(&[("partition", "2")])];
        assert_eq!(asked.distinct(&apart, &["container"]), Ok(()));
        let twice = [
            lost(&[("container", "app")]),
            lost(&[("container", "proxy")]),
        ];
        let problem = asked
            .distinct(&twice, &["container"])
            .expect_err("counted twice");
        assert!(problem.contains("only container tells apart"), "{problem}");
    }

    #[test]
    fn a_pod_that_the_journal_does_not_know_is_a_gap() {
        let mut answer = workers(&[], 12.0);
        answer.push(series(&[("pod", "demo-worker-6fd898-zzzzz")], 12.0));
        let run = asked(answer).expect("a run");
        assert!(run.gaps[0].contains("not in the journal"), "{:?}", run.gaps);
    }

    #[test]
    fn labels_of_what_is_measured_make_parts_and_those_of_targets_do_not() {
        let mut answer = workers(&[("pool", "read"), ("app", "demo")], 12.0);
        answer.extend(workers(&[("pool", "write"), ("app", "demo")], 7.0));
        let run = asked(answer).expect("a run");
        let parts: BTreeSet<Vec<(&str, &str)>> = run
            .series
            .iter()
            .map(|one| {
                let labels = one.labels.iter();
                labels.map(|(n, v)| (n.as_str(), v.as_str())).collect()
            })
            .collect();
        let wanted = [vec![("pool", "read")], vec![("pool", "write")]];
        assert_eq!(parts, wanted.into());
    }

    #[test]
    fn series_that_only_their_target_tells_apart_are_not_added_up() {
        for target in TARGET.iter().filter(|name| **name != "pod") {
            let alike = |value| {
                let labels = [("pod", WORKERS[0]), ("a", "b"), (*target, value)];
                series(&labels, 12.0)
            };
            let other = if *target == "namespace" { "" } else { "app" };
            let problem = asked(vec![alike("soak"), alike(other)]).expect_err(target);
            assert!(
                problem.contains(&format!(
                    "several series of {} at the same time that only {target} tells apart: name one of them, such as {target}=\"soak\", or add them up",
                    WORKERS[0]
                )),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_target_that_comes_back_under_another_address_goes_on() {
        let mut answer = workers(&[("instance", "10.0.0.1:9090")], 12.0);
        let mut later = workers(&[("instance", "10.0.0.2:9090")], 12.0);
        let half = i64::midpoint(START, END) as f64;
        for series in &mut answer {
            series.samples.retain(|sample| sample.t < half);
        }
        for series in &mut later {
            series.samples.retain(|sample| sample.t >= half);
        }
        answer.extend(later);
        let run = asked(answer).expect("a run");
        assert_eq!(verdict::judge(&growth(), &run).outcome, Outcome::Passed);
    }

    #[test]
    fn more_parts_than_can_be_told_apart_name_the_fix() {
        let parts = |count: usize| {
            let all = (0..count).flat_map(|i| workers(&[("path", &format!("/{i}"))], 1.0));
            asked(all.collect())
        };
        assert!(parts(MOST_PARTS).is_ok());
        let problem = parts(MOST_PARTS + 1).expect_err("too many");
        assert!(problem.contains("51 series of demo-worker"), "{problem}");
        assert!(problem.contains("sum by (pod)"), "{problem}");
    }

    fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        let name = prop_oneof!["namespace", "container", "instance", "pool", "path"];
        let value = prop_oneof!["soak", "other", "a", ""];
        let pod = prop_oneof![
            4 => Just(Some(WORKERS[0])),
            4 => Just(Some(WORKERS[1])),
            2 => Just(Some(PRODUCER)),
            1 => Just(Some("shop-0")),
            1 => Just(None),
        ];
        (btree_map(name, value, 0..4), pod).prop_map(|(mut labels, pod)| {
            if let Some(pod) = pod {
                labels.insert("pod".to_owned(), pod.to_owned());
            }
            labels
        })
    }

    fn any_series() -> impl Strategy<Value = Series> {
        (any_labels(), vec(0..50_i32, 0..12)).prop_map(|(labels, mut steps)| {
            steps.sort_unstable();
            steps.dedup();
            let sample = |step| Sample {
                t: START as f64 + 15.0 * f64::from(step),
                v: 1.0,
            };
            Series {
                labels,
                samples: steps.into_iter().map(sample).collect(),
            }
        })
    }

    proptest! {
        /// Whatever is answered, what is judged counts each series of the soak's own once, and nothing else.
        #[test]
        fn nothing_is_counted_twice_or_for_another(answer in vec(any_series(), 0..8)) {
            let answer: BTreeMap<_, _> = answer.into_iter().map(|s| (s.labels.clone(), s)).collect();
            let answer: Vec<Series> = answer.into_values().collect();
            let own = |series: &Series| label(series, "namespace").is_none_or(|name| name == "soak");
            let counted = |pod: &str| -> usize {
                let of_pod = answer.iter().filter(|s| own(s) && label(s, "pod") == Some(pod));
                of_pod.map(|s| s.samples.len()).sum()
            };
            let Ok(run) = asked(answer.clone()) else { return Ok(()) };
            for pod in WORKERS.iter().chain([&PRODUCER]) {
                let series: Vec<_> = run.series.iter().filter(|s| s.pod == *pod).collect();
                let judged: usize = series.iter().map(|s| s.samples.len()).sum();
                prop_assert_eq!(judged, counted(pod));
                for one in &series {
                    let alike = series.iter().filter(|other| other.labels == one.labels);
                    let mut instants: Vec<_> = alike.flat_map(|s| &s.samples).map(|s| s.t).collect();
                    let all = instants.len();
                    instants.sort_by(f64::total_cmp);
                    instants.dedup();
                    prop_assert_eq!(instants.len(), all);
                }
            }
            for series in answer.iter().filter(|s| own(s) && !s.samples.is_empty()) {
                prop_assert!(label(series, "pod").is_some_and(|pod| pod != "shop-0"));
            }
        }
    }
}
