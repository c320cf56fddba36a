//! Where a signal is going: what its course is, and when it reaches a limit.

use crate::criterion::{Measured, Signal};
use crate::evidence::Evidence;
use crate::judgement::{Course, Reach};
use crate::shape::Form;
use crate::slope::Fit;

/// The course of a signal: the curve, step or cycle that the data ask for, else whether it surely grows or shrinks.
pub(crate) fn course(fit: &Fit) -> Course {
    let interval = fit.growth.interval(0.05);
    let grows = interval.is_some_and(|interval| interval.low > 0.0);
    let shrinks = interval.is_some_and(|interval| interval.high < 0.0);
    let sign_of = |wanted: &dyn Fn(Form) -> bool| {
        let mut forms = fit.forms.iter();
        forms.find(|(form, _)| wanted(*form)).map(|(_, sign)| *sign)
    };
    let levels_off = sign_of(&|form| matches!(form, Form::Settling(_)));
    let turns = sign_of(&|form| matches!(form, Form::Bend | Form::Hinge(_)));
    let steps = sign_of(&|form| form.steps() || matches!(form, Form::StepOf(..)));
    let cycles = sign_of(&|form| matches!(form, Form::Cycle(_) | Form::Day(_)));
    match (levels_off, turns, steps, cycles) {
        (Some(sign), ..) if sign > 0.0 && !grows => Course::Saturating,
        (_, Some(sign), ..) if sign > 0.0 && grows => Course::Accelerating,
        (_, Some(sign), ..) if sign < 0.0 && !shrinks => Course::Saturating,
        _ if grows => Course::Growing,
        _ if shrinks => Course::Shrinking,
        (_, _, Some(_), _) => Course::Stepwise,
        (_, _, _, Some(_)) => Course::Periodic,
        _ => Course::Flat,
    }
}

/// When the fullest pod reaches its memory limit at the pace of the mean pod, and at either end of that pace's interval.
pub(crate) fn reach(evidence: &Evidence<'_>, of: &Measured, fit: &Fit) -> Option<Reach> {
    let limit_bytes = evidence.component.memory_limit_bytes?;
    if *of != Measured::Signal(Signal::Memory) {
        return None;
    }
    let last = evidence
        .tracks
        .iter()
        .filter_map(|track| track.points.last());
    let fullest = last.map(|point| point.y).fold(f64::NEG_INFINITY, f64::max);
    let left = (limit_bytes - fullest).max(0.0);
    let window_seconds = evidence.window.end - evidence.window.start;
    let after = |growth: f64| {
        Some(left / growth * window_seconds).filter(|seconds| growth > 0.0 && seconds.is_finite())
    };
    let interval = fit.growth.interval(0.05)?;
    Some(Reach {
        limit_bytes,
        seconds: after(fit.growth.estimate()?),
        soonest_seconds: after(interval.high),
        latest_seconds: after(interval.low),
    })
}
