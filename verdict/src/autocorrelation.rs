//! How many independent samples a series is worth.

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
    let mean = samples.iter().map(|sample| sample.v / count).sum::<f64>();
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
}
