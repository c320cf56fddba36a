//! The criteria: all of them in one table, then each with its chart and what it rests on.

use maud::{Markup, html};
use soak_api::CriterionResult;
use soak_api::verdict::wording::count;
use soak_api::verdict::{Interval, Outcome};

use super::{class, growths};
use crate::report::chart;
use crate::report::scene::{Overlay, Panel};
use crate::report::view::{View, interval, outcome, told};

/// Each criterion on a line, with its interval drawn against its limit.
pub(super) fn overview(view: &View<'_>) -> Markup {
    html! {
        section {
            h2 { "Criteria" }
            @if view.status.criteria.is_empty() { p { "Nothing was judged." } }
            @else {
                div.wide { table.overview {
                    thead { tr {
                        th { "Criterion" } th { "Outcome" } th { "Component" } th.n { "Measured" } th.n { "95 % interval" }
                        th.n { "Limit" } th.ranges aria-hidden="true" {}
                    } }
                    tbody {
                        @for (place, result) in view.status.criteria.iter().enumerate() {
                            tr {
                                td { a href=(format!("#criterion-{place}")) { (result.name) } }
                                td { (badge(result.outcome)) }
                                td { (result.component.as_deref().unwrap_or("–")) }
                                td.n { (told(result.estimate, &result.unit)) }
                                td.n { (interval(result.interval, &result.unit)) }
                                td.n { (told(result.limit, &result.unit)) }
                                td.ranges aria-hidden="true" { (range(result)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// Those that did not pass, each in full; those that did folded, unless all of them did.
pub(super) fn all(view: &View<'_>, panels: &[Panel<'_>]) -> Markup {
    let numbered = || view.status.criteria.iter().enumerate();
    let passed = |(_, result): &(usize, &CriterionResult)| result.outcome == Outcome::Passed;
    let all_passed = numbered().all(|one| passed(&one));
    let others = panels
        .iter()
        .enumerate()
        .filter(|(_, panel)| panel.overlays.is_empty() && panel.has_something());
    let others: Vec<(usize, &Panel<'_>)> = others.collect();
    html! {
        section {
            h2 { @if all_passed { "What was measured" } @else { "Why" } }
            @for (place, result) in numbered().filter(|one| all_passed || !passed(one)) {
                (one(view, panels, place, result, true))
            }
            @if !all_passed {
                @for (place, result) in numbered().filter(passed) { (one(view, panels, place, result, false)) }
            }
            @if !others.is_empty() {
                details {
                    summary { "The components that decided nothing" }
                    @for (place, panel) in others {
                        h3 { (panel.chart.of) " of " (panel.component.unwrap_or_default()) }
                        (chart::panel(view, panel, None, &format!("lines-{place}")))
                    }
                }
            }
        }
    }
}

fn one(
    view: &View<'_>,
    panels: &[Panel<'_>],
    place: usize,
    result: &CriterionResult,
    open: bool,
) -> Markup {
    html! {
        details.criterion.(class(outcome(result.outcome))) id=(format!("criterion-{place}")) open[open] {
            summary { h3 { (result.name) } " " (badge(result.outcome)) }
            p { (result.sentence) }
            (figure(view, panels, result))
            (rests(result))
            @let unit = view.unit_of_rows(result);
            (growths("Left in each survivor by one", &result.per_event, unit))
            (growths("By part, in the whole component", &result.contributions, unit))
            (growths("Pods that grew most", &result.worst_pods, unit))
        }
    }
}

fn figure(view: &View<'_>, panels: &[Panel<'_>], result: &CriterionResult) -> Markup {
    if result.kind == "recovery" {
        return html! {
            @if let Some(chart) = chart::recoveries(view, result.limit) { (chart) }
        };
    }
    let found = panels.iter().enumerate().find_map(|(place, panel)| {
        let overlay = panel
            .overlays
            .iter()
            .find(|overlay| overlay.criterion == result.name)?;
        Some((place, panel, overlay))
    });
    let still = found.filter(|(_, panel, _)| panel.is_still());
    if let Some((_, panel, _)) = still {
        let series = panel.lines.len();
        return html! { p.note { "None of its " (series) " series ever left 0: there is nothing to draw." } };
    }
    html! {
        @if let Some((place, panel, overlay)) = found.filter(|(_, panel, _)| panel.has_something()) {
            figure {
                figcaption { (caption(panel, overlay)) }
                (chart::panel(view, panel, Some(overlay), &format!("lines-{place}")))
                (key(view, overlay))
            }
        } @else if view.chart(&result.name).is_some() {
            p.note { "Prometheus had no samples of it: there is nothing to draw." }
        }
    }
}

fn caption(panel: &Panel<'_>, overlay: &Overlay<'_>) -> Markup {
    let component = panel.component.filter(|name| !name.is_empty());
    html! {
        (panel.chart.of)
        @if let Some(component) = component { " of each " (component) }
        ", a line for each of " (panel.lines.len()) " incarnations"
        @if let Some(fit) = &overlay.fit { "; " (fit.what) }
        "."
    }
}

fn key(view: &View<'_>, overlay: &Overlay<'_>) -> Markup {
    let struck = view
        .evidence
        .events
        .iter()
        .any(|event| event.injected_at.is_some());
    html! {
        ul.key {
            li { i.k-line {} "incarnation" }
            @if !overlay.worst.is_empty() { li { i.k-worst {} "the one that grew most" } }
            @if overlay.fit.is_some() { li { i.k-fit {} "measured, 95 % interval" } }
            @if !overlay.limits.is_empty() { li { i.k-limit {} "limit" } }
            @if struck { li { i.k-mark {} "chaos event" } }
            li { i.k-aside {} "not judged" }
        }
    }
}

fn rests(result: &CriterionResult) -> Markup {
    html! {
        dl.facts {
            @if result.estimate.is_some() {
                div { dt { "Measured" } dd { (told(result.estimate, &result.unit)) } }
                div { dt { "95 % interval" } dd { (interval(result.interval, &result.unit)) } }
            }
            @if result.limit.is_some() { div { dt { "Limit" } dd { (told(result.limit, &result.unit)) } } }
            @if result.samples > 0 {
                div {
                    dt { "Rests on" }
                    dd {
                        (count(result.samples, "sample"))
                        @if result.incarnations > 0 { " of " (count(result.incarnations, "incarnation")) }
                    }
                }
            }
            @if let Some(course) = result.course { div { dt { "Course" } dd { (course) } } }
        }
        @if let Some(reach) = result.reach { p.note { "At this pace " (reach) "." } }
    }
}

fn badge(of: Outcome) -> Markup {
    let word = outcome(of);
    html! { span.badge.(class(word)) { (word) } }
}

/// The interval as a bar, the estimate as a line in it, the limit beside it.
fn range(result: &CriterionResult) -> Markup {
    let (Some(Interval { low, high }), Some(estimate), Some(limit)) =
        (result.interval, result.estimate, result.limit)
    else {
        return html! {};
    };
    let from = low.min(0.0);
    let size = 1.04 * (high.max(limit) - from);
    if !size.is_finite() || size <= 0.0 {
        return html! {};
    }
    let share = |value: f64| 100.0 * (value - from) / size;
    html! {
        span.range.(class(outcome(result.outcome))) {
            span.interval style=(format!("left:{:.1}%;width:{:.1}%", share(low), share(high) - share(low))) {}
            span.estimate style=(format!("left:{:.1}%", share(estimate))) {}
            span.limit style=(format!("left:{:.1}%", share(limit))) {}
        }
    }
}
