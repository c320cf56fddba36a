//! How much a counter counted during the soak, exactly.

use std::collections::BTreeMap;

use crate::criterion::Increase;
use crate::judgement::{Interval, Judgement, Outcome, SeriesGrowth};
use crate::run::{Run, Sample, Window};
use crate::samples::{Clean, Incarnation, Part, clean, within};
use crate::wording::{count, number, seconds};

/// A series whose last sample is more than this many steps older than its end may have counted on unseen.
const LONGEST_TAIL_STEPS: f64 = 2.0;

/// Counts from the window's start to the end of settling, summed over the series.
pub(crate) fn judge(increase: &Increase, run: &Run) -> Judgement {
    let clean = clean(run);
    let counted = Window {
        start: run.window.start,
        end: run.settle_end.max(run.window.end),
    };
    let count = if increase.durable {
        durable(&clean, counted, run.step_seconds)
    } else {
        by_incarnation(&clean, counted, run.step_seconds)
    };
    judgement(increase, &clean, count)
}

/// What was counted, and what may have been missed.
#[derive(Default)]
struct Count {
    increase: f64,
    /// What was on the counter already when it was first seen, late: it may have been counted inside the window.
    perhaps: f64,
    samples: usize,
    incarnations: usize,
    pods: BTreeMap<String, f64>,
    parts: BTreeMap<String, f64>,
    /// Why the count may be too low, in plain words.
    unseen: Vec<String>,
}

fn by_incarnation(clean: &Clean<'_>, counted: Window, step_seconds: f64) -> Count {
    let mut all = Count::default();
    let mut late = Vec::new();
    for incarnation in &clean.incarnations {
        if incarnation.ended_at.is_some_and(|end| end < counted.start)
            || incarnation.started_at > counted.end
        {
            continue;
        }
        all.incarnations += 1;
        let end = incarnation
            .ended_at
            .map_or(counted.end, |end| end.min(counted.end));
        let last = incarnation
            .parts
            .iter()
            .filter_map(|part| before(&part.samples, counted.end))
            .map(|sample| sample.t)
            .fold(f64::NEG_INFINITY, f64::max);
        let unseen_seconds = end - last;
        if !unseen_seconds.is_finite() {
            all.unseen
                .push(format!("{} was never scraped", incarnation.pod));
        } else if unseen_seconds > LONGEST_TAIL_STEPS * step_seconds {
            all.unseen.push(format!(
                "the last {} of {} were never scraped",
                seconds(unseen_seconds),
                incarnation.pod
            ));
        }
        let born = |part: &Part<'_>| born_inside(incarnation, part, counted.start, step_seconds);
        for part in &incarnation.parts {
            let Some(seen) = Seen::of(part, counted, step_seconds, born(part)) else {
                continue;
            };
            all.samples += seen.samples;
            all.increase += seen.increase;
            all.perhaps += seen.perhaps;
            if seen.perhaps > 0.0 {
                late.push(incarnation.pod);
            }
            *all.pods.entry(incarnation.pod.to_owned()).or_default() += seen.increase;
            *all.parts.entry(values(part)).or_default() += seen.increase;
        }
    }
    late.dedup();
    if let Some(pod) = late.first() {
        all.unseen.push(format!(
            "{} first seen after the window had begun, {pod} for one",
            count(late.len(), "pod")
        ));
    }
    all
}

/// What one series counted inside the window.
struct Seen {
    increase: f64,
    perhaps: f64,
    samples: usize,
}

impl Seen {
    fn of(part: &Part<'_>, counted: Window, step_seconds: f64, born: bool) -> Option<Self> {
        let inside = within(&part.samples, counted);
        let first = *inside.first()?;
        let (mut previous, perhaps) = match before(&part.samples, counted.start) {
            Some(sample) => (sample.v, 0.0),
            None if born => (0.0, 0.0),
            None if first.t <= counted.start + LONGEST_TAIL_STEPS * step_seconds => (first.v, 0.0),
            None => (first.v, first.v.max(0.0)),
        };
        let mut increase = 0.0;
        for sample in inside {
            increase += if sample.v < previous {
                sample.v
            } else {
                sample.v - previous
            };
            previous = sample.v;
        }
        Some(Self {
            increase,
            perhaps,
            samples: inside.len(),
        })
    }
}

/// Whether a series began inside the window, so that all it shows was counted there: because its incarnation did, or
/// because the incarnation had been scraped before without it, as with label values that appear when first counted.
fn born_inside(
    incarnation: &Incarnation<'_>,
    part: &Part<'_>,
    start: f64,
    step_seconds: f64,
) -> bool {
    let Some(first) = part.samples.first() else {
        return false;
    };
    let scraped_without = incarnation
        .parts
        .iter()
        .filter_map(|other| other.samples.first())
        .any(|other| other.t < first.t && other.t <= start + step_seconds);
    (incarnation.started_at > start && first.t > start) || scraped_without
}

/// A total that every series reports alike: the largest seen, less the largest known at the window's start, for each
/// label set.
fn durable(clean: &Clean<'_>, counted: Window, step_seconds: f64) -> Count {
    let mut all = Count::default();
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for incarnation in &clean.incarnations {
        let mut seen = false;
        for part in &incarnation.parts {
            let known = part.samples.partition_point(|s| s.t <= counted.start);
            let inside = within(&part.samples, counted);
            let total = totals.entry(values(part)).or_default();
            total.at_start = largest(&part.samples[..known]).max(total.at_start);
            total.ever = largest(inside).max(total.ever);
            if let Some(last) = inside.last() {
                total.reported_at = total.reported_at.max(last.t);
                if counted.end - last.t <= LONGEST_TAIL_STEPS * step_seconds {
                    total.at_end = total.at_end.max(last.v);
                }
            }
            all.samples += inside.len();
            seen |= !inside.is_empty();
        }
        all.incarnations += usize::from(seen);
    }
    for (name, total) in totals {
        let reached = total.ever.max(total.at_start);
        if total.at_end == f64::NEG_INFINITY {
            all.unseen.push(format!(
                "nobody reported the total in the last {}",
                seconds((counted.end - total.reported_at).min(counted.end - counted.start))
            ));
        } else if total.at_end < reached {
            all.unseen.push(format!(
                "the total fell from {} to {}, so it is not durable",
                number(reached),
                number(total.at_end)
            ));
        }
        all.increase += reached - total.at_start;
        all.parts.insert(name, reached - total.at_start);
    }
    all
}

/// What is known of one durable total, over all that report it.
struct Total {
    /// 0 where nobody had reported it yet.
    at_start: f64,
    ever: f64,
    at_end: f64,
    reported_at: f64,
}

impl Default for Total {
    fn default() -> Self {
        Self {
            at_start: 0.0,
            ever: f64::NEG_INFINITY,
            at_end: f64::NEG_INFINITY,
            reported_at: f64::NEG_INFINITY,
        }
    }
}

fn judgement(increase: &Increase, clean: &Clean<'_>, counted: Count) -> Judgement {
    let limit = increase.max;
    let base = Judgement {
        limit,
        samples: counted.samples,
        incarnations: counted.incarnations,
        excluded: clean.excluded.clone(),
        ..Judgement::inconclusive(String::new())
    };
    if counted.samples == 0 {
        return Judgement {
            sentence: format!(
                "no series of {} was found: whether it counted more than {} cannot be said.",
                increase.query,
                number(limit)
            ),
            ..base
        };
    }
    let estimate = Some(counted.increase).filter(|value| value.is_finite());
    let interval = estimate
        .map(|low| Interval {
            low,
            high: low + counted.perhaps,
        })
        .filter(|interval| interval.high.is_finite());
    let seen = Outcome::at_most(interval, limit);
    let outcome = if seen == Outcome::Passed && !counted.unseen.is_empty() {
        Outcome::Inconclusive
    } else {
        seen
    };
    let mut sentence = format!(
        "{} counted {} from the end of warm-up to the end of settling, limit {}",
        increase.query,
        number(counted.increase),
        number(limit)
    );
    if outcome == Outcome::Inconclusive {
        sentence.push_str(", but it may have counted more: ");
        sentence.push_str(&shortened(&counted.unseen));
    } else if let Some((name, _)) = counted
        .parts
        .iter()
        .filter(|(name, value)| {
            outcome == Outcome::Failed && !name.is_empty() && **value > counted.increase / 2.0
        })
        .max_by(|a, b| a.1.total_cmp(b.1))
    {
        sentence.push_str(": most of it in ");
        sentence.push_str(name);
    }
    Judgement {
        outcome,
        estimate,
        interval,
        worst_pods: ranked(counted.pods, 5),
        contributions: ranked(counted.parts, 10),
        sentence: sentence + ".",
        ..base
    }
}

fn before(samples: &[Sample], instant: f64) -> Option<&Sample> {
    let end = samples.partition_point(|sample| sample.t <= instant);
    samples.get(..end).and_then(<[Sample]>::last)
}

fn largest(samples: &[Sample]) -> f64 {
    samples
        .iter()
        .map(|sample| sample.v)
        .fold(f64::NEG_INFINITY, f64::max)
}

fn values(part: &Part<'_>) -> String {
    part.labels
        .values()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

/// Those that counted anything, most first; names that are empty say nothing and are left out.
fn ranked(counts: BTreeMap<String, f64>, most: usize) -> Vec<SeriesGrowth> {
    let mut ranked: Vec<SeriesGrowth> = counts
        .into_iter()
        .filter(|(name, growth)| !name.is_empty() && *growth > 0.0)
        .map(|(name, growth)| SeriesGrowth {
            name,
            growth,
            interval: Some(Interval::exactly(growth)),
        })
        .collect();
    ranked.sort_by(|a, b| b.growth.total_cmp(&a.growth).then(a.name.cmp(&b.name)));
    ranked.truncate(most);
    ranked
}

fn shortened(reasons: &[String]) -> String {
    match reasons {
        [] => "parts of it lie outside what was scraped".to_owned(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{still, worker};
    use crate::{CriterionKind, IncarnationSeries};

    fn judged(series: Vec<IncarnationSeries>, max: f64, durable: bool) -> Judgement {
        let criterion = Increase {
            query: "lost_total".to_owned(),
            max,
            durable,
        };
        let run = still(&[("worker", 2)], series);
        crate::judge(&CriterionKind::Increase(criterion), &run)
    }

    fn counted(series: Vec<IncarnationSeries>) -> (Outcome, Option<f64>) {
        let judgement = judged(series, 0.0, false);
        (judgement.outcome, judgement.estimate)
    }

    fn labelled(mut series: IncarnationSeries, value: &str) -> IncarnationSeries {
        series.labels.insert("reason".to_owned(), value.to_owned());
        series
    }

    #[test]
    fn what_was_counted_before_the_window_does_not_count() {
        let pod = worker("a", 900.0, 1340.0, |t| if t < 950.0 { 0.0 } else { 7.0 });
        assert_eq!(counted(vec![pod]), (Outcome::Passed, Some(0.0)));
    }

    #[test]
    fn a_single_loss_while_settling_fails() {
        let pod = worker("a", 900.0, 1340.0, |t| if t < 1339.0 { 3.0 } else { 4.0 });
        assert_eq!(counted(vec![pod]), (Outcome::Failed, Some(1.0)));
    }

    #[test]
    fn a_series_born_in_the_window_counts_from_nothing() {
        let pod = worker("a", 1100.0, 1340.0, |_| 5.0);
        assert_eq!(counted(vec![pod]), (Outcome::Failed, Some(5.0)));
    }

    #[test]
    fn a_label_that_appears_when_first_counted_counts_from_nothing() {
        let always = labelled(worker("a", 900.0, 1340.0, |_| 0.0), "head");
        let mut late = labelled(worker("a", 900.0, 1340.0, |_| 2.0), "tail");
        late.samples.retain(|sample| sample.t > 1200.0);
        assert_eq!(counted(vec![always, late]), (Outcome::Failed, Some(2.0)));
    }

    #[test]
    fn a_reset_adds_what_the_counter_counted_since() {
        let pod = worker("a", 900.0, 1340.0, |t| if t < 1100.0 { 10.0 } else { 3.0 });
        assert_eq!(counted(vec![pod]), (Outcome::Failed, Some(3.0)));
    }

    #[test]
    fn an_unscraped_tail_is_never_a_pass() {
        let mut pod = worker("a", 900.0, 1200.0, |_| 0.0);
        pod.ended_at = Some(1203.5);
        assert_eq!(counted(vec![pod.clone()]).0, Outcome::Inconclusive);
        pod.ended_at = Some(1201.5);
        assert_eq!(counted(vec![pod]).0, Outcome::Passed);
    }

    #[test]
    fn a_pod_that_was_never_scraped_is_never_a_pass() {
        let seen = worker("a", 900.0, 1340.0, |_| 0.0);
        let mut unseen = worker("b", 1100.0, 1120.0, |_| 0.0);
        unseen.samples.clear();
        let judgement = judged(vec![seen, unseen], 0.0, false);
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        assert!(
            judgement.sentence.contains("b was never scraped"),
            "{}",
            judgement.sentence
        );
    }

    #[test]
    fn an_old_counter_first_seen_late_may_have_counted_inside_the_window() {
        let mut pod = worker("a", 900.0, 1340.0, |_| 4.0);
        pod.samples.retain(|sample| sample.t > 1100.0);
        let judgement = judged(vec![pod], 2.0, false);
        assert_eq!(judgement.outcome, Outcome::Inconclusive);
        let interval = judgement.interval.expect("an interval");
        assert_eq!((interval.low, interval.high), (0.0, 4.0));
    }

    #[test]
    fn no_series_is_not_zero() {
        assert_eq!(counted(Vec::new()), (Outcome::Inconclusive, None));
    }

    #[test]
    fn a_durable_total_is_counted_once_and_outlives_its_reporters() {
        let total = |t: f64| if t < 1150.0 { 2.0 } else { 5.0 };
        let mut gone = worker("a", 900.0, 1100.0, total);
        gone.ended_at = Some(1110.0);
        let stays = worker("b", 900.0, 1340.0, total);
        let judgement = judged(vec![gone, stays], 3.0, true);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        assert_eq!(judgement.estimate, Some(3.0));
    }

    #[test]
    fn a_durable_total_that_nobody_reported_at_the_end_is_never_a_pass() {
        let gone = worker("a", 900.0, 1300.0, |_| 0.0);
        assert_eq!(judged(vec![gone], 0.0, true).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn a_durable_total_that_falls_is_not_durable() {
        let pod = worker("a", 900.0, 1340.0, |t| if t <= 1000.0 { 9.0 } else { 1.0 });
        assert_eq!(judged(vec![pod], 5.0, true).outcome, Outcome::Inconclusive);
    }
}
