//! How fast the workload was whole again after chaos.

use crate::criterion::Recovery;
use crate::judgement::{Interval, Judgement, Outcome};
use crate::run::Run;
use crate::threshold::{events_needed, ranks};
use crate::wording::{count, seconds};

/// Judges a percentile of the times from each event to its recovery, by the order-statistic interval (Conover, 1999,
/// section 3.2), with one that was never seen to recover as infinite; at 100 the slowest of them, which is exact.
pub(crate) fn judge(recovery: &Recovery, run: &Run, doubt: f64) -> Judgement {
    let limit = recovery.max.duration().as_secs_f64();
    let mut times: Vec<f64> = run
        .events
        .iter()
        .filter(|event| event.tells_recovery)
        .map(|event| {
            let since = event.undone_at.unwrap_or(event.at);
            match event.recovered_at {
                Some(recovered) if recovered >= since => recovered - since,
                _ => f64::INFINITY,
            }
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let events = count(times.len(), "event");
    let judged = Judgement {
        limit,
        unit: "s",
        samples: times.len(),
        ..Judgement::inconclusive(String::new())
    };
    if !(1.0..=100.0).contains(&recovery.percentile) {
        return Judgement {
            sentence: "the percentile of recovery must lie between 1 and 100.".to_owned(),
            ..judged
        };
    }
    if times.is_empty() {
        return Judgement {
            sentence: "there was no chaos event to recover from.".to_owned(),
            ..judged
        };
    }
    let share = recovery.percentile / 100.0;
    let all = times.len() as f64;
    let (low, high) = if share >= 1.0 {
        (times.last().copied(), times.last().copied())
    } else {
        let (low, high) = ranks(all, share, doubt);
        // No recovery takes less than no time, which is where a percentile of few events may lie.
        let low = low.and_then(|rank| nth(&times, rank)).unwrap_or(0.0);
        (Some(low), high.and_then(|rank| nth(&times, rank)))
    };
    let outcome = if low.is_some_and(|low| low > limit) {
        Outcome::Failed
    } else if high.is_some_and(|high| high <= limit) {
        Outcome::Passed
    } else {
        Outcome::Inconclusive
    };
    let estimate = nth(&times, (share * all).ceil().max(1.0));
    let what = if share >= 1.0 {
        format!("the slowest recovery of {events}")
    } else {
        format!(
            "{} % of recoveries, judged on {events},",
            recovery.percentile
        )
    };
    let took = match estimate.filter(|time| time.is_finite()) {
        Some(time) => format!("took {} or less", seconds(time)),
        None => "never came to an end".to_owned(),
    };
    let range = match (low, high) {
        (Some(low), Some(high)) if low == high => String::new(),
        (low, high) => format!(
            " (interval {} to {})",
            bound(low, "unknown"),
            bound(high, "unknown")
        ),
    };
    let advice = if outcome == Outcome::Inconclusive {
        let needed = events_needed(share, doubt);
        if times.last().is_some_and(|slowest| *slowest <= limit) && needed > all {
            let times_longer = needed * 1.1 / all;
            let length = (run.window.end - run.window.start) * times_longer;
            format!(
                ": too few to tell; a soak of about {} with {needed:.0} events would decide, or percentile: 100",
                seconds((length / 60.0).ceil() * 60.0),
            )
        } else {
            ": not certain either way; more events would narrow it".to_owned()
        }
    } else {
        String::new()
    };
    Judgement {
        outcome,
        estimate: estimate.filter(|time| time.is_finite()),
        interval: low
            .zip(high)
            .map(|(low, high)| Interval { low, high })
            .filter(|interval| interval.high.is_finite()),
        sentence: format!("{what} {took}{range}, limit {}{advice}.", seconds(limit)),
        ..judged
    }
}

/// The value of a rank from 1.
fn nth(times: &[f64], rank: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among events"
    )]
    let index = (rank as usize).checked_sub(1)?;
    times.get(index).copied()
}

fn bound(time: Option<f64>, otherwise: &str) -> String {
    match time {
        Some(time) if time.is_finite() => seconds(time),
        Some(_) => "never".to_owned(),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criterion::Span;
    use crate::run::ChaosEvent;
    use crate::simulator::{Dice, still};

    fn judged(percentile: f64, times: &[Option<f64>]) -> Judgement {
        let mut run = still(&[("worker", 3)], Vec::new());
        run.events = times
            .iter()
            .map(|time| ChaosEvent {
                at: 1000.0,
                recovered_at: time.map(|time| 1000.0 + time),
                undone_at: None,
                tells_recovery: true,
                kind: "podKill".to_owned(),
                component: "worker".to_owned(),
                pod: "worker-0".to_owned(),
            })
            .collect();
        let recovery = Recovery {
            max: Span::from_seconds(15),
            percentile,
        };
        crate::judge(&crate::CriterionKind::Recovery(recovery), &run)
    }

    #[test]
    fn many_quick_recoveries_pass() {
        let judgement = judged(95.0, &[Some(5.0); 100]);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
    }

    #[test]
    fn few_quick_recoveries_prove_nothing_of_a_high_percentile() {
        let judgement = judged(95.0, &[Some(5.0); 6]);
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert_eq!(
            judgement.sentence,
            "95 % of recoveries, judged on 6 events, took 5s or less (interval 5s to unknown), limit 15s: too few to tell; a soak of about 1h 7m with 72 events would decide, or percentile: 100."
        );
    }

    #[test]
    fn the_slowest_of_few_is_exact() {
        let quick = judged(100.0, &[Some(5.0), Some(14.0), Some(3.0)]);
        assert_eq!(quick.outcome, Outcome::Passed);
        assert_eq!(quick.estimate, Some(14.0));
        let slow = judged(100.0, &[Some(5.0), Some(16.0)]);
        assert_eq!(slow.outcome, Outcome::Failed);
    }

    #[test]
    fn one_that_never_recovered_is_slower_than_any_limit() {
        let judgement = judged(100.0, &[Some(5.0), None]);
        assert_eq!(judgement.outcome, Outcome::Failed);
        assert_eq!(judgement.estimate, None);
        assert!(
            judgement.sentence.contains("never came to an end"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn a_percentile_that_is_none_is_never_a_pass() {
        for percentile in [f64::NAN, 0.0, -5.0, 100.5, f64::INFINITY] {
            let judgement = judged(percentile, &[Some(1.0); 100]);
            assert_eq!(judgement.outcome, Outcome::Inconclusive, "{percentile}");
        }
    }

    #[test]
    fn a_pass_has_an_interval_however_few_events_there_are() {
        let judgement = judged(1.0, &[Some(5.0)]);
        assert_eq!(judgement.outcome, Outcome::Passed);
        assert_eq!(
            judgement.interval.map(|i| (i.low, i.high)),
            Some((0.0, 5.0))
        );
    }

    #[test]
    fn no_event_at_all_is_never_a_pass() {
        assert_eq!(judged(95.0, &[]).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn a_percentile_at_its_limit_fails_or_passes_one_time_in_forty() {
        let wrong = |below: f64| {
            let wrong = (0..400).filter(|seed| {
                let mut dice = Dice::new(*seed);
                let times: Vec<_> = (0..120)
                    .map(|_| {
                        Some(if dice.between(0.0, 1.0) < below {
                            5.0
                        } else {
                            20.0
                        })
                    })
                    .collect();
                let outcome = judged(90.0, &times).outcome;
                outcome
                    == if below < 0.9 {
                        Outcome::Passed
                    } else {
                        Outcome::Failed
                    }
            });
            wrong.count() as f64 / 400.0
        };
        // Just worse than the limit must hardly ever pass, just better hardly ever fail.
        assert!(wrong(0.8999) < 0.05 && wrong(0.9001) < 0.05);
    }
}
