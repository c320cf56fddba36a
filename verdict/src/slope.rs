//! The growth that several incarnations share, with an interval that knows about autocorrelation, about differences
//! between pods, and about what else a signal may do than grow evenly.
//!
//! Each incarnation has a level of its own, so that a restart neither hides growth nor looks like it. What a signal does
//! is fitted by generalised least squares: even growth, and beside it a few forms (see [`Form`]) taken up one by one as
//! long as the data ask for them. For each set of forms and each candidate of the noise (see [`Noise`]) the variance is
//! that of the noise plus that between incarnations (`DerSimonian` and Laird, 1986), around the estimate weighted by
//! information (Henmi and Copas, 2010), so that a short-lived incarnation never counts as much as a long one; its
//! degrees of freedom join both sources (Satterthwaite, 1946). All of them are then mixed by their restricted likelihood
//! (Harville, 1974), with a penalty for each coefficient of a form (Schwarz, 1978), rather than one of them believed.
//!
//! Levels are least squares rather than a median of pairwise slopes: what is robust here is the median inside each
//! block. A median of slopes overlooks a rise late in the window, and would pass it.

use crate::fitted::{Model, Solution, each_fit};
use crate::noise::{Noise, Point};
use crate::shape::{Candidate, Form, Reach, candidates};
use crate::student::{Belief, Part};

/// The fewest blocks that an incarnation needs to have a slope and to tell it from noise.
pub(crate) const FEWEST_BLOCKS: usize = 3;

/// How many forms may be at work at once.
const MOST_FORMS: usize = 4;

/// A form that moves the signal by less than this share of its whole movement says nothing of its course.
const SLIGHT: f64 = 0.05;

/// Forms are moved by no less than this share of the way to their neighbours.
const FINEST_MOVE: f64 = 0.01;

/// And only where that makes them likelier by so many nats: less is rounding, and moves no estimate.
const LEAST_GAIN: f64 = 1e-3;

/// A model this many nats below the best is left out of the final mixture.
const FAR_BELOW: f64 = 8.0;

/// And so are all but this many.
const MOST_MODELS: usize = 12;

/// A fit this many nats below the best weighs less than rounding does.
const WEIGHTLESS: f64 = 40.0;

/// Growth over one window, as far as the data tell.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// Of the mean incarnation.
    pub(crate) growth: Belief,
    /// Of each incarnation, in the order given.
    pub(crate) each: Vec<Belief>,
    /// How much of the doubt comes from differences between incarnations, from 0 to 1.
    pub(crate) between: f64,
    /// Whether most of the doubt is about what load costs.
    pub(crate) of_load: bool,
    /// Whether the noise wanders as slowly as the window is long, so that a trend can hardly be told from it.
    pub(crate) wandering: bool,
    /// The forms that the data ask for beside even growth, by the likeliest model, each with its first coefficient's
    /// sign.
    pub(crate) forms: Vec<(Form, f64)>,
}

/// Which forms are tried beside even growth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) reach: Reach,
    /// Cycles of a day in the window.
    pub(crate) day: Option<f64>,
    /// An instant at which the slope may change, in windows.
    pub(crate) hinge: Option<f64>,
}

/// Fits the tracks, one for each incarnation and each in time order; `None` where no slope can be had.
pub(crate) fn fit(tracks: &[Vec<Point>], search: &Search) -> Option<Fit> {
    Problem::of(tracks, search.reach)?
        .solve(|tracks| candidates(tracks, search.reach, search.day, search.hinge))
}

/// Fits even growth over the window, and nothing beside it.
pub(crate) fn even_fit(tracks: &[Vec<Point>]) -> Option<Fit> {
    Problem::of(tracks, Reach::Window)?.solve(|_| Vec::new())
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

/// Tracks in units of their own scale.
struct Problem {
    tracks: Vec<Vec<Point>>,
    scale: f64,
    spacing: f64,
    reach: Reach,
    /// The largest age, in windows.
    oldest: f64,
}

impl Problem {
    fn of(tracks: &[Vec<Point>], reach: Reach) -> Option<Self> {
        if tracks.is_empty() || tracks.iter().any(|track| track.len() < FEWEST_BLOCKS) {
            return None;
        }
        let (tracks, scale) = standardised(tracks);
        let spacing = usual_spacing(&tracks)?;
        let oldest = ages(&tracks).fold(0.0, f64::max);
        scale.is_finite().then_some(Self {
            tracks,
            scale,
            spacing,
            reach,
            oldest,
        })
    }

    fn solve(self, forms: impl FnOnce(&[Vec<Point>]) -> Vec<Candidate>) -> Option<Fit> {
        if self.scale == 0.0 {
            return Some(constant(self.tracks.len()));
        }
        let models = self.models(&forms(&self.tracks));
        let noises = Noise::candidates(self.spacing, 2.0, &[0.001, 0.3, 1.0, 4.0, 16.0]);
        let solutions = self.solutions(&models, &noises);
        let best = solutions
            .iter()
            .map(|(_, solution)| solution.log_likelihood)
            .fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = solutions
            .iter()
            .map(|(_, solution)| (solution.log_likelihood - best).exp())
            .collect();
        let total: f64 = shares.iter().sum();
        let weighted = |value: &dyn Fn(&Solution) -> f64| {
            let sum: f64 = solutions
                .iter()
                .zip(&shares)
                .map(|((_, solution), share)| value(solution) * share)
                .sum();
            sum / total
        };
        let mixed = |part: &dyn Fn(&Solution) -> Part| {
            let parts = solutions
                .iter()
                .zip(&shares)
                .filter(|(_, share)| **share > 1e-5 * total)
                .map(|((_, solution), share)| Part {
                    share: *share,
                    ..part(solution)
                });
            Belief::new(parts.collect()).times(self.scale)
        };
        let mut by_model = vec![0.0; models.len()];
        for ((model, _), share) in solutions.iter().zip(&shares) {
            by_model[*model] += share;
        }
        let likeliest = (0..models.len()).max_by(|a, b| by_model[*a].total_cmp(&by_model[*b]))?;
        let (_, best) = solutions
            .iter()
            .filter(|(model, _)| *model == likeliest)
            .max_by(|a, b| a.1.log_likelihood.total_cmp(&b.1.log_likelihood))?;
        let mut left = best.forms.as_slice();
        let mut forms = Vec::new();
        for form in &models[likeliest].forms {
            let (own, others) = left.split_at_checked(form.columns())?;
            left = others;
            let size = own.iter().map(|value| value.abs()).fold(0.0, f64::max);
            // Where there is no noise at all, rounding is all that a form may explain.
            if size > SLIGHT {
                forms.push((*form, own[0].signum()));
            }
        }
        Some(Fit {
            growth: mixed(&|solution| solution.growth),
            each: (0..self.tracks.len())
                .map(|i| mixed(&|solution| solution.each[i]))
                .collect(),
            between: weighted(&|solution| solution.between),
            of_load: false,
            wandering: weighted(&|solution| f64::from(u8::from(solution.noise.wanders()))) > 0.5,
            forms,
        })
        .filter(|fit| fit.growth.estimate().is_some())
    }

    /// The sets of forms worth mixing: even growth alone, then with each form that may be added to the likeliest set so
    /// far, until none makes it likelier.
    fn models(&self, candidates: &[Candidate]) -> Vec<Model> {
        let even = Model {
            forms: Vec::new(),
            log_chance: 0.0,
        };
        if candidates.is_empty() {
            return vec![even];
        }
        let noises = Noise::candidates(self.spacing, 4.0, &[0.001, 0.3, 4.0]);
        let mut judged = self.judged(vec![even], &noises);
        let Some((mut best, mut evidence)) = judged.first().cloned() else {
            return judged.into_iter().map(|(model, _)| model).collect();
        };
        for _ in 0..MOST_FORMS {
            let wider: Vec<Model> = candidates
                .iter()
                .filter_map(|candidate| best.with(candidate))
                .collect();
            let tried = self.judged(wider, &noises);
            let likeliest = tried
                .iter()
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .cloned()
                .filter(|(_, found)| *found > evidence);
            judged.extend(tried);
            let Some(found) = likeliest else { break };
            let refined = self.refined(found.clone(), &noises);
            if refined.0.forms != found.0.forms {
                judged.push(refined.clone());
            }
            (best, evidence) = refined;
        }
        judged.retain(|(_, found)| *found > evidence - FAR_BELOW);
        judged.sort_by(|a, b| b.1.total_cmp(&a.1));
        judged.truncate(MOST_MODELS);
        judged.into_iter().map(|(model, _)| model).collect()
    }

    /// The model with the instants, paces and counts of its forms moved to where they are likeliest: what a form misses
    /// by a little would be taken for another form, or for a wander.
    ///
    /// One noise, the likeliest, is enough to tell; it is looked for again once the first moves are made.
    fn refined(&self, found: (Model, f64), noises: &[Noise]) -> (Model, f64) {
        let mut best = found.0.clone();
        for share in [1.0, 0.25] {
            let Some(noise) = self.likeliest_noise(&best, noises) else {
                break;
            };
            let Some((_, mut evidence)) = self.judged(vec![best.clone()], &[noise]).pop() else {
                break;
            };
            for place in (0..best.forms.len()).rev() {
                let mut share = share;
                while share > FINEST_MOVE {
                    let moved = best.forms[place].moved(share).into_iter().map(|form| {
                        let mut model = best.clone();
                        model.forms[place] = form;
                        model
                    });
                    let tried = self.judged(moved.collect(), &[noise]);
                    let likeliest = tried.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
                    match likeliest.filter(|(_, found)| *found > evidence + LEAST_GAIN) {
                        Some(better) => (best, evidence) = better,
                        None => share /= 2.0,
                    }
                }
            }
        }
        self.judged(vec![best], noises)
            .pop()
            .filter(|(_, evidence)| *evidence > found.1)
            .unwrap_or(found)
    }

    fn likeliest_noise(&self, model: &Model, noises: &[Noise]) -> Option<Noise> {
        let mut likeliest: Option<(Noise, f64)> = None;
        let asked = (self.reach, self.oldest);
        let models = std::slice::from_ref(model);
        each_fit(&self.tracks, asked, models, noises, |_, noise, fitted| {
            if likeliest.is_none_or(|(_, best)| fitted.log_likelihood > best) {
                likeliest = Some((noise, fitted.log_likelihood));
            }
        });
        likeliest.map(|(noise, _)| noise)
    }

    /// Each model that can be fitted, with the logarithm of its evidence over all noises.
    fn judged(&self, models: Vec<Model>, noises: &[Noise]) -> Vec<(Model, f64)> {
        let mut evidence: Vec<Vec<f64>> = vec![Vec::new(); models.len()];
        let asked = (self.reach, self.oldest);
        each_fit(&self.tracks, asked, &models, noises, |model, _, fitted| {
            evidence[model].push(fitted.log_likelihood);
        });
        models
            .into_iter()
            .zip(evidence)
            .filter(|(_, of)| !of.is_empty())
            .map(|(model, of)| {
                let best = of.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = of.iter().map(|one| (one - best).exp()).sum();
                (model, best + sum.ln())
            })
            .collect()
    }

    /// Every model under every noise, as far as it can be fitted and weighs anything beside the best.
    fn solutions(&self, models: &[Model], noises: &[Noise]) -> Vec<(usize, Solution)> {
        let mut best = f64::NEG_INFINITY;
        let mut solutions = Vec::new();
        let asked = (self.reach, self.oldest);
        each_fit(
            &self.tracks,
            asked,
            models,
            noises,
            |model, noise, fitted| {
                best = best.max(fitted.log_likelihood);
                if fitted.log_likelihood > best - WEIGHTLESS {
                    solutions.push((model, fitted.solution(noise)));
                }
            },
        );
        solutions
    }
}

impl Model {
    /// With one form more, where that makes sense: one curve of growth at a time, and one step, for several steps are
    /// growth.
    fn with(&self, candidate: &Candidate) -> Option<Self> {
        let form = candidate.form;
        let clashes = |other: &Form| {
            *other == form || (other.curves() && form.curves()) || (other.steps() && form.steps())
        };
        if self.forms.iter().any(clashes) {
            return None;
        }
        let mut forms = self.forms.clone();
        forms.push(form);
        Some(Self {
            forms,
            log_chance: self.log_chance + candidate.log_chance,
        })
    }
}

fn ages(tracks: &[Vec<Point>]) -> impl Iterator<Item = f64> {
    tracks.iter().flatten().map(|point| point.age)
}

/// Each track from its own first level, in units of the largest distance from it over all tracks; ages from the
/// youngest.
fn standardised(tracks: &[Vec<Point>]) -> (Vec<Vec<Point>>, f64) {
    let origin = |track: &[Point]| track.first().map_or(0.0, |point| point.y);
    let scale = tracks
        .iter()
        .flat_map(|track| track.iter().map(|point| (point.y - origin(track)).abs()))
        .fold(0.0, f64::max);
    let youngest = ages(tracks).fold(f64::INFINITY, f64::min);
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
                    age: point.age - youngest,
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
        between: 0.0,
        of_load: false,
        wandering: false,
        forms: Vec::new(),
    }
}

/// The median distance of neighbouring blocks.
pub(crate) fn usual_spacing(tracks: &[Vec<Point>]) -> Option<f64> {
    crate::samples::median(
        tracks
            .iter()
            .flat_map(|track| track.windows(2).map(|pair| pair[1].x - pair[0].x))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const SEARCH: Search = Search {
        reach: Reach::Window,
        day: None,
        hinge: None,
    };

    /// Pods over one window, each with a trace of noise: `level` is of a pod and an instant.
    fn pods(count: usize, level: impl Fn(usize, f64) -> f64) -> Vec<Vec<Point>> {
        let rough = |i: usize| ((i * 7_919 % 101) as f64 / 101.0 - 0.5) * 0.01;
        let pod = |pod: usize| {
            let point = |i: usize| {
                let x = i as f64 / 48.0 - 1.0;
                Point {
                    x,
                    y: level(pod, x) + rough(pod * 48 + i),
                    age: x + 1.0,
                    weight: 1.0,
                    load: 0.0,
                }
            };
            (0..48).map(point).collect()
        };
        (0..count).map(pod).collect()
    }

    #[test]
    fn every_form_is_moved_to_where_it_is_likeliest() {
        let waves = |_, x: f64| (TAU * 2.11 * x).sin() + 0.6 * (TAU * 5.39 * x).sin();
        let fit = fit(&pods(3, waves), &SEARCH).expect("there is a fit");
        for count in [2.11, 5.39] {
            let hit = |form: &Form| matches!(form, Form::Cycle(at) if (at - count).abs() < 0.01);
            assert!(
                fit.forms.iter().any(|(form, _)| hit(form)),
                "{:?}",
                fit.forms
            );
        }
    }

    #[test]
    fn a_wave_of_another_size_in_each_pod_is_no_doubt_about_growth() {
        let size = |pod: usize| 0.2 + 0.4 * pod as f64;
        let waves = |pod, x: f64| size(pod) * (TAU * 2.0 * x).sin();
        let fit = fit(&pods(4, waves), &SEARCH).expect("there is a fit");
        let interval = fit.growth.interval(0.05).expect("growth is known");
        assert!(interval.low <= 0.0 && interval.high >= 0.0, "{interval:?}");
        assert!(interval.high - interval.low < 0.05, "{interval:?}");
    }
}
