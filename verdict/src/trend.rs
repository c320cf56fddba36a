//! How much a signal would grow if it went on as it does at the end of the soak.

use crate::bound::{Question, judge_component, worst_of};
use crate::criterion::{Measured, Trend};
use crate::evidence::Evidence;
use crate::growth::{DAY_SECONDS, percent_bound};
use crate::judgement::Judgement;
use crate::load::{Load, at_equal};
use crate::run::Run;
use crate::samples::clean;
use crate::shape::Reach;
use crate::slope::Search;
use crate::wording::seconds;

/// One process that never restarts has a trend, too.
const LEAST_INCARNATIONS: usize = 1;

/// Judges each component by itself, and answers with the worst.
///
/// The slope is that at the end of the last `window`; where growth visibly bends within it, a warm-up that levels off
/// is not projected as if it went on.
pub(crate) fn judge(of: &Measured, trend: &Trend, run: &Run, doubt: f64) -> Judgement {
    let soak = run.window.end - run.window.start;
    judge_last(window_seconds(trend, soak), of, trend, run, doubt)
}

/// How long the window of a trend is, in a soak of so many seconds.
pub(crate) fn window_seconds(trend: &Trend, soak: f64) -> f64 {
    let own = trend.window.as_ref().map(|w| w.duration().as_secs_f64());
    own.unwrap_or(soak / 2.0)
}

/// Judges the slope at the end of the last `length` seconds.
pub(crate) fn judge_last(
    length: f64,
    of: &Measured,
    trend: &Trend,
    run: &Run,
    doubt: f64,
) -> Judgement {
    let soak = run.window.end - run.window.start;
    let length = length.min(soak);
    if length <= 0.0 {
        return Judgement::inconclusive("the trend's window has no length.".to_owned());
    }
    let clean = clean(run);
    let load = trend.per.as_deref().map(|per| Load::of(per, run));
    let horizon = trend.horizon.duration().as_secs_f64();
    let question = Question {
        of,
        over: format!(
            "over {} at the pace of its last {}{}",
            seconds(horizon),
            seconds(length),
            at_equal(load.as_ref()),
        ),
        search: Search {
            reach: Reach::Ahead(horizon / soak),
            day: Some(soak / DAY_SECONDS),
            hinge: Some(-length / soak),
        },
        fixed_horizon: true,
        doubt,
    };
    let judgements = run
        .components
        .iter()
        .map(|component| {
            let evidence =
                Evidence::gather(run, &clean, component, LEAST_INCARNATIONS, load.as_ref());
            let bound = percent_bound(
                trend.max_percent,
                evidence.level_at(-length / soak),
                horizon / soak,
            );
            judge_component(&evidence, &question, &[bound])
        })
        .collect();
    worst_of(judgements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use crate::criterion::{Signal, Span};
    use crate::simulator::{still, worker};

    fn judged(run: &Run, window: Option<u64>) -> Judgement {
        let trend = Trend {
            signal: Some(Signal::Memory),
            query: None,
            per: None,
            horizon: Span::from_seconds(3_600),
            max_percent: 20.0,
            window: window.map(Span::from_seconds),
        };
        crate::judge(&trend.kind().expect("one measure"), run)
    }

    fn fleet(level: impl Fn(f64) -> f64 + Copy) -> Run {
        let rough = |t: f64| (t * 7.3).sin() * 1e3;
        let pod =
            |name, shift: f64| worker(name, 900.0, 1340.0, move |t| level(t) + rough(t + shift));
        still(
            &[("worker", 3)],
            vec![pod("a", 0.0), pod("b", 11.0), pod("c", 23.0)],
        )
    }

    #[test]
    fn growth_that_goes_on_fails() {
        let judgement = judged(&fleet(|t| 1e6 + 200.0 * (t - 1000.0)), None);
        assert_eq!(judgement.outcome, Outcome::Failed, "{}", judgement.sentence);
        assert!(
            judgement
                .sentence
                .contains("over 1h at the pace of its last 2m 30s")
        );
        let projected = judgement.estimate.unwrap_or_default();
        assert!((projected - 70.0).abs() < 3.0, "{}", judgement.sentence);
    }

    #[test]
    fn growth_that_levels_off_passes() {
        let judgement = judged(&fleet(|t| 1e6 - 4e5 * (-(t - 900.0) / 30.0).exp()), None);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
    }

    #[test]
    fn growth_that_bends_within_the_window_is_taken_at_its_end() {
        let levels_off = |t: f64| 1e6 + 5e4 * (1.0 - ((1300.0 - t) / 150.0).powi(2));
        let judgement = judged(&fleet(levels_off), None);
        assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
    }

    #[test]
    fn a_window_without_data_is_never_a_pass() {
        let mut run = fleet(|_| 1e6);
        for series in &mut run.series {
            series.samples.retain(|sample| sample.t < 1150.0);
        }
        assert_eq!(judged(&run, Some(100)).outcome, Outcome::Inconclusive);
    }
}
