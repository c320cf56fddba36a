//! What a chaos event leaves behind in the pods that survive it.
//!
//! Each survivor's settled level after an event less its settled level before; the stretch in which the component was
//! not whole, or work was still moving, lies between the two and is left out, so that a rebalance is no leak. The mean
//! over survivors is one observation, and the events of one kind are so many observations of the same thing.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::judgement::{Interval, SeriesGrowth};
use crate::run::{Run, Sample, Window};
use crate::samples::{median, within};
use crate::settled::settled_stretches;

/// The level before and after is that of at most so many steps.
const LONGEST_LOOK: f64 = 60.0;

/// And of at least so many samples.
const FEWEST_SAMPLES: usize = 3;

/// What the events of each kind leave in the mean survivor among these series of a component, by kind and component
/// hit, the largest first. Steady growth in the meantime counts as left by the event, for what it is worth.
pub(crate) fn left_by_events(
    run: &Run,
    component: &str,
    series: &[&[Sample]],
) -> Vec<SeriesGrowth> {
    let stretches = settled_stretches(run, component, run.window);
    let mut kinds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for event in &run.events {
        let Some(recovered) = event.recovered_at else {
            continue;
        };
        let settled = recovered.max(event.at) + run.cooldown_seconds.max(0.0);
        let look = LONGEST_LOOK * run.step_seconds;
        let around = |instant: f64, window: Window| {
            stretches
                .iter()
                .find(|stretch| stretch.start <= instant && instant <= stretch.end)
                .map(|stretch| Window {
                    start: window.start.max(stretch.start),
                    end: window.end.min(stretch.end),
                })
        };
        let before = around(
            event.at,
            Window {
                start: event.at - look,
                end: event.at,
            },
        );
        let after = around(
            settled,
            Window {
                start: settled,
                end: settled + look,
            },
        );
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let left: Vec<f64> = series
            .iter()
            .filter_map(|samples| Some(level(samples, after)? - level(samples, before)?))
            .collect();
        if !left.is_empty() {
            let mean = left.iter().sum::<f64>() / left.len() as f64;
            let kind = format!("{} of {}", event.kind, event.component);
            kinds.entry(kind).or_default().push(mean);
        }
    }
    let mut rows: Vec<SeriesGrowth> = kinds
        .into_iter()
        .map(|(name, left)| SeriesGrowth {
            name,
            growth: left.iter().sum::<f64>() / left.len() as f64,
            interval: interval(&left),
        })
        .filter(|row| row.growth.is_finite())
        .collect();
    rows.sort_by(|a, b| b.growth.total_cmp(&a.growth).then(a.name.cmp(&b.name)));
    rows
}

fn level(samples: &[Sample], window: Window) -> Option<f64> {
    let inside = within(samples, window);
    if inside.len() < FEWEST_SAMPLES {
        return None;
    }
    median(inside.iter().map(|sample| sample.v).collect())
}

/// Student's 95 % interval of the mean (1908); `None` for a single event.
fn interval(left: &[f64]) -> Option<Interval> {
    let count = left.len() as f64;
    if left.len() < 2 {
        return None;
    }
    let mean = left.iter().sum::<f64>() / count;
    let variance = left.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    let reach = student.inverse_cdf(0.975) * (variance / count).sqrt();
    Some(Interval {
        low: mean - reach,
        high: mean + reach,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ChaosEvent;
    use crate::simulator::{still, worker};

    /// Three pods that gain `each` at every kill, and twice as much for as long as work moves.
    fn left(each: f64, kills: &[f64]) -> Vec<SeriesGrowth> {
        let pods = ["a", "b", "c"].map(|pod| {
            worker(pod, 900.0, 1340.0, |t| {
                let gained = kills.iter().filter(|kill| t >= **kill).count() as f64 * each;
                let moving = kills.iter().any(|kill| t >= *kill && t < kill + 9.0);
                20.0 + gained + if moving { 7.0 } else { 0.0 }
            })
        });
        let mut run = still(&[("worker", 3)], pods.to_vec());
        run.events = kills
            .iter()
            .map(|at| ChaosEvent {
                at: *at,
                recovered_at: Some(at + 5.0),
                kind: "podKill".to_owned(),
                component: "worker".to_owned(),
                pod: "gone".to_owned(),
            })
            .collect();
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
