//! A row for each criterion.

use anyhow::Context;
use csv::Writer;

use super::view::{View, outcome};

const HEADER: [&str; 13] = [
    "soak",
    "namespace",
    "criterion",
    "kind",
    "outcome",
    "component",
    "estimate",
    "interval_low",
    "interval_high",
    "limit",
    "unit",
    "samples",
    "sentence",
];

/// Numbers are in `unit` and written in full.
pub(crate) fn of(view: &View<'_>) -> anyhow::Result<String> {
    let mut rows = Writer::from_writer(Vec::new());
    rows.write_record(HEADER)?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for result in &view.status.criteria {
        rows.write_record([
            text(view.name()),
            text(view.namespace()),
            text(&result.name),
            text(&result.kind),
            outcome(result.outcome).to_owned(),
            text(result.component.as_deref().unwrap_or_default()),
            number(result.estimate),
            number(result.interval.map(|interval| interval.low)),
            number(result.interval.map(|interval| interval.high)),
            number(result.limit),
            text(&result.unit),
            result.samples.to_string(),
            text(&result.sentence),
        ])?;
    }
    let bytes = rows.into_inner().context("failed to write rows")?;
    String::from_utf8(bytes).context("failed to write rows")
}

/// A spreadsheet takes what begins like this for a formula of its own.
fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
