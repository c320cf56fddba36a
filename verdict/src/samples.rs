//! Makes clean series of what was scraped: one total and its labelled parts for each incarnation.

use std::collections::BTreeMap;

use crate::run::{IncarnationSeries, Run, Sample, Window};

/// One start of one pod's container, with everything that was measured of it.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation<'a> {
    pub(crate) component: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) number: u32,
    pub(crate) started_at: f64,
    pub(crate) ended_at: Option<f64>,
    /// The series of this incarnation, one for each label set.
    pub(crate) parts: Vec<Part<'a>>,
    /// Their sum, at the instants where each of them is known.
    pub(crate) total: Vec<Sample>,
}

/// One label set of an incarnation; in time order, finite, and at most one value an instant.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

/// All incarnations of a run, and what had to be left out to make them clean.
#[derive(Debug)]
pub(crate) struct Clean<'a> {
    pub(crate) incarnations: Vec<Incarnation<'a>>,
    /// In plain words.
    pub(crate) excluded: Vec<String>,
}

/// Sorts, deduplicates, drops what is not a number, and sums the label sets of each incarnation.
///
/// The order of series and samples, and repeated ones, make no difference. Where one series has two values at one
/// instant, the larger counts: a scrape by two servers never makes growth look smaller at its end.
pub(crate) fn clean(run: &Run) -> Clean<'_> {
    let mut clean = cleaned(&run.series);
    clean.excluded.splice(0..0, run.left_out.iter().cloned());
    clean
}

/// The same of some series.
pub(crate) fn cleaned(series: &[IncarnationSeries]) -> Clean<'_> {
    let mut grouped: BTreeMap<(&str, &str, u32), Vec<&IncarnationSeries>> = BTreeMap::new();
    for series in series {
        grouped
            .entry((&series.component, &series.pod, series.incarnation))
            .or_default()
            .push(series);
    }
    let mut not_finite = 0;
    let mut conflicting = 0;
    let mut incomplete = 0;
    let incarnations = grouped
        .into_iter()
        .map(|((component, pod, number), series)| {
            let mut by_labels: BTreeMap<&BTreeMap<String, String>, Vec<Sample>> = BTreeMap::new();
            for one in &series {
                by_labels
                    .entry(&one.labels)
                    .or_default()
                    .extend_from_slice(&one.samples);
            }
            let parts: Vec<Part<'_>> = by_labels
                .into_iter()
                .map(|(labels, mut samples)| {
                    not_finite += drop_not_finite(&mut samples);
                    conflicting += one_value_an_instant(&mut samples);
                    Part { labels, samples }
                })
                .collect();
            let (total, left_out) = sum(&parts);
            incomplete += left_out;
            Incarnation {
                component,
                pod,
                number,
                started_at: earliest(series.iter().map(|one| one.started_at)),
                ended_at: series
                    .iter()
                    .filter_map(|one| one.ended_at)
                    .reduce(f64::min),
                parts,
                total,
            }
        })
        .collect();
    let excluded = [
        (not_finite, "samples that were NaN or infinite"),
        (conflicting, "second values of one series at one instant"),
        (
            incomplete,
            "instants at which only some of a pod's series were scraped",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"));
    Clean {
        incarnations,
        excluded: excluded.collect(),
    }
}

/// The samples that lie in a window, both ends included.
pub(crate) fn within(samples: &[Sample], window: Window) -> &[Sample] {
    let first = samples.partition_point(|sample| sample.t < window.start);
    let end = samples.partition_point(|sample| sample.t <= window.end);
    samples.get(first..end).unwrap_or_default()
}

/// Drops NaN and infinities, and says how many there were.
pub(crate) fn drop_not_finite(samples: &mut Vec<Sample>) -> usize {
    let before = samples.len();
    samples.retain(|sample| sample.t.is_finite() && sample.v.is_finite());
    before - samples.len()
}

/// The middle of the values, the mean of the two middle ones where they are even; `None` where there are none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (_, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let below = lower_maximum(&values[..middle]);
    Some(below + (upper - below) / 2.0)
}

fn lower_maximum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Sorts by time and keeps the largest value of each instant; says how many others differed from it.
fn one_value_an_instant(samples: &mut Vec<Sample>) -> usize {
    samples.sort_by(|a, b| a.t.total_cmp(&b.t).then(b.v.total_cmp(&a.v)));
    let mut conflicting = 0;
    samples.dedup_by(|later, kept| {
        let same = later.t == kept.t;
        conflicting += usize::from(same && later.v < kept.v);
        same
    });
    conflicting
}

/// The sum of the parts at each instant, and the number of instants left out because a part was missing that is known
/// both before and after: counting it as zero would make a failed scrape look like a fall and a rise.
fn sum(parts: &[Part<'_>]) -> (Vec<Sample>, usize) {
    if let [only] = parts {
        return (only.samples.clone(), 0);
    }
    let spans = || {
        parts
            .iter()
            .filter_map(|part| Some((part.samples.first()?.t, part.samples.last()?.t)))
    };
    let mut firsts: Vec<f64> = spans().map(|(first, _)| first).collect();
    let mut lasts: Vec<f64> = spans().map(|(_, last)| last).collect();
    firsts.sort_by(f64::total_cmp);
    lasts.sort_by(f64::total_cmp);

    let mut all: Vec<Sample> = parts
        .iter()
        .flat_map(|part| &part.samples)
        .copied()
        .collect();
    all.sort_by(|a, b| a.t.total_cmp(&b.t).then(a.v.total_cmp(&b.v)));
    let mut total = Vec::new();
    let mut left_out = 0;
    for instant in all.chunk_by(|a, b| a.t == b.t) {
        let t = instant[0].t;
        let begun = firsts.partition_point(|first| *first <= t);
        let over = lasts.partition_point(|last| *last < t);
        let v: f64 = instant.iter().map(|sample| sample.v).sum();
        if instant.len() == begun - over && v.is_finite() {
            total.push(Sample { t, v });
        } else {
            left_out += 1;
        }
    }
    (total, left_out)
}

/// The earliest, NaN if any is NaN, so that an unknown start never counts as warmed up.
fn earliest(mut instants: impl Iterator<Item = f64>) -> f64 {
    let first = instants.next().unwrap_or(f64::NAN);
    instants.fold(first, |a, b| if a.is_nan() || a < b { a } else { b })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{still, worker};

    fn part(label: &str, samples: &[(f64, f64)]) -> IncarnationSeries {
        IncarnationSeries {
            labels: BTreeMap::from([("component".to_owned(), label.to_owned())]),
            samples: samples
                .iter()
                .map(|(t, v)| Sample { t: *t, v: *v })
                .collect(),
            ..worker("a", 0.0, 0.0, |_| 0.0)
        }
    }

    fn totals(series: Vec<IncarnationSeries>) -> (Vec<(f64, f64)>, Vec<String>) {
        let run = still(&[], series);
        let clean = clean(&run);
        let total = &clean.incarnations[0].total;
        (
            total.iter().map(|s| (s.t, s.v)).collect(),
            clean.excluded.clone(),
        )
    }

    #[test]
    fn parts_are_summed_only_where_none_is_missing() {
        let whole = part("consume", &[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]);
        let holed = part("fetch", &[(1.0, 2.0), (3.0, 2.0)]);
        let (total, excluded) = totals(vec![whole, holed]);
        assert_eq!(total, [(1.0, 7.0), (3.0, 7.0)]);
        assert_eq!(excluded.len(), 1);
    }

    #[test]
    fn a_part_that_begins_later_adds_to_the_total_from_then_on() {
        let whole = part("consume", &[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]);
        let late = part("fetch", &[(2.0, 2.0), (3.0, 2.0)]);
        let (total, excluded) = totals(vec![whole, late]);
        assert_eq!(total, [(1.0, 5.0), (2.0, 7.0), (3.0, 7.0)]);
        assert!(excluded.is_empty());
    }

    #[test]
    fn disorder_repetition_and_nonsense_are_cleaned_away() {
        let messy = part(
            "consume",
            &[
                (2.0, 5.0),
                (1.0, 4.0),
                (2.0, 5.0),
                (3.0, f64::NAN),
                (f64::NAN, 1.0),
            ],
        );
        let (total, excluded) = totals(vec![messy]);
        assert_eq!(total, [(1.0, 4.0), (2.0, 5.0)]);
        assert_eq!(excluded, ["2 samples that were NaN or infinite"]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(Vec::new()), None);
    }
}
