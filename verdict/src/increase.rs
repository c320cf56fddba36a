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
    let mut totals: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut last = f64::NEG_INFINITY;
    for incarnation in &clean.incarnations {
        let mut seen = false;
        for part in &incarnation.parts {
            let known = &part.samples[..part.samples.partition_point(|s| s.t <= counted.start)];
            let inside = within(&part.samples, counted);
            let (base, end) = totals
                .entry(values(part))
                .or_insert((0.0, f64::NEG_INFINITY));
            *base = largest(known).max(*base);
            *end = largest(inside).max(*end);
            last = inside.last().map_or(last, |sample| last.max(sample.t));
            all.samples += inside.len();
            seen |= !inside.is_empty();
        }
        all.incarnations += usize::from(seen);
    }
    for (name, (base, end)) in totals {
        if end < base {
            all.unseen.push(format!(
                "the total fell from {} to {}, so it is not durable",
                number(base),
                number(end)
            ));
            continue;
        }
        all.increase += end - base;
        all.parts.insert(name, end - base);
    }
    if all.samples > 0 && counted.end - last > LONGEST_TAIL_STEPS * step_seconds {
        all.unseen.push(format!(
            "the last {} before the end were never scraped",
            seconds(counted.end - last)
        ));
    }
    all
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
