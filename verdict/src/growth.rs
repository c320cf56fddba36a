//! How much a signal grew over the soak, within incarnations.

use crate::bound::{Bound, Question, judge_component, worst_of};
use crate::criterion::{Growth, Measured};
use crate::evidence::Evidence;
use crate::judgement::Judgement;
use crate::load::{Load, at_equal};
use crate::run::Run;
use crate::samples::clean;
use crate::shape::Reach;
use crate::slope::Search;
use crate::wording::seconds;

/// Load follows the sun.
pub(crate) const DAY_SECONDS: f64 = 86_400.0;

/// What one incarnation does may be its own.
const LEAST_INCARNATIONS: usize = 2;

/// Judges each component by itself, and answers with the worst.
///
/// Percent is of a pod's settled level at the window's start, absolute is for the component: growth of the mean pod
/// times the planned replicas. A single pod fails its component when it surely grows by more than the percentage by
/// itself, or by more than the absolute limit of the whole component.
pub(crate) fn judge(of: &Measured, growth: &Growth, run: &Run, doubt: f64) -> Judgement {
    let clean = clean(run);
    let load = growth.per.as_deref().map(|per| Load::of(per, run));
    let length = run.window.end - run.window.start;
    let question = Question {
        of,
        over: format!("over {}{}", seconds(length), at_equal(load.as_ref())),
        search: Search {
            reach: Reach::Window,
            day: Some(length / DAY_SECONDS),
            hinge: None,
        },
        fixed_horizon: false,
        doubt,
    };
    let judgements = run
        .components
        .iter()
        .map(|component| {
            let evidence =
                Evidence::gather(run, &clean, component, LEAST_INCARNATIONS, load.as_ref());
            let percent = growth
                .max_percent
                .map(|limit| percent_bound(limit, evidence.level_at(-1.0), 1.0));
            let absolute = growth.max_absolute.as_ref().map(|limit| Bound {
                limit: limit.value(),
                unit: of.unit(),
                factor: f64::from(component.replicas),
                pod_factor: 1.0,
                level: None,
            });
            let bounds: Vec<Bound> = percent.into_iter().chain(absolute).collect();
            judge_component(&evidence, &question, &bounds)
        })
        .collect();
    worst_of(judgements)
}

/// A limit in percent of a level, for growth `times` that over the window.
///
/// Of a level that is not above 0 no percentage can be had, unless nothing grew at all.
pub(crate) fn percent_bound(limit: f64, base: Option<f64>, times: f64) -> Bound {
    let factor = match base {
        Some(base) if base > 0.0 => times * 100.0 / base,
        _ => f64::INFINITY,
    };
    Bound {
        limit,
        unit: "%",
        factor,
        pod_factor: factor,
        level: base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Soak, still, worker};
    use crate::{ChaosEvent, Outcome, Signal};

    fn judged(growth: &Growth, run: &Run) -> Judgement {
        crate::judge(&growth.kind().expect("one measure"), run)
    }

    fn tasks(max_percent: Option<f64>, max_absolute: Option<&str>) -> Growth {
        Growth {
            signal: Some(Signal::Tasks),
            query: None,
            per: None,
            max_percent,
            max_absolute: max_absolute.map(|text| text.parse().expect("a quantity")),
        }
    }

    fn five_percent(run: &Run) -> Judgement {
        judged(&tasks(Some(5.0), None), run)
    }

    fn leaks(pod: &str, from: f64, to: f64) -> crate::IncarnationSeries {
        worker(pod, from, to, move |t| 18.0 + ((t - from) / 10.0).floor())
    }

    #[test]
    fn counts_that_never_change_grow_by_exactly_nothing() {
        let pods = ["a", "b"].map(|pod| worker(pod, 900.0, 1340.0, |_| 10.0));
        let run = still(&[("worker", 2)], pods.to_vec());
        let judgement = judged(&tasks(Some(0.0), Some("0")), &run);
        assert_eq!(judgement.outcome, Outcome::Passed);
        let interval = judgement.interval.expect("an interval");
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
        assert_eq!(judgement.incarnations, 2);
        assert_eq!(
            judgement.sentence,
            "worker tasks did not grow over 5m (interval 0 tasks to 0 tasks), limit 0 tasks; 0 % to 0 % against a limit of 0 %."
        );
    }

    #[test]
    fn restart_resets_do_not_hide_a_leak() {
        let mut series = Vec::new();
        for pod in 0..4 {
            for life in 0..4 {
                let from = 900.0 + f64::from(pod) * 27.0 + f64::from(life) * 110.0;
                let to = (from + 109.0).min(1340.0);
                series.push(leaks(&format!("worker-{pod}-{life}"), from, to));
            }
        }
        let judgement = five_percent(&still(&[("worker", 4)], series));
        assert_eq!(judgement.outcome, Outcome::Failed, "{}", judgement.sentence);
        assert!(judgement.estimate.is_some_and(|growth| growth > 100.0));
    }

    #[test]
    fn one_leaking_pod_among_many_fails_its_component_and_is_named() {
        let run = Soak {
            workers: 20,
            kill_every: None,
            first_worker_gains: 9.0,
            ..Soak::tasks()
        }
        .run(7);
        let judgement = five_percent(&run);
        assert_eq!(judgement.outcome, Outcome::Failed, "{}", judgement.sentence);
        assert!(
            judgement.sentence.contains("of pod worker-0-"),
            "{}",
            judgement.sentence
        );
        assert!(judgement.worst_pods[0].name.starts_with("worker-0-"));
    }

    #[test]
    fn the_part_that_grows_is_named() {
        let run = Soak {
            all_workers_gain: 20.0,
            ..Soak::tasks()
        }
        .run(3);
        let judgement = five_percent(&run);
        assert!(
            judgement.sentence.contains(": most of it in consume"),
            "{}",
            judgement.sentence
        );
        assert_eq!(judgement.contributions[0].name, "consume");
        assert_eq!(judgement.contributions[1].growth, 0.0);
    }

    #[test]
    fn both_limits_must_hold() {
        let run = Soak {
            all_workers_gain: 2.0,
            kill_every: None,
            ..Soak::tasks()
        }
        .run(3);
        assert_eq!(
            judged(&tasks(Some(100.0), None), &run).outcome,
            Outcome::Passed
        );
        let both = judged(&tasks(Some(100.0), Some("3")), &run);
        assert_eq!(both.outcome, Outcome::Failed);
        assert_eq!(both.unit, "tasks");
        assert!(
            both.sentence.contains("against a limit of 100 %"),
            "{}",
            both.sentence
        );
    }

    #[test]
    fn half_of_the_planned_pod_time_is_needed() {
        let pods = ["a", "b"].map(|pod| worker(pod, 900.0, 1120.0, |_| 10.0));
        let judgement = five_percent(&still(&[("worker", 2)], pods.to_vec()));
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("40 %"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn one_incarnation_proves_nothing() {
        let pod = worker("a", 900.0, 1340.0, |_| 10.0);
        let judgement = five_percent(&still(&[("worker", 1)], vec![pod]));
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("at least 2"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn a_component_that_never_recovers_has_no_settled_level() {
        let mut run = Soak::tasks().run(1);
        run.events.truncate(1);
        run.events[0].recovered_at = None;
        run.events[0].at = run.window.start + 5.0;
        assert_eq!(five_percent(&run).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn events_on_another_component_unsettle_nobody_else() {
        let pods = ["a", "b"].map(|pod| worker(pod, 900.0, 1340.0, |_| 10.0));
        let mut run = still(&[("worker", 2)], pods.to_vec());
        run.events.push(ChaosEvent {
            at: 1001.0,
            recovered_at: None,
            undone_at: None,
            tells_recovery: true,
            kind: "podKill".to_owned(),
            component: "producer".to_owned(),
            pod: "producer-0".to_owned(),
        });
        assert_eq!(five_percent(&run).outcome, Outcome::Passed);
    }

    #[test]
    fn an_own_warm_up_is_not_growth() {
        let warms = |from: f64| move |t: f64| if t < from + 29.0 { 2.0 } else { 10.0 };
        let mut series = vec![
            worker("a", 900.0, 1340.0, |_| 10.0),
            worker("b", 900.0, 1100.0, |_| 10.0),
            worker("c", 1102.0, 1340.0, warms(1102.0)),
        ];
        let run = still(&[("worker", 2)], series.clone());
        assert_eq!(five_percent(&run).outcome, Outcome::Passed);
        for one in &mut series {
            one.started_at = 0.0;
        }
        let run = still(&[("worker", 2)], series);
        assert_ne!(five_percent(&run).outcome, Outcome::Passed);
    }

    #[test]
    fn a_percentage_of_nothing_cannot_be_had() {
        let grows = |pod| {
            worker(pod, 900.0, 1340.0, |t| {
                ((t - 1000.0) / 30.0).floor().max(0.0)
            })
        };
        let run = still(&[("worker", 2)], vec![grows("a"), grows("b")]);
        let judgement = five_percent(&Run {
            series: run
                .series
                .iter()
                .map(|one| crate::IncarnationSeries {
                    samples: one
                        .samples
                        .iter()
                        .map(|s| crate::Sample { v: s.v - 5.0, ..*s })
                        .collect(),
                    ..one.clone()
                })
                .collect(),
            ..run
        });
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("a limit in tasks would decide"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn growth_of_a_query_is_told_by_its_name_and_in_its_own_unit() {
        let leaky = |pod, level: f64| {
            worker(pod, 900.0, 1340.0, move |t| {
                level + 10.0 * (t - 1000.0) / 300.0
            })
        };
        let judged = |level: f64, limit: Option<&str>| {
            let run = still(&[("worker", 2)], vec![leaky("a", level), leaky("b", level)]);
            let growth = Growth {
                signal: None,
                query: Some("go_goroutines{job=\"a\"}".to_owned()),
                per: None,
                ..tasks(limit.is_none().then_some(5.0), limit)
            };
            super::tests::judged(&growth, &run)
        };
        let grown = judged(50.0, Some("5"));
        assert_eq!(grown.outcome, Outcome::Failed);
        assert_eq!(
            (grown.unit, grown.reach.is_none()),
            ("", true),
            "{}",
            grown.sentence
        );
        assert!(
            grown
                .sentence
                .starts_with("worker go_goroutines grew by 20 over 5m (interval 2"),
            "{}",
            grown.sentence
        );
        assert!(
            judged(-50.0, None)
                .sentence
                .ends_with("a limit in its own unit would decide."),
        );
    }
}
