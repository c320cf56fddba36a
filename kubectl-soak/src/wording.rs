//! Numbers, intervals and instants as people read them, and text in lines and columns.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_verdict::Interval;
use soak_verdict::wording::seconds;

/// How wide text is that is not fitted to a terminal.
pub(crate) const COLUMNS: usize = 100;

/// What stands where nothing is known.
pub(crate) const NOTHING: &str = "-";

pub(crate) fn interval(interval: Option<Interval>, unit: &str) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |Interval { low, high }| {
            if is_0(high - low) {
                "exact".to_owned()
            } else {
                format!("{} to {}", measure(low, unit), measure(high, unit))
            }
        },
    )
}

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

/// Whether it is told as 0: what is left of nothing when it has been worked out in floating point.
pub(crate) fn is_0(value: f64) -> bool {
    value.abs() < 1e-9
}

/// Three digits that count, or all that lie before the point.
pub(crate) fn number(value: f64) -> String {
    if is_0(value) {
        return "0".to_owned();
    }
    let size = value.abs();
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
pub(crate) fn aligned(rows: &[Vec<String>], indent: usize) -> Vec<String> {
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

/// Words in lines of at most so many columns, moved in; a percent sign stays with its number.
pub(crate) fn wrapped(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let text = text.replace(" %", "\u{a0}%");
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut();
        let fits = line.as_ref().is_some_and(|line| {
            indent + line.chars().count() + 1 + word.chars().count() <= columns
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

/// A length of time, below 100 seconds with a tenth of one where that says more.
pub(crate) fn length(length: SignedDuration) -> String {
    let value = length.as_secs_f64().max(0.0);
    if value < 99.95 && length.subsec_nanos() != 0 {
        format!("{value:.1}s")
    } else {
        seconds(value)
    }
}

/// The time from one instant to another in words; none where the other comes first.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    seconds(to.duration_since(from).as_secs_f64().max(0.0).floor())
}

/// Such as `2026-07-01 06:00:00Z`.
pub(crate) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Such as `06:00:00`.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// How far into something an instant lies, such as `1:02:03.250`.
pub(crate) fn offset(at: Duration) -> String {
    let whole = at.as_secs();
    format!(
        "{}:{:02}:{:02}.{:03}",
        whole / 3_600,
        whole / 60 % 60,
        whole % 60,
        at.subsec_millis()
    )
}

/// Such as `1st` or `22nd`.
pub(crate) fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
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
        let lines = wrapped(&"words and ".repeat(40), 6, COLUMNS);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(lines.len() > 3);
    }

    #[test]
    fn lengths_and_offsets_are_told_as_finely_as_they_are_of_use() {
        let told = |milliseconds| length(SignedDuration::from_millis(milliseconds));
        assert_eq!(
            [told(6_840), told(45_000), told(-1), told(3_723_400)],
            ["6.8s", "45s", "0.0s", "1h 2m"]
        );
        assert_eq!(offset(Duration::from_millis(3_723_004)), "1:02:03.004");
    }

    #[test]
    fn ordinals_end_as_they_are_spoken() {
        let all = [1, 2, 3, 4, 11, 12, 13, 21, 102, 113].map(ordinal);
        assert_eq!(
            all,
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "113th"
            ]
        );
    }
}
