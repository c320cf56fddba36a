//! The report for people: the verdict first, then each criterion with what it rests on, at most 100 columns wide.

use soak_verdict::{
    Amount, Footprint, FootprintRow, Interval, Judged, Judgement, Outcome, Report, SeriesGrowth,
};

const COLUMNS: usize = 100;

/// A longer name of a criterion has a line of its own, or the columns would not fit.
const LONGEST_NAME: usize = 20;

/// How far what belongs to a criterion is moved in below it.
const INDENT: usize = 6;

const HEADER: [&str; 6] = [
    "CRITERION",
    "COMPONENT",
    "ESTIMATE",
    "95 % INTERVAL",
    "LIMIT",
    "VERDICT",
];

/// The report as text.
pub(crate) fn of(report: &Report) -> String {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    rows.extend(report.criteria.iter().map(row));
    let mut lines = wrapped(&headline(report), 0);
    let mut rows = aligned(&rows, 2).into_iter();
    lines.push(String::new());
    lines.extend(rows.next());
    for (place, (judged, row)) in report.criteria.iter().zip(rows).enumerate() {
        if place > 0 {
            lines.push(String::new());
        }
        if is_long(&judged.name) {
            lines.push(format!("  {}", judged.name));
        }
        lines.push(row);
        lines.extend(details(&judged.judgement, judged.measured_in));
    }
    lines.extend(footprints(&report.footprints));
    lines.join("\n") + "\n"
}

/// What grew in tasks and in bytes: each component, and below it its parts.
fn footprints(footprints: &[Footprint]) -> Vec<String> {
    if footprints.is_empty() {
        return Vec::new();
    }
    let header = ["FOOTPRINT", "TASKS", "BYTES", "BYTES PER TASK"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for footprint in footprints {
        rows.extend(footprint_row(&footprint.total, ""));
        let parts = footprint.parts.iter();
        rows.extend(parts.flat_map(|part| footprint_row(part, "  ")));
    }
    let mut lines = vec![String::new()];
    lines.extend(aligned(&rows, 2));
    let mut parts = footprints.iter().flat_map(|footprint| &footprint.parts);
    if parts.any(|part| part.shared_out) {
        lines.push(String::new());
        let remark = "~ not measured: memory is not told apart by these parts, so that the component's bytes are \
                      shared out by tasks.";
        lines.extend(wrapped(remark, 2));
    }
    lines
}

/// A long name has a line of its own.
fn footprint_row(row: &FootprintRow, indent: &str) -> Vec<Vec<String>> {
    let about = if row.shared_out { "~" } else { "" };
    let told = |known: Option<Amount>, unit| {
        known.map_or_else(
            || "-".to_owned(),
            |known| format!("{about}{}", amount(known, unit)),
        )
    };
    let name = format!("{indent}{}", row.name);
    let cells = vec![
        amount(row.tasks, ""),
        told(row.bytes, "bytes"),
        told(row.bytes_per_task, "bytes"),
    ];
    if is_long(&name) {
        vec![vec![name], [vec![String::new()], cells].concat()]
    } else {
        vec![[vec![name], cells].concat()]
    }
}

/// An estimate with its interval behind it, both in the estimate's unit.
fn amount(amount: Amount, unit: &str) -> String {
    let (size, name) = match unit {
        "bytes" => scale(amount.estimate),
        _ => (1.0, ""),
    };
    let told = |value: f64| number(value / size);
    let estimate = format!("{} {name}", told(amount.estimate));
    let estimate = estimate.trim_end();
    match amount.interval {
        Some(Interval { low, high }) if low.to_bits() != high.to_bits() => {
            format!("{estimate} ({} to {})", told(low), told(high))
        }
        _ => estimate.to_owned(),
    }
}

fn headline(report: &Report) -> String {
    let outcome = report.outcome;
    let names: Vec<&str> = report
        .criteria
        .iter()
        .filter(|judged| judged.judgement.outcome == outcome)
        .map(|judged| judged.name.as_str())
        .collect();
    let is = if names.len() == 1 { "is" } else { "are" };
    let names = names.join(", ");
    match outcome {
        Outcome::Passed => format!("Passed: {names} {is} proven to hold."),
        Outcome::Failed => format!("Failed: {names} {is} proven not to hold."),
        Outcome::Inconclusive => {
            format!("Inconclusive, which is never a pass: {names} {is} proven neither way.")
        }
    }
}

fn row(judged: &Judged) -> Vec<String> {
    let judgement = &judged.judgement;
    let unit = judgement.unit;
    let nothing = || "-".to_owned();
    // Where nothing was measured there may be no limit either, which reads as 0.
    let limit = if judgement.estimate.is_some() || judgement.limit != 0.0 {
        measure(judgement.limit, unit)
    } else {
        nothing()
    };
    let name = if is_long(&judged.name) {
        String::new()
    } else {
        judged.name.clone()
    };
    vec![
        name,
        judgement
            .component
            .clone()
            .filter(|component| !component.is_empty())
            .unwrap_or_else(nothing),
        judgement
            .estimate
            .map_or_else(nothing, |estimate| measure(estimate, unit)),
        interval(judgement.interval, unit),
        limit,
        format!("{:?}", judgement.outcome),
    ]
}

fn is_long(name: &str) -> bool {
    name.chars().count() > LONGEST_NAME
}

fn details(judgement: &Judgement, unit: &str) -> Vec<String> {
    let mut lines = wrapped(&judgement.sentence, INDENT);
    if judgement.samples > 0 {
        let rests = [
            Some(format!(
                "Rests on {} samples of {} incarnation{}.",
                judgement.samples,
                judgement.incarnations,
                if judgement.incarnations == 1 { "" } else { "s" }
            )),
            judgement
                .course
                .map(|course| format!("Its course is {course}.")),
            judgement
                .reach
                .map(|reach| format!("At this pace {reach}.")),
        ];
        let rests: Vec<String> = rests.into_iter().flatten().collect();
        let rests = rests.join(" ");
        lines.extend(wrapped(&rests, INDENT));
    }
    lines.extend(growths("WORST PODS", &judgement.worst_pods, unit));
    lines.extend(growths("BY CONTRIBUTION", &judgement.contributions, unit));
    lines.extend(growths("LEFT IN SURVIVORS", &judgement.per_event, unit));
    if !judgement.excluded.is_empty() {
        lines.push(String::new());
        let left_out = format!("Left out: {}.", judgement.excluded.join("; "));
        lines.extend(wrapped(&left_out, INDENT));
    }
    lines
}

fn growths(title: &str, growths: &[SeriesGrowth], unit: &str) -> Vec<String> {
    if growths.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![vec![
        title.to_owned(),
        "GROWTH".to_owned(),
        "95 % INTERVAL".to_owned(),
    ]];
    rows.extend(growths.iter().map(|one| {
        vec![
            one.name.clone(),
            measure(one.growth, unit),
            interval(one.interval, unit),
        ]
    }));
    let mut lines = vec![String::new()];
    lines.extend(aligned(&rows, INDENT));
    lines
}

fn interval(interval: Option<Interval>, unit: &str) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |Interval { low, high }| {
            if low.to_bits() == high.to_bits() {
                "exact".to_owned()
            } else {
                format!("{} to {}", measure(low, unit), measure(high, unit))
            }
        },
    )
}

/// A value in a unit of a judgement.
pub(crate) fn measure(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => bytes(value),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

fn bytes(value: f64) -> String {
    let (size, name) = scale(value);
    format!("{} {name}", number(value / size))
}

/// The unit that a number of bytes is told in.
pub(crate) fn scale(value: f64) -> (f64, &'static str) {
    const UNITS: [(f64, &str); 3] = [
        (1_073_741_824.0, "GiB"),
        (1_048_576.0, "MiB"),
        (1_024.0, "KiB"),
    ];
    let unit = UNITS.iter().find(|(size, _)| value.abs() >= *size);
    unit.copied().unwrap_or((1.0, "B"))
}

/// Three digits that count, or all that lie before the point.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    // What is left of nothing when it has been worked out in floating point.
    if size < 1e-9 {
        return "0".to_owned();
    }
    if !(1e-6..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = match size {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        size if size >= 0.001 => 5,
        _ => 8,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    text
}

/// Rows with their cells below each other.
fn aligned(rows: &[Vec<String>], indent: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("{}{}", " ".repeat(indent), cells.join("  "))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// Words in lines of at most [`COLUMNS`]; a percent sign stays with its number.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let text = text.replace(" %", "\u{a0}%");
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut();
        let fits = line.as_ref().is_some_and(|line| {
            indent + line.chars().count() + 1 + word.chars().count() <= COLUMNS
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let indent = " ".repeat(indent);
    lines
        .into_iter()
        .map(|line| format!("{indent}{}", line.replace('\u{a0}', " ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        let written: Vec<String> = [0.0, 1367.2, 38.123, 2.0, 0.05, 0.00012, -0.4, 1e-7, -1e-12]
            .map(number)
            .to_vec();
        assert_eq!(
            written,
            [
                "0", "1367", "38.1", "2", "0.05", "0.00012", "-0.4", "1.00e-7", "0"
            ]
        );
        assert_eq!(bytes(40.0 * 1_048_576.0), "40 MiB");
        assert_eq!(bytes(-2_048.0), "-2 KiB");
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let lines = wrapped(&"words and ".repeat(40), INDENT);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines.len() > 3);
    }
}
