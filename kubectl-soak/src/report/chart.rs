//! A chart as SVG that stretches to the width there is, with its words beside it in HTML, so that they keep their size on a
//! phone. Nothing in it has a colour of its own: the page's style sheet gives one to each layer, by day and by night.

mod axes;
mod drawing;

use maud::{Markup, PreEscaped, html};
use soak_api::EventResult;

use self::axes::{Axes, Tag};
use self::drawing::{Drawing, HEIGHT, Layer, WIDTH};
use super::scene::{Overlay, Panel};
use super::view::{View, recovery, span};

/// With more events than this a line through the chart for each would hide it.
const MOST_MARKS: usize = 60;

/// The lines of a panel, drawn once and shown in each of its charts.
pub(crate) fn lines(panel: &Panel<'_>, id: &str) -> Markup {
    let mut drawing = Drawing::new(panel.x, panel.y);
    for line in &panel.lines {
        let points = line
            .seconds
            .iter()
            .copied()
            .zip(line.values.iter().copied());
        drawing.add(Layer::Incarnation, points.collect());
    }
    let density = match panel.lines.len() {
        0..30 => "few",
        30..300 => "many",
        _ => "crowd",
    };
    html! {
        svg.store viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) aria-hidden="true" {
            g id=(id) class=(density) { (PreEscaped(drawing.drawn())) }
        }
    }
}

/// A panel's lines, with what one criterion adds to them.
pub(crate) fn panel(
    view: &View<'_>,
    panel: &Panel<'_>,
    overlay: Option<&Overlay<'_>>,
    id: &str,
) -> Markup {
    let nothing = Overlay::default();
    let overlay = overlay.unwrap_or(&nothing);
    let axes = Axes::of(view, panel.x, panel.y, &panel.chart.unit);
    let mut behind = axes.drawing(view);
    marks(view, &mut behind, panel.x);
    let mut before = Drawing::new(panel.x, panel.y);
    for line in &overlay.worst {
        let points = line
            .seconds
            .iter()
            .copied()
            .zip(line.values.iter().copied());
        before.add(Layer::Worst, points.collect());
    }
    let mut tags = Vec::new();
    for limit in &overlay.limits {
        let height = limit.to.1;
        if height <= panel.y.1 && height >= panel.y.0 {
            before.add(Layer::Limit, vec![limit.from, limit.to]);
            tags.push(Tag::new("limit", &limit.label, limit.to));
        } else {
            let above = height > panel.y.1;
            let edge = if above { panel.y.1 } else { panel.y.0 };
            let label = format!("{} {}", limit.label, if above { "↑" } else { "↓" });
            tags.push(Tag::new("limit", &label, (limit.to.0, edge)));
        }
    }
    if let Some(fit) = &overlay.fit {
        let ((from, start), (to, end)) = (fit.from, fit.to);
        before.add(
            Layer::Band,
            vec![
                (from, start.low),
                (to, end.low),
                (to, end.high),
                (from, start.high),
            ],
        );
        before.add(Layer::Fit, vec![(from, start.estimate), (to, end.estimate)]);
        tags.push(Tag::new("fit", &fit.label, (to, end.estimate)));
    }
    let title = format!("{} over time, and what was fitted to it", panel.chart.of);
    let shown = html! {
        (PreEscaped(behind.drawn()))
        use href=(format!("#{id}")) {}
        (PreEscaped(before.drawn()))
    };
    axes.around(&title, &shown, &tags)
}

/// How long each recovery took, against a limit.
pub(crate) fn recoveries(view: &View<'_>, limit: Option<f64>) -> Option<Markup> {
    let took = view
        .evidence
        .events
        .iter()
        .filter_map(|event| Some((view.seconds(event.injected_at?)?, recovery(event)?)));
    let took: Vec<(f64, f64)> = took.collect();
    let slowest = took.iter().map(|(_, took)| *took).fold(0.0, f64::max);
    let (_, end) = view.window().filter(|_| !took.is_empty())?;
    let shown = limit.filter(|limit| *limit <= 4.0 * slowest);
    let high = 1.15 * shown.unwrap_or(0.0).max(slowest);
    let last = took.iter().map(|(at, _)| *at).fold(end, f64::max);
    let axes = Axes::of(
        view,
        (0.0, last),
        (0.0, if high > 0.0 { high } else { 1.0 }),
        "s",
    );
    let mut drawing = axes.drawing(view);
    for point in took {
        drawing.add(Layer::Dot, vec![point]);
    }
    let mut tags = Vec::new();
    if let Some(limit) = limit {
        let label = format!("limit {}", span(limit));
        if shown.is_some() {
            drawing.add(Layer::Limit, vec![(0.0, limit), (last, limit)]);
            tags.push(Tag::new("limit", &label, (last, limit)));
        } else {
            tags.push(Tag::new("limit", &format!("{label} ↑"), (last, high)));
        }
    }
    let never = view
        .evidence
        .events
        .iter()
        .filter(|event| event.result == EventResult::Injected && event.recovered_at.is_none());
    let never: Vec<f64> = never
        .filter_map(|event| view.seconds(event.injected_at?))
        .collect();
    for at in &never {
        drawing.upright(Layer::Mark, *at, 1.0);
    }
    let title = "how long each recovery took, by when it began";
    Some(html! {
        figure.low {
            figcaption {
                "Each dot is a chaos event: when it was injected, and how long until all pods were ready again"
                @if !never.is_empty() { "; a dotted line is one after which they were not seen ready again" }
                "."
            }
            (axes.around(title, &html! { (PreEscaped(drawing.drawn())) }, &tags))
        }
    })
}

/// Where chaos struck: lines through the chart, or a fringe below it where they are too many.
fn marks(view: &View<'_>, drawing: &mut Drawing, (from, to): (f64, f64)) {
    let struck = view
        .evidence
        .events
        .iter()
        .filter_map(|event| view.seconds(event.injected_at?));
    let struck: Vec<f64> = struck.filter(|at| *at >= from && *at <= to).collect();
    let (layer, share) = if struck.len() <= MOST_MARKS {
        (Layer::Mark, 1.0)
    } else {
        (Layer::Fringe, 0.04)
    };
    for at in struck {
        drawing.upright(layer, at, share);
    }
}
