//! The queries of a SoakTest, read as Prometheus would read them, and without one.

mod fix;
mod labels;
mod place;
mod refused;

use promql_parser::parser::value::ValueType;
use soak_verdict::Selector;

use self::refused::Refused;
use super::finding::Finding;
use crate::node::{Content, Node};

/// What a query is to yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Series of each pod; a plain selector is narrowed to the soak's own.
    Pods,
    /// The series of a plain selector, narrowed to the soak's own pods; what is none is told by the rehearsal.
    Counter,
    /// Values at every step, of whatever it may be.
    Values,
    /// The series of the pod that leads, now.
    Leader,
}

/// The list in the spec, the field in each of its entries, and what it takes.
const QUERIES: [(&str, &str, Answer); 8] = [
    ("criteria", "growth.query", Answer::Pods),
    ("criteria", "growth.per", Answer::Pods),
    ("criteria", "trend.query", Answer::Pods),
    ("criteria", "trend.per", Answer::Pods),
    ("criteria", "increase.query", Answer::Counter),
    ("criteria", "threshold.query", Answer::Values),
    ("criteria", "delta.query", Answer::Pods),
    ("chaos.events", "leaderKill.leader.query", Answer::Leader),
];

/// The schema refuses what is longer.
const LONGEST: usize = 1024;

/// What Prometheus would refuse, and what has an answer that cannot be judged.
pub(super) fn check(document: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (list, field, answer) in QUERIES {
        let list = format!("spec.{list}");
        let Some(Content::List(entries)) = within(document, &list).map(|node| &node.content) else {
            continue;
        };
        for (index, entry) in entries.iter().enumerate() {
            let query = within(entry, field).and_then(Node::as_str);
            let Some(query) = query.filter(|query| (1..=LONGEST).contains(&query.chars().count()))
            else {
                continue;
            };
            let field = format!("{list}[{index}].{field}");
            findings.extend(problem(query, answer).map(|problem| match problem {
                Problem::Error(problem) => Finding::error(document, field, problem),
                Problem::Warning(problem) => Finding::warning(document, field, problem),
            }));
        }
    }
    findings
}

fn within<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    path.split('.').try_fold(node, Node::field)
}

/// What is wrong with a query, and how to mend it.
#[derive(Debug, PartialEq)]
enum Problem {
    Error(String),
    Warning(String),
}

fn problem(query: &str, answer: Answer) -> Option<Problem> {
    let narrowed = match answer {
        Answer::Pods | Answer::Counter => {
            Selector::of(query).map(|selector| selector.narrowed("pod=\"a\""))
        }
        Answer::Values | Answer::Leader => None,
    };
    let expression = match refused::read(query) {
        Ok(expression) => expression,
        // Such as {}, which Prometheus never sees without the soak's own matchers.
        Err(_) if narrowed.is_some_and(|narrowed| refused::read(&narrowed).is_ok()) => return None,
        Err(Refused::Wrong(problem)) => return Some(Problem::Error(problem)),
        Err(Refused::Unknown(problem)) => return Some(Problem::Warning(problem)),
    };
    match (answer, expression.value_type()) {
        (Answer::Pods | Answer::Values, ValueType::Matrix) => {
            let problem = "it yields a range of values for each instant, where one is due: put a function around it, \
                           such as max_over_time(...), or take the range out";
            Some(Problem::Error(problem.to_owned()))
        }
        (Answer::Pods | Answer::Values, ValueType::String) => {
            let problem = "it is a text in quotes, not a query: take them away";
            Some(Problem::Error(problem.to_owned()))
        }
        (Answer::Pods | Answer::Leader, _) => {
            labels::without_pod(&expression).map(Problem::Warning)
        }
        (Answer::Counter | Answer::Values, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The paths of the schema's fields of these names.
    fn fields(schema: &Value, path: &str, names: &[&str], found: &mut BTreeSet<String>) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if names.contains(&&**name) {
                found.insert(path.clone());
            }
            fields(inner, &path, names, found);
        }
        if let Some(items) = schema.get("items") {
            fields(items, &format!("{path}[]"), names, found);
        }
    }

    #[test]
    fn every_query_that_the_crd_has_is_read() {
        let mut all = BTreeSet::new();
        let schema = &super::super::crd_schema()["properties"]["spec"];
        fields(schema, "spec", &["query", "per"], &mut all);
        let read = QUERIES.map(|(list, field, _)| format!("spec.{list}[].{field}"));
        assert_eq!(all, read.into());
    }

    #[test]
    fn a_plain_selector_is_read_as_it_is_asked() {
        for answer in [Answer::Pods, Answer::Counter] {
            assert_eq!(problem("{}", answer), None);
            assert_eq!(problem("{container=~\".*\"}", answer), None);
        }
        let whole = problem("{}", Answer::Values);
        assert!(matches!(whole, Some(Problem::Error(_))), "{whole:?}");
    }

    #[test]
    fn what_is_no_single_value_is_an_error_where_one_is_due() {
        for query in ["up[5m]", "rate(up[5m])[1h:1m]", "(up[5m])", "\"up\""] {
            for answer in [Answer::Pods, Answer::Values] {
                let problem = problem(query, answer);
                assert!(
                    matches!(problem, Some(Problem::Error(_))),
                    "{query}: {problem:?}"
                );
            }
            assert_eq!(problem(query, Answer::Counter), None, "{query}");
        }
    }

    #[test]
    fn a_label_pod_is_asked_for_only_where_pods_are_told_apart() {
        for answer in [Answer::Pods, Answer::Leader] {
            let problem = problem("sum(up)", answer);
            assert!(matches!(problem, Some(Problem::Warning(_))), "{problem:?}");
        }
        for answer in [Answer::Counter, Answer::Values] {
            assert_eq!(problem("sum(up)", answer), None);
        }
    }
}
