//! Whether the intervals hold the truth as often as they say, where intervals for independent samples do not.
//!
//! At an autocorrelation of 0.9 a sample is worth a twentieth of an independent one. The two intervals that a careful
//! engineer reaches for first, a bootstrap of the least-squares slope and that of Theil and Sen, do not know this. They
//! stand here to show that these runs tell them from ours: whoever swaps ours for one of them fails this test.

use crate::simulator::{Soak, Texture, seeds_or};
use crate::{Growth, Interval, Run, Signal, Span, Trend, judge};

/// Of so many runs, `SOAK_VERDICT_SEEDS` for more.
fn seeds() -> u64 {
    seeds_or(40)
}

const PODS: u32 = 3;

/// What each pod gains over the soak.
const GAIN: f64 = 100.0;

const RESAMPLES: usize = 200;

/// Six hours of three pods at a sample every 15 s: 1,440 each.
fn soak(gain: f64) -> Soak {
    Soak {
        duration: 21_600.0,
        step: 15.0,
        all_workers_gain: gain,
        ..Soak::quiet(
            PODS,
            Texture::Wandering {
                deviation: 50.0,
                correlation: 0.9,
            },
        )
    }
}

/// Intervals of one kind over all seeds, against a truth.
struct Coverage {
    missed: f64,
    /// Half the usual width over what the spread of estimates asks for; 1 is as narrow as can be had.
    width: f64,
}

fn coverage(name: &str, truth: f64, found: impl Iterator<Item = Option<Interval>>) -> Coverage {
    let intervals: Option<Vec<Interval>> = found.collect();
    let intervals = intervals.expect("an interval of each run");
    let count = intervals.len() as f64;
    let held = |one: &&Interval| one.low <= truth && truth <= one.high;
    let missed = 1.0 - intervals.iter().filter(held).count() as f64 / count;
    let middle = |one: &Interval| f64::midpoint(one.low, one.high);
    let mean = intervals.iter().map(middle).sum::<f64>() / count;
    let squares: f64 = intervals.iter().map(|i| (middle(i) - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    let half_widths = intervals.iter().map(|i| (i.high - i.low) / 2.0).collect();
    let half_width = crate::samples::median(half_widths).unwrap_or(f64::NAN);
    let width = half_width / (1.96 * deviation);
    println!(
        "{name:<30} truth outside {:>5.1} %  width {width:.2}",
        100.0 * missed
    );
    Coverage { missed, width }
}

/// The mean pod, step by step; its fixed part left out, which moves no slope.
fn mean_pod(run: &Run) -> Vec<f64> {
    let pods: Vec<Vec<f64>> = run
        .series
        .iter()
        .filter(|series| series.labels.values().any(|label| label == "consume"))
        .map(|series| {
            let inside = crate::samples::within(&series.samples, run.window);
            inside.iter().map(|sample| sample.v).collect()
        })
        .collect();
    let steps = pods.iter().map(Vec::len).min().unwrap_or(0);
    (0..steps)
        .map(|i| pods.iter().map(|pod| pod[i]).sum::<f64>() / f64::from(PODS))
        .collect()
}

/// Percentiles of the least-squares slope over samples drawn anew (Efron, 1979), times the soak's length.
fn bootstrap(values: &[f64]) -> Option<Interval> {
    let count = values.len();
    // Weyl's sequence, hashed: a stronger source takes longer than the judges.
    let mut state = 1_u64;
    let mut pick = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let index = (u128::from(mixed) * count as u128) >> 64;
        usize::try_from(index).unwrap_or(0)
    };
    let mut growths: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0);
            for _ in 0..count {
                let i = pick();
                let at = i as f64 / count as f64;
                x += at;
                y += values[i];
                xx += at * at;
                xy += at * values[i];
            }
            let count = count as f64;
            (xy - x * y / count) / (xx - x * x / count)
        })
        .collect();
    growths.sort_by(f64::total_cmp);
    Some(Interval {
        low: *growths.get(RESAMPLES * 25 / 1_000)?,
        high: *growths.get(RESAMPLES * 975 / 1_000)?,
    })
}

/// The slopes of all pairs between the ranks that the variance of Kendall's S allows (Sen, 1968), times the soak's
/// length.
fn theil_sen(values: &[f64]) -> Interval {
    let count = values.len();
    let mut slopes: Vec<f64> = (0..count)
        .flat_map(|i| (i + 1..count).map(move |j| (i, j)))
        .map(|(i, j)| (values[j] - values[i]) / (j - i) as f64 * count as f64)
        .collect();
    let n = count as f64;
    let reach = 1.96 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let pairs = slopes.len() as f64;
    let mut nth = |rank: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let index = rank.round() as usize;
        let (_, value, _) = slopes.select_nth_unstable_by(index, f64::total_cmp);
        *value
    };
    Interval {
        low: nth((pairs - reach) / 2.0 - 1.0),
        high: nth(f64::midpoint(pairs, reach)),
    }
}

#[test]
fn at_autocorrelation_0_9_our_intervals_hold_the_truth_and_iid_intervals_do_not() {
    let growth = Growth {
        signal: Some(Signal::Tasks),
        query: None,
        per: None,
        max_percent: None,
        // Out of reach, so that no pod is reported by itself.
        max_absolute: Some("1000000".parse().expect("a quantity")),
    };
    let trend = Trend {
        signal: Some(Signal::Tasks),
        query: None,
        per: None,
        horizon: Span::from_seconds(24 * 3_600),
        max_percent: 100_000.0,
        window: None,
    };
    let (growth, trend) = (growth.kind(), trend.kind());
    let (growth, trend) = (growth.expect("one measure"), trend.expect("one measure"));
    let runs: Vec<Run> = (0..seeds()).map(|seed| soak(GAIN).run(seed)).collect();
    let flat = (0..seeds()).map(|seed| soak(0.0).run(seed));
    let growing = runs.iter().map(|run| judge(&growth, run).interval);
    let growing = coverage("growth", f64::from(PODS) * GAIN, growing);
    let flat = flat.map(|run| judge(&trend, &run).interval);
    let flat = coverage("trend", 0.0, flat);
    // Three standard errors of room for the number of seeds.
    let most = 0.05 + 3.0 * (0.05 * 0.95 / seeds() as f64).sqrt();
    for ours in [growing, flat] {
        assert!(ours.missed <= most, "missed {}", ours.missed);
        assert!(ours.width < 2.0, "{} times too wide", ours.width);
    }

    // Every other run is enough to see what misses more often than not.
    let pods = || runs.iter().step_by(2).map(mean_pod);
    let iid = pods().map(|values| bootstrap(&values));
    let iid = coverage("iid bootstrap of the slope", GAIN, iid);
    let sen = pods().map(|values| Some(theil_sen(&values)));
    let sen = coverage("Theil and Sen", GAIN, sen);
    for reference in [iid, sen] {
        assert!(reference.missed > 2.0 * most, "missed {}", reference.missed);
        assert!(reference.width < 0.5, "width {}", reference.width);
    }
}
