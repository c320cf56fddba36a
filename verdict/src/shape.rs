//! What a signal may do over a window beside growing evenly, so that it is not taken for growth that goes on.
//!
//! Each form adds one or two columns to the fit, with coefficients that all incarnations of a component share. Which
//! of them a run needs is left to the data: see [`crate::slope`].

use std::f64::consts::TAU;

use crate::noise::Point;

/// One thing beside even growth. All instants are in windows, 0 at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// The slope changes evenly.
    Bend,
    /// The slope changes once, at an instant.
    Hinge(f64),
    /// The level changes once, at an instant.
    Step(f64),
    /// The level of one incarnation changes once, at an instant; incarnations count from 0 in the order given.
    StepOf(usize, f64),
    /// Each incarnation approaches a level with this time constant, as a cache that fills.
    Settling(f64),
    /// Load that comes and goes, with this many cycles in the window.
    Cycle(f64),
    /// The load of a day, with this many days in the window: a cycle of which the length is known.
    Day(f64),
}

/// What is asked of a fit: over which stretch growth is reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reach {
    /// From the window's start to its end, in which everything but a cycle counts as growth.
    Window,
    /// So many windows beyond the window's end, where only what goes on counts.
    Ahead(f64),
}

/// Most of the chance goes to even growth; a form shares its own with all others of its kind that were looked at.
const CHANCE_OF_BEND: f64 = 0.05;
const CHANCE_OF_HINGE: f64 = 0.1;
const CHANCE_OF_STEP: f64 = 0.1;
const CHANCE_OF_SETTLING: f64 = 0.1;
const CHANCE_OF_CYCLE: f64 = 0.15;
/// Of the load of a day within a window too short to see it come round.
const CHANCE_OF_DAY: f64 = 0.03;

const HINGES: [f64; 5] = [-0.8, -0.65, -0.5, -0.35, -0.2];
const SETTLINGS: [f64; 5] = [0.04, 0.08, 0.16, 0.32, 0.64];

/// Cycles that do not come round within the window, or hardly: too slow to be picked out by their power.
const SLOW_CYCLES: [f64; 4] = [0.5, 0.75, 1.0, 1.5];

const STEPS_TRIED: usize = 3;
const LONE_STEPS_TRIED: usize = 4;
const CYCLES_TRIED: usize = 6;

/// By how much, in logarithm, the pace of settling may differ from the one that is tried.
const PACE_DOUBT: f64 = 0.35;

/// A form that may be tried, with the logarithm of its chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) form: Form,
    pub(crate) log_chance: f64,
}

impl Form {
    /// How many coefficients it has.
    pub(crate) fn columns(self) -> usize {
        match self {
            Self::Cycle(_) | Self::Day(_) | Self::Settling(_) => 2,
            _ => 1,
        }
    }

    /// Its columns at one point of one of the tracks.
    pub(crate) fn write(self, track: usize, point: &Point, row: &mut Vec<f64>) {
        match self {
            Self::Bend => row.push(point.x * point.x),
            Self::Hinge(at) => row.push((point.x - at).max(0.0)),
            Self::Step(at) => row.push(f64::from(u8::from(point.x > at))),
            Self::StepOf(of, at) => {
                row.push(f64::from(u8::from(of == track && point.x > at)));
            }
            Self::Settling(pace) => {
                // The second column is what a somewhat slower pace would change, so that none has to be hit exactly.
                let left = (-point.age / pace).exp();
                row.extend([-left, -PACE_DOUBT * point.age / pace * left]);
            }
            Self::Cycle(count) | Self::Day(count) => {
                let (sin, cos) = (TAU * count * point.x).sin_cos();
                row.extend([sin, cos]);
            }
        }
    }

    /// What one unit of each of its coefficients adds to the growth that is asked for, even growth over one window
    /// being the unit; what is reported ahead is growth over the horizon, in windows' worth. `age` is that of the oldest
    /// incarnation at the window's end, in windows since it was first looked at.
    pub(crate) fn growth(self, reach: Reach, age: f64, row: &mut Vec<f64>) {
        match (self, reach) {
            (Self::Cycle(_) | Self::Day(_), _) => row.extend([0.0, 0.0]),
            (Self::Bend, Reach::Window) => row.push(-1.0),
            (Self::Hinge(at), Reach::Window) => row.push(-at),
            (Self::Hinge(_), Reach::Ahead(_)) | (Self::Step(_), Reach::Window) => row.push(1.0),
            (Self::Bend | Self::Step(_) | Self::StepOf(..), _) => row.push(0.0),
            (Self::Settling(pace), reach) => {
                let (from, length) = match reach {
                    Reach::Window => ((age - 1.0).max(0.0), 1.0),
                    Reach::Ahead(horizon) => (age, horizon),
                };
                let left = |age: f64| (-age / pace).exp();
                let slower = |age: f64| PACE_DOUBT * age / pace * left(age);
                let until = from + length;
                row.extend([
                    (left(from) - left(until)) / length,
                    (slower(from) - slower(until)) / length,
                ]);
            }
        }
    }

    /// The same form a little earlier and later, slower and quicker: half of the way to its neighbours at `share` 1.
    pub(crate) fn moved(self, share: f64) -> Vec<Self> {
        match self {
            Self::Bend | Self::Step(_) | Self::StepOf(..) | Self::Day(_) => Vec::new(),
            Self::Hinge(at) => [-1.0, 1.0]
                .map(|way| Self::Hinge((at + way * share * 0.08).clamp(-0.9, -0.1)))
                .to_vec(),
            Self::Settling(pace) => [-1.0, 1.0]
                .map(|way| Self::Settling(pace * (way * share * 0.35).exp()))
                .to_vec(),
            Self::Cycle(count) => [-1.0, 1.0]
                .map(|way| Self::Cycle((count + way * share * 0.125).max(0.05)))
                .to_vec(),
        }
    }

    /// Whether it bends the curve of growth itself, of which one at a time is enough.
    pub(crate) fn curves(self) -> bool {
        matches!(self, Self::Bend | Self::Hinge(_) | Self::Settling(_))
    }

    pub(crate) fn steps(self) -> bool {
        matches!(self, Self::Step(_))
    }
}

/// The forms worth trying on these tracks: the slow ones always, of steps and cycles those that explain most of what is
/// left beside straight lines.
pub(crate) fn candidates(
    tracks: &[Vec<Point>],
    reach: Reach,
    day: Option<f64>,
    hinge: Option<f64>,
) -> Vec<Candidate> {
    let mut candidates = vec![Candidate {
        form: Form::Bend,
        log_chance: CHANCE_OF_BEND.ln(),
    }];
    let mut add = |forms: Vec<Form>, chance: f64, looked_at: usize| {
        let log_chance = (chance / looked_at as f64).ln();
        candidates.extend(forms.into_iter().map(|form| Candidate { form, log_chance }));
    };
    let mut hinges = HINGES.to_vec();
    if let Some(own) = hinge
        && !hinges.iter().any(|at| (at - own).abs() < 0.05)
    {
        hinges.push(own);
    }
    let looked_at = hinges.len();
    add(
        hinges.into_iter().map(Form::Hinge).collect(),
        CHANCE_OF_HINGE,
        looked_at,
    );
    add(
        SETTLINGS.map(Form::Settling).to_vec(),
        CHANCE_OF_SETTLING,
        SETTLINGS.len(),
    );

    let residuals: Vec<Residual> = tracks.iter().map(|track| Residual::of(track)).collect();
    let longest = tracks.iter().map(Vec::len).max().unwrap_or(0);
    let places: Vec<Form> = (1..longest)
        .map(|i| Form::Step(i as f64 / longest as f64 - 1.0))
        .collect();
    let looked_at = places.len();
    add(
        strongest(places, &residuals, STEPS_TRIED, 0.02),
        CHANCE_OF_STEP,
        looked_at,
    );

    // Within the window a step of one pod is growth of its own, and belongs to the mean pod's.
    if tracks.len() > 1 && matches!(reach, Reach::Ahead(_)) {
        let mut alone = Vec::new();
        for (track, residual) in residuals.iter().enumerate() {
            alone.extend(residual.track.windows(2).map(|pair| {
                let at = f64::midpoint(pair[0].x, pair[1].x);
                let gain = explained(Form::Step(at), std::slice::from_ref(residual));
                (gain, Form::StepOf(track, at))
            }));
        }
        let looked_at = alone.len();
        alone.sort_by(|a, b| b.0.total_cmp(&a.0));
        alone.truncate(LONE_STEPS_TRIED);
        let forms = alone.into_iter().map(|(_, form)| form).collect();
        add(forms, CHANCE_OF_STEP, looked_at);
    }

    let slow: Vec<f64> = SLOW_CYCLES.to_vec();
    let mut quick = Vec::new();
    let mut count = 2.0;
    // A cycle needs more than three blocks to be seen.
    while count < longest as f64 / 3.0 && count < 60.0 {
        quick.push(Form::Cycle(count));
        count += 0.25;
    }
    let looked_at = slow.len() + quick.len();
    add(
        slow.into_iter().map(Form::Cycle).collect(),
        CHANCE_OF_CYCLE,
        looked_at.min(20),
    );
    let day = day.filter(|count| *count < SLOW_CYCLES[0]).map(Form::Day);
    add(day.into_iter().collect(), CHANCE_OF_DAY, 1);
    add(
        strongest(quick, &residuals, CYCLES_TRIED, 0.6),
        CHANCE_OF_CYCLE,
        looked_at,
    );
    candidates
}

/// What a track's own straight line leaves, with the sums that a line takes out of another column.
struct Residual<'a> {
    track: &'a [Point],
    left: Vec<f64>,
    weight: f64,
    x: f64,
    xx: f64,
}

impl<'a> Residual<'a> {
    fn of(track: &'a [Point]) -> Self {
        let weight: f64 = track.iter().map(|p| p.weight).sum();
        let mean = |of: &dyn Fn(&Point) -> f64| {
            track.iter().map(|p| p.weight * of(p)).sum::<f64>() / weight
        };
        let (x, y) = (mean(&|p| p.x), mean(&|p| p.y));
        let xx: f64 = track.iter().map(|p| p.weight * (p.x - x).powi(2)).sum();
        let xy: f64 = track.iter().map(|p| p.weight * (p.x - x) * (p.y - y)).sum();
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        Self {
            track,
            left: track
                .iter()
                .map(|p| p.weight * (p.y - y - slope * (p.x - x)))
                .collect(),
            weight,
            x,
            xx,
        }
    }
}

/// The forms that explain most by least squares, none within `apart` of a stronger one.
fn strongest(forms: Vec<Form>, residuals: &[Residual<'_>], most: usize, apart: f64) -> Vec<Form> {
    let mut ranked: Vec<(f64, Form)> = forms
        .into_iter()
        .map(|form| (explained(form, residuals), form))
        .filter(|(gain, _)| *gain > 0.0)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let place = |form: Form| match form {
        Form::Step(at) | Form::StepOf(_, at) | Form::Hinge(at) => at,
        Form::Cycle(count) | Form::Day(count) => count,
        Form::Settling(pace) => pace,
        Form::Bend => 0.0,
    };
    let mut chosen: Vec<Form> = Vec::new();
    for (_, form) in ranked {
        if chosen.len() == most {
            break;
        }
        if chosen
            .iter()
            .all(|other| (place(*other) - place(form)).abs() > apart)
        {
            chosen.push(form);
        }
    }
    chosen
}

/// The sum of squares that a form's columns explain of what lines leave, each by itself.
fn explained(form: Form, residuals: &[Residual<'_>]) -> f64 {
    let columns = form.columns();
    let mut products = vec![(0.0, 0.0); columns];
    let mut row = Vec::new();
    for residual in residuals {
        let mut sums = vec![[0.0; 4]; columns];
        for (point, left) in residual.track.iter().zip(&residual.left) {
            row.clear();
            form.write(0, point, &mut row);
            for (sum, z) in sums.iter_mut().zip(&row) {
                let weighed = point.weight * z;
                sum[0] += weighed;
                sum[1] += weighed * (point.x - residual.x);
                sum[2] += weighed * z;
                sum[3] += left * z;
            }
        }
        for (product, [z, zx, zz, zy]) in products.iter_mut().zip(sums) {
            let line = if residual.xx > 0.0 {
                zx * zx / residual.xx
            } else {
                0.0
            };
            product.0 += (zz - z * z / residual.weight - line).max(0.0);
            product.1 += zy;
        }
    }
    products
        .into_iter()
        .filter(|(zz, _)| *zz > 1e-9)
        .map(|(zz, zy)| zy * zy / zz)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_day_is_known_and_not_searched_for() {
        let point = |i: u32| Point {
            x: f64::from(i) / 20.0 - 1.0,
            y: f64::from(i % 3),
            age: f64::from(i) / 20.0,
            weight: 1.0,
            load: 0.0,
        };
        let track: Vec<Point> = (0..20).map(point).collect();
        let found = candidates(&[track], Reach::Window, Some(0.25), None);
        assert!(found.iter().any(|one| one.form == Form::Day(0.25)));
        assert!(!found.iter().any(|one| one.form == Form::Cycle(0.25)));
        assert!(Form::Day(0.25).moved(1.0).is_empty());
        assert!(!Form::Cycle(0.5).moved(1.0).is_empty());
    }
}
