//! Recordings and criteria from files, with errors that name the place, the field and the fix.

use std::path::Path;

use anyhow::{anyhow, bail};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use soak_verdict::{Criterion, Recording};

use crate::document;
use crate::input;
use crate::lint;
use crate::lint::nearest::nearest;
use crate::node::{Content, Node, Place};

/// What each field takes. A wrong one is told so.
const FIELDS: [(&str, &str); 15] = [
    ("signal", "\"tasks\" or \"memory\""),
    ("step_seconds", "a number of seconds, such as 15"),
    ("warmup_seconds", "a number of seconds, such as 600"),
    ("limit_bytes", "a number of bytes, such as 536870912"),
    ("series", "a list of objects, each with pod and samples"),
    (
        "load",
        "a list of objects as in series, of the same pods and incarnations",
    ),
    ("pod", "a pod's name, such as \"worker-0\""),
    ("incarnation", "a whole number that counts up from 1"),
    ("labels", "an object of names and texts"),
    (
        "start_unix",
        "a number of seconds, in the clock of the samples",
    ),
    ("component", "a name, such as \"worker\""),
    (
        "samples",
        "a list of pairs of seconds and value, such as [[0, 12], [15, 12]]",
    ),
    (
        "chaos_events",
        "a list of objects, each with t, in seconds, type and pod",
    ),
    ("t", "a number of seconds, in the clock of the samples"),
    (
        "criteria",
        "a list as in a SoakTest, each with a name and exactly one kind",
    ),
];

/// The fields of a recording.
const RECORDED: [&str; 9] = [
    "signal",
    "step_seconds",
    "warmup_seconds",
    "limit_bytes",
    "series",
    "load",
    "chaos_events",
    "criteria",
    "gaps",
];

/// What a recording is.
const RECORDING: &str = "it takes an object that has series, each with pod and samples";

/// A recording in JSON; `-` is standard input.
pub(crate) fn recording(path: &Path) -> anyhow::Result<Recording> {
    let (name, json) = input::read(path)?;
    let recording =
        parsed(&json).map_err(|problem| anyhow!("failed to judge {name}: {problem}"))?;
    let head = Head::of(&json).map_err(|problem| anyhow!("failed to judge {name}: {problem}"))?;
    if let Some(criteria) = &head.criteria {
        as_in_a_soak_test(Node::placeless(criteria), |_| String::new())
            .map_err(|problem| anyhow!("failed to judge {name}: {problem}"))?;
    }
    if recording.series.is_empty() {
        eprintln!(
            "warning: {name} has no series; it takes {}",
            takes("series").unwrap_or_default()
        );
    }
    Ok(recording)
}

/// A limit that is misspelled is no limit, and whatever it is about would pass.
fn as_in_a_soak_test(criteria: Node, place: impl Fn(Place) -> String) -> Result<(), String> {
    let problems = lint::criteria(criteria).map_err(|problem| format!("{problem:#}"))?;
    if problems.is_empty() {
        return Ok(());
    }
    let told = problems.into_iter();
    let told = told.map(|(at, problem)| place(at) + &problem);
    Err(told.collect::<Vec<_>>().join("\n  "))
}

/// What a recording has beside its samples.
#[derive(Debug, Default)]
struct Head {
    criteria: Option<Value>,
}

impl Head {
    /// Passes over what others may have written into it, but not over a slip of the pen.
    fn of(json: &[u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let head = reader.deserialize_map(HeadOnly);
        head.map_err(|problem| problem.to_string())
    }
}

struct HeadOnly;

impl<'de> Visitor<'de> for HeadOnly {
    type Value = Head;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut head = Head::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "criteria" {
                head.criteria = map.next_value()?;
                continue;
            }
            map.next_value::<IgnoredAny>()?;
            if RECORDED.contains(&&*key) {
                continue;
            }
            if let Some(meant) = nearest(&key, RECORDED) {
                let problem = format!("there is no field {key}: did you mean {meant}?");
                return Err(A::Error::custom(problem));
            }
        }
        Ok(head)
    }
}

/// Criteria in YAML, of which JSON is a part.
pub(crate) fn criteria(path: &Path) -> anyhow::Result<Vec<Criterion>> {
    let (name, yaml) = input::read(path)?;
    let yaml = String::from_utf8(yaml)
        .map_err(|_| anyhow!("failed to read the criteria in {name}: it is not text"))?;
    let refused = |problem| anyhow!("failed to read the criteria in {name}: {problem}");
    if let Ok([list]) = document::documents(&yaml).as_deref()
        && matches!(list.content, Content::List(_))
    {
        as_in_a_soak_test(list.clone(), |at| format!("line {}: ", at.line)).map_err(refused)?;
    }
    let criteria: Vec<Criterion> = serde_saphyr::from_str(&yaml).map_err(|problem| {
        let problem = problem.to_string();
        let problem = problem
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        anyhow!(
            "failed to read the criteria in {name}: {problem}; it takes {}, such as \
             - {{name: tasks, growth: {{signal: Tasks, maxPercent: 5}}}}",
            takes("criteria").unwrap_or_default()
        )
    })?;
    if criteria.is_empty() {
        bail!("failed to read the criteria in {name}: there are none");
    }
    Ok(criteria)
}

/// Straight into samples: a tree of JSON values would take ten times their memory.
fn parsed(json: &[u8]) -> Result<Recording, String> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty; it takes a recording in JSON".to_owned());
    }
    // Serde reads a struct from a list as well, field by field, and an empty list as one of defaults.
    if json.trim_ascii_start().starts_with(b"[") {
        return Err(format!("it is a list; {RECORDING}"));
    }
    let error = match serde_json::from_slice(json) {
        Ok(recording) => return Ok(recording),
        Err(error) => error,
    };
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => Err(format!(
            "{place}: it breaks off; record or copy it again, whole"
        )),
        Category::Syntax | Category::Io if is_no_number(json, &error) => Err(format!(
            "{place}: JSON has no NaN and no Infinity; a sample that was missed is null, or left out"
        )),
        Category::Syntax | Category::Io => {
            Err(format!("{place}: it is not JSON: {}", bare(&error)))
        }
        // Knowing the path costs time on every value, so it is worked out only where it is needed.
        Category::Data => {
            Err(wrong_field(json)
                .map_or_else(|| bare(&error), |problem| format!("{place}: {problem}")))
        }
    }
}

/// Whether it is what Python and others write for what is not a number.
fn is_no_number(json: &[u8], error: &serde_json::Error) -> bool {
    let line = json
        .split(|byte| *byte == b'\n')
        .nth(error.line().saturating_sub(1));
    let from = error.column().saturating_sub(3);
    let rest = line.and_then(|line| line.get(from..)).unwrap_or_default();
    let near = String::from_utf8_lossy(&rest[..rest.len().min(12)]).to_lowercase();
    near.contains("nan") || near.contains("inf")
}

/// What is wrong with the first field that is, by its path, and what it takes.
fn wrong_field(json: &[u8]) -> Option<String> {
    let json = &mut serde_json::Deserializer::from_slice(json);
    let error = serde_path_to_error::deserialize::<_, Recording>(json).err()?;
    let path = error.path().to_string();
    if path == "." {
        return Some(RECORDING.to_owned());
    }
    let problem = bare(error.inner());
    // A field that is missing is named by the problem, not by the path.
    let missing = problem
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let fix = missing
        .or_else(|| innermost_field(&path))
        .and_then(takes)
        .map(|fix| format!("; it takes {fix}"))
        .unwrap_or_default();
    let path = if path == "." {
        "the file".to_owned()
    } else {
        path
    };
    Some(format!("{path}: {problem}{fix}"))
}

/// `samples` of `series[3].samples[7]`.
fn innermost_field(path: &str) -> Option<&str> {
    path.rsplit('.').next()?.split('[').next()
}

fn takes(field: &str) -> Option<&'static str> {
    FIELDS
        .iter()
        .find(|(name, _)| *name == field)
        .map(|(_, takes)| *takes)
}

/// Without the place, which is told first.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(bare, _)| bare.to_owned())
}
