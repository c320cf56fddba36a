//! What people do today, for comparison: each looks at the sum over all pods, and calls more than 5 % growth a leak.

use soak_verdict::Recording;

/// A way to tell a leak.
pub(crate) type Detector = fn(&[f64]) -> bool;

pub(crate) const DETECTORS: &[(&str, Detector)] = &[
    ("last over first", last_over_first),
    ("last quarter less first", quarters),
    ("regression, R2 over 0.7", regression),
    ("Mann-Kendall and Sen", mann_kendall),
];

const LIMIT: f64 = 0.05;

/// The sum over all series at each step after the first warm-up; where a pod was not scraped, its last value.
pub(crate) fn total(recording: &Recording) -> Vec<f64> {
    let step = recording.step_seconds.unwrap_or(15.0);
    let index = |t: f64| (t / step).floor();
    let end = recording
        .series
        .iter()
        .flat_map(|s| &s.samples)
        .map(|s| index(s.t))
        .fold(0.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps of a day"
    )]
    let mut sums = vec![0.0; end as usize + 1];
    for series in &recording.series {
        let mut samples: Vec<_> = series.samples.iter().filter(|s| s.v.is_finite()).collect();
        samples.sort_by(|a, b| a.t.total_cmp(&b.t));
        let Some(last) = samples.last() else { continue };
        let mut at = 0;
        let (from, to) = (index(samples[0].t), index(last.t));
        for (i, sum) in sums.iter_mut().enumerate() {
            if (i as f64) < from || i as f64 > to {
                continue;
            }
            while at + 1 < samples.len() && index(samples[at + 1].t) <= i as f64 {
                at += 1;
            }
            *sum += samples[at].v;
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps of a warm-up"
    )]
    let warm = (recording.warmup_seconds / step) as usize + 2;
    sums.split_off(warm.min(sums.len()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn last_over_first(total: &[f64]) -> bool {
    matches!((total.first(), total.last()), (Some(first), Some(last)) if last / first - 1.0 > LIMIT)
}

fn quarters(total: &[f64]) -> bool {
    let quarter = total.len() / 4;
    quarter > 0 && mean(&total[total.len() - quarter..]) / mean(&total[..quarter]) - 1.0 > LIMIT
}

fn regression(total: &[f64]) -> bool {
    let n = total.len() as f64;
    let (mx, my) = ((n - 1.0) / 2.0, mean(total));
    let (mut sxy, mut sxx, mut syy) = (0.0, 0.0, 0.0);
    for (i, y) in total.iter().enumerate() {
        let dx = i as f64 - mx;
        sxy += dx * (y - my);
        sxx += dx * dx;
        syy += (y - my).powi(2);
    }
    let slope = sxy / sxx;
    slope * n / (my - slope * mx) > LIMIT && sxy * sxy / (sxx * syy) > 0.7
}

/// Mann (1945), Kendall (1955), Sen (1968), on every twelfth value.
fn mann_kendall(total: &[f64]) -> bool {
    let values: Vec<f64> = total.iter().step_by(12).copied().collect();
    let n = values.len() as f64;
    let mut s = 0.0;
    let mut slopes = Vec::new();
    for i in 0..values.len() {
        for j in i + 1..values.len() {
            let rise = values[j] - values[i];
            s += if rise > 0.0 {
                1.0
            } else if rise < 0.0 {
                -1.0
            } else {
                0.0
            };
            slopes.push(rise / (j - i) as f64);
        }
    }
    if slopes.is_empty() {
        return false;
    }
    slopes.sort_by(f64::total_cmp);
    let z = (s - 1.0) / (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    z > 1.96 && slopes[slopes.len() / 2] * n / values[0].max(1e-9) > LIMIT
}
