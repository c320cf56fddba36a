//! Numbers as a person reads them.

use std::fmt::Display;

use crate::criterion::{Measured, Signal};
use crate::selector::Selector;

/// A query longer than this is cut short in a sentence, in characters.
const LONGEST_QUERY: usize = 60;

/// `tasks`, `memory`, the name of a query's metric, or the query.
pub(crate) fn subject(of: &Measured) -> String {
    match of {
        Measured::Signal(Signal::Tasks) => "tasks".to_owned(),
        Measured::Signal(Signal::Memory) => "memory".to_owned(),
        Measured::Query(query) => match Selector::of(query).and_then(|selector| selector.name()) {
            Some(name) => name.to_owned(),
            None => quoted(query),
        },
    }
}

/// A query as a sentence holds it, on one line.
fn quoted(query: &str) -> String {
    let words: Vec<&str> = query.split_whitespace().collect();
    let query = words.join(" ");
    match query.char_indices().nth(LONGEST_QUERY) {
        Some((end, _)) => format!("`{}…`", &query[..end]),
        None => format!("`{query}`"),
    }
}

/// Such as `a limit in tasks`.
pub(crate) fn limit_in(unit: &str) -> String {
    match unit {
        "" => "a limit in its own unit".to_owned(),
        unit => format!("a limit in {unit}"),
    }
}

/// A value in one of the units of [`Judgement`](crate::Judgement).
pub(crate) fn value(value: f64, unit: &str) -> String {
    match unit {
        "%" => percent(value),
        "bytes" => bytes(value),
        "" => number(value),
        _ => format!("{} {unit}", number(value)),
    }
}

/// Such as `88 %` or `1.3 %`.
pub(crate) fn percent(value: f64) -> String {
    format!("{} %", number(value))
}

/// Such as `512 bytes`, `1.5 KiB` or `40 MiB`.
pub(crate) fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = value;
    let mut index = 0;
    while scaled.abs() >= 1024.0 && index + 1 < UNITS.len() {
        scaled /= 1024.0;
        index += 1;
    }
    format!("{} {}", number(scaled), UNITS[index])
}

/// Two or three digits: enough to compare, few enough to read.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let digits = if size >= 1e15 {
        return format!("{value:.2e}");
    } else if size >= 100.0 || value.fract() == 0.0 {
        0
    } else if size >= 10.0 {
        usize::from(size < 20.0)
    } else if size >= 0.095 {
        1
    } else if size >= 0.0005 {
        4
    } else {
        0
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// A length of time in seconds, such as `45s`, `5m`, `1h 30m` or `2d 4h`: two parts at most.
pub fn seconds(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s")];
    let whole = value.round();
    for (index, (size, name)) in UNITS.iter().enumerate() {
        if whole >= *size {
            let major = (whole / size).floor();
            let rest = whole - major * size;
            let minor = UNITS
                .get(index + 1)
                .map(|(smaller, name)| ((rest / smaller).floor(), name))
                .filter(|(minor, _)| *minor > 0.0);
            return match minor {
                Some((minor, smaller)) => format!("{major}{name} {minor}{smaller}"),
                None => format!("{major}{name}"),
            };
        }
    }
    format!("{}s", number(value))
}

/// Such as `1 pod` or `3 pods`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    if count == N::from(1) {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_minus_nothing() {
        let written: Vec<String> = [88.4, 12.34, 3.16159, 0.0123, -0.2, -1e-9, 18.0, 1367.2]
            .map(number)
            .to_vec();
        assert_eq!(
            written,
            ["88", "12.3", "3.2", "0.0123", "-0.2", "0", "18", "1367"]
        );
    }

    #[test]
    fn a_query_is_named_by_its_metric_or_by_itself_cut_short() {
        let named = |query: &str| subject(&Measured::Query(query.to_owned()));
        assert_eq!(named("go_goroutines{job=\"a\"}"), "go_goroutines");
        assert_eq!(
            named("sum by (pod) (\n  go_threads\n)"),
            "`sum by (pod) ( go_threads )`"
        );
        let long = named(&format!("abs({})", "ä".repeat(100)));
        assert_eq!(long, format!("`abs({}…`", "ä".repeat(56)));
    }

    #[test]
    fn bytes_have_their_unit() {
        assert_eq!(bytes(41_943_040.0), "40 MiB");
        assert_eq!(bytes(-1536.0), "-1.5 KiB");
        assert_eq!(bytes(12.0), "12 bytes");
    }

    #[test]
    fn lengths_of_time_have_two_parts_at_most() {
        let written: Vec<String> = [0.5, 45.0, 300.0, 5_400.0, 90_061.0].map(seconds).to_vec();
        assert_eq!(written, ["1s", "45s", "5m", "1h 30m", "1d 1h"]);
    }
}
