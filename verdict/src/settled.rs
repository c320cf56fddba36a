//! Where a component stands at a settled level, and what that level is.

use crate::run::{Run, Sample, Window};
use crate::samples::{median, within};

/// The level of a short piece of a settled stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    /// The mean instant of its samples, in seconds since the Unix epoch.
    pub(crate) at: f64,
    /// The median instant, at which a signal that only rises or only falls has its median.
    pub(crate) middle: f64,
    /// The median of its samples.
    pub(crate) level: f64,
    /// How many samples it rests on.
    pub(crate) samples: usize,
}

/// The stretches of a window in which the component was neither being disturbed nor recovering, in time order.
///
/// Each event on the component unsettles it from the event until `cooldown_seconds` after its recovery, and for good
/// where recovery was never seen. Events on other components leave it alone.
pub(crate) fn settled_stretches(run: &Run, component: &str, window: Window) -> Vec<Window> {
    let mut unsettled: Vec<Window> = run
        .events
        .iter()
        .filter(|event| event.component == component)
        .map(|event| Window {
            // An event at an unknown instant may have hit at any: nothing is known to be settled before it.
            start: finite_or(event.at, f64::NEG_INFINITY),
            end: event
                .recovered_at
                .filter(|recovered| recovered.is_finite())
                .map_or(f64::INFINITY, |recovered| {
                    recovered.max(event.at) + run.cooldown_seconds.max(0.0)
                }),
        })
        .collect();
    unsettled.sort_by(|a, b| a.start.total_cmp(&b.start));

    let mut stretches = Vec::new();
    let mut from = window.start;
    for disturbance in unsettled {
        let to = disturbance.start.min(window.end);
        if to > from {
            stretches.push(Window {
                start: from,
                end: to,
            });
        }
        from = from.max(disturbance.end);
    }
    if window.end > from {
        stretches.push(Window {
            start: from,
            end: window.end,
        });
    }
    stretches
}

/// The block levels of one series.
///
/// A stretch is cut into equal pieces of at least `block_seconds`, or is one piece where it is shorter, so that a block
/// never mixes the levels before and after an event. The median keeps single odd samples out. Blocks of neighbouring
/// levels stay correlated: that is accounted for where they are fitted, not here.
pub(crate) fn blocks(samples: &[Sample], stretches: &[Window], block_seconds: f64) -> Vec<Block> {
    let mut blocks = Vec::new();
    for stretch in stretches {
        let length = stretch.end - stretch.start;
        let pieces = (length / block_seconds).floor().max(1.0);
        let piece = |sample: &Sample| {
            let index = ((sample.t - stretch.start) / length * pieces).floor();
            index.min(pieces - 1.0)
        };
        for members in within(samples, *stretch).chunk_by(|a, b| piece(a) == piece(b)) {
            let count = members.len() as f64;
            let first = members[0].t;
            let offset: f64 = members.iter().map(|sample| sample.t - first).sum();
            let middle = median(members.iter().map(|sample| sample.t).collect());
            let level = median(members.iter().map(|sample| sample.v).collect());
            if let (Some(middle), Some(level)) = (middle, level) {
                blocks.push(Block {
                    at: first + offset / count,
                    middle,
                    level,
                    samples: members.len(),
                });
            }
        }
    }
    blocks
}

fn finite_or(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ChaosEvent;
    use crate::simulator::still;

    fn hit(at: f64, recovered_at: Option<f64>) -> ChaosEvent {
        ChaosEvent {
            at,
            recovered_at,
            undone_at: None,
            tells_recovery: true,
            kind: "podKill".to_owned(),
            component: "worker".to_owned(),
            pod: "worker-0".to_owned(),
        }
    }

    fn stretches(events: Vec<ChaosEvent>) -> Vec<(f64, f64)> {
        let run = Run {
            events,
            ..still(&[], Vec::new())
        };
        settled_stretches(&run, "worker", run.window)
            .iter()
            .map(|stretch| (stretch.start, stretch.end))
            .collect()
    }

    #[test]
    fn an_event_unsettles_until_its_cooldown_is_over() {
        let cut = stretches(vec![hit(1100.0, Some(1104.0))]);
        assert_eq!(cut, [(1000.0, 1100.0), (1109.0, 1300.0)]);
    }

    #[test]
    fn events_that_overlap_unsettle_together() {
        let cut = stretches(vec![hit(1102.0, Some(1103.0)), hit(1100.0, Some(1150.0))]);
        assert_eq!(cut, [(1000.0, 1100.0), (1155.0, 1300.0)]);
    }

    #[test]
    fn what_never_recovered_never_settles() {
        assert_eq!(stretches(vec![hit(1100.0, None)]), [(1000.0, 1100.0)]);
        assert_eq!(
            stretches(vec![hit(f64::NAN, Some(1100.0))]),
            [(1105.0, 1300.0)]
        );
    }

    #[test]
    fn a_block_holds_off_odd_samples_and_never_spans_an_event() {
        let samples: Vec<Sample> = (1000..1020)
            .map(|t| Sample {
                t: f64::from(t),
                v: if t == 1003 { 99.0 } else { f64::from(t / 1010) },
            })
            .collect();
        let stretches =
            [(1000.0, 1009.5), (1010.0, 1019.0)].map(|(start, end)| Window { start, end });
        let levels: Vec<f64> = blocks(&samples, &stretches, 30.0)
            .iter()
            .map(|block| block.level)
            .collect();
        assert_eq!(levels, [0.0, 1.0]);
    }
}
