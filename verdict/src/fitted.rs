//! The fit of one set of forms under one assumption about the noise, with how likely both are: generalised least squares
//! on columns that were whitened and had the levels taken out, see [`crate::noise`]. Which sets are tried, and what is
//! made of all of them, is in [`crate::slope`].

use std::borrow::Cow;

use crate::noise::{Layout, Noise, Point, Products, SHAPES, TIME, VALUE};
use crate::shape::{Form, Reach};
use crate::student::Part;

/// Of values that were scaled to one: noise of a smaller variance is rounding, and says nothing of incarnations.
const LEAST_VARIANCE: f64 = 1e-12;

/// A set of forms, and the logarithm of the chance that just these are at work.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) forms: Vec<Form>,
    pub(crate) log_chance: f64,
}

/// Fits every model to the tracks under every noise, and hands over each fit with the model's place and the noise;
/// those that cannot be fitted are left out. `oldest` is the largest age, in windows.
pub(crate) fn each_fit(
    tracks: &[Vec<Point>],
    (reach, oldest): (Reach, f64),
    models: &[Model],
    noises: &[Noise],
    mut take: impl FnMut(usize, Noise, Fitted<'_>),
) {
    let design = Design::of(models);
    let rows: Vec<Vec<f64>> = tracks
        .iter()
        .enumerate()
        .map(|(index, track)| design.rows(index, track))
        .collect();
    let asked: Vec<Asked> = models
        .iter()
        .map(|model| Asked::of(model, &design, reach, oldest))
        .collect();
    let mut kept: Vec<Vec<f64>> = Vec::new();
    let mut memory = f64::NAN;
    for noise in noises {
        if noise.memory != memory {
            memory = noise.memory;
            kept = tracks.iter().map(|track| noise.kept(track)).collect();
        }
        let products: Vec<Products> = tracks
            .iter()
            .zip(&kept)
            .zip(&rows)
            .map(|((track, kept), rows)| noise.products(track, kept, rows, design.layout))
            .collect();
        let Some(total) = Products::sum(&products) else {
            return;
        };
        let whitened = Whitened {
            tracks,
            products: Cow::Borrowed(&products),
            total: Cow::Borrowed(&total),
        };
        for (index, asked) in asked.iter().enumerate() {
            if let Some(fitted) = Fitted::of(&whitened, asked) {
                take(index, *noise, fitted);
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
#[derive(Clone)]
struct Whitened<'p> {
    tracks: &'p [Vec<Point>],
    products: Cow<'p, [Products]>,
    total: Cow<'p, Products>,
}

/// What is asked of one model: the columns of its forms, and what a unit of each adds to growth.
#[derive(Clone)]
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
        Self::in_layout(design.layout, columns, growth, model.log_chance)
    }

    fn in_layout(layout: Layout, columns: Vec<usize>, growth: Vec<f64>, log_chance: f64) -> Self {
        let with = |other: usize| {
            let places = columns.iter().map(|column| layout.place(other, *column));
            places.collect::<Vec<usize>>()
        };
        Self {
            with_time: with(TIME),
            with_value: with(VALUE),
            with_each_other: (0..columns.len())
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| layout.place(columns[i], columns[j]))
                .collect(),
            log_chance,
            growth,
            columns,
        }
    }

    /// The same where there are no columns but these.
    fn alone(&self) -> Self {
        let layout = Layout::of_all(SHAPES + self.columns.len());
        let columns = (SHAPES..layout.columns).collect();
        Self::in_layout(layout, columns, self.growth.clone(), self.log_chance)
    }
}

/// The fit of one model under one assumption about the noise, as far as it tells how likely both are.
pub(crate) struct Fitted<'p> {
    whitened: Whitened<'p>,
    asked: Cow<'p, Asked>,
    joint: Joint,
    own: Vec<Own>,
    freedom: f64,
    variance: f64,
    spread: f64,
    pub(crate) log_likelihood: f64,
    /// The fit with the same course in every incarnation, where this one has a factor for each.
    alike: Option<Box<Self>>,
}

impl<'p> Fitted<'p> {
    /// With the forms as large in every incarnation, or with each by a factor of its own where the data ask for that.
    fn of(whitened: &Whitened<'p>, asked: &'p Asked) -> Option<Self> {
        let alike = Self::alike(whitened.clone(), Cow::Borrowed(asked))?;
        let Some(unlike) = alike.unlike() else {
            return Some(alike);
        };
        // A variance more that is fitted to the incarnations (Schwarz, 1978).
        let price = (whitened.tracks.len() as f64).ln() / 2.0;
        if unlike.log_likelihood - price > alike.log_likelihood {
            Some(Self {
                log_likelihood: unlike.log_likelihood - price,
                alike: Some(Box::new(alike)),
                ..unlike
            })
        } else {
            Some(alike)
        }
    }

    fn alike(whitened: Whitened<'p>, asked: Cow<'p, Asked>) -> Option<Self> {
        let Whitened {
            tracks,
            products,
            total,
        } = &whitened;
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
                .map(|products| Own::fit(products, &joint.forms, &asked))
                .collect();
            let squares = own.iter().map(|own| own.squares).sum::<f64>() + rounding;
            (own, squares)
        };
        let mut joint = Joint::solve(total, &asked, 0.0)?;
        let (mut own, mut squares) = own_fits(&joint);
        let mut log_evidence = asked.log_chance;
        if coefficients > 0.0 {
            // The coefficients of forms are about as large as the signal's whole movement, which was scaled to one:
            // huge ones that cancel each other explain anything and mean nothing.
            let ridge = squares / freedom;
            joint = Joint::solve(total, &asked, ridge)?;
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
            alike: None,
        })
        .filter(|fitted| fitted.log_likelihood.is_finite())
    }

    /// The same course, larger in some incarnations than in others: a big pod has a big cache, takes much of the load, and
    /// leaks much. Each takes the whole course times a factor around one. Its variance is estimated by moments
    /// (`DerSimonian` and Laird, 1986) of what differs beside a level and a slope of each; `None` where there is none
    /// beyond what noise explains.
    fn unlike(&self) -> Option<Self> {
        let count = self.own.len() as f64;
        if count < 2.0 || self.joint.forms.is_empty() {
            return None;
        }
        let shares = self.whitened.products.iter();
        let shares: Vec<(f64, f64)> = shares.map(|one| self.share_of_forms(one)).collect();
        let information: f64 = shares.iter().map(|(own, _)| own).sum();
        let unevenness: f64 = shares.iter().map(|(own, _)| own * own).sum();
        let explained: f64 = shares.iter().map(|(_, gain)| gain).sum();
        let squares: f64 = self.own.iter().map(|own| own.squares).sum();
        let variance = (squares - explained) / (self.freedom - count);
        let excess = explained - (count - 1.0) * variance;
        let divisor = information - unevenness / information;
        // One incarnation by itself has nobody to differ from.
        let several = divisor > 1e-3 * information;
        if !(variance > LEAST_VARIANCE && excess > 0.0 && several) {
            return None;
        }
        // No factor is off by more than the whole form.
        let ratio = (excess / divisor).min(1.0) / variance;
        let course: Vec<f64> = [self.joint.slope, 0.0]
            .into_iter()
            .chain(self.joint.forms.iter().copied())
            .collect();
        let products: Vec<Products> = self
            .whitened
            .products
            .iter()
            .map(|products| products.loosened(&self.asked.columns, &course, ratio))
            .collect();
        let total = Products::sum(&products)?;
        let whitened = Whitened {
            tracks: self.whitened.tracks,
            products: Cow::Owned(products),
            total: Cow::Owned(total),
        };
        Self::alike(whitened, Cow::Owned(self.asked.alone()))
    }

    /// How much one incarnation says about the size of its forms beside its own level and slope, and how many squares a
    /// size of its own would explain.
    fn share_of_forms(&self, products: &Products) -> (f64, f64) {
        let own = FormsOf::incarnation(products, &self.joint.forms, &self.asked);
        let time = products.of(TIME, TIME);
        let information = own.itself - own.time.powi(2) / time;
        // A course that is next to a straight line within a short life has no size.
        if information <= 1e-6 * own.itself {
            return (0.0, 0.0);
        }
        let slope = products.of(TIME, VALUE) - own.time;
        let left = own.value - own.itself - own.time * slope / time;
        (information, left * left / information)
    }

    /// The growth of all incarnations together and of each.
    pub(crate) fn solution(self, noise: Noise) -> Solution {
        let influence: f64 = self
            .whitened
            .products
            .iter()
            .map(|products| self.joint.influence(products, &self.asked).powi(2))
            .sum();
        let within = self.variance * self.joint.growth_variance;
        let across = self.spread * influence;
        let across_freedom = (1.0 / influence - 1.0).max(1.0);
        let growth = Part {
            share: 1.0,
            centre: self.joint.growth,
            scale: (within + across).sqrt(),
            freedom: (within + across).powi(2)
                / (within.powi(2) / self.freedom + across.powi(2) / across_freedom),
        };
        // What an incarnation does by its own factor is growth of its own.
        let each = self.alike.as_deref().unwrap_or(&self).each();
        Solution {
            noise,
            log_likelihood: self.log_likelihood,
            growth,
            each,
            between: across / (within + across),
            forms: self.joint.forms,
        }
    }

    /// The growth of each incarnation.
    fn each(&self) -> Vec<Part> {
        let products = self.whitened.products.iter();
        let gains = self.joint.forms.iter().zip(&self.asked.growth);
        let formed: f64 = gains.map(|(value, gain)| value * gain).sum();
        let one = |((own, products), track): ((&Own, &Products), &Vec<Point>)| {
            // The larger of its own noise and everybody's: a quiet stretch of one pod proves little, and neither do
            // quiet neighbours of a noisy one.
            let own_freedom = track.len() as f64 - 2.0;
            let own_variance = own.squares / own_freedom;
            let (larger, freedom) = if own_variance > self.variance {
                (own_variance, own_freedom)
            } else {
                (self.variance, self.freedom)
            };
            let formed_variance = self.joint.formed_variance(products, &self.asked);
            Part {
                share: 1.0,
                centre: own.slope + formed,
                scale: (larger / own.information + self.variance * formed_variance).sqrt(),
                freedom,
            }
        };
        self.own
            .iter()
            .zip(products)
            .zip(self.whitened.tracks)
            .map(one)
            .collect()
    }
}

/// What a fit says about growth.
pub(crate) struct Solution {
    pub(crate) noise: Noise,
    pub(crate) log_likelihood: f64,
    pub(crate) growth: Part,
    pub(crate) each: Vec<Part>,
    pub(crate) between: f64,
    /// The coefficients of the forms.
    pub(crate) forms: Vec<f64>,
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

    /// What the forms cost for being able to explain more than happened, in nats: the volume of what they could have
    /// been over that of what they still may be.
    fn log_occam(&self, total: &Products, ridge: f64) -> f64 {
        let count = self.forms.len() as f64;
        (self.log_determinant - total.of(TIME, TIME).ln() - count * ridge.ln()) / 2.0
    }

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
        let own = FormsOf::incarnation(products, forms, asked);
        let sy = products.of(TIME, VALUE) - own.time;
        let yy = products.of(VALUE, VALUE) - 2.0 * own.value + own.itself;
        Self {
            slope: sy / information,
            information,
            squares: (yy - sy * sy / information).max(0.0),
        }
    }
}

/// The products of what all forms do together in one incarnation: with time, with what was measured, with itself.
struct FormsOf {
    time: f64,
    value: f64,
    itself: f64,
}

impl FormsOf {
    fn incarnation(products: &Products, forms: &[f64], asked: &Asked) -> Self {
        let with = |places: &[usize]| -> f64 {
            let each = places.iter().zip(forms);
            each.map(|(place, value)| value * products.at(*place)).sum()
        };
        let mut itself = 0.0;
        let mut places = asked.with_each_other.iter();
        for (index, value) in forms.iter().enumerate() {
            for (factor, place) in forms[..index].iter().zip(&mut places) {
                itself += 2.0 * value * factor * products.at(*place);
            }
            if let Some(place) = places.next() {
                itself += value * value * products.at(*place);
            }
        }
        Self {
            time: with(&asked.with_time),
            value: with(&asked.with_value),
            itself,
        }
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
