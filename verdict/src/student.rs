//! How sure an estimate is: a mixture of Student's t distributions, one for each way the noise may be.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::judgement::Interval;

/// What is known of one estimated quantity.
///
/// Each part is the answer under one assumption about the noise, weighted by how well the data bear that assumption
/// out (Zellner and Tiao, 1964, for regression with autocorrelated errors). A single best assumption would
/// pretend that the noise is known, which is what makes short autocorrelated series look significant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Belief {
    parts: Vec<Part>,
}

/// A Student's t distribution with its share in the mixture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Not below zero; shares need not add up to one.
    pub(crate) share: f64,
    pub(crate) centre: f64,
    /// Zero where the data leave no doubt at all, as counts do that never change.
    pub(crate) scale: f64,
    /// Degrees of freedom, above zero.
    pub(crate) freedom: f64,
}

/// Parts below this share of the whole are left out: they cost time and move no interval.
const NEGLIGIBLE: f64 = 1e-4;

impl Belief {
    /// Drops negligible and unusable parts.
    pub(crate) fn new(mut parts: Vec<Part>) -> Self {
        parts.retain(|part| part.share > 0.0 && part.freedom > 0.0);
        let total: f64 = parts.iter().map(|part| part.share).sum();
        parts.retain_mut(|part| {
            part.share /= total;
            part.share > NEGLIGIBLE
        });
        Self { parts }
    }

    /// A value without any doubt.
    pub(crate) fn certain(centre: f64) -> Self {
        Self::new(vec![Part {
            share: 1.0,
            centre,
            scale: 0.0,
            freedom: 1.0,
        }])
    }

    /// The middle of the belief; `None` where it is not a finite number.
    pub(crate) fn estimate(&self) -> Option<f64> {
        let total: f64 = self.parts.iter().map(|part| part.share).sum();
        let estimate: f64 = self
            .parts
            .iter()
            .map(|part| part.share / total * part.centre)
            .sum();
        Some(estimate)
            .filter(|_| total > 0.0)
            .filter(|value| value.is_finite())
    }

    /// The probability that the quantity lies at or below `x`; NaN where nothing is known.
    pub(crate) fn at_most(&self, x: f64) -> f64 {
        let total: f64 = self.parts.iter().map(|part| part.share).sum();
        let below: f64 = self
            .parts
            .iter()
            .map(|part| part.share * part.at_most(x))
            .sum();
        below / total
    }

    /// The two-sided interval that leaves out `doubt` (0.05 for 95 %), widened to hold the estimate; `None` where it is
    /// not finite.
    pub(crate) fn interval(&self, doubt: f64) -> Option<Interval> {
        let estimate = self.estimate()?;
        let low = self.quantile(doubt / 2.0)?;
        let high = self.quantile(1.0 - doubt / 2.0)?;
        Some(Interval {
            low: low.min(estimate),
            high: high.max(estimate),
        })
    }

    /// The same belief about the quantity in another unit. Nothing stays nothing in any unit, even an infinite one.
    pub(crate) fn times(&self, factor: f64) -> Self {
        let scaled = |value: f64, factor: f64| if value == 0.0 { 0.0 } else { value * factor };
        let parts = self
            .parts
            .iter()
            .map(|part| Part {
                centre: scaled(part.centre, factor),
                scale: scaled(part.scale, factor.abs()),
                ..*part
            })
            .collect();
        Self { parts }
    }

    /// The belief about this quantity less so many times another one, of which only the doubt counts: its estimate has
    /// been taken off already. The two are independent; degrees of freedom join both (Satterthwaite, 1946).
    pub(crate) fn less(&self, other: &Self, times: f64) -> Self {
        let Some(known) = other.estimate().filter(|_| times != 0.0) else {
            return self.clone();
        };
        let both = |a: &Part, b: &Part| {
            let (own, others) = (a.scale.powi(2), (times * b.scale).powi(2));
            let variance = own + others;
            Part {
                share: a.share * b.share,
                centre: a.centre - times * (b.centre - known),
                scale: variance.sqrt(),
                freedom: if variance > 0.0 {
                    variance.powi(2) / (own.powi(2) / a.freedom + others.powi(2) / b.freedom)
                } else {
                    a.freedom
                },
            }
        };
        let parts = self.parts.iter();
        Self::new(
            parts
                .flat_map(|a| other.parts.iter().map(move |b| both(a, b)))
                .collect(),
        )
    }

    /// About the same belief in at most so many parts: neighbours by scale become one, each with the mean of their squares
    /// and the spread of their centres.
    pub(crate) fn in_parts(&self, most: usize) -> Self {
        if self.parts.len() <= most {
            return self.clone();
        }
        let mut parts = self.parts.clone();
        parts.sort_by(|a, b| a.scale.total_cmp(&b.scale));
        let mut gone = 0.0;
        let mut place = |part: &Part| {
            let place = (gone * most as f64).floor();
            gone += part.share;
            place
        };
        let places: Vec<f64> = parts.iter().map(&mut place).collect();
        let pairs: Vec<(f64, Part)> = places.into_iter().zip(parts).collect();
        let joined = pairs.chunk_by(|a, b| a.0 == b.0).map(|group| {
            let share: f64 = group.iter().map(|(_, part)| part.share).sum();
            let mean = |of: &dyn Fn(&Part) -> f64| -> f64 {
                let each = group.iter().map(|(_, part)| part.share / share * of(part));
                each.sum()
            };
            let centre = mean(&|part| part.centre);
            let square = mean(&|part| part.scale.powi(2) + (part.centre - centre).powi(2));
            Part {
                share,
                centre,
                scale: square.sqrt(),
                freedom: 1.0 / mean(&|part| 1.0 / part.freedom),
            }
        });
        Self::new(joined.collect())
    }

    /// By false position, with a bisection at every third step, since a mixture has no closed form; the bracket doubles
    /// until it holds the quantile.
    fn quantile(&self, probability: f64) -> Option<f64> {
        let widest = self.parts.iter().map(|part| part.scale).fold(0.0, f64::max);
        let centres = || self.parts.iter().map(|part| part.centre);
        let mut low = centres().fold(f64::INFINITY, f64::min);
        let mut high = centres().fold(f64::NEG_INFINITY, f64::max);
        if widest == 0.0 && low == high {
            return Some(low).filter(|value| value.is_finite());
        }
        let excess = |x: f64| self.at_most(x) - probability;
        let (mut below, mut above) = (excess(low), excess(high));
        let mut reach = 4.0 * widest + (high - low);
        while below > 0.0 {
            low -= reach;
            reach *= 2.0;
            below = excess(low);
        }
        while above < 0.0 {
            high += reach;
            reach *= 2.0;
            above = excess(high);
        }
        for step in 0..MOST_STEPS {
            // A mixture may be all but a staircase, on which only halving makes headway.
            let share = if step % 3 == 2 {
                0.5
            } else {
                (-below / (above - below)).clamp(0.01, 0.99)
            };
            let guess = low + (high - low) * share;
            let found = excess(guess);
            if found < 0.0 {
                (low, below) = (guess, found);
            } else {
                (high, above) = (guess, found);
            }
            if found.abs() < CLOSE_ENOUGH || high - low <= 1e-6 * widest {
                return Some(guess).filter(|value| value.is_finite());
            }
        }
        Some(low + (high - low) / 2.0).filter(|value| value.is_finite())
    }
}

/// A quantile is searched until its probability is off by less than this.
const CLOSE_ENOUGH: f64 = 1e-7;

const MOST_STEPS: usize = 200;

impl Part {
    fn at_most(&self, x: f64) -> f64 {
        if self.scale == 0.0 {
            return f64::from(u8::from(self.centre <= x));
        }
        let standardised = (x - self.centre) / self.scale;
        if standardised.is_infinite() {
            return f64::from(u8::from(standardised > 0.0));
        }
        if standardised.is_nan() {
            // Compares false with everything, which ends a bisection.
            return f64::NAN;
        }
        StudentsT::new(0.0, 1.0, self.freedom).map_or(f64::NAN, |student| student.cdf(standardised))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn student(share: f64, centre: f64, freedom: f64) -> Part {
        Part {
            share,
            centre,
            scale: 1.0,
            freedom,
        }
    }

    #[test]
    fn one_part_has_the_quantiles_of_the_tables() {
        let interval = Belief::new(vec![student(1.0, 0.0, 5.0)])
            .interval(0.05)
            .expect("an interval");
        assert!((interval.high - 2.5706).abs() < 1e-3 && (interval.low + 2.5706).abs() < 1e-3);
    }

    #[test]
    fn doubt_about_the_noise_widens_the_interval() {
        let sure = Belief::new(vec![student(1.0, 0.0, 50.0)]);
        let wide = Part {
            scale: 4.0,
            ..student(0.3, 0.0, 50.0)
        };
        let unsure = Belief::new(vec![student(0.7, 0.0, 50.0), wide]);
        let high = |belief: &Belief| belief.interval(0.05).map(|interval| interval.high);
        assert!(high(&unsure) > high(&sure).map(|high| 1.5 * high));
    }

    #[test]
    fn fewer_parts_say_about_the_same() {
        let parts = (0..40).map(|i| Part {
            scale: 1.0 + f64::from(i * i) / 100.0,
            ..student(1.0 / f64::from(1 + i), f64::from(i % 3) / 2.0, 20.0)
        });
        let all = Belief::new(parts.collect());
        let few = all.in_parts(8);
        assert!(few.parts.len() <= 8 && all.parts.len() == 40);
        let near =
            |a: Option<f64>, b: Option<f64>| (a.expect("one") - b.expect("one")).abs() < 0.05;
        assert!(near(all.estimate(), few.estimate()));
        for doubt in [0.05, 0.005] {
            let (all, few) = (all.interval(doubt), few.interval(doubt));
            let width = |i: Option<Interval>| i.map(|i| i.high - i.low);
            let ratio = width(few)
                .zip(width(all))
                .map_or(0.0, |(few, all)| few / all);
            assert!((0.95..1.1).contains(&ratio), "{doubt}: {ratio}");
        }
    }

    #[test]
    fn what_one_takes_off_another_adds_its_doubt() {
        let one = Belief::new(vec![student(1.0, 5.0, 1e6)]);
        let other = Belief::new(vec![student(1.0, 2.0, 1e6)]);
        let less = one.less(&other, -3.0);
        let interval = less.interval(0.05).expect("an interval");
        assert!((less.estimate().expect("one") - 5.0).abs() < 1e-9);
        assert!(
            (interval.high - 5.0 - 1.96 * 10_f64.sqrt()).abs() < 1e-2,
            "{interval:?}"
        );
        let same = one.less(&other, 0.0).interval(0.05);
        assert_eq!(same, one.interval(0.05));
    }

    #[test]
    fn what_is_certain_has_no_width() {
        let interval = Belief::certain(3.0).interval(0.05).expect("an interval");
        assert_eq!((interval.low, interval.high), (3.0, 3.0));
    }

    #[test]
    fn knowing_nothing_has_no_interval() {
        assert!(Belief::default().interval(0.05).is_none());
        assert!(Belief::certain(f64::NAN).interval(0.05).is_none());
        let boundless = Belief::new(vec![student(1.0, 1.0, 3.0)]).times(f64::INFINITY);
        assert!(boundless.interval(0.05).is_none());
    }
}
