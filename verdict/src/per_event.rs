//! What a chaos event leaves behind in the pods that survive it.
//!
//! Each survivor's level at the end of the settled stretch after an event less that at the end of the stretch before:
//! what a rebalance lifts for a while has come down by then, and is no leak. The mean over survivors is one observation,
//! and the events of one kind are so many observations of the same thing.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::judgement::{Interval, SeriesGrowth};
use crate::run::{Run, Sample, Window};
use crate::samples::{median, within};
use crate::settled::settled_stretches;

/// The level is that of the second half of a stretch, and of at most so many steps.
const LONGEST_LOOK: f64 = 60.0;

/// And of at least so many samples.
const FEWEST_SAMPLES: usize = 3;

/// What the events of each kind leave in the mean survivor among these series of a component, by kind and component
/// hit, the largest first.
///
/// What the survivors gain anyway between the two levels, at the pace at which they grow within settled stretches, is
/// taken off: steady growth is nobody's fault.
pub(crate) fn left_by_events(
    run: &Run,
    component: &str,
    series: &[&[Sample]],
) -> Vec<SeriesGrowth> {
    let stretches = settled_stretches(run, component, run.window);
    let pace = pace(series, &stretches);
    let look = LONGEST_LOOK * run.step_seconds;
    let end_of_stretch_with = |instant: f64| {
        let stretch = stretches
            .iter()
            .find(|stretch| stretch.start <= instant && instant <= stretch.end)?;
        let half = second_half(stretch);
        Some(Window {
            start: half.start.max(half.end - look),
            end: half.end,
        })
    };
    let mut kinds: BTreeMap<String, Vec<Left>> = BTreeMap::new();
    for event in &run.events {
        let Some(recovered) = event.recovered_at else {
            continue;
        };
        let settled = recovered.max(event.at) + run.cooldown_seconds.max(0.0);
        let (before, after) = (end_of_stretch_with(event.at), end_of_stretch_with(settled));
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let survivors: Vec<Left> = series
            .iter()
            .filter_map(|samples| {
                let (before, after) = (level(samples, before)?, level(samples, after)?);
                Some(Left {
                    gained: after.1 - before.1,
                    seconds: after.0 - before.0,
                })
            })
            .collect();
        if let Some(mean) = Left::mean(&survivors) {
            let kind = format!("{} of {}", event.kind, event.component);
            kinds.entry(kind).or_default().push(mean);
        }
    }
    let mut rows: Vec<SeriesGrowth> = kinds
        .into_iter()
        .filter_map(|(name, mut events)| {
            // The order in which events were told makes no difference, not even in the last digit.
            events.sort_by(|a, b| {
                a.gained
                    .total_cmp(&b.gained)
                    .then(a.seconds.total_cmp(&b.seconds))
            });
            let mean = Left::mean(&events)?;
            let growth = mean.gained - pace.per_second * mean.seconds;
            Some(SeriesGrowth {
                name,
                growth,
                interval: interval(growth, &events, mean, pace.variance),
            })
        })
        .filter(|row| row.growth.is_finite())
        .collect();
    rows.sort_by(|a, b| b.growth.total_cmp(&a.growth).then(a.name.cmp(&b.name)));
    rows
}

/// What was gained from a level before to one after, and how far apart their instants are.
#[derive(Clone, Copy, Debug)]
struct Left {
    gained: f64,
    seconds: f64,
}

impl Left {
    fn mean(all: &[Self]) -> Option<Self> {
        let count = all.len() as f64;
        (!all.is_empty()).then(|| Self {
            gained: all.iter().map(|one| one.gained).sum::<f64>() / count,
            seconds: all.iter().map(|one| one.seconds).sum::<f64>() / count,
        })
    }
}

fn second_half(stretch: &Window) -> Window {
    Window {
        start: f64::midpoint(stretch.start, stretch.end),
        end: stretch.end,
    }
}

/// The mean instant and the median of the samples in a window.
fn level(samples: &[Sample], window: Window) -> Option<(f64, f64)> {
    let inside = within(samples, window);
    if inside.len() < FEWEST_SAMPLES {
        return None;
    }
    let first = inside[0].t;
    let offset = inside.iter().map(|sample| sample.t - first).sum::<f64>();
    let median = median(inside.iter().map(|sample| sample.v).collect())?;
    Some((first + offset / inside.len() as f64, median))
}

/// How fast a series grows while nothing happens.
struct Pace {
    per_second: f64,
    variance: f64,
}

/// The second half of each settled stretch is one observation, weighted by how long it is: samples within it resemble
/// each other.
fn pace(series: &[&[Sample]], stretches: &[Window]) -> Pace {
    let observed: Vec<(f64, f64)> = stretches
        .iter()
        .filter_map(|stretch| {
            let stretch = second_half(stretch);
            let (mut xx, mut xy) = (0.0, 0.0);
            for samples in series {
                let inside = within(samples, stretch);
                if inside.len() < FEWEST_SAMPLES {
                    continue;
                }
                let count = inside.len() as f64;
                let x = inside.iter().map(|s| s.t - stretch.start).sum::<f64>() / count;
                let y = inside.iter().map(|s| s.v / count).sum::<f64>();
                for sample in inside {
                    let from_mean = sample.t - stretch.start - x;
                    xx += from_mean * from_mean;
                    xy += from_mean * (sample.v - y);
                }
            }
            (xx > 0.0).then_some((xx, xy / xx))
        })
        .collect();
    let weight: f64 = observed.iter().map(|(weight, _)| weight).sum();
    if weight <= 0.0 {
        return Pace {
            per_second: 0.0,
            variance: 0.0,
        };
    }
    let per_second = observed.iter().map(|(w, pace)| w * pace).sum::<f64>() / weight;
    let count = observed.len() as f64;
    let squares: f64 = observed
        .iter()
        .map(|(w, pace)| (w * (pace - per_second)).powi(2))
        .sum();
    Pace {
        per_second,
        variance: squares / (weight * weight) * count / (count - 1.0).max(1.0),
    }
}

/// Student's 95 % interval of the mean (1908), with the doubt about the pace; `None` for a single event.
fn interval(growth: f64, events: &[Left], mean: Left, of_pace: f64) -> Option<Interval> {
    let count = events.len() as f64;
    if events.len() < 2 {
        return None;
    }
    let squares: f64 = events
        .iter()
        .map(|one| (one.gained - mean.gained).powi(2))
        .sum();
    let variance = squares / (count - 1.0) / count + of_pace * mean.seconds.powi(2);
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    let reach = student.inverse_cdf(0.975) * variance.sqrt();
    Some(Interval {
        low: growth - reach,
        high: growth + reach,
    })
    .filter(|interval| interval.low.is_finite() && interval.high.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ChaosEvent;
    use crate::simulator::{still, worker};

    fn events(kills: &[f64]) -> Vec<ChaosEvent> {
        kills
            .iter()
            .map(|at| ChaosEvent {
                at: *at,
                recovered_at: Some(at + 5.0),
                undone_at: None,
                tells_recovery: true,
                kind: "podKill".to_owned(),
                component: "worker".to_owned(),
                pod: "gone".to_owned(),
            })
            .collect()
    }

    /// Three pods that gain `each` at every kill, and twice as much for as long as work moves.
    fn left(each: f64, kills: &[f64]) -> Vec<SeriesGrowth> {
        let pods = ["a", "b", "c"].map(|pod| {
            worker(pod, 900.0, 1340.0, |t| {
                let gained = kills.iter().filter(|kill| t > **kill).count() as f64 * each;
                let moving = kills.iter().any(|kill| t > *kill && t < kill + 9.0);
                20.0 + gained + if moving { 7.0 } else { 0.0 }
            })
        });
        let mut run = still(&[("worker", 3)], pods.to_vec());
        run.events = events(kills);
        let series: Vec<&[Sample]> = run.series.iter().map(|s| s.samples.as_slice()).collect();
        left_by_events(&run, "worker", &series)
    }

    #[test]
    fn what_each_kill_leaves_in_every_survivor_is_told() {
        let rows = left(1.0, &[1050.0, 1120.0, 1190.0, 1260.0]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].name, "podKill of worker");
        let interval = rows[0].interval.expect("four events");
        assert_eq!(
            (rows[0].growth, interval.low, interval.high),
            (1.0, 1.0, 1.0)
        );
    }

    #[test]
    fn work_that_moves_for_a_while_is_not_left_behind() {
        assert_eq!(left(0.0, &[1050.0, 1150.0])[0].growth, 0.0);
    }

    #[test]
    fn survivors_that_come_down_long_after_the_cooldown_have_nothing_left_in_them() {
        let kills = [1050.0, 1120.0, 1190.0, 1260.0];
        let pods = ["a", "b"].map(|pod| {
            worker(pod, 900.0, 1340.0, |t| {
                let lifted = kills.iter().any(|kill| t > *kill && t < kill + 22.0);
                if lifted { 30.0 } else { 20.0 }
            })
        });
        let mut run = still(&[("worker", 2)], pods.to_vec());
        run.events = events(&kills);
        let series: Vec<&[Sample]> = run.series.iter().map(|s| s.samples.as_slice()).collect();
        let rows = left_by_events(&run, "worker", &series);
        assert_eq!(rows[0].growth, 0.0, "{rows:?}");
    }

    #[test]
    fn steady_growth_is_not_blamed_on_events() {
        let kills = [1050.0, 1120.0, 1190.0, 1260.0];
        let pods = ["a", "b"].map(|pod| {
            worker(pod, 900.0, 1340.0, |t| {
                20.0 + 0.1 * t + 0.01 * (t * 1.7).sin()
            })
        });
        let mut run = still(&[("worker", 2)], pods.to_vec());
        run.events = events(&kills);
        let series: Vec<&[Sample]> = run.series.iter().map(|s| s.samples.as_slice()).collect();
        let rows = left_by_events(&run, "worker", &series);
        let interval = rows[0].interval.expect("four events");
        assert!(rows[0].growth.abs() < 0.05, "{rows:?}");
        assert!(interval.low < 0.0 && interval.high > 0.0, "{rows:?}");
    }

    #[test]
    fn one_event_alone_has_no_interval() {
        assert_eq!(left(2.0, &[1100.0])[0].interval, None);
    }

    #[test]
    fn events_too_close_to_settle_between_tell_nothing() {
        assert!(
            left(1.0, &[1100.0, 1106.0])[..]
                .iter()
                .all(|row| row.growth == 2.0)
        );
    }
}
