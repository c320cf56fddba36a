//! Whether a component came back to where it was before the chaos.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::autocorrelation::{independent_samples, mean};
use crate::bound::worst_of;
use crate::criterion::{Delta, Measured};
use crate::judgement::{Interval, Judgement, Outcome};
use crate::run::{Component, Run, Sample, Window};
use crate::samples::{Clean, clean, median};
use crate::settled::settled_stretches;
use crate::wording::{count, subject, value};

/// The fewest instants with a total that a level rests on.
const FEWEST_TOTALS: usize = 3;

/// How far before the window's start its level is looked for, in seconds.
const LOOK_BACK_SECONDS: f64 = 30.0;

/// Judges each component by itself, and answers with the worst. Equivalence in both directions: Passed where the whole
/// interval of the difference lies within the bound (Schuirmann, 1987), Failed where all of it lies outside.
pub(crate) fn judge(of: &Measured, delta: &Delta, run: &Run) -> Judgement {
    let clean = clean(run);
    worst_of(
        run.components
            .iter()
            .map(|component| judge_component(of, delta, run, &clean, component))
            .collect(),
    )
}

fn judge_component(
    of: &Measured,
    delta: &Delta,
    run: &Run,
    clean: &Clean<'_>,
    component: &Component,
) -> Judgement {
    let limit = delta.within.value();
    let unit = of.unit();
    let what = format!("{} {}", component.name, subject(of));
    let totals = totals(run, clean, component);
    let inside =
        |window: Window| -> Vec<Sample> { crate::samples::within(&totals, window).to_vec() };
    let before = inside(Window {
        start: run.window.start - LOOK_BACK_SECONDS.min(run.warm_up_seconds / 2.0),
        end: run.window.start,
    });
    let before = if before.len() >= FEWEST_TOTALS {
        before
    } else {
        first_settled(run, component, &totals)
    };
    let after = inside(Window {
        start: f64::midpoint(run.window.end, run.settle_end),
        end: run.settle_end,
    });
    let judged = Judgement {
        component: Some(component.name.clone()),
        limit,
        unit,
        samples: before.len() + after.len(),
        incarnations: clean
            .incarnations
            .iter()
            .filter(|one| one.component == component.name && !one.total.is_empty())
            .count(),
        excluded: clean.excluded.clone(),
        ..Judgement::inconclusive(String::new())
    };
    for (level, when) in [
        (&before, "before the chaos"),
        (&after, "at the end of settling"),
    ] {
        if level.len() < FEWEST_TOTALS {
            return Judgement {
                sentence: format!(
                    "all {} of {} were seen together only {} {when}; at least {FEWEST_TOTALS} are needed to say where {what} stood.",
                    count(component.replicas as usize, "pod"),
                    component.name,
                    count(level.len(), "time"),
                ),
                ..judged
            };
        }
    }
    let Some((difference, interval)) = difference(&before, &after) else {
        return Judgement {
            sentence: format!("the levels of {what} could not be compared."),
            ..judged
        };
    };
    let levels = before.iter().chain(&after);
    let rounding = 8.0 * f64::EPSILON * levels.map(|sample| sample.v.abs()).fold(0.0, f64::max);
    // What is at the limit but for rounding, as sums of decimals are, is at the limit.
    let exact = |bound: f64| {
        if (bound.abs() - limit).abs() <= rounding {
            limit.copysign(bound)
        } else {
            bound
        }
    };
    let interval = Interval {
        low: exact(interval.low),
        high: exact(interval.high),
    };
    let outcome = if interval.low >= -limit && interval.high <= limit {
        Outcome::Passed
    } else if interval.low > limit || interval.high < -limit {
        Outcome::Failed
    } else {
        Outcome::Inconclusive
    };
    let came = match outcome {
        Outcome::Passed => "came back to where it was before the chaos",
        Outcome::Failed => "did not come back to where it was before the chaos",
        Outcome::Inconclusive => "may or may not have come back to where it was before the chaos",
    };
    let advice = if outcome == Outcome::Inconclusive {
        ": a longer settle time would narrow it"
    } else {
        ""
    };
    Judgement {
        outcome,
        estimate: Some(difference),
        interval: Some(interval),
        sentence: format!(
            "{what} {came}: {} apart (interval {} to {}), limit {} either way{advice}.",
            value(difference, unit),
            value(interval.low, unit),
            value(interval.high, unit),
            value(limit, unit),
        ),
        ..judged
    }
}

/// The sum over all planned pods, at each step in which exactly as many were seen; pods are scraped at offsets of their
/// own, so that instants are taken by the step.
fn totals(run: &Run, clean: &Clean<'_>, component: &Component) -> Vec<Sample> {
    let mut readings: Vec<(f64, &str, f64)> = clean
        .incarnations
        .iter()
        .filter(|incarnation| incarnation.component == component.name)
        .flat_map(|incarnation| {
            let end = incarnation.ended_at.unwrap_or(f64::INFINITY);
            incarnation
                .total
                .iter()
                .filter(move |sample| sample.t < end)
                .map(|sample| {
                    let step = ((sample.t - run.window.start) / run.step_seconds).round();
                    (step, incarnation.pod, sample.v)
                })
        })
        .collect();
    // Stable, so that the last reading of a pod within a step is the one that counts.
    readings.sort_by(|a, b| a.0.total_cmp(&b.0));
    readings
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|step| {
            let pods: BTreeMap<&str, f64> = step.iter().map(|(_, pod, v)| (*pod, *v)).collect();
            let total: f64 = pods.values().sum();
            (pods.len() == component.replicas as usize && total.is_finite()).then(|| Sample {
                t: run.window.start + step[0].0 * run.step_seconds,
                v: total,
            })
        })
        .collect()
}

/// The totals of the first tenth of the window, as far as the component was settled there.
fn first_settled(run: &Run, component: &Component, totals: &[Sample]) -> Vec<Sample> {
    let first = settled_stretches(run, &component.name, run.window)
        .into_iter()
        .next();
    let Some(stretch) = first else {
        return Vec::new();
    };
    let length = (run.window.end - run.window.start) / 10.0;
    crate::samples::within(
        totals,
        Window {
            start: stretch.start,
            end: stretch.end.min(stretch.start + length),
        },
    )
    .to_vec()
}

/// The difference of the two medians with its 95 % interval; the variance of a median of n normal values is pi/2 times
/// that of their mean, and n counts independent samples only (Welch, 1947, for the degrees of freedom).
fn difference(before: &[Sample], after: &[Sample]) -> Option<(f64, Interval)> {
    let level = |samples: &[Sample]| median(samples.iter().map(|sample| sample.v).collect());
    let difference = level(after)? - level(before)?;
    let (doubt_before, freedom_before) = doubt(before);
    let (doubt_after, freedom_after) = doubt(after);
    let variance = doubt_before + doubt_after;
    let reach = if variance == 0.0 {
        0.0
    } else {
        let freedom = variance.powi(2)
            / (doubt_before.powi(2) / freedom_before + doubt_after.powi(2) / freedom_after);
        let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
        student.inverse_cdf(0.975) * variance.sqrt()
    };
    let interval = Interval {
        low: difference - reach,
        high: difference + reach,
    };
    (interval.low.is_finite() && interval.high.is_finite()).then_some((difference, interval))
}

fn doubt(samples: &[Sample]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = mean(samples);
    let squares: f64 = samples.iter().map(|sample| (sample.v - mean).powi(2)).sum();
    let independent = independent_samples(samples).clamp(1.5, count);
    // Of few independent samples the spread is seen too small, by the same share as the mean is seen too well.
    let variance = squares / count * independent / (independent - 1.0);
    (
        std::f64::consts::FRAC_PI_2 * variance / independent,
        (independent - 1.0).max(1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IncarnationSeries;
    use crate::criterion::Signal;
    use crate::simulator::{still, worker};

    fn judged(series: Vec<IncarnationSeries>) -> Judgement {
        let delta = Delta {
            signal: Some(Signal::Tasks),
            query: None,
            within: "5".parse().expect("a quantity"),
        };
        crate::judge(
            &delta.kind().expect("one measure"),
            &still(&[("worker", 2)], series),
        )
    }

    fn ends_at(after: f64) -> Vec<IncarnationSeries> {
        let level = move |t: f64| if t < 1250.0 { 20.0 } else { after };
        vec![
            worker("a", 900.0, 1340.0, level),
            worker("b", 900.0, 1340.0, level),
        ]
    }

    #[test]
    fn a_component_that_comes_back_passes() {
        let judgement = judged(ends_at(22.0));
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        assert_eq!(judgement.estimate, Some(4.0));
    }

    #[test]
    fn it_fails_in_both_directions() {
        assert_eq!(judged(ends_at(23.0)).outcome, Outcome::Failed);
        assert_eq!(judged(ends_at(17.0)).outcome, Outcome::Failed);
    }

    #[test]
    fn levels_that_never_change_leave_no_doubt_in_any_unit() {
        for unit in [1.0, 1_000.0, 1_048_576.0] {
            let mut series = ends_at(22.5);
            for sample in series.iter_mut().flat_map(|one| &mut one.samples) {
                sample.v *= unit;
            }
            let within = format!("{}", 5.0 * unit).parse().expect("a quantity");
            let delta = Delta {
                signal: Some(Signal::Tasks),
                query: None,
                within,
            };
            let run = still(&[("worker", 2)], series);
            let judgement = crate::judge(&delta.kind().expect("one measure"), &run);
            assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        }
    }

    #[test]
    fn a_missing_pod_is_no_smaller_total() {
        let mut series = ends_at(20.0);
        series[0].samples.retain(|sample| sample.t < 1300.0);
        let judgement = judged(series);
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("0 times"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn a_restarted_pod_takes_its_predecessors_place() {
        let mut series = ends_at(20.0);
        series.pop();
        series.push(worker("b", 900.0, 1100.0, |_| 20.0));
        series.push(worker("c", 1103.0, 1340.0, |_| 20.0));
        assert_eq!(judged(series).outcome, Outcome::Passed);
    }

    #[test]
    fn what_is_at_the_limit_but_for_rounding_is_at_the_limit() {
        // 0.1 + 0.2 is more than 0.3.
        let series = vec![
            worker("a", 900.0, 1340.0, |t| if t < 1100.0 { 0.0 } else { 0.1 }),
            worker("b", 900.0, 1340.0, |t| if t < 1100.0 { 0.0 } else { 0.2 }),
        ];
        let delta = Delta {
            signal: Some(Signal::Tasks),
            query: None,
            within: "300m".parse().expect("a quantity"),
        };
        let kind = delta.kind().expect("one measure");
        let judgement = crate::judge(&kind, &still(&[("worker", 2)], series));
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
    }
}
