//! How many independent samples one or several series are worth.

use crate::run::Sample;

/// The samples' number, shrunk by their autocorrelation at one step as for a first-order autoregressive series (Bayley
/// and Hammersley, 1946): n (1 - r) / (1 + r), at least 1.
///
/// The estimate of r is corrected for its bias in short series (Kendall, 1954), and a negative one counts as 0. Values
/// that never change are worth their number: the formula knows nothing about them, and they leave no doubt anyway.
pub(crate) fn independent_samples(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    if count < 3.0 {
        return count.min(1.0);
    }
    let mean = mean(samples);
    let variance: f64 = samples.iter().map(|sample| (sample.v - mean).powi(2)).sum();
    let covariance: f64 = samples
        .windows(2)
        .map(|pair| (pair[0].v - mean) * (pair[1].v - mean))
        .sum();
    if variance <= 0.0 {
        return count;
    }
    let raw = covariance / variance;
    let correlation = (raw + (1.0 + 3.0 * raw) / count).clamp(0.0, 1.0);
    if correlation.is_nan() {
        return 1.0;
    }
    (count * (1.0 - correlation) / (1.0 + correlation)).max(1.0)
}

/// The samples of several series together: what each is worth, less what they repeat of each other.
///
/// Series that rise and fall together, as all pods do when their database is slow, tell the same thing several times.
/// The share of their variance that they have in common at each step (the intraclass correlation of a one-way analysis
/// of variance) shrinks the number by Kish's design effect (1965).
pub(crate) fn independent_samples_of(series: &[&[Sample]], step_seconds: f64) -> f64 {
    let each: f64 = series
        .iter()
        .map(|samples| independent_samples(samples))
        .sum();
    let mut deviations: Vec<(f64, f64)> = series
        .iter()
        .flat_map(|samples| {
            let mean = mean(samples);
            samples
                .iter()
                .map(move |sample| ((sample.t / step_seconds).floor(), sample.v - mean))
        })
        .collect();
    deviations.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut steps, mut between, mut within) = (0.0, 0.0, 0.0);
    for step in deviations.chunk_by(|a, b| a.0 == b.0) {
        let count = step.len() as f64;
        let mean = step.iter().map(|(_, v)| v / count).sum::<f64>();
        steps += 1.0;
        between += count * mean.powi(2);
        within += step.iter().map(|(_, v)| (v - mean).powi(2)).sum::<f64>();
    }
    let count = deviations.len() as f64;
    if count <= steps || steps < 2.0 {
        return each;
    }
    let at_once = count / steps;
    let between = between / (steps - 1.0);
    let within = within / (count - steps);
    let common = (between - within) / (between + (at_once - 1.0) * within);
    if common.is_nan() {
        // Without any variance there is nothing in common, and beyond numbers nothing is known.
        return if between == 0.0 { each } else { 1.0 };
    }
    (each / (1.0 + (at_once - 1.0) * common.clamp(0.0, 1.0))).max(1.0)
}

/// The mean, from the first value on, so that values which never change have just that mean: what rounding leaves of
/// them would look like the slowest wander there is.
pub(crate) fn mean(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let first = samples.first().map_or(0.0, |sample| sample.v);
    first
        + samples
            .iter()
            .map(|sample| (sample.v - first) / count)
            .sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Vec<Sample> {
        values
            .into_iter()
            .enumerate()
            .map(|(i, v)| Sample { t: i as f64, v })
            .collect()
    }

    #[test]
    fn a_slow_wander_is_worth_few_samples() {
        let slow = series((0..300).map(|i| (f64::from(i) / 50.0).sin()));
        assert!(independent_samples(&slow) < 10.0);
    }

    #[test]
    fn an_alternating_series_is_worth_no_more_than_its_number() {
        let alternating = series((0..300).map(|i| f64::from(i % 2)));
        assert!((independent_samples(&alternating) - 300.0).abs() < 1e-9);
    }

    #[test]
    fn values_that_never_change_are_worth_their_number_in_any_unit() {
        for value in [14.0, 14_000.0, 0.1, 1e-3] {
            let constant = series((0..67).map(|_| value));
            assert_eq!(independent_samples(&constant), 67.0, "{value}");
            let together = independent_samples_of(&[&constant, &constant], 1.0);
            assert_eq!(together, 134.0, "{value}");
        }
    }

    #[test]
    fn series_that_move_together_count_once() {
        let rough = |shift: i32| series((0..300).map(move |i| f64::from((i + shift) * 37 % 101)));
        let (a, b, c) = (rough(0), rough(29), rough(71));
        let together = independent_samples_of(&[&a, &a, &a], 1.0);
        let apart = independent_samples_of(&[&a, &b, &c], 1.0);
        assert!(
            (together - independent_samples(&a)).abs() < 1.0,
            "{together}"
        );
        assert!(apart > 2.5 * together, "{apart}");
    }
}
