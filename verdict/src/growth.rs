//! How much a signal grew over the soak, within incarnations.

use crate::bound::{Bound, Question, judge_component, worst_of};
use crate::criterion::Growth;
use crate::evidence::Evidence;
use crate::judgement::Judgement;
use crate::run::Run;
use crate::samples::clean;
use crate::slope::Shape;
use crate::wording::{seconds, unit};

/// Judges each component by itself, and answers with the worst.
///
/// Percent is of a pod's settled level at the window's start, absolute is for the component: growth of the mean pod
/// times the planned replicas. A single pod fails its component when it surely grows by more than the percentage by
/// itself, or by more than the absolute limit of the whole component.
pub(crate) fn judge(growth: &Growth, run: &Run) -> Judgement {
    let clean = clean(run);
    let question = Question {
        signal: growth.signal,
        over: format!("over {}", seconds(run.window.end - run.window.start)),
        shape: Shape::Straight,
        fixed_horizon: false,
    };
    let judgements = run
        .components
        .iter()
        .map(|component| {
            let evidence = Evidence::gather(run, &clean, component, run.window);
            let percent = growth
                .max_percent
                .map(|limit| percent_bound(limit, evidence.base, 1.0));
            let absolute = growth.max_absolute.as_ref().map(|limit| Bound {
                limit: limit.value(),
                unit: unit(growth.signal),
                factor: f64::from(component.replicas),
                pod_factor: 1.0,
            });
            let bounds: Vec<Bound> = percent.into_iter().chain(absolute).collect();
            judge_component(&evidence, &question, &bounds)
        })
        .collect();
    worst_of(judgements)
}

/// A limit in percent of a level, for growth `times` that over the window.
///
/// Of a level that is not above 0 no percentage can be had, unless nothing grew at all.
pub(crate) fn percent_bound(limit: f64, base: Option<f64>, times: f64) -> Bound {
    let factor = match base {
        Some(base) if base > 0.0 => times * 100.0 / base,
        _ => f64::INFINITY,
    };
    Bound {
        limit,
        unit: "%",
        factor,
        pod_factor: factor,
    }
}
