//! The slope that several incarnations share, with an interval that knows about autocorrelation and about differences
//! between pods.
//!
//! Each incarnation has a level of its own, so that a restart neither hides growth nor looks like it. For each
//! candidate of the noise (see [`Noise`]) the slope is fitted by generalised least squares; its variance is that of the
//! noise plus that between incarnations (`DerSimonian` and Laird, 1986), around the estimate weighted by information
//! (Henmi and Copas, 2010), so that a short-lived incarnation never counts as much as a long one; its degrees of
//! freedom join both sources (Satterthwaite, 1946). The candidates are then mixed by their restricted likelihood
//! (Harville, 1974).
//!
//! Levels are least squares rather than a median of pairwise slopes: what is robust here is the median inside each
//! block. A median of slopes overlooks a rise late in the window, and would pass it.

use crate::noise::{Noise, Point, Products};
use crate::student::{Belief, Part};

/// The fewest blocks that an incarnation needs to have a slope and to tell it from noise.
pub(crate) const FEWEST_BLOCKS: usize = 3;

/// Whether the slope may change over the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One slope for the window.
    Straight,
    /// A slope that changes evenly; what is reported is the slope at the window's end.
    Curved,
}

/// Growth over one window, as far as the data tell.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// Of the mean incarnation.
    pub(crate) growth: Belief,
    /// Of each incarnation, in the order given.
    pub(crate) each: Vec<Belief>,
    /// How much faster it grows at the end than in the middle, twice; zero for a straight fit.
    pub(crate) curvature: Belief,
    /// How much of the doubt comes from differences between incarnations, from 0 to 1.
    pub(crate) between: f64,
    /// Whether the noise wanders as slowly as the window is long, so that a trend can hardly be told from it.
    pub(crate) wandering: bool,
}

/// Fits the tracks, one for each incarnation and each in time order; `None` where no slope can be had.
pub(crate) fn fit(tracks: &[Vec<Point>], shape: Shape) -> Option<Fit> {
    if tracks.is_empty() || tracks.iter().any(|track| track.len() < FEWEST_BLOCKS) {
        return None;
    }
    let (tracks, scale) = standardised(tracks);
    if !scale.is_finite() {
        return None;
    }
    if scale == 0.0 {
        return Some(constant(tracks.len()));
    }
    let solutions: Vec<Solution> = Noise::candidates(usual_spacing(&tracks)?)
        .into_iter()
        .filter_map(|noise| Solution::under(noise, &tracks, shape))
        .collect();
    let best = solutions
        .iter()
        .map(|solution| solution.log_likelihood)
        .fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = solutions
        .iter()
        .map(|solution| (solution.log_likelihood - best).exp())
        .collect();
    let total: f64 = shares.iter().sum();
    let mixed = |part: &dyn Fn(&Solution) -> Part| {
        let parts = solutions.iter().zip(&shares).map(|(solution, share)| Part {
            share: *share,
            ..part(solution)
        });
        Belief::new(parts.collect()).times(scale)
    };
    let weighted = |value: &dyn Fn(&Solution) -> f64| {
        let sum: f64 = solutions
            .iter()
            .zip(&shares)
            .map(|(solution, share)| value(solution) * share)
            .sum();
        sum / total
    };
    Some(Fit {
        growth: mixed(&|solution| solution.growth),
        each: (0..tracks.len())
            .map(|i| mixed(&|solution| solution.each[i]))
            .collect(),
        curvature: mixed(&|solution| solution.curvature),
        between: weighted(&|solution| solution.between),
        wandering: weighted(&|solution| f64::from(u8::from(solution.noise.wanders()))) > 0.5,
    })
    .filter(|fit| fit.growth.estimate().is_some())
}

/// The plain least-squares slope within incarnations: quick, without an interval, for ranking.
pub(crate) fn quick_growth(tracks: &[Vec<Point>]) -> f64 {
    let mut sxy = 0.0;
    let mut sxx = 0.0;
    for track in tracks {
        let count = track.len() as f64;
        let x = track.iter().map(|point| point.x).sum::<f64>() / count;
        let y = track.iter().map(|point| point.y).sum::<f64>() / count;
        sxy += track.iter().map(|p| (p.x - x) * (p.y - y)).sum::<f64>();
        sxx += track.iter().map(|p| (p.x - x).powi(2)).sum::<f64>();
    }
    if sxx > 0.0 { sxy / sxx } else { 0.0 }
}

/// The fit under one assumption about the noise.
struct Solution {
    noise: Noise,
    log_likelihood: f64,
    growth: Part,
    each: Vec<Part>,
    curvature: Part,
    between: f64,
}

impl Solution {
    fn under(noise: Noise, tracks: &[Vec<Point>], shape: Shape) -> Option<Self> {
        let products: Vec<Products> = tracks.iter().map(|track| noise.products(track)).collect();
        let joint = Joint::solve(&products, shape)?;

        let own: Vec<Own> = products
            .iter()
            .zip(tracks)
            .map(|(products, track)| Own::fit(products, joint.bend, track.len()))
            .collect();
        let freedom =
            own.iter().map(|own| own.freedom).sum::<f64>() - joint.bend.map_or(0.0, |_| 1.0);
        if freedom < 1.0 {
            return None;
        }
        // Levels were scaled to one: below this lies rounding, not noise.
        let squares = own.iter().map(|own| own.squares).sum::<f64>() + freedom * 1e-18;
        let variance = squares / freedom;
        let log_likelihood = -freedom / 2.0 * squares.ln()
            - products
                .iter()
                .map(|products| products.log_volume)
                .sum::<f64>();

        let spread = between_variance(&own, joint.growth, variance);
        let influence: f64 = own
            .iter()
            .map(|own| (own.information * joint.growth_per_slope(own)).powi(2))
            .sum();
        let within = variance * joint.growth_variance;
        let across = spread * influence;
        let across_freedom = (1.0 / influence - 1.0).max(1.0);
        let growth = Part {
            share: 1.0,
            centre: joint.growth,
            scale: (within + across).sqrt(),
            freedom: (within + across).powi(2)
                / (within.powi(2) / freedom + across.powi(2) / across_freedom),
        };
        let bend_variance = variance * joint.bend_variance;
        let each = own
            .iter()
            .map(|own| own.growth(variance, freedom, bend_variance))
            .collect();
        Some(Self {
            noise,
            log_likelihood,
            growth,
            each,
            curvature: Part {
                share: 1.0,
                centre: joint.bend.unwrap_or(0.0),
                scale: bend_variance.sqrt(),
                freedom,
            },
            between: across / (within + across),
        })
        .filter(|solution| solution.log_likelihood.is_finite())
    }
}

/// The coefficients that the incarnations share.
struct Joint {
    /// At the window's end.
    growth: f64,
    /// Its variance for noise of variance one.
    growth_variance: f64,
    bend: Option<f64>,
    bend_variance: f64,
    /// How the growth answers to the bend.
    covariance: f64,
}

impl Joint {
    fn solve(products: &[Products], shape: Shape) -> Option<Self> {
        let sum = |of: fn(&Products) -> f64| products.iter().map(of).sum::<f64>();
        let (ss, sy) = (sum(|p| p.ss), sum(|p| p.sy));
        let joint = match shape {
            Shape::Straight => Self {
                growth: sy / ss,
                growth_variance: 1.0 / ss,
                bend: None,
                bend_variance: 0.0,
                covariance: 0.0,
            },
            Shape::Curved => {
                let (sq, qq, qy) = (sum(|p| p.sq), sum(|p| p.qq), sum(|p| p.qy));
                let determinant = ss * qq - sq * sq;
                if determinant <= 1e-9 * ss * qq {
                    return None;
                }
                Self {
                    growth: (qq * sy - sq * qy) / determinant,
                    growth_variance: qq / determinant,
                    bend: Some((ss * qy - sq * sy) / determinant),
                    bend_variance: ss / determinant,
                    covariance: -sq / determinant,
                }
            }
        };
        Some(joint).filter(|joint| joint.growth.is_finite() && joint.growth_variance > 0.0)
    }

    /// By how much the shared growth moves, per unit of information, when one incarnation's own slope moves by one.
    fn growth_per_slope(&self, own: &Own) -> f64 {
        self.growth_variance + self.covariance * own.lever
    }
}

/// One incarnation by itself, with the shared bend taken out.
struct Own {
    slope: f64,
    information: f64,
    squares: f64,
    freedom: f64,
    /// How much its slope follows the bend.
    lever: f64,
}

impl Own {
    fn fit(products: &Products, bend: Option<f64>, blocks: usize) -> Self {
        let bend = bend.unwrap_or(0.0);
        let sy = products.sy - bend * products.sq;
        let yy = products.yy - 2.0 * bend * products.qy + bend * bend * products.qq;
        Self {
            slope: sy / products.ss,
            information: products.ss,
            squares: (yy - sy * sy / products.ss).max(0.0),
            freedom: blocks as f64 - 2.0,
            lever: products.sq / products.ss,
        }
    }

    /// The larger of its own noise and everybody's: a quiet stretch of one pod proves little, and neither do quiet
    /// neighbours of a noisy one.
    fn growth(&self, shared_variance: f64, shared_freedom: f64, bend_variance: f64) -> Part {
        let own_variance = self.squares / self.freedom;
        let (variance, freedom) = if own_variance > shared_variance {
            (own_variance, self.freedom)
        } else {
            (shared_variance, shared_freedom)
        };
        Part {
            share: 1.0,
            centre: self.slope,
            scale: (variance / self.information + self.lever.powi(2) * bend_variance).sqrt(),
            freedom,
        }
    }
}

impl Noise {
    fn wanders(self) -> bool {
        self.memory > 0.3 && self.independent < self.wander
    }
}

/// The variance of slopes between incarnations beyond what noise explains, by moments.
fn between_variance(own: &[Own], pooled: f64, variance: f64) -> f64 {
    let total: f64 = own.iter().map(|own| own.information).sum();
    let squared: f64 = own.iter().map(|own| own.information.powi(2)).sum();
    let dispersion: f64 = own
        .iter()
        .map(|own| own.information * (own.slope - pooled).powi(2))
        .sum();
    let excess = dispersion - (own.len() as f64 - 1.0) * variance;
    let divisor = total - squared / total;
    if excess > 0.0 && divisor > 0.0 {
        excess / divisor
    } else {
        0.0
    }
}

/// Each track from its own first level, in units of the largest distance from it over all tracks.
fn standardised(tracks: &[Vec<Point>]) -> (Vec<Vec<Point>>, f64) {
    let origin = |track: &[Point]| track.first().map_or(0.0, |point| point.y);
    let scale = tracks
        .iter()
        .flat_map(|track| track.iter().map(|point| (point.y - origin(track)).abs()))
        .fold(0.0, f64::max);
    let moved = tracks
        .iter()
        .map(|track| {
            track
                .iter()
                .map(|point| Point {
                    y: if scale > 0.0 {
                        (point.y - origin(track)) / scale
                    } else {
                        0.0
                    },
                    ..*point
                })
                .collect()
        })
        .collect();
    (moved, scale)
}

/// Levels that never change leave no doubt that nothing grew.
fn constant(tracks: usize) -> Fit {
    Fit {
        growth: Belief::certain(0.0),
        each: vec![Belief::certain(0.0); tracks],
        curvature: Belief::certain(0.0),
        between: 0.0,
        wandering: false,
    }
}

/// The median distance of neighbouring blocks.
fn usual_spacing(tracks: &[Vec<Point>]) -> Option<f64> {
    crate::samples::median(
        tracks
            .iter()
            .flat_map(|track| track.windows(2).map(|pair| pair[1].x - pair[0].x))
            .collect(),
    )
}
