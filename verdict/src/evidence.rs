//! What there is to judge the growth of one component on.

use std::collections::{BTreeMap, BTreeSet};

use crate::floor::floor;
use crate::judgement::SeriesGrowth;
use crate::levels::{Cut, Levels, Paired};
use crate::load::{Load, MovedTogether, Tracks};
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
    cut: Cut,
    /// The load that growth is judged at, as a sentence names it.
    pub(crate) load: Option<String>,
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
    /// Its samples with the load, where growth is judged at equal load.
    paired: Option<Paired>,
    /// The levels of each label set by its values, joined by commas; empty where series carry no labels.
    parts: Vec<(String, Levels)>,
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
    /// judge on. Where a load is given, only blocks in which it is known count.
    pub(crate) fn gather(
        run: &Run,
        clean: &Clean<'_>,
        component: &'a Component,
        least_incarnations: usize,
        load: Option<&Load<'_>>,
    ) -> Self {
        let window = run.window;
        let length = window.end - window.start;
        let blocks_a_window =
            (BLOCKS / f64::from(component.replicas.max(1))).clamp(FEWEST_A_WINDOW, MOST_A_WINDOW);
        let block_seconds = (BLOCK_STEPS * run.step_seconds).max(length / blocks_a_window);
        let of_component: Vec<&Incarnation<'_>> = clean
            .incarnations
            .iter()
            .filter(|incarnation| incarnation.component == component.name)
            .collect();

        let mut cut = Cut {
            window,
            stretches: settled_stretches(run, &component.name, window),
            block_seconds,
            usual: 1.0,
            step: run.step_seconds / length,
        };
        let mut seen = Seen::default();
        let watched: Vec<Watched<'_, '_>> = of_component
            .iter()
            .filter_map(|incarnation| seen.watch(incarnation, run, load, &cut))
            .collect();
        let levels = || watched.iter().flat_map(|one| &one.blocks);
        let samples = levels().map(|block| block.samples).sum();
        cut.usual = usual_samples(levels());
        let names = names(&of_component);
        let tracks: Vec<Track> = watched
            .into_iter()
            .map(|one| {
                let name = names(one.incarnation);
                one.track(name, run, load, &cut)
            })
            .collect();

        let survivors: Vec<&[Sample]> = of_component
            .iter()
            .map(|incarnation| usable(incarnation, &incarnation.total, run, window))
            .collect();
        // What survivors have more after an event may be the load of the pod that was hit.
        let per_event = match load {
            Some(_) => Vec::new(),
            None => left_by_events(run, &component.name, &survivors),
        };
        let mut excluded = clean.excluded.clone();
        excluded.extend(load.into_iter().flat_map(Load::excluded));
        excluded.extend(seen.left_out(&component.name, samples, load));
        let problem = nothing_of(component, &of_component, load).or_else(|| {
            let found = Found {
                tracks: &tracks,
                samples,
                measured_seconds: seen.measured_seconds,
            };
            found.too_little(component, length, least_incarnations)
        });
        Self {
            component,
            window,
            cut,
            load: load.map(|load| load.name.clone()),
            tracks,
            samples,
            per_event,
            excluded,
            problem,
        }
    }

    /// What the component did, at equal load where that is asked for; `tail` is that of [`Tracks::at_equal_load`].
    pub(crate) fn at_equal_load(&self, tail: Option<f64>) -> Result<Tracks, MovedTogether> {
        let tracks = self.tracks.iter();
        let levels = tracks.map(|track| (track.points.clone(), track.paired.as_ref()));
        Tracks::at_equal_load(levels.collect(), &self.cut, tail)
    }

    /// The same of one label value.
    pub(crate) fn part_at_equal_load(
        &self,
        part: &[&Levels],
        tail: Option<f64>,
    ) -> Result<Tracks, MovedTogether> {
        let levels = part.iter();
        let levels = levels.map(|levels| (levels.points.clone(), levels.paired.as_ref()));
        Tracks::at_equal_load(levels.collect(), &self.cut, tail)
    }

    /// The settled level of a pod at an instant in windows, see [`level_at`].
    pub(crate) fn level_at(&self, instant: f64) -> Option<f64> {
        level_at(self.tracks.iter().flat_map(|track| &track.points), instant)
    }

    /// How many label values have enough blocks to look at.
    pub(crate) fn label_values(&self) -> usize {
        let parts = self.tracks.iter().flat_map(|track| &track.parts);
        let names: BTreeSet<&str> = parts
            .filter(|(_, levels)| levels.points.len() >= FEWEST_BLOCKS)
            .map(|(name, _)| name.as_str())
            .collect();
        names.len()
    }

    /// The levels of each label value that have enough blocks, incarnation by incarnation, by label value.
    pub(crate) fn parts(&self) -> BTreeMap<&str, Vec<&Levels>> {
        let mut parts: BTreeMap<&str, Vec<&Levels>> = BTreeMap::new();
        for (name, levels) in self.tracks.iter().flat_map(|track| &track.parts) {
            if levels.points.len() >= FEWEST_BLOCKS {
                parts.entry(name).or_default().push(levels);
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

/// One incarnation with enough blocks.
struct Watched<'i, 'r> {
    incarnation: &'i Incarnation<'r>,
    /// The samples of its total that count, with the load where that is asked for.
    samples: Vec<Sample>,
    paired: Option<Paired>,
    blocks: Vec<Block>,
}

impl Watched<'_, '_> {
    fn track(self, name: String, run: &Run, load: Option<&Load<'_>>, cut: &Cut) -> Track {
        let incarnation = self.incarnation;
        let since = incarnation.started_at;
        let labelled = incarnation.parts.iter();
        let parts = labelled.filter(|part| !part.labels.is_empty()).map(|part| {
            let usable = usable(incarnation, &part.samples, run, cut.window);
            let (samples, paired) = counted(incarnation, usable, run, load);
            let points = cut.points(&samples, paired.as_ref(), since);
            (label_values(part.labels), Levels { points, paired })
        });
        Track {
            name,
            points: cut.points(&self.samples, self.paired.as_ref(), since),
            parts: parts.collect(),
            paired: self.paired,
        }
    }
}

/// What was seen of a component, and what was left out of it.
#[derive(Default)]
struct Seen {
    measured_seconds: f64,
    usable: usize,
    too_short: usize,
    above_floor: usize,
    without_load: usize,
}

impl Seen {
    fn watch<'i, 'r>(
        &mut self,
        incarnation: &'i Incarnation<'r>,
        run: &Run,
        load: Option<&Load<'_>>,
        cut: &Cut,
    ) -> Option<Watched<'i, 'r>> {
        let widest = LONGEST_GAP_STEPS * run.step_seconds;
        let covered = |samples| covered_seconds(within(samples, cut.window), widest);
        let of_load = load.map_or(f64::INFINITY, |load| covered(load.during(incarnation)));
        self.measured_seconds += covered(&incarnation.total).min(of_load);
        let usable = usable(incarnation, &incarnation.total, run, cut.window);
        self.usable += usable.len();
        let floored = floor(usable).len();
        self.above_floor += usable.len() - floored;
        let (samples, paired) = counted(incarnation, usable, run, load);
        self.without_load += floored - samples.len();
        let blocks = blocks(&samples, &cut.stretches, cut.block_seconds);
        if blocks.len() < FEWEST_BLOCKS {
            self.too_short += 1;
            return None;
        }
        Some(Watched {
            incarnation,
            samples,
            paired,
            blocks,
        })
    }

    /// What was left out, in plain words, where so many samples are judged.
    fn left_out(&self, component: &str, judged: usize, load: Option<&Load<'_>>) -> Vec<String> {
        let mut words = Vec::new();
        let mut told = |number: usize, what: &str, why: String| {
            if number > 0 {
                words.push(format!("{} of {component} {why}", count(number, what)));
            }
        };
        let unsettled = judged + self.above_floor + self.without_load;
        told(
            self.too_short,
            "incarnation",
            "too short to show a slope".to_owned(),
        );
        told(
            self.above_floor,
            "sample",
            "between the collections of a sawtooth, whose floor is judged".to_owned(),
        );
        if let Some(load) = load {
            let unknown = format!("while {} was not known", load.name);
            told(self.without_load, "sample", unknown);
        }
        told(
            self.usable.saturating_sub(unsettled),
            "sample",
            "while it recovered or was rebalanced".to_owned(),
        );
        words
    }
}

/// The samples that count: on the floor of a sawtooth, and with a load where that is asked for.
fn counted(
    incarnation: &Incarnation<'_>,
    usable: &[Sample],
    run: &Run,
    load: Option<&Load<'_>>,
) -> (Vec<Sample>, Option<Paired>) {
    let floored = floor(usable);
    let Some(load) = load else {
        return (floored.into_owned(), None);
    };
    let widest = LONGEST_GAP_STEPS * run.step_seconds;
    let since = incarnation.started_at;
    let paired = Paired::of(&floored, load.during(incarnation), widest, since);
    (paired.samples().to_vec(), Some(paired))
}

/// Why nothing can be said at all, in plain words.
fn nothing_of(
    component: &Component,
    incarnations: &[&Incarnation<'_>],
    load: Option<&Load<'_>>,
) -> Option<String> {
    let name = &component.name;
    if incarnations.iter().all(|one| one.total.is_empty()) {
        return Some(format!("no series of {name} was found"));
    }
    let load = load?;
    let mut loads = incarnations.iter().map(|one| load.during(one));
    loads.all(<[Sample]>::is_empty).then(|| {
        format!(
            "no series of {} was found for {name}, at equal load of which growth is asked for",
            load.name
        )
    })
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
fn covered_seconds(samples: &[Sample], widest: f64) -> f64 {
    samples
        .windows(2)
        .map(|pair| pair[1].t - pair[0].t)
        .filter(|gap| *gap <= widest)
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
        let evidence = Evidence::gather(&run, &clean, &run.components[0], 2, None);
        assert_eq!(evidence.label_values(), 30);
    }
}
