//! Growth at equal load: what a unit of load costs is taken off before growth is judged.
//!
//! The model of one signal is, for block `j` of incarnation `i` with load `z` at instant `x`,
//!
//! ```text
//! y[ij] = level[i] + slope[i] x + cost z[ij] + noise[ij]
//! ```
//!
//! with a cost that incarnations share. It is learnt from what load does beside a straight line in each incarnation, and
//! from nothing else: level and slope of every incarnation are projected out (Frisch and Waugh, 1933), so that a leak that
//! grows as evenly as load does is never taken for its cost, neither in one pod nor by comparison of two. Where load moves
//! with time alone, the cost is unknown, and so is growth.
//!
//! The noise is any of [`Noise`], mixed by restricted likelihood as for growth itself. Incarnations may differ in what load
//! costs: the moment estimate of DerSimonian and Laird (1986) widens what is known of the mean cost, and more so what is
//! known of that of a single pod.

use crate::levels::{Cut, Paired};
use crate::noise::{Layout, Noise, Point, Products, SHAPES, TIME, VALUE};
use crate::run::Run;
use crate::samples::{Clean, Incarnation, cleaned, median};
use crate::slope::{Fit, Search, even_fit, fit, usual_spacing};
use crate::student::{Belief, Part};
use crate::wording::subject;
use crate::{Measured, Sample};

/// The column of load, where a signal has the usual three.
const LOAD: usize = SHAPES;

/// What load does beside a straight line has to be more than it grows in this many steps: less may come from samples that
/// were not taken at the same instant.
const LEAST_STEPS: f64 = 2.0;

/// And more than this share of all that it does, or it is rounding.
const LEAST_SHARE: f64 = 1e-9;

/// An incarnation with less than this share of what the best one tells of the cost has no cost of its own.
const LEAST_INFORMATION: f64 = 1e-6;

/// The cost is looked for again until that moves it by no more than this share of its interval, or so many times.
const SLIGHT: f64 = 0.01;
const MOST_ROUNDS: u32 = 6;

/// What is known of the cost is kept in so many parts: growth has each of its own with each of these.
const MOST_PARTS: usize = 6;

/// A pod's load, as far as a run has it.
pub(crate) struct Load<'r> {
    /// As a sentence names it.
    pub(crate) name: String,
    clean: Clean<'r>,
}

impl<'r> Load<'r> {
    /// What the run has of the answer to `per`.
    pub(crate) fn of(per: &str, run: &'r Run) -> Self {
        Self {
            name: subject(&Measured::Query(per.to_owned())),
            clean: cleaned(&run.load),
        }
    }

    /// The load's samples during an incarnation of the signal, in time order.
    pub(crate) fn during(&self, incarnation: &Incarnation<'_>) -> &[Sample] {
        let same = |one: &&Incarnation<'_>| {
            (one.component, one.pod, one.number)
                == (incarnation.component, incarnation.pod, incarnation.number)
        };
        let found = self.clean.incarnations.iter().find(same);
        found.map_or(&[], |one| &one.total)
    }

    /// What of it was left out, in plain words.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = String> {
        let name = &self.name;
        let excluded = self.clean.excluded.iter();
        excluded.map(move |what| format!("of {name}: {what}"))
    }
}

/// Such as ` at equal partitions_owned`, as part of a sentence; nothing without a load.
pub(crate) fn at_equal(load: Option<&Load<'_>>) -> String {
    load.map_or(String::new(), |load| format!(" at equal {}", load.name))
}

/// The incarnations of one signal as they would have been at equal load; as they were where nobody asked for that.
pub(crate) struct Tracks {
    pub(crate) points: Vec<Vec<Point>>,
    cost: Option<Cost>,
}

/// What is known of the cost of load, and how much load grew.
struct Cost {
    /// Of a unit of load in the mean incarnation.
    mean: Belief,
    /// In any one of them.
    own: Belief,
    /// What load grew over one window: in the mean incarnation, and in each.
    grown: f64,
    each: Vec<f64>,
}

/// Load moved with time and in no other way.
pub(crate) struct MovedTogether;

impl Tracks {
    /// At equal load where `levels` are paired with it; as they are where none is. `tail` is the instant, in windows, from
    /// which on growth is asked for where that is not all of the window.
    ///
    /// The cost is taken off each sample, and blocks are cut anew, until nothing is left of it: in a block in which load
    /// moves, the median of the signal is not where that of the load is.
    pub(crate) fn at_equal_load(
        levels: Vec<(Vec<Point>, Option<&Paired>)>,
        cut: &Cut,
        tail: Option<f64>,
    ) -> Result<Self, MovedTogether> {
        let (mut points, paired): (Vec<Vec<Point>>, Vec<Option<&Paired>>) =
            levels.into_iter().unzip();
        let moves = |track: &Vec<Point>| track.windows(2).any(|pair| pair[0].load != pair[1].load);
        if !points.iter().any(moves) {
            return Ok(Self { points, cost: None });
        }
        let each: Vec<Grown> = points.iter().map(|track| Grown::of(track, tail)).collect();
        let mut all = 0.0;
        for round in 1.. {
            let (mean, own) = costs(&points, cut.step).ok_or(MovedTogether)?;
            let more = mean.estimate().ok_or(MovedTogether)?;
            all += more;
            for (track, paired) in points.iter_mut().zip(&paired) {
                if let Some(paired) = paired {
                    *track = paired.levels(cut, all);
                }
            }
            let slight = mean
                .interval(crate::DOUBT)
                .is_some_and(|interval| more.abs() <= SLIGHT * (interval.high - interval.low));
            if slight || round == MOST_ROUNDS {
                let cost = Cost {
                    mean,
                    own,
                    grown: Grown::mean(&each).largest(),
                    each: each.iter().map(Grown::largest).collect(),
                };
                return Ok(Self {
                    points,
                    cost: Some(cost),
                });
            }
        }
        Err(MovedTogether)
    }

    /// The growth of all incarnations, see [`fit`].
    pub(crate) fn fit(&self, search: &Search) -> Option<Fit> {
        Some(self.widened(fit(&self.points, search)?))
    }

    /// Even growth over the window, see [`even_fit`].
    pub(crate) fn even_fit(&self) -> Option<Fit> {
        Some(self.widened(even_fit(&self.points)?))
    }

    /// The growth of one incarnation, as if there were no others; but for the cost of its load.
    pub(crate) fn fit_alone(&self, place: usize, search: &Search) -> Option<Belief> {
        let points = self.points.get(place)?;
        let growth = fit(std::slice::from_ref(points), search)?.growth;
        Some(match &self.cost {
            Some(cost) => growth.less(&cost.own, cost.each[place]),
            None => growth,
        })
    }

    fn widened(&self, fit: Fit) -> Fit {
        let Some(cost) = &self.cost else {
            return fit;
        };
        let growth = fit.growth.less(&cost.mean, cost.grown);
        let width = |belief: &Belief| {
            let interval = belief.interval(crate::DOUBT)?;
            Some(interval.high - interval.low)
        };
        let of_load = match (width(&fit.growth), width(&growth)) {
            (Some(before), Some(after)) => after > 2.0 * before,
            _ => false,
        };
        let each = fit.each.iter().zip(&cost.each);
        Fit {
            each: each
                .map(|(growth, grown)| growth.less(&cost.own, *grown))
                .collect(),
            growth,
            of_load,
            ..fit
        }
    }
}

/// How much load grew over one window, by each of the ways in which growth may be read off: its straight line, its ends,
/// the line of its tail. Which one a fit of growth is nearest to depends on the forms that it finds.
struct Grown {
    ways: [f64; 3],
    /// How much an incarnation tells of a slope.
    information: f64,
}

impl Grown {
    fn of(track: &[Point], tail: Option<f64>) -> Self {
        let (line, information) = line(track);
        let tail = tail.map_or(line, |since| {
            let from = track.partition_point(|point| point.x < since);
            let (slope, information) = self::line(&track[from..]);
            if information > 0.0 { slope } else { line }
        });
        Self {
            ways: [line, ends(track).unwrap_or(line), tail],
            information,
        }
    }

    fn mean(each: &[Self]) -> Self {
        let mut mean = Self {
            ways: [0.0; 3],
            information: each.iter().map(|one| one.information).sum(),
        };
        for one in each.iter().filter(|one| one.information > 0.0) {
            for (sum, way) in mean.ways.iter_mut().zip(one.ways) {
                *sum += way * one.information / mean.information;
            }
        }
        mean
    }

    fn largest(&self) -> f64 {
        let larger = |a: f64, b: f64| if b.abs() > a.abs() { b } else { a };
        self.ways.into_iter().fold(0.0, larger)
    }
}

/// The slope of load by least squares, and the squares of time that it rests on.
fn line(track: &[Point]) -> (f64, f64) {
    let count = track.len() as f64;
    let mean = |of: fn(&Point) -> f64| track.iter().map(of).sum::<f64>() / count;
    let (x, z) = (mean(|p| p.x), mean(|p| p.load));
    let squares: f64 = track.iter().map(|p| (p.x - x).powi(2)).sum();
    let products: f64 = track.iter().map(|p| (p.x - x) * (p.load - z)).sum();
    if squares > 0.0 {
        (products / squares, squares)
    } else {
        (0.0, 0.0)
    }
}

/// The load at the end less that at the start, each the median of a tenth, over one window.
fn ends(track: &[Point]) -> Option<f64> {
    let tenth = (track.len() / 10).max(1);
    let level = |points: &[Point]| median(points.iter().map(|point| point.load).collect());
    let instant = |points: &[Point]| median(points.iter().map(|point| point.x).collect());
    let (first, last) = (track.get(..tenth)?, track.get(track.len() - tenth..)?);
    let length = instant(last)? - instant(first)?;
    (length > 0.0).then_some((level(last)? - level(first)?) / length)
}

/// What one incarnation tells of the cost under one assumption about the noise.
struct Share {
    load: f64,
    both: f64,
    signal: f64,
}

/// The cost of a unit of load in the mean incarnation and in any one of them; `None` where load moves with time alone.
fn costs(tracks: &[Vec<Point>], step: f64) -> Option<(Belief, Belief)> {
    let (tracks, signal_scale, load_scale) = scaled(tracks)?;
    if !moves_beside_time(&tracks, step) {
        return None;
    }
    if signal_scale == 0.0 {
        return Some((Belief::certain(0.0), Belief::certain(0.0)));
    }
    let freedom = tracks
        .iter()
        .map(|track| track.len() as f64 - 2.0)
        .sum::<f64>()
        - 1.0;
    if freedom < 1.0 {
        return None;
    }
    let rows: Vec<Vec<f64>> = tracks
        .iter()
        .map(|track| track.iter().flat_map(|p| [1.0, p.x, p.y, p.load]).collect())
        .collect();
    let layout = Layout::of_all(SHAPES + 1);
    let noises = Noise::candidates(usual_spacing(&tracks)?, 2.0, &[0.001, 0.3, 1.0, 4.0, 16.0]);
    let mut found: Vec<(f64, Part, Part)> = Vec::new();
    for noise in noises {
        let mut log_volume = 0.0;
        let shares: Vec<Share> = tracks
            .iter()
            .zip(&rows)
            .map(|(track, rows)| {
                let products = noise.products(track, &noise.kept(track), rows, layout);
                log_volume += products.log_volume;
                Share::of(&products)
            })
            .collect();
        found.extend(cost(&shares, freedom, log_volume));
    }
    let best = found
        .iter()
        .map(|(log, ..)| *log)
        .fold(f64::NEG_INFINITY, f64::max);
    let mixed = |part: &dyn Fn(&(f64, Part, Part)) -> Part| {
        let parts = found.iter().map(|one| Part {
            share: (one.0 - best).exp(),
            ..part(one)
        });
        Belief::new(parts.collect())
            .in_parts(MOST_PARTS)
            .times(signal_scale / load_scale)
    };
    Some((mixed(&|one| one.1), mixed(&|one| one.2)))
}

impl Share {
    /// With level and slope projected out.
    fn of(products: &Products) -> Self {
        let time = products.of(TIME, TIME);
        let without_line = |a: usize, b: usize| {
            products.of(a, b) - products.of(TIME, a) * products.of(TIME, b) / time
        };
        Self {
            load: without_line(LOAD, LOAD).max(0.0),
            both: without_line(VALUE, LOAD),
            signal: without_line(VALUE, VALUE).max(0.0),
        }
    }
}

/// The logarithm of the likelihood, and the mean and any one incarnation's cost.
fn cost(shares: &[Share], freedom: f64, log_volume: f64) -> Option<(f64, Part, Part)> {
    let sum = |of: fn(&Share) -> f64| shares.iter().map(of).sum::<f64>();
    let (load, both, signal) = (sum(|s| s.load), sum(|s| s.both), sum(|s| s.signal));
    let cost = both / load;
    // Values were scaled to one: below this lies rounding, not noise.
    let rounding = 1e-18 * shares.len() as f64;
    let squares = (signal - both * cost).max(0.0) + rounding;
    let log_likelihood = -freedom / 2.0 * squares.ln() - log_volume - load.ln() / 2.0;

    let most = shares.iter().map(|share| share.load).fold(0.0, f64::max);
    let telling = shares.iter().filter(|s| s.load > LEAST_INFORMATION * most);
    let telling: Vec<&Share> = telling.collect();
    let differing = telling.len() as f64 - 1.0;
    let dispersion: f64 = telling
        .iter()
        .map(|share| share.load * (share.both / share.load - cost).powi(2))
        .sum();
    let unevenness: f64 = telling.iter().map(|share| share.load.powi(2)).sum::<f64>() / load;
    let within = (squares - dispersion).max(rounding) / (freedom - differing).max(1.0);
    let excess = dispersion - differing * within;
    let (variance, spread) = if differing > 0.0 && excess > 0.0 && load > unevenness {
        (within, excess / (load - unevenness))
    } else {
        (squares / freedom, 0.0)
    };
    let influence = unevenness / load;
    let part = |spread: f64, across_freedom: f64| {
        let of_noise = variance / load;
        Part {
            share: 1.0,
            centre: cost,
            scale: (of_noise + spread).sqrt(),
            freedom: (of_noise + spread).powi(2)
                / (of_noise.powi(2) / freedom + spread.powi(2) / across_freedom),
        }
    };
    let mean = part(spread * influence, (1.0 / influence - 1.0).max(1.0));
    let own = part(spread * (1.0 + influence), differing.max(1.0));
    (log_likelihood.is_finite() && mean.scale.is_finite()).then_some((log_likelihood, mean, own))
}

/// Signal and load of each track from its own first value, in units of the largest distance from it over all tracks, with
/// both units; `None` where load does not move.
fn scaled(tracks: &[Vec<Point>]) -> Option<(Vec<Vec<Point>>, f64, f64)> {
    let largest = |of: fn(&Point) -> f64| {
        let moves = tracks.iter().flat_map(|track| {
            let origin = track.first().map_or(0.0, of);
            track.iter().map(move |point| (of(point) - origin).abs())
        });
        moves.fold(0.0, f64::max)
    };
    let (signal, load) = (largest(|point| point.y), largest(|point| point.load));
    let usable = load > 0.0 && load.is_finite() && signal.is_finite();
    let unit = if signal > 0.0 { signal } else { 1.0 };
    let scaled = |track: &Vec<Point>| -> Vec<Point> {
        let Some(first) = track.first() else {
            return Vec::new();
        };
        let point = |point: &Point| Point {
            y: (point.y - first.y) / unit,
            load: (point.load - first.load) / load,
            ..*point
        };
        track.iter().map(point).collect()
    };
    usable.then(|| (tracks.iter().map(scaled).collect(), signal, load))
}

/// Whether load does anything beside a straight line in any incarnation.
fn moves_beside_time(tracks: &[Vec<Point>], step: f64) -> bool {
    let (mut all, mut beside, mut lines, mut count) = (0.0, 0.0, 0.0, 0.0);
    for track in tracks {
        let size = track.len() as f64;
        let (slope, _) = line(track);
        let mean = |of: fn(&Point) -> f64| track.iter().map(of).sum::<f64>() / size;
        let (x, z) = (mean(|p| p.x), mean(|p| p.load));
        for point in track {
            let moved = point.load - z;
            all += moved * moved;
            beside += (moved - slope * (point.x - x)).powi(2);
            lines += slope * slope;
        }
        count += size;
    }
    let least = LEAST_STEPS * step * (lines / count).sqrt();
    beside > LEAST_SHARE * all && (beside / count).sqrt() > least
}
