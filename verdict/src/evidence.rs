//! What there is to judge the growth of one component on.

use std::collections::{BTreeMap, BTreeSet};

use crate::floor::floor;
use crate::judgement::SeriesGrowth;
use crate::noise::Point;
use crate::per_event::left_by_events;
use crate::run::{Component, Run, Sample, Window};
use crate::samples::{Clean, Incarnation, median, within};
use crate::settled::{Block, blocks, settled_stretches};
use crate::slope::FEWEST_BLOCKS;
use crate::wording::{count, percent, seconds};

/// A hole in a series this many steps long is not counted as measured time.
const LONGEST_GAP_STEPS: f64 = 3.0;

/// The share of the planned pod-time that must have been measured.
const LEAST_POD_TIME: f64 = 0.5;

/// Blocks are at least this many steps long where the stretch allows it, for a median that holds off odd samples.
const BLOCK_STEPS: f64 = 5.0;

/// So many blocks a window and component are worked with: of one pod many, of many pods fewer of each, so that large
/// fleets cost no more than they tell.
const BLOCKS: f64 = 1_200.0;
const FEWEST_A_WINDOW: f64 = 30.0;
const MOST_A_WINDOW: f64 = 120.0;

/// The blocks that are left over when each incarnation has taken its level and its slope, over all incarnations.
const LEAST_FREEDOM: usize = 4;

/// The settled levels of one component's incarnations within a window.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) component: &'a Component,
    pub(crate) window: Window,
    pub(crate) tracks: Vec<Track>,
    /// How many settled samples there are.
    pub(crate) samples: usize,
    /// What events leave in survivors, by their kind.
    pub(crate) per_event: Vec<SeriesGrowth>,
    /// What was left out and why, in plain words.
    pub(crate) excluded: Vec<String>,
    /// Why no growth can be judged, in plain words, with numbers.
    pub(crate) problem: Option<String>,
}

/// The settled levels of one incarnation.
#[derive(Debug)]
pub(crate) struct Track {
    /// The pod's name, with the incarnation where the pod had several.
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    /// The levels of each label set by its values, joined by commas; empty where series carry no labels.
    pub(crate) parts: Vec<(String, Vec<Point>)>,
}

impl Track {
    /// How long it was watched, in windows.
    pub(crate) fn length(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => last.x - first.x,
            _ => 0.0,
        }
    }
}

impl<'a> Evidence<'a> {
    /// Gathers a component's settled levels within the run's window; fewer than `least_incarnations` are too few to
    /// judge on.
    pub(crate) fn gather(
        run: &Run,
        clean: &Clean<'_>,
        component: &'a Component,
        least_incarnations: usize,
    ) -> Self {
        let window = run.window;
        let length = window.end - window.start;
        let blocks_a_window =
            (BLOCKS / f64::from(component.replicas.max(1))).clamp(FEWEST_A_WINDOW, MOST_A_WINDOW);
        let block_seconds = (BLOCK_STEPS * run.step_seconds).max(length / blocks_a_window);
        let stretches = settled_stretches(run, &component.name, window);
        let of_component: Vec<&Incarnation<'_>> = clean
            .incarnations
            .iter()
            .filter(|incarnation| incarnation.component == component.name)
            .collect();

        let mut watched = Vec::new();
        let mut measured_seconds = 0.0;
        let mut usable_samples = 0;
        let mut too_short = 0;
        let mut above_floor = 0;
        for incarnation in &of_component {
            let usable = usable(incarnation, &incarnation.total, run, window);
            usable_samples += usable.len();
            measured_seconds +=
                covered_seconds(within(&incarnation.total, window), run.step_seconds);
            let floored = floor(usable);
            above_floor += usable.len() - floored.len();
            let levels = blocks(&floored, &stretches, block_seconds);
            if levels.len() < FEWEST_BLOCKS {
                too_short += 1;
                continue;
            }
            watched.push((*incarnation, levels));
        }
        let samples = watched
            .iter()
            .flat_map(|(_, levels)| levels)
            .map(|block| block.samples)
            .sum();
        let usual = usual_samples(watched.iter().flat_map(|(_, levels)| levels));
        let points = |levels: &[Block], started_at: f64| -> Vec<Point> {
            levels
                .iter()
                .map(|block| Point {
                    x: (block.at - window.end) / length,
                    y: block.level,
                    weight: block.samples as f64 / usual,
                    age: (block.at - started_at) / length,
                })
                .collect()
        };
        let names = names(&of_component);
        let tracks: Vec<Track> = watched
            .iter()
            .map(|(incarnation, levels)| Track {
                name: names(incarnation),
                points: points(levels, incarnation.started_at),
                parts: incarnation
                    .parts
                    .iter()
                    .filter(|part| !part.labels.is_empty())
                    .map(|part| {
                        let usable = usable(incarnation, &part.samples, run, window);
                        let levels = blocks(&floor(usable), &stretches, block_seconds);
                        (
                            label_values(part.labels),
                            points(&levels, incarnation.started_at),
                        )
                    })
                    .collect(),
            })
            .collect();

        let survivors: Vec<&[Sample]> = of_component
            .iter()
            .map(|incarnation| usable(incarnation, &incarnation.total, run, window))
            .collect();
        let per_event = left_by_events(run, &component.name, &survivors);
        let left_out = LeftOut {
            too_short,
            above_floor,
            unsettled: usable_samples.saturating_sub(samples + above_floor),
        };
        let mut excluded = clean.excluded.clone();
        excluded.extend(left_out.in_words(&component.name));
        let problem = if of_component.iter().all(|one| one.total.is_empty()) {
            Some(format!("no series of {} was found", component.name))
        } else {
            let found = Found {
                tracks: &tracks,
                samples,
                measured_seconds,
            };
            found.too_little(component, length, least_incarnations)
        };
        Self {
            component,
            window,
            tracks,
            samples,
            per_event,
            excluded,
            problem,
        }
    }

    /// The settled level of a pod at an instant in windows, see [`level_at`].
    pub(crate) fn level_at(&self, instant: f64) -> Option<f64> {
        level_at(self.tracks.iter().flat_map(|track| &track.points), instant)
    }

    /// How many label values have enough blocks to look at.
    pub(crate) fn label_values(&self) -> usize {
        let parts = self.tracks.iter().flat_map(|track| &track.parts);
        let names: BTreeSet<&str> = parts
            .filter(|(_, points)| points.len() >= FEWEST_BLOCKS)
            .map(|(name, _)| name.as_str())
            .collect();
        names.len()
    }

    /// The tracks of each label value that have enough blocks, by label value.
    pub(crate) fn parts(&self) -> BTreeMap<&str, Vec<Vec<Point>>> {
        let mut parts: BTreeMap<&str, Vec<Vec<Point>>> = BTreeMap::new();
        for (name, points) in self.tracks.iter().flat_map(|track| &track.parts) {
            if points.len() >= FEWEST_BLOCKS {
                parts.entry(name).or_default().push(points.clone());
            }
        }
        parts
    }
}

/// The median of the levels in the tenth of the window after an instant in windows, -1 being its start, or after the
/// first that were watched since. Young incarnations do not count where older ones were there to see.
pub(crate) fn level_at<'p>(
    points: impl Iterator<Item = &'p Point> + Clone,
    instant: f64,
) -> Option<f64> {
    let since = points.filter(|point| point.x >= instant);
    let first = since
        .clone()
        .map(|point| point.x)
        .fold(f64::INFINITY, f64::min);
    median(
        since
            .filter(|point| point.x <= first + 0.1)
            .map(|point| point.y)
            .collect(),
    )
}

/// What of a component was left out.
struct LeftOut {
    too_short: usize,
    above_floor: usize,
    unsettled: usize,
}

impl LeftOut {
    fn in_words(&self, component: &str) -> Vec<String> {
        let mut words = Vec::new();
        if self.too_short > 0 {
            let incarnations = count(self.too_short, "incarnation");
            words.push(format!(
                "{incarnations} of {component} too short to show a slope"
            ));
        }
        if self.above_floor > 0 {
            let samples = count(self.above_floor, "sample");
            words.push(format!(
                "{samples} of {component} between the collections of a sawtooth, whose floor is judged"
            ));
        }
        if self.unsettled > 0 {
            let samples = count(self.unsettled, "sample");
            words.push(format!(
                "{samples} of {component} while it recovered or was rebalanced"
            ));
        }
        words
    }
}

/// What was found of a component.
struct Found<'t> {
    tracks: &'t [Track],
    samples: usize,
    measured_seconds: f64,
}

impl Found<'_> {
    /// Why it is too little to judge growth on, with numbers.
    fn too_little(
        &self,
        component: &Component,
        window_seconds: f64,
        least_incarnations: usize,
    ) -> Option<String> {
        let name = &component.name;
        let planned_seconds = f64::from(component.replicas) * window_seconds;
        let freedom: usize = self
            .tracks
            .iter()
            .map(|track| track.points.len().saturating_sub(2))
            .sum();
        let incarnations = count(self.tracks.len(), "incarnation");
        if component.replicas == 0 {
            Some(format!("{name} was planned with no pods"))
        } else if self.measured_seconds < LEAST_POD_TIME * planned_seconds {
            Some(format!(
                "only {} of the planned {} of pod-time of {name} was measured ({}); at least 50 % is needed",
                seconds(self.measured_seconds),
                seconds(planned_seconds),
                percent(100.0 * self.measured_seconds / planned_seconds),
            ))
        } else if self.tracks.len() < least_incarnations {
            Some(format!(
                "only {incarnations} of {name} stood at a settled level long enough; at least {least_incarnations} are needed"
            ))
        } else if freedom < LEAST_FREEDOM {
            Some(format!(
                "only {} of {name} were settled, in {incarnations}: too few to tell a slope from noise; longer pauses between chaos events or a shorter step would help",
                count(self.samples, "sample"),
            ))
        } else {
            None
        }
    }
}

/// The samples of an incarnation inside the window, after its own warm-up and before its end.
fn usable<'s>(
    incarnation: &Incarnation<'_>,
    samples: &'s [Sample],
    run: &Run,
    window: Window,
) -> &'s [Sample] {
    let warm = incarnation.started_at + run.warm_up_seconds;
    let inside = within(
        samples,
        Window {
            start: window.start.max(warm),
            end: window.end,
        },
    );
    let end = incarnation.ended_at.unwrap_or(f64::INFINITY);
    let alive = inside.partition_point(|sample| sample.t < end);
    if warm.is_nan() {
        return &[];
    }
    &inside[..alive]
}

/// The time that samples span, holes left out.
fn covered_seconds(samples: &[Sample], step_seconds: f64) -> f64 {
    samples
        .windows(2)
        .map(|pair| pair[1].t - pair[0].t)
        .filter(|gap| *gap <= LONGEST_GAP_STEPS * step_seconds)
        .sum()
}

fn usual_samples<'b>(blocks: impl Iterator<Item = &'b Block>) -> f64 {
    median(blocks.map(|block| block.samples as f64).collect()).map_or(1.0, |usual| usual.max(1.0))
}

/// Names an incarnation by its pod, and by its number too where the pod had several.
fn names<'a>(of_component: &[&Incarnation<'a>]) -> impl Fn(&Incarnation<'a>) -> String + use<'a> {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<&'a str> = of_component
        .iter()
        .filter(|incarnation| !seen.insert(incarnation.pod))
        .map(|incarnation| incarnation.pod)
        .collect();
    move |incarnation| {
        if repeated.contains(incarnation.pod) {
            format!("{} (start {})", incarnation.pod, incarnation.number)
        } else {
            incarnation.pod.to_owned()
        }
    }
}

fn label_values(labels: &BTreeMap<String, String>) -> String {
    labels
        .values()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::IncarnationSeries;
    use crate::samples::clean;
    use crate::simulator::{still, worker};

    #[test]
    fn all_label_values_count_as_looked_at() {
        let parts = |pod: &str| {
            let part = |i: u32| IncarnationSeries {
                labels: BTreeMap::from([("path".to_owned(), format!("/{i}"))]),
                ..worker(pod, 900.0, 1340.0, |_| 10.0)
            };
            (0..30).map(part).collect::<Vec<_>>()
        };
        let run = still(&[("worker", 2)], [parts("a"), parts("b")].concat());
        let clean = clean(&run);
        let evidence = Evidence::gather(&run, &clean, &run.components[0], 2);
        assert_eq!(evidence.label_values(), 30);
    }
}
