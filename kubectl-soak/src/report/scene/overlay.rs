//! What a criterion adds to the lines it was judged on: growth that was fitted, and a limit, as one pod's share.

use soak_api::verdict::{Delta, Growth, Interval, Threshold, Trend};
use soak_api::{CriterionKind, CriterionResult, Line};

use super::{Band, Fit, Limit, Overlay, Panel};
use crate::report::view::{View, span, told};

/// The share of the window whose values say at which level it began.
const BEGINNING: f64 = 0.05;

/// What this result adds to the lines of its panel.
pub(super) fn overlay<'e>(
    view: &View<'e>,
    result: &'e CriterionResult,
    panel: &Panel<'e>,
) -> Overlay<'e> {
    let overlay = Overlay {
        criterion: &result.name,
        ..Overlay::default()
    };
    let kind = view
        .spec
        .criteria
        .iter()
        .find(|one| one.name == result.name);
    let (Some(kind), Some(window)) = (kind.and_then(|one| one.kind().ok()), view.window()) else {
        return overlay;
    };
    let per_pod = PerPod::of(view, result, panel);
    match kind {
        CriterionKind::Growth(_, growth) => of_growth(overlay, &growth, &per_pod, window),
        CriterionKind::Trend(_, trend) => of_trend(overlay, &trend, &per_pod, window),
        CriterionKind::Delta(_, delta) => {
            let settled = view.status.times.judging.and_then(|at| view.seconds(at));
            of_delta(overlay, &delta, &per_pod, window, settled)
        }
        CriterionKind::Threshold(threshold) => of_threshold(overlay, &threshold, result, window),
        CriterionKind::Increase(_) | CriterionKind::Recovery(_) => overlay,
    }
}

/// A result brought down to one pod, as the lines are.
struct PerPod<'p, 'e> {
    result: &'e CriterionResult,
    lines: &'p [&'e Line],
    replicas: f64,
    /// What a pod takes to its level, in seconds.
    warm_up: f64,
    /// Of all of the component; a pod or a part that decides by itself is another matter than the lines.
    of_all: bool,
}

impl<'p, 'e> PerPod<'p, 'e> {
    fn of(view: &View<'_>, result: &'e CriterionResult, panel: &'p Panel<'e>) -> Self {
        let mut components = view.status.components.iter();
        let planned = components.find(|one| Some(one.name.as_str()) == panel.component);
        Self {
            result,
            lines: &panel.lines,
            replicas: planned.map_or(1.0, |one| f64::from(one.desired.max(1))),
            warm_up: view.spec.warm_up.duration().as_secs_f64(),
            of_all: !result.sentence.contains(" alone "),
        }
    }

    /// What so much in the result's unit is for a pod at this level.
    fn amount(&self, value: f64, level: f64) -> f64 {
        if self.result.unit == "%" {
            level * value / 100.0
        } else {
            value / self.replicas
        }
    }

    fn band(&self, level: f64, share: f64) -> Option<Band> {
        let Interval { low, high } = self.result.interval?;
        let at = |value| level + share * self.amount(value, level);
        Some(Band {
            low: at(low),
            estimate: at(self.result.estimate?),
            high: at(high),
        })
    }

    /// Such as `measured +73.4 %`.
    fn told(&self) -> String {
        let sign = if self.result.estimate > Some(0.0) {
            "+"
        } else {
            ""
        };
        format!(
            "measured {sign}{}",
            told(self.result.estimate, &self.result.unit)
        )
    }

    /// The median of what pods that had settled measured from here on.
    fn level(&self, (from, to): (f64, f64)) -> Option<f64> {
        let mut until = from + BEGINNING * (to - from);
        let mut values: Vec<f64> = Vec::new();
        while values.is_empty() && until < to {
            // A pod that was born meanwhile comes to its level first, most of which it does early.
            let settled = self.lines.iter().flat_map(|line| {
                let born = line.seconds.first().copied().unwrap_or(0.0);
                let all = line.seconds.iter().zip(&line.values);
                let since = from.max(born + 0.8 * self.warm_up);
                all.filter(move |(at, _)| **at >= since && **at <= until)
            });
            values.extend(settled.map(|(_, value)| *value));
            until += BEGINNING * (to - from);
        }
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// Growth over the window, and a limit that is level: the highest that growth may lead to at its end.
fn of_growth<'e>(
    overlay: Overlay<'e>,
    growth: &Growth,
    pod: &PerPod<'_, 'e>,
    window: (f64, f64),
) -> Overlay<'e> {
    let Some(level) = pod.level(window) else {
        return overlay;
    };
    let fit = pod.band(level, 1.0).filter(|_| pod.of_all).map(|end| Fit {
        what: "the growth that was fitted, as if one pod had lived all the while",
        label: pod.told(),
        from: (window.0, Band::at(level)),
        to: (window.1, end),
    });
    let limits = pod
        .result
        .limit
        .filter(|_| growth.max_percent.is_some() || growth.max_absolute.is_some());
    let limits = limits.map(|limit| {
        let height = level + pod.amount(limit, level);
        let told = told(Some(limit), &pod.result.unit);
        let of_all = if pod.result.unit != "%" && pod.replicas > 1.0 {
            format!(
                ", {} for each of {}",
                told_per_pod(pod, limit),
                pod.replicas
            )
        } else {
            String::new()
        };
        Limit {
            from: (window.0, height),
            to: (window.1, height),
            label: format!("limit +{told}{of_all}"),
        }
    });
    let worst = pod.result.worst_pods.first().map(|row| row.name.as_str());
    let is_worst = |line: &&&'e Line| Some(line.name.as_str()) == worst;
    Overlay {
        fit,
        limits: limits.into_iter().collect(),
        worst: pod.lines.iter().filter(is_worst).copied().collect(),
        ..overlay
    }
}

fn told_per_pod(pod: &PerPod<'_, '_>, limit: f64) -> String {
    told(Some(limit / pod.replicas), &pod.result.unit)
}

/// The pace of the last part of the window, and the pace that would lead to the limit.
fn of_trend<'e>(
    overlay: Overlay<'e>,
    trend: &Trend,
    pod: &PerPod<'_, 'e>,
    window: (f64, f64),
) -> Overlay<'e> {
    let soak = window.1 - window.0;
    let length = trend
        .window
        .as_ref()
        .map_or(soak / 2.0, |window| window.duration().as_secs_f64());
    let part = (window.1 - length.min(soak), window.1);
    let Some(level) = pod.level(part) else {
        return overlay;
    };
    let horizon = trend.horizon.duration().as_secs_f64().max(1.0);
    let share = (part.1 - part.0) / horizon;
    let fit = pod
        .band(level, share)
        .filter(|_| pod.of_all)
        .map(|end| Fit {
            what: "the growth that was fitted to the last part of the window, as if one pod had lived all the while",
            label: format!("{} in {}", pod.told(), span(horizon)),
            from: (part.0, Band::at(level)),
            to: (part.1, end),
        });
    let limit = Limit {
        from: (part.0, level),
        to: (part.1, level + share * level * trend.max_percent / 100.0),
        label: format!(
            "limit +{} in {}",
            told(Some(trend.max_percent), "%"),
            span(horizon)
        ),
    };
    Overlay {
        fit,
        limits: vec![limit],
        ..overlay
    }
}

/// Where it stood at the end, and how far from its beginning it may.
fn of_delta<'e>(
    overlay: Overlay<'e>,
    delta: &Delta,
    pod: &PerPod<'_, 'e>,
    window: (f64, f64),
    settled: Option<f64>,
) -> Overlay<'e> {
    let (Some(level), Some(end)) = (pod.level(window), settled) else {
        return overlay;
    };
    let within = delta.within.value() / pod.replicas;
    let limit = |sign: f64, label: String| Limit {
        from: (window.0, level + sign * within),
        to: (end, level + sign * within),
        label,
    };
    let label = format!(
        "within ±{}",
        told(Some(delta.within.value()), &pod.result.unit)
    );
    let fit = pod.band(level, 1.0).map(|band| Fit {
        what: "how far from its beginning it stood once it had settled",
        label: pod.told(),
        from: (f64::midpoint(window.1, end), band),
        to: (end, band),
    });
    Overlay {
        fit,
        limits: vec![limit(1.0, label), limit(-1.0, String::new())],
        ..overlay
    }
}

fn of_threshold<'e>(
    overlay: Overlay<'e>,
    threshold: &Threshold,
    result: &CriterionResult,
    window: (f64, f64),
) -> Overlay<'e> {
    let what = if threshold.max.is_some() {
        "max"
    } else {
        "min"
    };
    let limit = threshold.max.or(threshold.min).map(|height| Limit {
        from: (window.0, height),
        to: (window.1, height),
        label: format!("{what} {}", told(Some(height), &result.unit)),
    });
    Overlay {
        limits: limit.into_iter().collect(),
        ..overlay
    }
}
