//! Samples of an incarnation as the levels that are fitted, with the load in the same blocks where it is asked for.

use crate::noise::Point;
use crate::run::{Sample, Window};
use crate::settled::blocks;

/// The settled levels of one label set of an incarnation.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) points: Vec<Point>,
    pub(crate) paired: Option<Paired>,
}

/// How samples become levels.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) window: Window,
    pub(crate) stretches: Vec<Window>,
    pub(crate) block_seconds: f64,
    /// The usual number of samples in a block.
    pub(crate) usual: f64,
    /// The distance of two samples, in windows.
    pub(crate) step: f64,
}

impl Cut {
    /// The levels of an incarnation's samples, with the load in the same blocks where it is known.
    pub(crate) fn points(
        &self,
        samples: &[Sample],
        paired: Option<&Paired>,
        started_at: f64,
    ) -> Vec<Point> {
        let length = self.window.end - self.window.start;
        let cut = |samples: &[Sample]| blocks(samples, &self.stretches, self.block_seconds);
        let loads = paired.map_or(Vec::new(), |paired| cut(paired.loads()));
        let mut loads = loads.iter();
        cut(samples)
            .iter()
            .map(|block| {
                let load = loads.next();
                // At the mean instant a signal that rises evenly does not have its median where samples are missing, and
                // load that does so, too, would seem to explain it.
                let at = if load.is_some() {
                    block.middle
                } else {
                    block.at
                };
                Point {
                    x: (at - self.window.end) / length,
                    y: block.level,
                    weight: block.samples as f64 / self.usual,
                    age: (at - started_at) / length,
                    load: load.map_or(0.0, |load| load.level),
                }
            })
            .collect()
    }
}

/// The samples of one incarnation's signal, each with the load at its instant.
#[derive(Debug)]
pub(crate) struct Paired {
    samples: Vec<Sample>,
    loads: Vec<Sample>,
    started_at: f64,
}

impl Paired {
    /// Those samples at whose instant the load is known: scraped with them, or on the straight line between two of its own
    /// samples that are no further apart than `widest` seconds. Both in time order.
    pub(crate) fn of(signal: &[Sample], load: &[Sample], widest: f64, started_at: f64) -> Self {
        let at = |t: f64| {
            let next = load.partition_point(|sample| sample.t < t);
            let after = load.get(next)?;
            if after.t == t {
                return Some(after.v);
            }
            let before = load.get(next.checked_sub(1)?)?;
            let gap = after.t - before.t;
            let share = (t - before.t) / gap;
            Some(before.v + share * (after.v - before.v)).filter(|_| gap <= widest)
        };
        let known = signal
            .iter()
            .filter_map(|sample| Some((*sample, at(sample.t)?)));
        let (samples, loads) = known
            .map(|(sample, v)| (sample, Sample { t: sample.t, v }))
            .unzip();
        Self {
            samples,
            loads,
            started_at,
        }
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(crate) fn loads(&self) -> &[Sample] {
        &self.loads
    }

    /// The levels of what is left when each unit of load costs so much.
    pub(crate) fn levels(&self, cut: &Cut, cost: f64) -> Vec<Point> {
        let origin = self.loads.first().map_or(0.0, |load| load.v);
        let samples = self.samples.iter().zip(&self.loads);
        let left = samples.map(|(sample, load)| Sample {
            t: sample.t,
            v: sample.v - cost * (load.v - origin),
        });
        let left: Vec<Sample> = left.collect();
        cut.points(&left, Some(self), self.started_at)
    }
}
