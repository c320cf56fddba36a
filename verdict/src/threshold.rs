//! Whether the values of a query stayed within a bound.

use statrs::distribution::{Beta, ContinuousCDF};

use crate::autocorrelation::independent_samples_of;
use crate::criterion::Threshold;
use crate::judgement::{Interval, Judgement, Outcome, SeriesGrowth};
use crate::run::{Run, Sample};
use crate::samples::{Clean, clean, within};
use crate::wording::{number, percent, seconds};

/// More of the expected steps without any finite value than this, and nothing is passed.
const MOST_MISSING: f64 = 0.1;

/// Which way a bound holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Max,
    Min,
}

/// Judges every finite value inside the window, of series with any labels: the worst of them, or a percentile.
pub(crate) fn judge(threshold: &Threshold, run: &Run, doubt: f64) -> Judgement {
    let (side, limit) = match (threshold.max, threshold.min) {
        (Some(max), None) => (Side::Max, max),
        (None, Some(min)) => (Side::Min, min),
        _ => {
            return Judgement::inconclusive(
                "threshold needs exactly one bound: set either max or min.".to_owned(),
            );
        }
    };
    let clean = clean(run);
    let series: Vec<&[Sample]> = clean
        .incarnations
        .iter()
        .flat_map(|incarnation| &incarnation.parts)
        .map(|part| within(&part.samples, run.window))
        .filter(|samples| !samples.is_empty())
        .collect();
    let judged = Judgement {
        limit,
        samples: series.iter().map(|samples| samples.len()).sum(),
        incarnations: clean
            .incarnations
            .iter()
            .filter(|one| {
                one.parts
                    .iter()
                    .any(|part| !within(&part.samples, run.window).is_empty())
            })
            .count(),
        excluded: clean.excluded.clone(),
        ..Judgement::inconclusive(String::new())
    };
    if series.is_empty() {
        return Judgement {
            sentence: format!(
                "{} yielded no finite value inside the window: whether it kept to {} cannot be said.",
                threshold.query,
                number(limit)
            ),
            ..judged
        };
    }
    let found = match threshold.over.as_deref() {
        None => worst(&series, side),
        Some(over) => match percentile_of(over) {
            Some(share) => percentile(
                &series,
                (share, over),
                (side, limit),
                run.step_seconds,
                doubt,
            ),
            None => {
                return Judgement {
                    sentence: format!("{over:?} is no percentile: use p50, p99 or alike."),
                    ..judged
                };
            }
        },
    };
    let missing = missing_share(&series, run);
    let unseen = (missing > MOST_MISSING).then(|| {
        format!(
            "{} of the window has no finite value; at most {} may lack one",
            percent(100.0 * missing),
            percent(100.0 * MOST_MISSING)
        )
    });
    let outcome = match (found.outcome(side, limit), &unseen) {
        (Outcome::Passed, Some(_)) => Outcome::Inconclusive,
        (outcome, _) => outcome,
    };
    let word = if side == Side::Max { "max" } else { "min" };
    let mut sentence = format!(
        "{} of {} was {}{}, {word} {}",
        found.what,
        threshold.query,
        number(found.estimate),
        found.range(),
        number(limit)
    );
    if outcome == Outcome::Inconclusive {
        sentence.push_str(": ");
        sentence.push_str(&unseen.unwrap_or_else(|| found.advice(run)));
    }
    Judgement {
        outcome,
        estimate: Some(found.estimate),
        interval: found.interval(),
        worst_pods: worst_pods(&clean, run, side),
        sentence: sentence + ".",
        ..judged
    }
}

/// What was found, with bounds as far as the samples give them.
struct Found {
    what: String,
    estimate: f64,
    low: Option<f64>,
    high: Option<f64>,
    /// How many times the soak's length would give a bound.
    needed: Option<f64>,
}

impl Found {
    fn interval(&self) -> Option<Interval> {
        Some(Interval {
            low: self.low?,
            high: self.high?,
        })
    }

    /// A bound on one side is enough to fail; a pass needs the whole interval.
    fn outcome(&self, side: Side, limit: f64) -> Outcome {
        let (beyond, interval) = match side {
            Side::Max => (self.low.is_some_and(|low| low > limit), self.interval()),
            Side::Min => (self.high.is_some_and(|high| high < limit), self.interval()),
        };
        let within = interval.is_some_and(|interval| match side {
            Side::Max => interval.high <= limit,
            Side::Min => interval.low >= limit,
        });
        match (beyond, within) {
            (true, _) => Outcome::Failed,
            (_, true) => Outcome::Passed,
            _ => Outcome::Inconclusive,
        }
    }

    /// What would decide it.
    fn advice(&self, run: &Run) -> String {
        match self.needed {
            Some(times) => format!(
                "not certain either way; a soak of about {} would decide",
                seconds((times * (run.window.end - run.window.start) / 60.0).ceil() * 60.0)
            ),
            None => "not certain either way; a longer soak would narrow it".to_owned(),
        }
    }

    fn range(&self) -> String {
        match (self.low, self.high) {
            (Some(low), Some(high)) if low == high => String::new(),
            (Some(low), Some(high)) => format!(" (interval {} to {})", number(low), number(high)),
            (Some(low), None) => format!(" (surely at least {})", number(low)),
            (None, Some(high)) => format!(" (surely at most {})", number(high)),
            (None, None) => " (nothing is sure)".to_owned(),
        }
    }
}

fn worst(series: &[&[Sample]], side: Side) -> Found {
    let all = series.iter().copied().flatten().map(|sample| sample.v);
    let worst = match side {
        Side::Max => all.fold(f64::NEG_INFINITY, f64::max),
        Side::Min => all.fold(f64::INFINITY, f64::min),
    };
    Found {
        what: if side == Side::Max {
            "the highest"
        } else {
            "the lowest"
        }
        .to_owned(),
        estimate: worst,
        low: Some(worst),
        high: Some(worst),
        needed: None,
    }
}

/// The order-statistic interval of a percentile (Conover, 1999, section 3.2), with the samples' number shrunk by their
/// autocorrelation and by what series have in common.
///
/// Where the samples are too few for an order statistic to bound the percentile, that side stays open: the largest of
/// 100 values bounds no 99th percentile.
fn percentile(
    series: &[&[Sample]],
    (share, over): (f64, &str),
    (side, limit): (Side, f64),
    step_seconds: f64,
    doubt: f64,
) -> Found {
    let mut values: Vec<f64> = series.iter().copied().flatten().map(|s| s.v).collect();
    values.sort_by(f64::total_cmp);
    let independent = independent_samples_of(series, step_seconds).floor();
    let count = values.len() as f64;
    // From ranks among independent samples to ranks among all of them, outwards.
    let (lower, upper) = ranks(independent, share, doubt);
    let low = lower.and_then(|rank| nth(&values, (rank / independent * count).floor()));
    let high = upper.and_then(|rank| nth(&values, (rank / independent * count).ceil()));
    let enough = values
        .first()
        .zip(values.last())
        .map_or(1.0, |(least, most)| {
            let outer = if side == Side::Max {
                1.0 - share
            } else {
                share
            };
            let hopeful = if side == Side::Max {
                *most <= limit
            } else {
                *least >= limit
            };
            if hopeful {
                events_needed(1.0 - outer, doubt) * 1.2 / independent
            } else {
                0.0
            }
        });
    Found {
        what: format!("the {over}"),
        estimate: nth(&values, (share * count).ceil()).unwrap_or(f64::NAN),
        low,
        high,
        needed: Some(enough).filter(|times| *times > 1.0),
    }
}

/// How many independent values it takes for the largest of them to bound a percentile.
pub(crate) fn events_needed(share: f64, doubt: f64) -> f64 {
    ((doubt / 2.0).ln() / share.ln()).ceil()
}

/// The lower and upper rank, from 1, between which the percentile lies but for `doubt`: the largest r with
/// P(Bin(n, p) <= r - 1) <= doubt / 2, and the smallest s with P(Bin(n, p) <= s - 1) >= 1 - doubt / 2.
pub(crate) fn ranks(count: f64, share: f64, doubt: f64) -> (Option<f64>, Option<f64>) {
    let tail = doubt / 2.0;
    let lower = first_rank(count, |rank| at_most(rank - 1.0, count, share) > tail)
        .map_or(count, |rank| rank - 1.0);
    let upper = first_rank(count, |rank| {
        at_most(rank - 1.0, count, share) >= 1.0 - tail
    });
    (Some(lower).filter(|rank| *rank >= 1.0), upper)
}

/// The smallest rank from 1 to `count` with a property that all larger ranks share, by bisection.
fn first_rank(count: f64, has: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = (1.0_f64, count + 1.0);
    while low < high {
        let middle = f64::midpoint(low, high).floor();
        if has(middle) {
            high = middle;
        } else {
            low = middle + 1.0;
        }
    }
    Some(low).filter(|rank| *rank <= count)
}

/// P(Bin(count, share) <= successes), by the incomplete beta function.
fn at_most(successes: f64, count: f64, share: f64) -> f64 {
    if successes >= count {
        return 1.0;
    }
    Beta::new(count - successes, successes + 1.0).map_or(f64::NAN, |beta| beta.cdf(1.0 - share))
}

fn nth(values: &[f64], rank: f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks are whole, from 1 to the number of values, and a float's cast saturates"
    )]
    let index = (rank.max(1.0) as usize).min(values.len());
    values.get(index.checked_sub(1)?).copied()
}

/// `p99` as 0.99.
fn percentile_of(over: &str) -> Option<f64> {
    let share = over.strip_prefix('p')?.parse::<f64>().ok()? / 100.0;
    Some(share).filter(|share| *share > 0.0 && *share < 1.0)
}

/// The share of the window's steps in which no series has a finite value.
fn missing_share(series: &[&[Sample]], run: &Run) -> f64 {
    let length = run.window.end - run.window.start;
    let mut instants: Vec<f64> = series.iter().copied().flatten().map(|s| s.t).collect();
    instants.extend([run.window.start, run.window.end]);
    instants.sort_by(f64::total_cmp);
    let missing: f64 = instants
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|gap| *gap > 1.5 * run.step_seconds)
        .map(|gap| gap - run.step_seconds)
        .sum();
    missing / length
}

/// The pods with the worst values, worst first; series without a pod are nobody's.
fn worst_pods(clean: &Clean<'_>, run: &Run, side: Side) -> Vec<SeriesGrowth> {
    let mut pods: Vec<SeriesGrowth> = clean
        .incarnations
        .iter()
        .filter(|incarnation| !incarnation.pod.is_empty())
        .filter_map(|incarnation| {
            let inside: Vec<&[Sample]> = incarnation
                .parts
                .iter()
                .map(|part| within(&part.samples, run.window))
                .filter(|samples| !samples.is_empty())
                .collect();
            (!inside.is_empty()).then(|| SeriesGrowth {
                name: incarnation.pod.to_owned(),
                growth: worst(&inside, side).estimate,
                interval: None,
            })
        })
        .collect();
    pods.sort_by(|a, b| match side {
        Side::Max => b.growth.total_cmp(&a.growth),
        Side::Min => a.growth.total_cmp(&b.growth),
    });
    pods.truncate(5);
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{still, worker};
    use crate::{CriterionKind, IncarnationSeries};

    fn judged(
        series: Vec<IncarnationSeries>,
        max: Option<f64>,
        min: Option<f64>,
        over: Option<&str>,
    ) -> Judgement {
        let threshold = Threshold {
            query: "latency_seconds".to_owned(),
            max,
            min,
            over: over.map(str::to_owned),
        };
        crate::judge(&CriterionKind::Threshold(threshold), &still(&[], series))
    }

    /// 1 to 100 in an order without memory, again and again.
    fn mixed(t: f64) -> f64 {
        (t * 37.0) % 101.0
    }

    #[test]
    fn one_value_above_the_bound_fails() {
        let spike = |t: f64| if t == 1200.0 { 0.2 } else { 0.05 };
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, spike)],
            Some(0.1),
            None,
            None,
        );
        assert_eq!(judgement.outcome, Outcome::Failed);
        assert_eq!(
            judgement.sentence,
            "the highest of latency_seconds was 0.2, max 0.1."
        );
    }

    #[test]
    fn values_outside_the_window_are_not_judged() {
        let early = |t: f64| if t < 1000.0 { 9.0 } else { 0.05 };
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, early)],
            Some(0.1),
            None,
            None,
        );
        assert_eq!(judgement.outcome, Outcome::Passed);
    }

    #[test]
    fn a_minimum_holds_from_below() {
        let series = || {
            vec![worker("", 900.0, 1340.0, |t| {
                if t < 1100.0 { 5.0 } else { 3.0 }
            })]
        };
        assert_eq!(
            judged(series(), None, Some(3.0), None).outcome,
            Outcome::Passed
        );
        assert_eq!(
            judged(series(), None, Some(4.0), None).outcome,
            Outcome::Failed
        );
    }

    #[test]
    fn not_a_number_is_not_a_pass() {
        let holes = |t: f64| if t < 1040.0 { f64::NAN } else { 0.05 };
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, holes)],
            Some(0.1),
            None,
            None,
        );
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(judgement.excluded[0].contains("NaN"));
        let nothing = judged(
            vec![worker("", 900.0, 1340.0, |_| f64::NAN)],
            Some(0.1),
            None,
            None,
        );
        assert_eq!(nothing.outcome, Outcome::Inconclusive);
    }

    #[test]
    fn a_breach_fails_even_where_much_is_missing() {
        let holes = |t: f64| if t < 1200.0 { f64::NAN } else { 0.5 };
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, holes)],
            Some(0.1),
            None,
            None,
        );
        assert_eq!(judgement.outcome, Outcome::Failed);
    }

    #[test]
    fn a_percentile_has_an_interval_of_order_statistics() {
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, mixed)],
            Some(70.0),
            None,
            Some("p50"),
        );
        let interval = judgement.interval.expect("an interval");
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        assert!(
            interval.low > 40.0 && interval.high < 60.0,
            "{}",
            judgement.sentence
        );
        let above = judged(
            vec![worker("", 900.0, 1340.0, mixed)],
            Some(30.0),
            None,
            Some("p50"),
        );
        assert_eq!(above.outcome, Outcome::Failed);
    }

    #[test]
    fn too_few_values_bound_no_high_percentile() {
        let judgement = judged(
            vec![worker("", 900.0, 1340.0, mixed)],
            Some(200.0),
            None,
            Some("p99.5"),
        );
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("a soak of about"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn values_that_hang_together_count_as_fewer() {
        let slow = |t: f64| 50.0 + 50.0 * (t / 40.0).sin();
        let width = |value: fn(f64) -> f64| {
            judged(
                vec![worker("", 900.0, 1340.0, value)],
                Some(200.0),
                None,
                Some("p50"),
            )
            .interval
            .map_or(f64::INFINITY, |interval| interval.high - interval.low)
        };
        assert!(width(slow) > 3.0 * width(mixed));
    }

    #[test]
    fn ranks_agree_with_the_binomial_table() {
        // Conover, 1999: for n = 20 and the median, ranks 6 and 15 hold 95.9 %.
        assert_eq!(ranks(20.0, 0.5, 0.05), (Some(6.0), Some(15.0)));
        assert_eq!(ranks(5.0, 0.5, 0.05), (None, None));
    }
}
