//! How long a soak would have to be to decide what this one could not.

use crate::judgement::Interval;
use crate::wording::seconds;

/// An undecided answer, and what its doubt comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undecided {
    pub(crate) estimate: f64,
    pub(crate) interval: Interval,
    pub(crate) limit: f64,
    pub(crate) window_seconds: f64,
    /// The share of doubt that comes from differences between incarnations, from 0 to 1.
    pub(crate) between: f64,
    /// Whether incarnations live through the whole window, so that a longer soak lengthens each of them; else it brings
    /// more of them.
    pub(crate) long_lived: bool,
    /// Whether the estimate is growth over a horizon of its own rather than over the soak's duration.
    pub(crate) fixed_horizon: bool,
    /// Whether the noise wanders as slowly as the window is long.
    pub(crate) wandering: bool,
}

/// Beyond this many times the duration no advice is given.
const LONGEST: f64 = 30.0;

/// How many half widths the truth has to lie from the limit: one for the interval, and one more for where the estimate
/// comes to lie, which is farther away in one soak of forty.
const HALF_WIDTHS: f64 = 2.0;

impl Undecided {
    /// How long the soak's window would have to be to decide it, in seconds; `None` where no length can be named.
    pub(crate) fn decided_after_seconds(self) -> Option<f64> {
        if self.wandering {
            return None;
        }
        let mut times = 1.25;
        while times <= LONGEST {
            if self.decides_at(times) {
                return Some(rounded_up(times * self.window_seconds));
            }
            times *= 1.05;
        }
        None
    }

    /// What would decide it, as the end of a sentence.
    pub(crate) fn advice(self) -> String {
        if let Some(length) = self.decided_after_seconds() {
            format!("a soak of about {} would decide", seconds(length))
        } else if self.wandering {
            "the level wanders as slowly as the soak is long, so that no length can be named; a much longer soak may decide".to_owned()
        } else if self.long_lived {
            "more pods would narrow it; a longer soak would not decide".to_owned()
        } else {
            "fewer restarts or more pods would narrow it; a longer soak would not decide".to_owned()
        }
    }

    /// The slope's variance falls with the cube of the length where incarnations live as long as the soak, and with
    /// the length alone where there are only more of them; differences between pods fall only with more of them. Of a
    /// trend it falls with the square: where the slope may change, a longer soak also shows more that may have changed
    /// it. (That was measured, see docs/verdict.md; advice by the cube held less often, with however much room.)
    ///
    /// The truth is not where the estimate lies. What leaks is mostly far above its limit, and what does not leak does
    /// not grow at all, least of all shrink for ever: both have to be decided, as far as the interval holds them.
    fn decides_at(self, times: f64) -> bool {
        let reach = if self.fixed_horizon { 1.0 } else { times };
        let (noise, between) = if self.long_lived {
            let power = if self.fixed_horizon { 2 } else { 3 };
            (times.powi(-power), 1.0)
        } else {
            (1.0 / times, 1.0 / times)
        };
        let variance = (1.0 - self.between) * noise + self.between * between;
        let half_width = (self.interval.high - self.interval.low) / 2.0;
        let room = HALF_WIDTHS * half_width * reach * variance.sqrt();
        let decided = |truth: f64| (truth * reach - self.limit).abs() >= room;
        let may_be_still = self.interval.low <= 0.0;
        let grows = self.estimate > self.limit || !may_be_still;
        (!may_be_still || decided(0.0)) && (!grows || decided(self.estimate))
    }
}

/// Up to a whole 5 minutes below an hour, a quarter of an hour below a day, and an hour above.
fn rounded_up(length: f64) -> f64 {
    let grain = if length < 600.0 {
        60.0
    } else if length < 3_600.0 {
        300.0
    } else if length < 86_400.0 {
        900.0
    } else {
        3_600.0
    };
    (length / grain).ceil() * grain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undecided() -> Undecided {
        Undecided {
            estimate: 0.0,
            interval: Interval {
                low: -10.0,
                high: 10.0,
            },
            limit: 5.0,
            window_seconds: 300.0,
            between: 0.0,
            long_lived: true,
            fixed_horizon: false,
            wandering: false,
        }
    }

    #[test]
    fn noise_averages_out_in_a_longer_soak() {
        // The half width falls with the square root of the length: (2 * 10 / 5)^2 = 16 times 5 minutes.
        assert_eq!(undecided().advice(), "a soak of about 1h 30m would decide");
    }

    #[test]
    fn steady_growth_comes_out_sooner_than_its_absence() {
        let growing = Undecided {
            estimate: 9.0,
            interval: Interval {
                low: 1.0,
                high: 17.0,
            },
            ..undecided()
        };
        assert_eq!(growing.advice(), "a soak of about 10m would decide");
    }

    #[test]
    fn a_trend_narrows_more_slowly_than_the_slope_of_a_line() {
        let trend = Undecided {
            fixed_horizon: true,
            ..undecided()
        };
        // (2 * 10 / 5) times 5 minutes, rather than (2 * 10 / 5)^(2/3).
        assert_eq!(trend.advice(), "a soak of about 25m would decide");
    }

    #[test]
    fn shrinking_in_the_noise_is_no_reason_for_less() {
        let shrank = Undecided {
            estimate: -4.0,
            interval: Interval {
                low: -14.0,
                high: 6.0,
            },
            ..undecided()
        };
        assert_eq!(shrank.advice(), undecided().advice());
    }

    #[test]
    fn pods_that_differ_are_not_averaged_by_waiting() {
        let differing = Undecided {
            between: 1.0,
            ..undecided()
        };
        assert!(differing.advice().contains("a longer soak would not"));
    }

    #[test]
    fn a_level_that_wanders_allows_no_promise() {
        let wandering = Undecided {
            wandering: true,
            ..undecided()
        };
        assert!(wandering.advice().contains("no length can be named"));
    }
}
