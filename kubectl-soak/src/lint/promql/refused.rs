//! What is wrong with a query that cannot be read.
//!
//! The parser is that of Prometheus 3.8 in Rust. What Prometheus takes and it does not is known: such queries are not called
//! wrong.

use std::sync::LazyLock;

use promql_parser::parser::{self, Expr};
use regex::Regex;

use super::fix::{AGGREGATIONS, FUNCTIONS, fix};
use super::place::{
    NO_SENSE, last_word, left_open, longest_that_can_go_on, one_line, only, place, shown,
};
use crate::lint::nearest::nearest;

/// Why a query has no meaning here.
#[derive(Debug, PartialEq)]
pub(super) enum Refused {
    /// Prometheus refuses it, too.
    Wrong(String),
    /// Prometheus may take it.
    Unknown(String),
}

/// A query's meaning.
pub(super) fn read(query: &str) -> Result<Expr, Refused> {
    if BOUNDLESS.is_match(query) {
        return Err(unknown(
            "a duration in scientific notation, or without bounds",
        ));
    }
    let problem = match parser::parse(query) {
        Ok(expression) => return Ok(expression),
        Err(problem) => problem,
    };
    if BEYOND.is_match(query) || problem.starts_with("illegal regex") {
        return Err(unknown(match &*problem {
            NO_SENSE => "it is newer, or an experiment",
            problem => problem,
        }));
    }
    match unknown_function(&problem) {
        None => Err(Refused::Wrong(wrong(query, &problem))),
        Some(name) => Err(match nearest(name, FUNCTIONS) {
            None => unknown(&format!(
                "there is no function {name} up to Prometheus 3.13"
            )),
            Some(meant) => {
                let fix = format!("there is no function {name}: did you mean {meant}?");
                Refused::Wrong(told(query, only(query, name), &fix))
            }
        }),
    }
}

fn unknown(what: &str) -> Refused {
    Refused::Unknown(one_line(&format!(
        "lint cannot read it, though a Prometheus may ({what}): try it there"
    )))
}

/// Durations that the parser would panic at, wherever a duration may stand.
static BOUNDLESS: LazyLock<Regex> = LazyLock::new(|| {
    let before = r"(\[\s*|:\s*|\boffset\b(\s|#[^\r\n]*[\r\n]|[-+])*)";
    let number = r"(inf|nan|[0-9.]+e[-+0-9]|[0-9.]{15,})";
    Regex::new(&format!("(?i){before}{number}")).expect("a regular expression")
});

/// What Prometheus 3.13 reads and the parser does not: operators that trim histograms, anchored and smoothed ranges,
/// durations that are worked out, selectors of info(), the label or, numbers with underscores, and backslashes between
/// backticks.
static BEYOND: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        "</|>/",
        r"\b(anchored|smoothed)\b",
        r"\b(step|range|min_of|max_of|info)\s*\(",
        r"\boffset\s*[-+]?\s*\(",
        r#"\[[^\]"']*[-+*/%^(]"#,
        r"[{,]\s*or\s",
        "[0-9]_[0-9]",
        r"`[^`]*\\",
    ];
    Regex::new(&format!("(?i){}", parts.join("|"))).expect("a regular expression")
});

fn unknown_function(problem: &str) -> Option<&str> {
    let name = problem.strip_prefix("unknown function with name '")?;
    name.strip_suffix('\'')
}

fn wrong(query: &str, problem: &str) -> String {
    if problem == NO_SENSE {
        return senseless(query);
    }
    let fix = fix(problem).map(|fix| format!(": {fix}"));
    let at = place(query, problem);
    let mut problem = problem.to_owned();
    if problem.starts_with("expected type") {
        // As Prometheus calls them.
        for (theirs, ours) in [("matrix", "range vector"), ("vector", "instant vector")] {
            for before in ["type ", "got "] {
                problem = problem.replace(&format!("{before}{theirs}"), &format!("{before}{ours}"));
            }
        }
    }
    told(query, at, &(problem + &fix.unwrap_or_default()))
}

fn told(query: &str, at: Option<usize>, problem: &str) -> String {
    let at = at.map(|at| format!(" {}", shown(query, at)));
    let at = at.unwrap_or_default();
    one_line(&format!("Prometheus cannot read it{at}: {problem}"))
}

fn senseless(query: &str) -> String {
    let (before, after) = query.split_at(longest_that_can_go_on(query));
    let after = after.trim_start();
    if after.is_empty() {
        let problem = "it breaks off at its end, where something has to follow";
        return told(query, None, problem);
    }
    let fix = missing(before, after).map(|fix| format!(": {fix}"));
    let fix = fix.unwrap_or_default();
    let at = Some(query.len() - after.len());
    told(query, at, &format!("this makes no sense here{fix}"))
}

/// What may be missing between two parts of a query.
fn missing(before: &str, after: &str) -> Option<String> {
    let word = last_word(before);
    let in_braces = left_open(before)
        .last()
        .is_some_and(|(opener, _)| *opener == '{');
    if matches!(word, "by" | "without" | "on" | "ignoring") {
        Some(format!("put the labels in parentheses, as in {word} (pod)"))
    } else if AGGREGATIONS.contains(&word) || FUNCTIONS.contains(&word) {
        Some(format!(
            "put what it is about in parentheses, as in {word}(...)"
        ))
    } else if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        let fix = if in_braces {
            "put a comma before it"
        } else {
            "put an operator before it, such as + or and"
        };
        Some(fix.to_owned())
    } else if after.starts_with('=') && !in_braces {
        Some("write == to compare".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is taken by Prometheus 3.13, some only with its experiments enabled.
    #[test]
    fn what_prometheus_takes_is_no_error() {
        for query in TAKEN.lines().filter(|line| !line.trim().is_empty()) {
            let read = read(query);
            assert!(read.is_ok(), "{query}: {read:?}");
        }
    }

    const TAKEN: &str = r#"
go_goroutines
go_goroutines{pod=~"a.*",job!="b",}
{"http.requests"}
{"http.requests", "k8s.pod"="a"}
{__name__=~"job:.*", env!~'x|y'}
job:requests:rate5m / 2
nan_total + inf_total + by + sum + offset{on="a"}
up{job=`a{b}`} # a comment
up offset -1h30m
up @ 1700000000.5 offset 5m
rate(up[5m] @ end())
up[5m:1m]
max_over_time(rate(http_requests_total[5m])[1h:1m] offset 1d)
max_over_time((up > 0)[1h:])
rate(up[300])
-up ^ 2 ^ 3 % 4 atan2 5
1e3 * 0x1F + .5 - Inf
SUM BY (pod) (up)
sum(up) without (instance,)
sum by ("k8s.pod.name") (up)
count_values("version", build_info)
topk(3, up) or bottomk(3, up) unless limitk(3, up)
quantile by (pod) (0.9, up)
up == bool 1 and up > 0
a * on (pod) group_left (node) b
a / ignoring (code) group_right () b
a + on () fill (0) b
time() - process_start_time_seconds
vector(1) or absent(up{job="a"})
histogram_quantile(0.9, sum by (le, pod) (rate(latency_bucket[5m])))
histogram_quantile(0.9, rate(latency[5m]))
histogram_fraction(0, 0.2, rate(latency[5m]))
histogram_avg(x) + histogram_count(x) + histogram_sum(x) + histogram_stddev(x) + histogram_stdvar(x)
label_replace(up, "pod", "$1", "instance", "(.*):.*")
label_join(up, "pod", "-", "a", "b")
clamp(up, 0, 1)
round(up, 0.5)
predict_linear(up[1h], 3600)
double_exponential_smoothing(up[5m], 0.5, 0.5)
quantile_over_time(0.9, up[5m]) + mad_over_time(up[5m]) + first_over_time(up[5m])
ts_of_max_over_time(up[5m])
sort_by_label(up, "pod")
days_in_month() + hour(up)
info(up)
"a text"
"#;

    #[test]
    fn what_only_prometheus_can_read_is_left_to_it() {
        for query in [
            "latency </ 0.5",
            "histogram_sum(latency >/ 0.5)",
            "increase(up[5m] anchored)",
            "up smoothed",
            "sum by (anchored) (up)",
            "rate(up[5m + 1m])",
            "rate(up[2 * step()])",
            "up offset (5m)",
            "up offset -max_of(step(), 5s)",
            "info(up, {data=~\".*\"})",
            "1_000 * up",
            "up{or = \"a\"}",
            "up{a=`b\\d`}",
            "up{a=~\"[[]\"}",
            "up{a=~\"\\\\Qa.b\\\\E\"}",
            "up[1e3]",
            // Prometheus refuses these, and the parser would panic.
            "up offset inf",
            "up offset # a\n +NaN",
            "up[1e300]",
            "up[5m:99999999999999999999]",
            // Somebody else's, or yet to come.
            "rollup(up[5m])",
        ] {
            let read = read(query);
            assert!(
                matches!(read, Err(Refused::Unknown(_))),
                "{query}: {read:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_its_fix() {
        for (query, problem) in [
            (
                "100 * (1 - avg by (pod) (rate(up{mode=\"(\"}[5m]))",
                " at column 7, `(1 - avg by (pod) (rate(...`: unclosed left parenthesis: close it with )",
            ),
            (
                "sum(up))",
                " at column 8, `)`: unexpected right parenthesis ')': take it out, or open it before",
            ),
            (
                "up{job=\"a\", pod=\"b\"",
                " at column 3, `{job=\"a\", pod=\"b\"`: unexpected end of input inside braces: close it with }",
            ),
            (
                "rate(up[5m)",
                " at column 11, `)`: unexpected character inside brackets: ')': close it with ]",
            ),
            (
                "up{job=\"ä\", pod=\"b}",
                " at column 17, `\"b}`: unterminated quoted string \": close the quotes",
            ),
            (
                "rate(up[5min])",
                " at column 9, `5min])`: bad number or duration syntax: 5mi: use ms, s, m, h, d, w, y: 5m, not 5min",
            ),
            (
                "up && on() up",
                " at column 4, `&& on() up`: unexpected character: '&': write and",
            ),
            (
                "up{pod=~$pod}",
                " at column 9, `$pod}`: unexpected character inside braces: '$': write what the variable stands for",
            ),
            (
                "up{pod=a}",
                ": unexpected identifier 'a' in label matching, expected string: put it in quotes, as in \"a\"",
            ),
            (
                "rates(up[5m])",
                " at column 1, `rates(up[5m])`: there is no function rates: did you mean rate?",
            ),
            (
                "1 + rate(up)",
                " at column 5, `rate(up)`: expected type range vector in call to function 'rate', got instant vector: \
                 give it a range, such as [5m]",
            ),
            (
                "rate(sum(up)[5m])",
                ": ranges only allowed for vector selectors: write [5m:] for a range of anything else",
            ),
            (
                "sum(up) by pod",
                " at column 12, `pod`: this makes no sense here: put the labels in parentheses, as in by (pod)",
            ),
            (
                "rate up[5m]",
                " at column 6, `up[5m]`: this makes no sense here: put what it is about in parentheses, as in rate(...)",
            ),
            (
                "up + go_goroutines go_threads",
                " at column 20, `go_threads`: this makes no sense here: put an operator before it, such as + or and",
            ),
            (
                "up{job=\"a\" pod=\"b\"}",
                " at column 12, `pod=\"b\"}`: this makes no sense here: put a comma before it",
            ),
            (
                "up = 1",
                " at column 4, `= 1`: this makes no sense here: write == to compare",
            ),
            (
                "sum by (pod) (\n  up,\n  rate(down)\n)",
                " at line 3, column 3, `rate(down) )`: expected type range vector in call to function 'rate', got \
                 instant vector: give it a range, such as [5m]",
            ),
            (
                "(up) + ",
                ": it breaks off at its end, where something has to follow",
            ),
        ] {
            let wanted = format!("Prometheus cannot read it{problem}");
            assert_eq!(read(query), Err(Refused::Wrong(wanted)), "{query}");
        }
    }

    #[test]
    fn a_query_that_is_cut_off_anywhere_is_told_in_one_line_or_read() {
        for query in TAKEN.lines() {
            let query = query.replacen(' ', "\n", 1);
            for (end, _) in query.char_indices() {
                let Err(Refused::Wrong(told) | Refused::Unknown(told)) = read(&query[..end]) else {
                    continue;
                };
                assert!(
                    told.contains("Prometheus") && !told.contains('\n'),
                    "{told}"
                );
            }
        }
    }
}
