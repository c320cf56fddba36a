//! What to do about a query that cannot be read.

/// What to do about an error of the parser, where that is known.
pub(super) fn fix(problem: &str) -> Option<String> {
    if let Some(written) = problem
        .strip_prefix("unexpected identifier '")
        .and_then(|rest| rest.strip_suffix("' in label matching, expected string"))
    {
        return Some(format!("put it in quotes, as in \"{written}\""));
    }
    let (_, fix) = FIXES.iter().find(|(part, _)| problem.contains(part))?;
    Some((*fix).to_owned())
}

/// The first whose part is in the error is told.
#[rustfmt::skip]
const FIXES: [(&str, &str); 28] = [
    ("unclosed left parenthesis", "close it with )"),
    ("end of input inside braces", "close it with }"),
    ("end of input inside brackets", "close it with ]"),
    ("inside brackets: ')'", "close it with ]"),
    ("unterminated quoted string", "close the quotes"),
    ("unexpected right", "take it out, or open it before"),
    ("'$'", "write what the variable stands for"),
    ("brace '{' inside braces", "write what the variable stands for"),
    ("inside brackets: '{'", "write what the variable stands for"),
    ("'=': '~'", "put it in braces, as in up{pod=~\"a.*\"}"),
    ("character: '&'", "write and"),
    ("character: '|'", "write or"),
    ("'\u{201c}'", "write plain quotes"),
    ("'\u{201d}'", "write plain quotes"),
    ("'=' in label matching", "write a single ="),
    ("matching operator after", "give it a value, as in up{pod=\"a\"}"),
    ("expected type matrix", "give it a range, such as [5m]"),
    ("got matrix", "take the range out, or put a function around it, such as rate(...)"),
    ("duration syntax", "use ms, s, m, h, d, w, y: 5m, not 5min"),
    ("duration string", "use whole numbers of ms, s, m, h, d, w, y: 90m, not 1.5h"),
    ("missing unit", "write a range, such as [5m]"),
    ("must use BOOL", "write bool after the comparison, as in 1 > bool 2"),
    ("set operator", "ask for series on both sides"),
    ("ranges only allowed", "write [5m:] for a range of anything else"),
    ("before range", "write the range first, as in up[5m] offset 1m"),
    ("must be preceded by", "write it right behind the selector, as in rate(up[5m] offset 1h)"),
    ("provided, expected 2", "put the number or the name first, as in topk(3, up)"),
    ("non-empty matcher", "name a metric"),
];

/// The aggregations of Prometheus 3.13.
#[rustfmt::skip]
pub(super) const AGGREGATIONS: [&str; 14] = [
    "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile",
    "stddev", "stdvar", "sum", "topk",
];

/// The functions of Prometheus 3.13.
#[rustfmt::skip]
pub(super) const FUNCTIONS: [&str; 89] = [
    "abs", "absent", "absent_over_time", "acos", "acosh", "asin", "asinh", "atan", "atanh", "avg_over_time",
    "ceil", "changes", "clamp", "clamp_max", "clamp_min", "cos", "cosh", "count_over_time", "day_of_month",
    "day_of_week", "day_of_year", "days_in_month", "deg", "delta", "deriv", "double_exponential_smoothing", "end",
    "exp", "first_over_time", "floor", "histogram_avg", "histogram_count", "histogram_fraction",
    "histogram_quantile", "histogram_quantiles", "histogram_stddev", "histogram_stdvar", "histogram_sum", "hour",
    "idelta", "increase", "info", "irate", "label_join", "label_replace", "last_over_time", "ln", "log10", "log2",
    "mad_over_time", "max_of", "max_over_time", "min_of", "min_over_time", "minute", "month", "pi",
    "predict_linear", "present_over_time", "quantile_over_time", "rad", "range", "rate", "resets", "round",
    "scalar", "sgn", "sin", "sinh", "sort", "sort_by_label", "sort_by_label_desc", "sort_desc", "sqrt", "start",
    "stddev_over_time", "stdvar_over_time", "step", "sum_over_time", "tan", "tanh", "time", "timestamp",
    "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time", "vector",
    "year",
];

#[cfg(test)]
mod tests {
    use promql_parser::parser;

    use super::*;

    #[test]
    fn the_names_that_are_suggested_are_known_to_the_parser() {
        for name in FUNCTIONS {
            let called = parser::parse(&format!("{name}()")).err();
            let called = called.unwrap_or_default();
            assert!(!called.starts_with("unknown function"), "{called}");
        }
        for name in AGGREGATIONS {
            let called = parser::parse(&format!("{name}()")).err();
            assert!(
                called.is_some_and(|called| called.contains("aggregate")),
                "{name}"
            );
        }
    }
}
