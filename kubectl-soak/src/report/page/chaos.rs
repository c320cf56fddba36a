//! What was done to the workload, what it left behind, how long recovery took, and what was lost.

use maud::{Markup, html};
use soak_api::verdict::Interval;
use soak_api::{CriterionKind, CriterionResult, EventRecord};

use super::moment;
use crate::report::chart;
use crate::report::view::{Injections, View, interval, recovery, result, span, told};

pub(super) fn section(view: &View<'_>) -> Markup {
    let chaos = view.chaos();
    html! {
        @if view.spec.chaos.is_some() || !chaos.is_empty() {
            section {
                h2 { "Chaos" }
                @if chaos.is_empty() { p { "No event came due." } } @else {
                    (by_kind(&chaos))
                    (left_behind(view))
                    (recoveries(view))
                    (timeline(view))
                }
            }
        }
        (breaches(view))
        (ledger(view))
    }
}

fn by_kind(chaos: &[Injections<'_>]) -> Markup {
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), span);
    html! {
        div.wide { table {
            thead { tr {
                th { "Event" } th.n { "Injected" } th.n { "Median recovery" } th.n { "Slowest" } th { "Not injected, and why" }
            } }
            tbody {
                @for one in chaos {
                    tr {
                        td { (one.kind) " of " (one.component) }
                        td.n { (one.injected) " of " (one.events) }
                        td.n { (time(one.median())) }
                        td.n {
                            (time(one.slowest()))
                            @if one.never_recovered > 0 { br; b { (one.never_recovered) " never recovered" } }
                        }
                        td { @if one.others.is_empty() { "–" } @else { (one.others()) } }
                    }
                }
            }
        } }
    }
}

/// What each kind of event leaves in a pod that survives it, of each signal.
fn left_behind(view: &View<'_>) -> Markup {
    let of_criterion = |result: &CriterionResult| !result.per_event.is_empty();
    html! {
        @if view.status.criteria.iter().any(of_criterion) {
            h3 { "What each event leaves in every survivor" }
            div.wide { table {
                thead { tr { th { "Event" } th { "Criterion" } th.n { "Left behind" } th.n { "95 % interval" } } }
                tbody {
                    @for result in view.status.criteria.iter().filter(|result| of_criterion(result)) {
                        @let unit = view.unit_of_rows(result);
                        @for row in &result.per_event {
                            tr {
                                td { (row.name) }
                                td { (result.name) }
                                td.n { @if surely(row.interval) { b { (told(Some(row.growth), unit)) } } @else { (told(Some(row.growth), unit)) } }
                                td.n { (interval(row.interval, unit)) }
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn surely(interval: Option<Interval>) -> bool {
    interval.is_some_and(|interval| interval.low > 0.0)
}

fn recoveries(view: &View<'_>) -> Markup {
    // A criterion about it shows it, with its own limit.
    let shown = view
        .status
        .criteria
        .iter()
        .any(|result| result.kind == "recovery");
    let timeout = view
        .spec
        .chaos
        .as_ref()
        .map(|chaos| chaos.guard.recovery_timeout.duration().as_secs_f64());
    let chart = if shown {
        None
    } else {
        chart::recoveries(view, timeout)
    };
    html! { @if let Some(chart) = chart { (chart) } }
}

fn timeline(view: &View<'_>) -> Markup {
    let events = &view.evidence.events;
    html! {
        details {
            summary { "All " (events.len()) " events" }
            div.wide { table.timeline {
                thead { tr {
                    th.n { "#" } th.n { "At" } th { "Event" } th { "Pod" } th { "Result" } th.n { "Recovered in" }
                } }
                tbody { @for one in events { (event(view, one)) } }
            } }
            p.note {
                "Times count from the beginning of the judged window"
                @if let Some(began) = view.status.times.soaking { ", " (moment(began)) }
                "."
            }
        }
    }
}

fn event(view: &View<'_>, event: &EventRecord) -> Markup {
    let began = view.window().map_or(0.0, |(from, _)| from);
    let at = view
        .seconds(event.injected_at.unwrap_or(event.planned_at))
        .map(|at| at - began);
    html! {
        tr {
            td.n { (event.index) }
            td.n { @if let Some(at) = at { @if at < 0.0 { "−" } (span(at.abs())) } }
            td { (event.kind) " of " (event.component) }
            td { (event.pod) }
            td { (result(event.result)) @if !event.reason.is_empty() { " (" (event.reason) ")" } }
            td.n { (recovery(event).map_or_else(|| "–".to_owned(), span)) }
        }
    }
}

/// What happened that chaos did not do.
fn breaches(view: &View<'_>) -> Markup {
    let all = &view.status.breaches;
    html! {
        @if !all.is_empty() {
            section {
                h2 { "What chaos did not do" }
                div.wide { table {
                    thead { tr { th { "When" } th { "What" } th { "Component" } th { "Pod" } th { "Detail" } } }
                    tbody {
                        @for breach in all {
                            tr {
                                td { (moment(breach.at)) }
                                td { (breach.reason) }
                                td { (breach.component) }
                                td { (breach.pod) }
                                td { (breach.detail) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// What was counted: messages lost, and whatever else a criterion counts.
fn ledger(view: &View<'_>) -> Markup {
    let counted = view.status.criteria.iter().filter_map(|result| {
        let criterion = view
            .spec
            .criteria
            .iter()
            .find(|one| one.name == result.name)?;
        match criterion.kind() {
            Ok(CriterionKind::Increase(increase)) => Some((result, increase)),
            _ => None,
        }
    });
    let counted: Vec<_> = counted.collect();
    html! {
        @if !counted.is_empty() {
            section {
                h2 { "Ledger" }
                div.wide { table {
                    thead { tr { th { "Counter" } th.n { "Counted" } th.n { "Allowed" } th { "Known from" } } }
                    tbody {
                        @for (result, increase) in counted {
                            tr {
                                td { code { (increase.query) } }
                                td.n { (told(result.estimate, "")) }
                                td.n { (told(Some(increase.max), "")) }
                                td { @if increase.durable { "a total that outlives pods" } @else { "the pods' own counts" } }
                            }
                        }
                    }
                } }
                p.note { "Counted from the end of warm-up to the end of settling." }
            }
        }
    }
}
