//! How much a signal would grow if it went on as it does at the end of the soak.

use crate::bound::{Question, judge_component, worst_of};
use crate::criterion::Trend;
use crate::evidence::Evidence;
use crate::growth::percent_bound;
use crate::judgement::Judgement;
use crate::run::{Run, Window};
use crate::samples::clean;
use crate::slope::Shape;
use crate::wording::seconds;

/// Judges each component by itself, and answers with the worst.
///
/// The slope is that at the end of the last `window`; where growth visibly bends within it, a warm-up that levels off
/// is not projected as if it went on.
pub(crate) fn judge(trend: &Trend, run: &Run) -> Judgement {
    let soak = run.window.end - run.window.start;
    let length = trend
        .window
        .as_ref()
        .map_or(soak / 2.0, |window| window.duration().as_secs_f64())
        .min(soak);
    if length <= 0.0 {
        return Judgement::inconclusive("the trend's window has no length.".to_owned());
    }
    let window = Window {
        start: run.window.end - length,
        end: run.window.end,
    };
    let clean = clean(run);
    let horizon = trend.horizon.duration().as_secs_f64();
    let question = Question {
        signal: trend.signal,
        over: format!(
            "over {} at the pace of its last {}",
            seconds(horizon),
            seconds(length)
        ),
        shape: Shape::Curved,
        fixed_horizon: true,
    };
    let judgements = run
        .components
        .iter()
        .map(|component| {
            let evidence = Evidence::gather(run, &clean, component, window);
            let bound = percent_bound(trend.max_percent, evidence.base, horizon / length);
            judge_component(&evidence, &question, &[bound])
        })
        .collect();
    worst_of(judgements)
}
