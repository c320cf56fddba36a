//! Which part of what a rule is about breaks it: a rule about a list, or about an object with parts, names the whole.

use serde_json::Value;

use super::nearest::nearest;

/// A part of an object, and what is to be said of it.
#[derive(Debug, PartialEq)]
pub(super) struct Culprit {
    /// Such as `spec.criteria[2].trend.window`.
    pub(super) field: String,
    pub(super) problem: String,
}

/// The entries that break a rule on their own, of the list that its message begins with. `path` is where `value`, which
/// breaks the rule, stands.
pub(super) fn in_list(
    path: &str,
    value: &Value,
    message: &str,
    holds: impl Fn(&Value) -> bool,
) -> Vec<Culprit> {
    let Some((list, problem)) = message.split_once(": ") else {
        return Vec::new();
    };
    let within = list
        .strip_prefix(path)
        .and_then(|rest| rest.strip_prefix('.'));
    let Some(name) = within.filter(|name| !name.contains(' ')) else {
        return Vec::new();
    };
    let place = format!("/{}", name.replace('.', "/"));
    let entries = value.pointer(&place).and_then(Value::as_array);
    let breaks = |entry: &Value| {
        let mut alone = value.clone();
        if let Some(list) = alone.pointer_mut(&place) {
            *list = Value::from(vec![entry.clone()]);
        }
        !holds(&alone)
    };
    entries
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, entry)| breaks(entry))
        .map(|(index, entry)| {
            let at = format!("{list}[{index}]");
            let names = allowed(problem).or_else(|| names_of_list(value, path, problem));
            let wrong = names.and_then(|names| written_wrong(&at, entry, problem, &names));
            wrong.unwrap_or_else(|| Culprit {
                field: format!("{at}{}", named(entry, problem)),
                problem: problem.to_owned(),
            })
        })
        .collect()
}

/// The field of an entry that a message begins with, such as `.trend.window`; empty where it begins otherwise.
fn named(entry: &Value, message: &str) -> String {
    let first = message.split(' ').next().unwrap_or_default();
    let pointer = format!("/{}", first.replace('.', "/"));
    match entry.pointer(&pointer) {
        Some(_) => format!(".{first}"),
        None => String::new(),
    }
}

/// The field with a wrong name in it, where a message says that it must be one of some, such as `component must be worker
/// or producer, ...`: in the object at `path` itself or in one of its own.
pub(super) fn wrong_name(path: &str, value: &Value, message: &str) -> Option<Culprit> {
    written_wrong(path, value, message, &allowed(message)?)
}

/// The names that a message allows, where it says them all.
fn allowed(message: &str) -> Option<Vec<String>> {
    let (_, rest) = message.split_once(" must be ")?;
    let (names, _) = rest.split_once(',')?;
    Some(names.split(" or ").map(str::to_owned).collect())
}

/// Those of the entries of a list in `value`, which stands at `path`, where a message says that they are allowed, such as
/// `component must be the name of one of spec.workload.existing.deployments`.
fn names_of_list(value: &Value, path: &str, message: &str) -> Option<Vec<String>> {
    let (_, list) = message.split_once(" must be the name of one of ")?;
    let list = list.strip_prefix(path)?.replace('.', "/");
    let entries = value.pointer(&list)?.as_array()?.iter();
    let names = entries.filter_map(|entry| Some(entry.get("name")?.as_str()?.to_owned()));
    Some(names.collect())
}

fn written_wrong(path: &str, value: &Value, message: &str, names: &[String]) -> Option<Culprit> {
    let (name, _) = message.split_once(" must be ")?;
    let parts = value.as_object()?.iter();
    let inner = parts.map(|(part, value)| (format!("{path}.{part}.{name}"), value.get(name)));
    let own = [(format!("{path}.{name}"), value.get(name))];
    let written = own.into_iter().chain(inner);
    let mut written = written.filter_map(|(field, value)| Some((field, value?.as_str()?)));
    let (field, written) = written.find(|(_, written)| names.iter().all(|name| name != written))?;
    let problem = match nearest(written, names.iter().map(String::as_str)) {
        Some(meant) => format!("{message}: did you mean {meant}?"),
        None => message.to_owned(),
    };
    Some(Culprit { field, problem })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn culprit(field: &str, problem: &str) -> Culprit {
        Culprit {
            field: field.to_owned(),
            problem: problem.to_owned(),
        }
    }

    #[test]
    fn each_entry_that_breaks_a_rule_by_itself_is_named() {
        let value = json!({"list": [{"a": {"b": 1}}, {"a": {"b": 9}}, {"c": 9}, {"a": {"b": 8}}], "most": 5});
        let holds = |value: &Value| {
            let entries = value["list"].as_array().expect("a list");
            entries
                .iter()
                .all(|entry| entry["a"]["b"].as_i64() <= value["most"].as_i64())
        };
        let told = |message| in_list("spec", &value, message, holds);
        assert_eq!(
            told("spec.list: a.b must not be above most"),
            [
                culprit("spec.list[1].a.b", "a.b must not be above most"),
                culprit("spec.list[3].a.b", "a.b must not be above most"),
            ]
        );
        assert_eq!(
            told("spec.list: nothing is above most")[0],
            culprit("spec.list[1]", "nothing is above most")
        );
        for other in [
            "spec.most: a",
            "spec.list is short",
            "specs.list: a",
            "spec.a.list: a",
        ] {
            assert_eq!(told(other), [], "{other}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_one_of_those_allowed_is_told_which() {
        let message = "component must be worker or producer, the components of the simulation";
        let told = |value: Value| wrong_name("events[0]", &value, message);
        let meant = format!("{message}: did you mean worker?");
        assert_eq!(
            told(json!({"weight": 3, "podKill": {"component": "wroker"}})),
            Some(culprit("events[0].podKill.component", &meant))
        );
        assert_eq!(
            told(json!({"component": "Worker"})),
            Some(culprit("events[0].component", &meant))
        );
        assert_eq!(
            told(json!({"podKill": {"component": "nats"}})),
            Some(culprit("events[0].podKill.component", message))
        );
        assert_eq!(told(json!({"podKill": {"component": "worker"}})), None);
        assert_eq!(
            wrong_name("a", &json!({"b": "c"}), "b must be at least 1s"),
            None
        );
    }
}
