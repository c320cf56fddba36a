//! Judging a soak that still runs.
//!
//! Whoever looks fifty times at 95 % stops a fifth of the clean soaks. So the looks are planned beforehand, and the
//! chance of a false alarm is spread over them: by the union bound all of them together fail a clean soak in at most
//! [`SPENT`] of cases, whenever they are taken, however many are missed, and however alike what they see is (alpha
//! spending; Lan and `DeMets`, 1983, of whose spending functions this is the plainest).

use crate::criterion::CriterionKind;
use crate::judgement::{Judgement, Outcome};
use crate::run::{ChaosEvent, IncarnationSeries, Run};
use crate::trend;
use crate::wording::seconds;

/// When a soak that still runs is looked at, in shares of its duration. A leak that is seen at all is seen within twice
/// the time that it takes to show: looks that lie closer would each have to be surer.
pub const LOOKS: [f64; 8] = [
    1.0 / 64.0,
    1.0 / 32.0,
    1.0 / 16.0,
    1.0 / 8.0,
    1.0 / 4.0,
    3.0 / 8.0,
    1.0 / 2.0,
    3.0 / 4.0,
];

/// The chance that any of the looks fails a soak that is just at its limit.
pub const SPENT: f64 = 0.005;

/// Judges a soak of `duration_seconds` by what there is of it: `run`'s window ends at the present. Of use for a decision
/// at each of [`LOOKS`], and no more often.
///
/// Failed if it surely is by now: what has grown is more than may grow until the end, at a doubt that allows for all
/// looks. Anything else is Inconclusive, for nothing is Passed before its end. A trend is looked at once its own `window`
/// has gone, for before that nothing tells growth from what a workload does at first; `delta` is about the end alone.
pub fn look(criterion: &CriterionKind, run: &Run, duration_seconds: f64) -> Judgement {
    if let Some(problem) = run.problem() {
        return Judgement::unjudged(problem);
    }
    let gone = run.window.end - run.window.start;
    let early = |why: &str| Judgement::inconclusive(format!("{why}."));
    let judgement = match criterion {
        CriterionKind::Delta(..) => return early("delta is judged at the end"),
        CriterionKind::Trend(of, trend) => {
            let window = trend::window_seconds(trend, duration_seconds);
            // The instant of a look is written down in milliseconds.
            if gone < window - 1.0 {
                return early("its window has not gone yet");
            }
            trend::judge_last(window, of, trend, run, doubt())
        }
        CriterionKind::Recovery(_) => crate::judge_at(criterion, &recovered_at_best(run), doubt()),
        CriterionKind::Growth(..) | CriterionKind::Increase(_) | CriterionKind::Threshold(_) => {
            crate::judge_at(criterion, run, doubt())
        }
    };
    let outcome = judgement.outcome.max(Outcome::Inconclusive);
    Judgement {
        outcome,
        sentence: format!(
            "after {} of {}: {}",
            seconds(gone),
            seconds(duration_seconds),
            judgement.sentence
        ),
        ..judgement
    }
}

/// What the criterion measures of a soak so far, with a plain 95 % interval: advice for people who watch, on which nothing
/// is decided. The outcome is what it would be if the soak ended now.
pub fn so_far(criterion: &CriterionKind, run: &Run) -> Judgement {
    match criterion {
        CriterionKind::Recovery(_) => crate::judge(criterion, &recovered_at_best(run)),
        CriterionKind::Delta(..) => {
            Judgement::inconclusive("delta is judged at the end.".to_owned())
        }
        _ => crate::judge(criterion, run),
    }
}

/// Judges a soak that is over as [`look`] would have done while it ran: Failed at the first look that fails, with what
/// was known by then, else as at the end.
pub fn judge_with_looks(criterion: &CriterionKind, run: &Run) -> Judgement {
    let duration = run.window.end - run.window.start;
    if run.problem().is_none() {
        let looks = LOOKS.iter().map(|share| share * duration);
        let failed = looks
            .map(|gone| look(criterion, &until(run, run.window.start + gone), duration))
            .find(|judgement| judgement.outcome == Outcome::Failed);
        if let Some(failed) = failed {
            return failed;
        }
    }
    crate::judge(criterion, run)
}

/// The two-sided doubt of one look.
fn doubt() -> f64 {
    2.0 * SPENT / LOOKS.len() as f64
}

/// What was known of the run at an instant inside its window.
fn until(run: &Run, now: f64) -> Run {
    let mut window = run.window;
    window.end = now;
    let seen = |series: &[IncarnationSeries]| -> Vec<IncarnationSeries> {
        let begun = series.iter().filter(|one| one.started_at <= now);
        begun
            .map(|one| IncarnationSeries {
                ended_at: one.ended_at.filter(|end| *end <= now),
                samples: one.samples.iter().filter(|s| s.t <= now).copied().collect(),
                ..one.clone()
            })
            .collect()
    };
    let events = run.events.iter().filter(|event| event.at <= now);
    Run {
        window,
        settle_end: now,
        series: seen(&run.series),
        load: seen(&run.load),
        events: events
            .map(|event| ChaosEvent {
                recovered_at: event.recovered_at.filter(|at| *at <= now),
                undone_at: event.undone_at.filter(|at| *at <= now),
                tells_recovery: event.tells_recovery,
                ..event.clone()
            })
            .collect(),
        ..run.clone()
    }
}

/// What has not recovered yet may do so at once.
fn recovered_at_best(run: &Run) -> Run {
    let mut run = run.clone();
    for event in &mut run.events {
        event.recovered_at = event.recovered_at.or(Some(run.window.end.max(event.at)));
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Soak, Texture, still, worker};
    use crate::{Growth, Increase, Recovery, Signal, Span, Trend};

    const PODS: u32 = 6;

    fn growth(max_percent: f64) -> CriterionKind {
        let growth = Growth {
            signal: Some(Signal::Tasks),
            query: None,
            per: None,
            max_percent: Some(max_percent),
            max_absolute: None,
        };
        growth.kind().expect("one measure")
    }

    fn noisy(gains: f64) -> Soak {
        Soak {
            all_workers_gain: gains,
            duration: 600.0,
            ..Soak::quiet(
                PODS,
                Texture::Wandering {
                    deviation: 20.0,
                    correlation: 0.9,
                },
            )
        }
    }

    fn seeds() -> u64 {
        if cfg!(debug_assertions) { 15 } else { 300 }
    }

    /// The share of soaks that fail at any of the instants, each looked at with the doubt given.
    fn failed(criterion: &CriterionKind, shares: &[f64], doubt: f64) -> f64 {
        let fails = |seed: &u64| {
            let run = noisy(0.0).run(*seed);
            let length = run.window.end - run.window.start;
            shares.iter().any(|share| {
                let so_far = until(&run, run.window.start + share * length);
                crate::judge_at(criterion, &so_far, doubt).outcome == Outcome::Failed
            })
        };
        (0..seeds()).filter(fails).count() as f64 / seeds() as f64
    }

    /// Held against a limit of 0, every answer but Inconclusive is wrong: what a clean soak grows is just at the limit.
    #[test]
    fn looking_naively_fails_clean_soaks_and_the_planned_looks_do_not() {
        let every_fiftieth: Vec<f64> = (1..50).map(|i| f64::from(i) / 50.0).collect();
        let naive = failed(&growth(0.0), &every_fiftieth, 0.05);
        let planned = failed(&growth(0.0), &LOOKS, doubt());
        println!("failed by naive looks {naive:.3}, by the planned ones {planned:.3}");
        let room = 3.0 * (SPENT * (1.0 - SPENT) / seeds() as f64).sqrt();
        assert!(planned <= SPENT + room, "{planned}");
        assert!(naive > 10.0 * SPENT, "{naive}");
    }

    #[test]
    fn a_plain_leak_is_found_long_before_the_end_and_said_so() {
        let run = noisy(400.0).run(3);
        let judgement = judge_with_looks(&growth(5.0), &run);
        assert_eq!(judgement.outcome, Outcome::Failed);
        assert!(
            judgement
                .sentence
                .starts_with("after 3m 45s of 10m: worker tasks grew")
                || judgement
                    .sentence
                    .starts_with("after 2m 30s of 10m: worker tasks grew"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn nothing_passes_before_its_end() {
        let run = still(
            &[("worker", 1)],
            vec![
                worker("a", 900.0, 1340.0, |_| 10.0),
                worker("b", 900.0, 1340.0, |_| 10.0),
            ],
        );
        for criterion in [
            growth(5.0),
            CriterionKind::Increase(Increase {
                query: "lost".to_owned(),
                max: 1e9,
                durable: true,
            }),
        ] {
            assert_eq!(crate::judge(&criterion, &run).outcome, Outcome::Passed);
            let looked = look(&criterion, &run, 300.0);
            assert_eq!(looked.outcome, Outcome::Inconclusive, "{}", looked.sentence);
        }
    }

    #[test]
    fn a_trend_is_looked_at_once_its_window_has_gone() {
        let trend = |window| {
            let trend = Trend {
                signal: Some(Signal::Tasks),
                query: None,
                per: None,
                horizon: Span::from_seconds(3_600),
                max_percent: 5.0,
                window,
            };
            trend.kind().expect("one measure")
        };
        let fills = |pod| {
            worker(pod, 900.0, 1340.0, |t| {
                100.0 + (t - 1000.0).clamp(0.0, 60.0)
            })
        };
        let run = still(&[("worker", 2)], vec![fills("a"), fills("b")]);
        let early = until(&run, 1050.0);
        assert!(
            look(&trend(None), &early, 300.0)
                .sentence
                .contains("its window has not gone")
        );
        let hasty = look(&trend(Some(Span::from_seconds(40))), &early, 300.0);
        assert_eq!(hasty.outcome, Outcome::Failed, "{}", hasty.sentence);
        assert_ne!(
            judge_with_looks(&trend(None), &run).outcome,
            Outcome::Failed
        );
    }

    #[test]
    fn an_event_that_still_recovers_has_not_failed_yet() {
        let mut run = still(&[("worker", 1)], vec![worker("a", 900.0, 1340.0, |_| 10.0)]);
        run.events.push(ChaosEvent {
            at: 1100.0,
            recovered_at: Some(1190.0),
            undone_at: None,
            tells_recovery: true,
            kind: "podKill".to_owned(),
            component: "worker".to_owned(),
            pod: "a".to_owned(),
        });
        let slowest = |max| {
            CriterionKind::Recovery(Recovery {
                max: Span::from_seconds(max),
                percentile: 100.0,
            })
        };
        let outcome = |max, now| look(&slowest(max), &until(&run, now), 300.0).outcome;
        assert_eq!(outcome(60, 1130.0), Outcome::Inconclusive);
        assert_eq!(
            outcome(60, 1170.0),
            Outcome::Failed,
            "it takes longer in any case"
        );
        assert_eq!(
            so_far(&slowest(60), &until(&run, 1130.0)).outcome,
            Outcome::Passed
        );
    }
}
