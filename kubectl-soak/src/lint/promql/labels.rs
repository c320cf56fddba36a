//! Whether the series of a query can have the label `pod`.

use promql_parser::label::Labels;
use promql_parser::parser::token::{
    T_BOTTOMK, T_COUNT_VALUES, T_LAND, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LUNLESS, T_TOPK,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality,
};

const POD: &str = "pod";

/// Why no series of it has the label `pod`, and what to write instead; `None` where that is not certain.
pub(super) fn without_pod(expression: &Expr) -> Option<String> {
    match expression {
        Expr::NumberLiteral(_) => Some(number()),
        Expr::Paren(inner) => without_pod(&inner.expr),
        Expr::Unary(inner) => without_pod(&inner.expr),
        Expr::Subquery(inner) => without_pod(&inner.expr),
        Expr::Aggregate(aggregate) => of_aggregate(aggregate),
        Expr::Binary(binary) => of_binary(binary),
        Expr::Call(call) => of_call(call),
        // What a selector finds may have any label.
        Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::StringLiteral(_)
        | Expr::Extension(_) => None,
    }
}

fn number() -> String {
    "a number has no label pod, and pods are told apart by it: ask for what each pod exports, as in sum by (pod) (...)"
        .to_owned()
}

fn lost(by: &str, write: &str) -> String {
    format!("{by} leaves no label pod, and pods are told apart by it: write {write}")
}

fn of_aggregate(aggregate: &AggregateExpr) -> Option<String> {
    let op = aggregate.op;
    match op.id() {
        // They choose among series, and leave them as they are.
        T_TOPK | T_BOTTOMK | T_LIMITK | T_LIMIT_RATIO => return without_pod(&aggregate.expr),
        T_COUNT_VALUES if aggregate.param.as_deref().is_some_and(names_pod) => return None,
        _ => {}
    }
    let all = format!("{op} by (pod) (...)");
    match &aggregate.modifier {
        None => Some(lost(&op.to_string(), &all)),
        Some(LabelModifier::Include(labels)) if !has_pod(labels) => {
            let by = format!("{op} by ({labels})");
            let write = if labels.is_empty() {
                all
            } else {
                format!("{op} by ({labels}, pod) (...)")
            };
            Some(lost(&by, &write))
        }
        Some(LabelModifier::Exclude(labels)) if has_pod(labels) => {
            let others = labels.labels.iter().filter(|label| *label != POD);
            let others: Vec<&str> = others.map(String::as_str).collect();
            let write = match others[..] {
                [] => all,
                _ => format!("{op} without ({}) (...)", others.join(", ")),
            };
            Some(lost(&format!("{op} without ({labels})"), &write))
        }
        Some(_) => without_pod(&aggregate.expr),
    }
}

fn of_binary(binary: &BinaryExpr) -> Option<String> {
    let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
    let left = without_pod(&binary.lhs);
    let right = without_pod(&binary.rhs);
    match (is_vector(&binary.lhs), is_vector(&binary.rhs)) {
        (true, true) => {}
        (true, false) => return left,
        (false, _) => return right,
    }
    let modifier = binary.modifier.as_ref();
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    match binary.op.id() {
        T_LAND | T_LUNLESS => return left,
        // With on () or ignoring () the right side may be no more than what to take where the left has nothing.
        T_LOR => return left.or(right.filter(|_| matching.is_none())),
        _ => {}
    }
    let Some(modifier) = modifier else {
        return left.or(right);
    };
    let filled = modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some();
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(brought) if !has_pod(brought) => left,
        VectorMatchCardinality::OneToMany(brought) if !has_pod(brought) => right,
        VectorMatchCardinality::OneToOne if filled => left.and(right),
        VectorMatchCardinality::OneToOne => of_matching(matching).or(left).or(right),
        _ => None,
    }
}

/// Of two series that are matched one to one, the labels which they are matched by are left.
fn of_matching(matching: Option<&LabelModifier>) -> Option<String> {
    match matching? {
        LabelModifier::Include(labels) if !has_pod(labels) => {
            let write = if labels.is_empty() {
                "on (pod)".to_owned()
            } else {
                format!("on ({labels}, pod)")
            };
            Some(lost(&format!("on ({labels})"), &write))
        }
        LabelModifier::Exclude(labels) if has_pod(labels) => {
            // Of the two sides one has no pods, or there would be nothing to ignore.
            let by = format!("ignoring ({labels})");
            let write = format!("{by} group_left ()");
            Some(lost(&by, &write))
        }
        _ => None,
    }
}

fn of_call(call: &Call) -> Option<String> {
    // absent takes labels from matchers, info from another metric, and whoever writes pod somewhere may set it.
    let unknown = matches!(call.func.name, "absent" | "absent_over_time" | "info");
    if unknown || call.args.args.iter().any(|argument| names_pod(argument)) {
        return None;
    }
    let is_series = |of: ValueType| matches!(of, ValueType::Vector | ValueType::Matrix);
    let mut arguments = call.args.args.iter();
    match arguments.find(|argument| is_series(argument.value_type())) {
        Some(series) if is_series(call.func.return_type) => without_pod(series),
        _ => Some(number()),
    }
}

fn has_pod(labels: &Labels) -> bool {
    labels.labels.iter().any(|label| label == POD)
}

fn names_pod(expression: &Expr) -> bool {
    match expression {
        Expr::Paren(inner) => names_pod(&inner.expr),
        Expr::StringLiteral(text) => text.val == POD,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;

    use super::*;

    fn told(query: &str) -> Option<String> {
        without_pod(&parse(query).expect(query))
    }

    #[test]
    fn an_aggregation_that_drops_the_pod_is_told_with_one_that_keeps_it() {
        for (query, by, write) in [
            ("sum(x)", "sum", "sum by (pod) (...)"),
            ("count(x)", "count", "count by (pod) (...)"),
            ("sum by () (x)", "sum by ()", "sum by (pod) (...)"),
            (
                "max(x) by (namespace, job)",
                "max by (namespace, job)",
                "max by (namespace, job, pod) (...)",
            ),
            (
                "sum without (pod) (x)",
                "sum without (pod)",
                "sum by (pod) (...)",
            ),
            (
                "sum without (pod, instance) (x)",
                "sum without (pod, instance)",
                "sum without (instance) (...)",
            ),
            ("quantile(0.9, x)", "quantile", "quantile by (pod) (...)"),
            (
                "count_values(\"size\", x)",
                "count_values",
                "count_values by (pod) (...)",
            ),
        ] {
            assert_eq!(told(query), Some(lost(by, write)), "{query}");
        }
    }

    #[test]
    fn what_is_around_an_aggregation_does_not_bring_the_pod_back() {
        let sum = Some(lost("sum", "sum by (pod) (...)"));
        for query in [
            "(sum(x))",
            "-sum(x)",
            "sum(x) / 2",
            "2 * sum(x)",
            "sum(x) / sum(y)",
            "sum(x) / y",
            "y / sum(x)",
            "y * on (pod) sum(x)",
            "sum(x) * on (node) group_left (zone) y",
            "y * on (node) group_right (zone) sum(x)",
            "sum(x) > bool 3",
            "sum(x) and y",
            "sum(x) unless y",
            "sum(x) or y",
            "y or sum(x)",
            "rate(sum(x)[5m:])",
            "clamp_min(sum(x), 0)",
            "topk(3, sum(x))",
            "sum by (pod) (sum(x))",
            "avg without (instance) (sum(x))",
            "histogram_quantile(0.9, sum(x))",
            "label_replace(sum(x), \"zone\", \"a\", \"node\", \"b\")",
        ] {
            assert_eq!(told(query), sum, "{query}");
        }
    }

    #[test]
    fn numbers_have_no_labels_at_all() {
        for query in [
            "1",
            "-1",
            "1 + 2",
            "time()",
            "scalar(x)",
            "vector(1)",
            "vector(scalar(x))",
            "hour()",
            "x or vector(0)",
        ] {
            assert_eq!(told(query), Some(number()), "{query}");
        }
    }

    #[test]
    fn a_match_that_is_not_about_pods_is_told_with_one_that_is() {
        assert_eq!(
            told("x / on (namespace) y"),
            Some(lost("on (namespace)", "on (namespace, pod)"))
        );
        assert_eq!(told("x / on () y"), Some(lost("on ()", "on (pod)")));
        assert_eq!(
            told("x / ignoring (pod) y"),
            Some(lost("ignoring (pod)", "ignoring (pod) group_left ()"))
        );
    }

    #[test]
    fn what_may_have_the_pod_is_passed_over() {
        for query in [
            "x",
            "rate(x[5m])",
            "sum by (pod) (x)",
            "sum(x) by (pod, namespace)",
            "sum by (\"pod\") (x)",
            "sum without (instance) (x)",
            "sum without () (x)",
            "topk(3, x)",
            "bottomk by (namespace) (3, x)",
            "limitk(3, x)",
            "x + y",
            "x > 3",
            "x and on () vector(1)",
            "x unless sum(y)",
            "x or on () vector(0)",
            "x * on (pod) group_left (node) y",
            "x * on (namespace) group_left sum by (namespace) (y)",
            "sum(x) * on (namespace) group_left (pod) y",
            "sum(x) * on (namespace) group_right y",
            "x + fill (0) sum(y)",
            "x / ignoring (code) y",
            "label_replace(sum(x), \"pod\", \"$1\", \"instance\", \"(.*):.*\")",
            "label_join(sum(x), (\"pod\"), \"-\", \"a\", \"b\")",
            "count_values(\"pod\", x)",
            "absent(x{pod=\"a\"})",
            "info(sum(x))",
            "histogram_quantile(0.9, sum by (pod, le) (rate(x_bucket[5m])))",
            "max_over_time(sum by (pod) (x)[5m:])",
        ] {
            assert_eq!(told(query), None, "{query}");
        }
    }
}
