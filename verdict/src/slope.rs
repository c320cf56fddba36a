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

use crate::noise::{Layout, Noise, Point, Products, SHAPES, TIME, VALUE};
use crate::shape::{Candidate, Form, Reach, candidates};
use crate::student::{Belief, Part};

/// The fewest blocks that an incarnation needs to have a slope and to tell it from noise.
pub(crate) const FEWEST_BLOCKS: usize = 3;

/// How many forms may be at work at once.
const MOST_FORMS: usize = 4;

/// A form that moves the signal by less than this share of its whole movement says nothing of its course.
const SLIGHT: f64 = 0.05;

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

/// A set of forms, and the logarithm of the chance that just these are at work.
#[derive(Clone, Debug)]
struct Model {
    forms: Vec<Form>,
    log_chance: f64,
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
            (best, evidence) = self.refined(found, &noises);
            judged.push((best.clone(), evidence));
        }
        judged.retain(|(_, found)| *found > evidence - FAR_BELOW);
        judged.sort_by(|a, b| b.1.total_cmp(&a.1));
        judged.truncate(MOST_MODELS);
        judged.into_iter().map(|(model, _)| model).collect()
    }

    /// The model with the instant, pace or count of its last form moved to where it is likeliest.
    fn refined(&self, (mut best, mut evidence): (Model, f64), noises: &[Noise]) -> (Model, f64) {
        for halving in 0..3 {
            let Some(last) = best.forms.last().copied() else {
                break;
            };
            let moved = last.moved(0.5_f64.powi(halving)).into_iter().map(|form| {
                let mut model = best.clone();
                model.forms.pop();
                model.forms.push(form);
                model
            });
            let tried = self.judged(moved.collect(), noises);
            let likeliest = tried.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some(found) = likeliest.filter(|(_, found)| *found > evidence) {
                (best, evidence) = found;
            }
        }
        (best, evidence)
    }

    /// Each model that can be fitted, with the logarithm of its evidence over all noises.
    fn judged(&self, models: Vec<Model>, noises: &[Noise]) -> Vec<(Model, f64)> {
        let mut evidence: Vec<Vec<f64>> = vec![Vec::new(); models.len()];
        self.each_fit(&models, noises, |model, _, fitted| {
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
        self.each_fit(models, noises, |model, noise, fitted| {
            best = best.max(fitted.log_likelihood);
            if fitted.log_likelihood > best - WEIGHTLESS {
                solutions.push((model, fitted.solution(noise)));
            }
        });
        solutions
    }

    /// Fits every model under every noise; those that cannot be fitted are left out.
    fn each_fit(
        &self,
        models: &[Model],
        noises: &[Noise],
        mut take: impl FnMut(usize, Noise, Fitted<'_>),
    ) {
        let design = Design::of(models);
        let rows: Vec<Vec<f64>> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(index, track)| design.rows(index, track))
            .collect();
        let asked: Vec<Asked> = models
            .iter()
            .map(|model| Asked::of(model, &design, self.reach, self.oldest))
            .collect();
        let mut kept: Vec<Vec<f64>> = Vec::new();
        let mut memory = f64::NAN;
        for noise in noises {
            if noise.memory != memory {
                memory = noise.memory;
                kept = self.tracks.iter().map(|track| noise.kept(track)).collect();
            }
            let products: Vec<Products> = self
                .tracks
                .iter()
                .zip(&kept)
                .zip(&rows)
                .map(|((track, kept), rows)| noise.products(track, kept, rows, design.layout))
                .collect();
            let mut total = Products::zero(design.layout);
            for one in &products {
                total.add(one);
            }
            let whitened = Whitened {
                tracks: &self.tracks,
                products: &products,
                total: &total,
            };
            for (index, asked) in asked.iter().enumerate() {
                if let Some(fitted) = Fitted::of(whitened, asked) {
                    take(index, *noise, fitted);
                }
            }
        }
    }
}

/// The columns of all forms of some models.
struct Design {
    /// Each with its first column.
    forms: Vec<(Form, usize)>,
    layout: Layout,
}

impl Design {
    /// The forms that all models share come first. Where no model has more than one beside them, products of two others
    /// are left out, which are most of what there is to multiply.
    fn of(models: &[Model]) -> Self {
        let mut common: Vec<Form> = models
            .first()
            .map_or(Vec::new(), |model| model.forms.clone());
        common.retain(|form| models.iter().all(|model| model.forms.contains(form)));
        let alone = models
            .iter()
            .all(|model| model.forms.len() <= common.len() + 1);
        let mut forms = Vec::new();
        let mut columns = SHAPES;
        let mut add = |form: Form| {
            if !forms.iter().any(|(other, _)| *other == form) {
                forms.push((form, columns));
                columns += form.columns();
            }
            columns
        };
        let mut shared = SHAPES;
        for form in common {
            shared = add(form);
        }
        for form in models.iter().flat_map(|model| &model.forms) {
            add(*form);
        }
        let layout = Layout {
            columns,
            shared: if alone { shared } else { columns },
        };
        Self { forms, layout }
    }

    /// The columns of one track, point by point.
    fn rows(&self, index: usize, track: &[Point]) -> Vec<f64> {
        let mut rows = Vec::with_capacity(track.len() * self.layout.columns);
        for point in track {
            rows.extend([1.0, point.x, point.y]);
            for (form, _) in &self.forms {
                form.write(index, point, &mut rows);
            }
        }
        rows
    }
}

/// The tracks under one assumption about the noise.
#[derive(Clone, Copy)]
struct Whitened<'p> {
    tracks: &'p [Vec<Point>],
    products: &'p [Products],
    total: &'p Products,
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

/// What is asked of one model: the columns of its forms, and what a unit of each adds to growth.
struct Asked {
    columns: Vec<usize>,
    growth: Vec<f64>,
    log_chance: f64,
    /// Where the products of each column with time, with what was measured, and with each column up to itself are kept.
    with_time: Vec<usize>,
    with_value: Vec<usize>,
    with_each_other: Vec<usize>,
}

impl Asked {
    fn of(model: &Model, design: &Design, reach: Reach, oldest: f64) -> Self {
        let mut columns = Vec::new();
        let mut growth = Vec::new();
        for form in &model.forms {
            let known = design.forms.iter().find(|(other, _)| other == form);
            columns.extend(known.map_or(0..0, |(_, first)| *first..first + form.columns()));
            form.growth(reach, oldest, &mut growth);
        }
        let with = |other: usize| {
            let places = columns
                .iter()
                .map(|column| design.layout.place(other, *column));
            places.collect::<Vec<usize>>()
        };
        Self {
            with_time: with(TIME),
            with_value: with(VALUE),
            with_each_other: (0..columns.len())
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| design.layout.place(columns[i], columns[j]))
                .collect(),
            log_chance: model.log_chance,
            growth,
            columns,
        }
    }
}

/// The fit of one model under one assumption about the noise, as far as it tells how likely both are.
struct Fitted<'p> {
    whitened: Whitened<'p>,
    asked: &'p Asked,
    joint: Joint,
    own: Vec<Own>,
    freedom: f64,
    variance: f64,
    spread: f64,
    log_likelihood: f64,
}

impl<'p> Fitted<'p> {
    fn of(whitened: Whitened<'p>, asked: &'p Asked) -> Option<Self> {
        let Whitened {
            tracks,
            products,
            total,
        } = whitened;
        let coefficients = asked.columns.len() as f64;
        let all_freedom: f64 = tracks.iter().map(|track| track.len() as f64 - 2.0).sum();
        let freedom = all_freedom - coefficients;
        if freedom < 1.0 {
            return None;
        }
        // Levels were scaled to one: below this lies rounding, not noise.
        let rounding = 1e-18 * tracks.len() as f64;
        let own_fits = |joint: &Joint| -> (Vec<Own>, f64) {
            let own: Vec<Own> = products
                .iter()
                .map(|products| Own::fit(products, &joint.forms, asked))
                .collect();
            let squares = own.iter().map(|own| own.squares).sum::<f64>() + rounding;
            (own, squares)
        };
        let mut joint = Joint::solve(total, asked, 0.0)?;
        let (mut own, mut squares) = own_fits(&joint);
        let mut log_evidence = asked.log_chance;
        if coefficients > 0.0 {
            // The coefficients of forms are about as large as the signal's whole movement, which was scaled to one:
            // huge ones that cancel each other explain anything and mean nothing.
            let ridge = squares / freedom;
            joint = Joint::solve(total, asked, ridge)?;
            (own, squares) = own_fits(&joint);
            squares += ridge * joint.forms.iter().map(|value| value * value).sum::<f64>();
            log_evidence -= joint.log_occam(total, ridge);
        }
        let variance = squares / freedom;
        let spread = between_variance(&own, joint.slope, variance);
        let log_likelihood = log_evidence - all_freedom / 2.0 * squares.ln() - total.log_volume
            + log_likelihood_of_slopes(&own, joint.slope, variance, spread);
        Some(Self {
            whitened,
            asked,
            joint,
            own,
            freedom,
            variance,
            spread,
            log_likelihood,
        })
        .filter(|fitted| fitted.log_likelihood.is_finite())
    }

    /// The growth of all incarnations together and of each.
    fn solution(self, noise: Noise) -> Solution {
        let Self {
            joint,
            freedom,
            variance,
            ..
        } = self;
        let products = self.whitened.products;
        let influence: f64 = products
            .iter()
            .map(|products| joint.influence(products, self.asked).powi(2))
            .sum();
        let within = variance * joint.growth_variance;
        let across = self.spread * influence;
        let across_freedom = (1.0 / influence - 1.0).max(1.0);
        let growth = Part {
            share: 1.0,
            centre: joint.growth,
            scale: (within + across).sqrt(),
            freedom: (within + across).powi(2)
                / (within.powi(2) / freedom + across.powi(2) / across_freedom),
        };
        let formed: f64 = joint
            .forms
            .iter()
            .zip(&self.asked.growth)
            .map(|(a, b)| a * b)
            .sum();
        let each = self
            .own
            .iter()
            .zip(products)
            .zip(self.whitened.tracks)
            .map(|((own, products), track)| {
                // The larger of its own noise and everybody's: a quiet stretch of one pod proves little, and neither do
                // quiet neighbours of a noisy one.
                let own_freedom = track.len() as f64 - 2.0;
                let own_variance = own.squares / own_freedom;
                let (larger, freedom) = if own_variance > variance {
                    (own_variance, own_freedom)
                } else {
                    (variance, freedom)
                };
                let formed_variance = joint.formed_variance(products, self.asked);
                Part {
                    share: 1.0,
                    centre: own.slope + formed,
                    scale: (larger / own.information + variance * formed_variance).sqrt(),
                    freedom,
                }
            })
            .collect();
        Solution {
            noise,
            log_likelihood: self.log_likelihood,
            growth,
            each,
            between: across / (within + across),
            forms: joint.forms,
        }
    }
}

/// What a fit says about growth.
struct Solution {
    noise: Noise,
    log_likelihood: f64,
    growth: Part,
    each: Vec<Part>,
    between: f64,
    /// The coefficients of the forms.
    forms: Vec<f64>,
}

/// The coefficients that the incarnations share: even growth, and those of the forms.
struct Joint {
    slope: f64,
    forms: Vec<f64>,
    /// The growth that is asked for.
    growth: f64,
    /// Its variance for noise of variance one.
    growth_variance: f64,
    /// By how much the growth moves for each unit of what a column explains: the inverse times what is asked.
    lever: Vec<f64>,
    /// The covariance of the forms' coefficients for noise of variance one.
    covariance: Vec<Vec<f64>>,
    /// The logarithm of the determinant of the normal equations.
    log_determinant: f64,
}

impl Joint {
    /// `ridge` is the variance of the noise over that which the coefficients of forms have before anything is seen.
    fn solve(total: &Products, asked: &Asked, ridge: f64) -> Option<Self> {
        let columns: Vec<usize> = std::iter::once(TIME)
            .chain(asked.columns.iter().copied())
            .collect();
        let mut matrix: Vec<Vec<f64>> = columns
            .iter()
            .map(|a| columns.iter().map(|b| total.of(*a, *b)).collect())
            .collect();
        for (index, row) in matrix.iter_mut().enumerate().skip(1) {
            row[index] += ridge;
        }
        let (inverse, log_determinant) = inverse(matrix)?;
        let dot = |row: &[f64], other: &dyn Fn(usize) -> f64| -> f64 {
            row.iter()
                .enumerate()
                .map(|(i, value)| value * other(i))
                .sum()
        };
        let coefficients: Vec<f64> = inverse
            .iter()
            .map(|row| dot(row, &|i| total.of(columns[i], VALUE)))
            .collect();
        let wanted = |i: usize| if i == 0 { 1.0 } else { asked.growth[i - 1] };
        let lever: Vec<f64> = inverse.iter().map(|row| dot(row, &wanted)).collect();
        Some(Self {
            slope: coefficients[0],
            growth: dot(&coefficients, &wanted),
            growth_variance: dot(&lever, &wanted),
            forms: coefficients[1..].to_vec(),
            covariance: inverse[1..].iter().map(|row| row[1..].to_vec()).collect(),
            lever,
            log_determinant,
        })
        .filter(|joint| joint.growth.is_finite() && joint.growth_variance > 0.0)
    }
}

impl Joint {
    /// What the forms cost for being able to explain more than happened, in nats: the volume of what they could have
    /// been over that of what they still may be.
    fn log_occam(&self, total: &Products, ridge: f64) -> f64 {
        let count = self.forms.len() as f64;
        (self.log_determinant - total.of(TIME, TIME).ln() - count * ridge.ln()) / 2.0
    }
}

impl Joint {
    /// By how much the growth moves when the slope of one incarnation moves by one.
    fn influence(&self, products: &Products, asked: &Asked) -> f64 {
        let of_forms = asked.with_time.iter().zip(&self.lever[1..]);
        self.lever[0] * products.of(TIME, TIME)
            + of_forms
                .map(|(place, lever)| lever * products.at(*place))
                .sum::<f64>()
    }

    /// The variance of one incarnation's growth that comes from the forms, for noise of variance one.
    fn formed_variance(&self, products: &Products, asked: &Asked) -> f64 {
        let information = products.of(TIME, TIME);
        let lever: Vec<f64> = asked
            .with_time
            .iter()
            .zip(&asked.growth)
            .map(|(place, growth)| growth - products.at(*place) / information)
            .collect();
        lever
            .iter()
            .zip(&self.covariance)
            .map(|(left, row)| left * lever.iter().zip(row).map(|(a, b)| a * b).sum::<f64>())
            .sum()
    }
}

/// One incarnation by itself, with the shared forms taken out.
struct Own {
    slope: f64,
    information: f64,
    squares: f64,
}

impl Own {
    fn fit(products: &Products, forms: &[f64], asked: &Asked) -> Self {
        let information = products.of(TIME, TIME);
        let mut formed = 0.0;
        for (place, value) in asked.with_time.iter().zip(forms) {
            formed += value * products.at(*place);
        }
        let sy = products.of(TIME, VALUE) - formed;
        let mut yy = products.of(VALUE, VALUE);
        let mut places = asked.with_each_other.iter();
        for (index, (with_value, value)) in asked.with_value.iter().zip(forms).enumerate() {
            yy -= 2.0 * value * products.at(*with_value);
            for (factor, place) in forms[..index].iter().zip(&mut places) {
                yy += 2.0 * value * factor * products.at(*place);
            }
            if let Some(place) = places.next() {
                yy += value * value * products.at(*place);
            }
        }
        Self {
            slope: sy / information,
            information,
            squares: (yy - sy * sy / information).max(0.0),
        }
    }
}

impl Noise {
    fn wanders(self) -> bool {
        self.memory > 0.3 && self.independent < self.wander
    }
}

/// How likely the incarnations' own slopes are around the shared one.
fn log_likelihood_of_slopes(own: &[Own], pooled: f64, variance: f64, spread: f64) -> f64 {
    let mut precision = 0.0;
    let mut likelihood = 0.0;
    for one in own {
        let of_slope = variance / one.information + spread;
        precision += 1.0 / of_slope;
        likelihood -= 0.5 * (of_slope.ln() + (one.slope - pooled).powi(2) / of_slope);
    }
    likelihood - precision.ln() / 2.0
}

/// The inverse of a symmetric positive definite matrix and the logarithm of its determinant; `None` where its columns
/// repeat one another.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Option<(Vec<Vec<f64>>, f64)> {
    let size = matrix.len();
    let least: Vec<f64> = (0..size).map(|i| 1e-10 * matrix[i][i]).collect();
    let mut log_determinant = 0.0;
    // Gauss and Jordan, in place: the pivots of a positive definite matrix are what is left of its diagonal.
    for pivot in 0..size {
        let value = matrix[pivot][pivot];
        if value.is_nan() || value <= least[pivot] {
            return None;
        }
        log_determinant += value.ln();
        matrix[pivot][pivot] = 1.0;
        for entry in &mut matrix[pivot] {
            *entry /= value;
        }
        let row = matrix[pivot].clone();
        for (index, other) in matrix.iter_mut().enumerate() {
            if index != pivot {
                let factor = std::mem::replace(&mut other[pivot], 0.0);
                for (entry, base) in other.iter_mut().zip(&row) {
                    *entry -= factor * base;
                }
            }
        }
    }
    Some((matrix, log_determinant))
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
        wandering: false,
        forms: Vec::new(),
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
