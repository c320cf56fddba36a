//! Where a soak stands between its beginning and its end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::{Phase, SoakTest, Span};

/// The stretch of a soak that is planned to the second: warm-up, the judged window, settling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timeline {
    pub(crate) phase: Phase,
    /// How much of warm-up, window and settling has gone, from 0 to 1.
    pub(crate) gone: f64,
    /// How long it goes on until it is judged; `None` where that cannot be told, as while the workload is deployed.
    pub(crate) left: Option<SignedDuration>,
    /// The same until the phase ends.
    pub(crate) left_of_phase: Option<SignedDuration>,
}

impl Timeline {
    /// As planned: a phase that takes longer than it should has nothing left.
    pub(crate) fn of(test: &SoakTest, now: Timestamp) -> Self {
        let status = test.status.clone().unwrap_or_default();
        let spec = &test.spec;
        let planned = |span: &Span| signed(span.duration());
        let (warm_up, window, settle) = (
            planned(&spec.warm_up),
            planned(&spec.duration),
            planned(&spec.settle),
        );
        let times = &status.times;
        // What comes after the phase, when the phase began, and how long it lasts.
        let (after, began, lasts) = match status.phase {
            Phase::WarmingUp => (window + settle, times.warming_up, warm_up),
            Phase::Soaking => (settle, times.soaking, window),
            Phase::Settling => (SignedDuration::ZERO, times.settling, settle),
            Phase::Pending | Phase::Deploying => return Self::at(status.phase, 0.0),
            Phase::Judging | Phase::CleaningUp | Phase::Completed => {
                return Self::at(status.phase, 1.0);
            }
        };
        let Some(began) = began else {
            return Self::at(status.phase, 0.0);
        };
        let left_of_phase = (lasts - now.duration_since(began)).clamp(SignedDuration::ZERO, lasts);
        let left = left_of_phase + after;
        let whole = (warm_up + window + settle).as_secs_f64().max(1.0);
        Self {
            phase: status.phase,
            gone: 1.0 - (left.as_secs_f64() / whole).clamp(0.0, 1.0),
            left: Some(left),
            left_of_phase: Some(left_of_phase),
        }
    }

    fn at(phase: Phase, gone: f64) -> Self {
        Self {
            phase,
            gone,
            left: None,
            left_of_phase: None,
        }
    }
}

/// A soak that is as long as time itself is cut short, rather than a panic.
fn signed(duration: Duration) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 365 * 1_000);
    SignedDuration::try_from(duration).map_or(LONGEST, |length| length.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{at, leaking, soaking};

    #[test]
    fn what_is_left_is_the_rest_of_the_phase_and_all_that_comes_after() {
        // Warm-up 90s, five minutes, 45s; the window began at 06:02:00.
        let timeline = Timeline::of(&soaking(), at("06:04:00"));
        assert_eq!(timeline.left, Some(SignedDuration::from_secs(180 + 45)));
        assert_eq!(timeline.left_of_phase, Some(SignedDuration::from_mins(3)));
        assert!((timeline.gone - 210.0 / 435.0).abs() < 1e-9);
    }

    #[test]
    fn a_phase_that_is_late_has_nothing_left_of_its_own() {
        let timeline = Timeline::of(&soaking(), at("09:00:00"));
        assert_eq!(timeline.left, Some(SignedDuration::from_secs(45)));
        assert_eq!(timeline.left_of_phase, Some(SignedDuration::ZERO));
    }

    #[test]
    fn nothing_is_told_before_the_workload_is_ready() {
        let timeline = Timeline::of(&leaking(), at("06:00:00"));
        assert_eq!((timeline.gone, timeline.left), (0.0, None));
    }
}
