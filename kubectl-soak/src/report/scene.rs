//! What the charts of criteria show, in seconds since the warm-up began and in what one pod measured: the lines of a
//! component, and for each criterion the growth that was fitted and the limit it is held against.

mod overlay;

use soak_api::{Chart, Line};

use self::overlay::overlay;
use super::view::View;

/// A limit that would make the lines smaller than a third of the chart is only told.
const FARTHEST: f64 = 3.0;

/// One or several criteria about the same lines, on one scale, so that they can be compared.
pub(crate) struct Panel<'e> {
    pub(crate) chart: &'e Chart,
    /// Its component; `None` where the lines are of all of them.
    pub(crate) component: Option<&'e str>,
    pub(crate) lines: Vec<&'e Line>,
    pub(crate) overlays: Vec<Overlay<'e>>,
    /// From the first to the last second that is shown.
    pub(crate) x: (f64, f64),
    /// From the lowest to the highest value that is shown.
    pub(crate) y: (f64, f64),
}

impl Panel<'_> {
    /// Its lines never left 0, as those of a counter that counted nothing.
    pub(crate) fn is_still(&self) -> bool {
        let mut values = self.lines.iter().flat_map(|line| &line.values);
        !self.lines.is_empty() && values.all(|value| *value == 0.0)
    }

    /// There is something to draw.
    pub(crate) fn has_something(&self) -> bool {
        !self.lines.is_empty() && !self.is_still()
    }
}

/// What one criterion adds to the lines.
#[derive(Default)]
pub(crate) struct Overlay<'e> {
    /// Its name.
    pub(crate) criterion: &'e str,
    pub(crate) fit: Option<Fit>,
    pub(crate) limits: Vec<Limit>,
    /// The incarnations of the pod that grew most.
    pub(crate) worst: Vec<&'e Line>,
}

/// What was measured, as one pod's share of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fit {
    /// What it is, for the caption.
    pub(crate) what: &'static str,
    /// What was measured, in the criterion's unit.
    pub(crate) label: String,
    pub(crate) from: (f64, Band),
    pub(crate) to: (f64, Band),
}

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Band {
    pub(crate) low: f64,
    pub(crate) estimate: f64,
    pub(crate) high: f64,
}

/// What the fit must not rise above, or fall below.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) from: (f64, f64),
    pub(crate) to: (f64, f64),
    pub(crate) label: String,
}

/// The panels in the order of the verdict, then those of components that decided nothing.
pub(crate) fn panels<'e>(view: &View<'e>) -> Vec<Panel<'e>> {
    let mut panels: Vec<Panel<'e>> = Vec::new();
    for result in &view.status.criteria {
        let Some(chart) = view.chart(&result.name) else {
            continue;
        };
        let of_component = |name: &&str| chart.lines.iter().any(|line| line.component == **name);
        let component = result.component.as_deref().filter(of_component);
        let known =
            |panel: &Panel<'_>| std::ptr::eq(panel.chart, chart) && panel.component == component;
        let place = panels.iter().position(known).unwrap_or_else(|| {
            panels.push(bare(view, chart, component));
            panels.len() - 1
        });
        let overlay = overlay(view, result, &panels[place]);
        panels[place].overlays.push(overlay);
    }
    for chart in &view.evidence.charts {
        let mut names: Vec<&str> = chart
            .lines
            .iter()
            .map(|line| line.component.as_str())
            .collect();
        names.dedup();
        for name in names {
            let mut of_chart = panels
                .iter()
                .filter(|panel| std::ptr::eq(panel.chart, chart));
            if of_chart.all(|panel| panel.component.is_some_and(|component| component != name)) {
                panels.push(bare(view, chart, Some(name)));
            }
        }
    }
    for panel in &mut panels {
        panel.y = range(panel);
    }
    panels
}

fn bare<'e>(view: &View<'e>, chart: &'e Chart, component: Option<&'e str>) -> Panel<'e> {
    let of_component = |line: &&Line| component.is_none_or(|name| line.component == name);
    let lines: Vec<&Line> = chart.lines.iter().filter(of_component).collect();
    let seconds = lines.iter().flat_map(|line| &line.seconds).copied();
    let last = seconds.fold(f64::NEG_INFINITY, f64::max);
    let end = view.window().map_or(last, |(_, to)| last.max(to));
    Panel {
        chart,
        component,
        lines,
        overlays: Vec::new(),
        x: (0.0, if end > 0.0 { end } else { 1.0 }),
        y: (0.0, 1.0),
    }
}

impl Band {
    /// What is known for certain.
    fn at(level: f64) -> Self {
        Self {
            low: level,
            estimate: level,
            high: level,
        }
    }
}

/// What holds the lines and what criteria add to them, with nothing below it where that is near.
fn range(panel: &Panel<'_>) -> (f64, f64) {
    let mut range = Range::default();
    panel
        .lines
        .iter()
        .flat_map(|line| &line.values)
        .for_each(|value| range.add(*value));
    for fit in panel
        .overlays
        .iter()
        .filter_map(|overlay| overlay.fit.as_ref())
    {
        for band in [fit.from.1, fit.to.1] {
            range.add(band.low);
            range.add(band.high);
        }
    }
    let size = (range.high - range.low).max(range.high.abs() / 50.0);
    let around = (range.low - FARTHEST * size, range.high + FARTHEST * size);
    for limit in panel.overlays.iter().flat_map(|overlay| &overlay.limits) {
        let ends = [limit.from.1, limit.to.1];
        if ends.iter().all(|end| *end > around.0 && *end < around.1) {
            range.add(ends[0]);
            range.add(ends[1]);
        }
    }
    range.padded()
}

struct Range {
    low: f64,
    high: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Range {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    fn padded(self) -> (f64, f64) {
        let Self { low, high } = self;
        if low > high {
            return (0.0, 1.0);
        }
        let pad = match 0.06 * (high - low) {
            pad if pad > 0.0 => pad,
            _ if high != 0.0 => high.abs() * 0.1,
            _ => 1.0,
        };
        let from_nothing = low >= 0.0 && low < 0.4 * high;
        (
            if from_nothing || low == 0.0 {
                0.0
            } else {
                low - pad
            },
            high + pad,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soak_api::Evidence;

    use super::super::evidence;
    use super::*;

    /// What the criteria of a soak add to its charts, by their names.
    fn overlay(evidence: &Evidence, criterion: &str, check: impl Fn(&Panel<'_>, &Overlay<'_>)) {
        let view = View::of(evidence).expect("a view");
        let panels = panels(&view);
        let found = panels.iter().find_map(|panel| {
            let mut overlays = panel.overlays.iter();
            Some((
                panel,
                overlays.find(|overlay| overlay.criterion == criterion)?,
            ))
        });
        let (panel, overlay) = found.expect("a panel");
        check(panel, overlay);
    }

    /// Four pods that measure 100 all the while, and a criterion that came to this.
    fn level(criterion: serde_json::Value, result: serde_json::Value) -> Evidence {
        let mut evidence = evidence::twin(false);
        let spec = &mut evidence.soak_test.spec;
        spec.criteria = vec![serde_json::from_value(criterion).expect("a criterion")];
        let status = evidence.soak_test.status.as_mut().expect("a status");
        status.criteria = vec![serde_json::from_value(result).expect("a result")];
        status.components[0].desired = 4;
        let line = |pod: u32| Line {
            component: "worker".to_owned(),
            name: format!("worker-{pod}"),
            incarnation: 1,
            seconds: (0..440).map(f64::from).collect(),
            values: vec![100.0; 440],
        };
        evidence.charts = vec![Chart {
            criteria: vec!["it".to_owned()],
            of: "Tasks".to_owned(),
            unit: "tasks".to_owned(),
            lines: (0..4).map(line).collect(),
            not_shown: 0,
        }];
        evidence
    }

    fn result(estimate: f64, low: f64, high: f64, limit: f64, unit: &str) -> serde_json::Value {
        json!({
            "name": "it", "kind": "growth", "outcome": "Failed", "sentence": "it grew.", "component": "worker",
            "estimate": estimate, "interval": {"low": low, "high": high}, "limit": limit, "unit": unit,
        })
    }

    fn growth() -> serde_json::Value {
        json!({"name": "it", "growth": {"signal": "Tasks", "maxPercent": 5, "maxAbsolute": 40}})
    }

    #[test]
    fn growth_in_percent_is_of_the_level_at_the_beginning() {
        let evidence = level(growth(), result(20.0, 10.0, 30.0, 5.0, "%"));
        overlay(&evidence, "it", |panel, overlay| {
            let fit = overlay.fit.as_ref().expect("a fit");
            assert_eq!(fit.label, "measured +20 %");
            assert_eq!(fit.from, (90.0, Band::at(100.0)));
            let end = Band {
                low: 110.0,
                estimate: 120.0,
                high: 130.0,
            };
            assert_eq!(fit.to, (390.0, end));
            let limit = &overlay.limits[0];
            assert_eq!(
                (limit.to, limit.label.as_str()),
                ((390.0, 105.0), "limit +5 %")
            );
            assert!(panel.y.0 < 100.0 && panel.y.1 > 130.0, "{:?}", panel.y);
        });
    }

    #[test]
    fn growth_of_a_component_is_shared_by_its_pods() {
        let evidence = level(growth(), result(80.0, 40.0, 120.0, 40.0, "tasks"));
        overlay(&evidence, "it", |_, overlay| {
            let end = Band {
                low: 110.0,
                estimate: 120.0,
                high: 130.0,
            };
            assert_eq!(overlay.fit.as_ref().expect("a fit").to.1, end);
            let limit = &overlay.limits[0];
            assert_eq!(limit.to, (390.0, 110.0));
            assert_eq!(limit.label, "limit +40 tasks, 10 tasks for each of 4");
        });
    }

    #[test]
    fn growth_of_one_pod_alone_is_not_drawn_as_that_of_all() {
        let mut alone = result(80.0, 40.0, 120.0, 40.0, "tasks");
        alone["sentence"] = "worker tasks of pod worker-2 alone grew by 80 tasks.".into();
        alone["worstPods"] = json!([{"name": "worker-2", "growth": 80}]);
        overlay(&level(growth(), alone), "it", |_, overlay| {
            assert_eq!(overlay.fit, None);
            let worst: Vec<&str> = overlay
                .worst
                .iter()
                .map(|line| line.name.as_str())
                .collect();
            assert_eq!(worst, ["worker-2"]);
        });
    }

    #[test]
    fn a_trend_is_drawn_over_its_part_of_the_window_at_its_pace() {
        let trend = json!({"name": "it", "trend": {"signal": "Tasks", "horizon": "10m", "maxPercent": 40, "window": "1m"}});
        let evidence = level(trend, result(20.0, 10.0, 30.0, 40.0, "%"));
        overlay(&evidence, "it", |_, overlay| {
            let fit = overlay.fit.as_ref().expect("a fit");
            assert_eq!((fit.from.0, fit.to.0), (330.0, 390.0));
            // A tenth of the horizon: a tenth of the growth.
            assert!((fit.to.1.estimate - 102.0).abs() < 1e-9, "{fit:?}");
            let limit = &overlay.limits[0];
            assert_eq!(
                (limit.from, limit.label.as_str()),
                ((330.0, 100.0), "limit +40 % in 10m")
            );
            assert!((limit.to.1 - 104.0).abs() < 1e-9, "{limit:?}");
        });
    }

    #[test]
    fn a_delta_lies_between_two_limits_at_the_end_of_settling() {
        let delta = json!({"name": "it", "delta": {"signal": "Tasks", "within": 8}});
        let evidence = level(delta, result(4.0, 0.0, 8.0, 8.0, "tasks"));
        overlay(&evidence, "it", |_, overlay| {
            let heights: Vec<f64> = overlay.limits.iter().map(|limit| limit.to.1).collect();
            assert_eq!(heights, [102.0, 98.0]);
            let fit = overlay.fit.as_ref().expect("a fit");
            assert_eq!(
                (fit.from.0, fit.to.0, fit.to.1.estimate),
                (412.5, 435.0, 101.0)
            );
        });
    }

    #[test]
    fn a_limit_far_away_does_not_flatten_the_lines() {
        let evidence = level(growth(), result(1.0, 0.0, 2.0, 4_000.0, "tasks"));
        overlay(&evidence, "it", |panel, overlay| {
            assert!(overlay.limits[0].to.1 > 1_000.0);
            assert!(panel.y.1 < 110.0, "{:?}", panel.y);
        });
    }
}
