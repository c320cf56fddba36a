//! The report as one page that needs nothing else: the verdict, then why, then all that it rests on. Whatever comes from
//! users is escaped by the template, and the page forbids itself scripts and requests.

mod chaos;
mod criteria;
mod reproduce;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use soak_api::GrowthRow;
use soak_api::verdict::{Amount, FootprintRow, Outcome};

use super::chart;
use super::scene::panels;
use super::view::{View, interval, sentence, span, telling, telling_parts, told};

const STYLE: &str = include_str!("page/style.css");

/// No script, and nothing from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page.
pub(crate) fn of(view: &View<'_>) -> anyhow::Result<String> {
    let panels = panels(view);
    let spec = reproduce::yaml(view)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (view.name()) ": " (view.outcome()) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                @for (place, panel) in panels.iter().enumerate() {
                    @if panel.has_something() { (chart::lines(panel, &format!("lines-{place}"))) }
                }
                header.(class(view.outcome())) {
                    p.soak { "Soak " b { (view.name()) } }
                    h1 { (view.outcome()) }
                    p.verdict { (view.reason()) }
                    (facts(view))
                }
                main {
                    (criteria::overview(view))
                    (criteria::all(view, &panels))
                    (footprints(view))
                    (chaos::section(view))
                    (not_measured(view))
                    (reproduce::section(view, &spec))
                }
                footer {
                    p {
                        "Made by kubectl soak " (env!("CARGO_PKG_VERSION")) " from the evidence that soak-operator "
                        (view.evidence.operator) " kept. Passed means that the whole 95 % interval lies at or under the limit."
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

/// What was soaked, when and how.
fn facts(view: &View<'_>) -> Markup {
    let components = view
        .status
        .components
        .iter()
        .map(|one| format!("{} {}", one.desired, one.name));
    let components: Vec<String> = components.collect();
    let times = &view.status.times;
    let (planned, injected) = (view.status.chaos.planned, view.status.chaos.injected);
    html! {
        dl.facts {
            @if !view.namespace().is_empty() { div { dt { "Namespace" } dd { (view.namespace()) } } }
            @if let (Some(from), Some((start, end))) = (times.soaking, view.window()) {
                div { dt { "Judged" } dd { (span(end - start)) " from " (moment(from)) } }
            }
            @if !components.is_empty() { div { dt { "Pods" } dd { (components.join(", ")) } } }
            @if view.spec.chaos.is_some() { div { dt { "Chaos" } dd { (injected) " of " (planned) " events" } } }
            @if let Some(seed) = view.seed() { div { dt { "Seed" } dd { (seed) } } }
        }
    }
}

/// What grew in tasks and in bytes, by component and part.
fn footprints(view: &View<'_>) -> Markup {
    let all = &view.status.footprints;
    let shared = all
        .iter()
        .flat_map(|one| &one.parts)
        .any(|part| part.shared_out);
    html! {
        @if !all.is_empty() {
            section {
                h2 { "What grew, in tasks and in bytes" }
                div.wide { table {
                    thead { tr { th { "Component" } th.n { "Tasks" } th.n { "Bytes" } th.n { "Bytes per task" } } }
                    tbody {
                        @for footprint in all {
                            (footprint_row(&footprint.total, ""))
                            @for part in telling_parts(&footprint.parts) { (footprint_row(&part, "part")) }
                        }
                    }
                } }
                @if shared {
                    p.note { "~ not measured: memory is not told apart by these parts, so that the component's bytes are shared out by tasks." }
                }
            }
        }
    }
}

fn footprint_row(row: &FootprintRow, class: &str) -> Markup {
    let cell = |amount: Option<Amount>, unit: &str, about: &str| {
        html! {
            td.n {
                @match amount {
                    Some(amount) => {
                        (about) (told(Some(amount.estimate), unit))
                        @if amount.interval.is_some() { br; small { (interval(amount.interval, unit)) } }
                    }
                    None => "–",
                }
            }
        }
    };
    let about = if row.shared_out { "~" } else { "" };
    html! {
        tr class=(class) {
            td { (row.name) }
            (cell(Some(row.tasks), "", ""))
            (cell(row.bytes, "bytes", about))
            (cell(row.bytes_per_task, "bytes", about))
        }
    }
}

/// What nothing can be said of, and what was left out.
fn not_measured(view: &View<'_>) -> Markup {
    let mut gaps: Vec<(&str, String)> = Vec::new();
    for result in &view.status.criteria {
        let mut told = Vec::new();
        if result.outcome == Outcome::Inconclusive {
            told.push(sentence(&result.sentence));
        }
        if !result.excluded.is_empty() {
            told.push(format!("left out: {}.", result.excluded.join("; ")));
        }
        if !told.is_empty() {
            gaps.push((&result.name, told.join(" ")));
        }
    }
    for chart in &view.evidence.charts {
        if chart.not_shown > 0 {
            gaps.push((
                &chart.of,
                format!(
                    "{} of the shortest incarnations were judged but are not drawn.",
                    chart.not_shown
                ),
            ));
        }
    }
    for one in view.chaos().iter().filter(|one| !one.others.is_empty()) {
        gaps.push((one.kind, format!("not injected: {}.", one.others())));
    }
    let absent = view.status.presence.absent_milliseconds as f64 / 1_000.0;
    if absent > 0.0 {
        gaps.push((
            "operator",
            format!("nobody was there for {} of the soak.", span(absent)),
        ));
    }
    html! {
        @if !gaps.is_empty() {
            section {
                h2 { "What was not measured" }
                ul {
                    @for (about, gap) in gaps { li { b { (about) } ": " (gap) } }
                }
            }
        }
    }
}

/// Growth by part, pod or event.
fn growths(title: &str, rows: &[GrowthRow], unit: &str) -> Markup {
    let rows = telling(rows);
    let most = rows.iter().map(|row| row.growth.abs()).fold(0.0, f64::max);
    html! {
        @if !rows.is_empty() {
            div.wide { table.growths {
                thead { tr { th { (title) } th.n { "Growth" } th.n { "95 % interval" } th.bars aria-hidden="true" {} } }
                tbody {
                    @for row in &rows {
                        tr {
                            td { (row.name) }
                            td.n { (told(Some(row.growth), unit)) }
                            td.n { (interval(row.interval, unit)) }
                            td.bars aria-hidden="true" {
                                @if rows.len() > 1 && row.growth > 0.0 { span style=(format!("width:{:.0}%", 100.0 * row.growth / most)) {} }
                            }
                        }
                    }
                }
            } }
        }
    }
}

/// How the style sheet knows an outcome.
fn class(outcome: &str) -> &'static str {
    match outcome {
        "Passed" => "passed",
        "Failed" | "Error" => "failed",
        _ => "unclear",
    }
}

/// Such as `2026-03-02 10:01:30 UTC`.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
