//! The structural schema: which fields there are, and what each takes.

use serde_json::{Map, Value};

use super::finding::Finding;
use super::nearest::nearest;
use crate::node::{Content, Node, Place};

/// So many names are told where none of them is near what was written.
const MOST_NAMES: usize = 12;

/// What the document has wrong by the schema of its CRD.
pub(super) fn check(schema: &Value, document: &Node) -> Vec<Finding> {
    let mut walk = Walk {
        root: schema,
        document,
        findings: Vec::new(),
    };
    let properties = fields_of(schema);
    if let Content::Object(fields) = &document.content {
        for (name, place, value) in fields {
            match properties.get(name) {
                // What else an object of Kubernetes has is not for the schema to say, and a status is not read.
                None if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {}
                Some(_) if name == "status" => {}
                Some(schema) => walk.check(schema, value, name),
                None => walk.unknown(name, *place, name, schema, None),
            }
        }
        walk.missing(schema, document, "");
    } else {
        let problem = "it takes an object with apiVersion, kind, metadata and spec";
        walk.add(document.at, "", problem);
    }
    walk.findings
}

/// The object as the API server would fill it in before it looks at its rules.
pub(super) fn with_defaults(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let properties = fields_of(schema);
            let mut filled: Map<String, Value> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| {
                    let own = properties.get(name).unwrap_or(&Value::Null);
                    (name.clone(), with_defaults(own, value))
                })
                .collect();
            for (name, own) in properties {
                if let Some(default) = own.get("default") {
                    filled
                        .entry(name)
                        .or_insert_with(|| with_defaults(own, default));
                }
            }
            Value::Object(filled)
        }
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| with_defaults(&schema["items"], item));
            items.collect()
        }
        value => value.clone(),
    }
}

fn fields_of(schema: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&NONE)
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

struct Walk<'a> {
    root: &'a Value,
    document: &'a Node,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn add(&mut self, at: Place, path: &str, problem: impl Into<String>) {
        self.findings.push(Finding {
            at,
            ..Finding::error(self.document, path, problem)
        });
    }

    /// The place is that of the field's name.
    fn wrong(&mut self, path: &str, problem: impl Into<String>) {
        self.add(self.document.place_of(path), path, problem);
    }

    fn check(&mut self, schema: &Value, node: &Node, path: &str) {
        let Some(typed) = takes(schema) else { return };
        match &node.content {
            // Null is as good as left out.
            Content::Scalar(Value::Null) => {}
            Content::Object(fields) if typed == "object" => {
                self.object(schema, node, fields, path);
            }
            Content::List(items) if typed == "array" => self.list(schema, items, path),
            Content::Scalar(value) if is_of(typed, value) => self.scalar(schema, value, path),
            content => self.wrong(path, wrong_type(schema, typed, content)),
        }
    }

    fn object(
        &mut self,
        schema: &Value,
        node: &Node,
        fields: &[(String, Place, Node)],
        path: &str,
    ) {
        let properties = fields_of(schema);
        for (name, place, value) in fields {
            let field = child(path, name);
            match properties.get(name) {
                Some(own) => self.check(own, value, &field),
                None => self.unknown(name, *place, &field, schema, Some((path, node))),
            }
        }
        self.missing(schema, node, path);
    }

    fn missing(&mut self, schema: &Value, node: &Node, path: &str) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let there = node.field(name);
            if there.is_none_or(|node| matches!(node.content, Content::Scalar(Value::Null))) {
                let own = &fields_of(schema)[name];
                let field = child(path, name);
                self.wrong(&field, format!("it is missing: {}", worded(own)));
            }
        }
    }

    /// A field that the schema does not have: perhaps a slip of the pen, perhaps moved in too far or not far enough.
    fn unknown(
        &mut self,
        name: &str,
        place: Place,
        field: &str,
        schema: &Value,
        parent: Option<(&str, &Node)>,
    ) {
        let properties = fields_of(schema);
        let takes_it = |(inner, own): &(&'_ String, &'_ Value)| {
            fields_of(own).contains_key(name)
                && parent.is_some_and(|(_, node)| node.field(inner).is_some())
        };
        let inside = properties.iter().find(takes_it).map(|(inner, _)| inner);
        let names = || properties.keys().map(String::as_str);
        let problem = if let Some(meant) = nearest(name, names()) {
            format!("there is no such field: did you mean {meant}?")
        } else if let Some(inner) = inside {
            format!("there is no such field here: it belongs into {inner}, move it in")
        } else if let Some(outer) = parent.and_then(|(path, _)| self.outer(path, name)) {
            format!("there is no such field here: it belongs to {outer}, move it out")
        } else if properties.len() <= MOST_NAMES {
            let names: Vec<_> = names().collect();
            format!("there is no such field: use one of {}", names.join(", "))
        } else {
            "there is no such field: kubectl explain soaktest.spec tells all that there are"
                .to_owned()
        };
        self.add(place, field, problem);
    }

    /// The object around `path` that has such a field, as its schema says.
    fn outer(&self, path: &str, name: &str) -> Option<String> {
        let (outer, _) = path.rsplit_once('.')?;
        let schema = schema_at(self.root, outer)?;
        fields_of(schema)
            .contains_key(name)
            .then(|| outer.to_owned())
    }

    fn list(&mut self, schema: &Value, items: &[Node], path: &str) {
        let count = items.len() as u64;
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(most) = bound("maxItems").filter(|most| count > *most) {
            self.wrong(
                path,
                format!("it has {count} entries, and {most} are the most"),
            );
        }
        if let Some(least) = bound("minItems").filter(|least| count < *least) {
            self.wrong(
                path,
                format!("it has {count} entries, and {least} is the least"),
            );
        }
        for (index, item) in items.iter().enumerate() {
            self.check(&schema["items"], item, &format!("{path}[{index}]"));
        }
        self.unique(schema, items, path);
    }

    /// Lists that are maps have every key once.
    fn unique(&mut self, schema: &Value, items: &[Node], path: &str) {
        let keys = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array);
        for key in keys.into_iter().flatten().filter_map(Value::as_str) {
            let of = |item: &Node| item.field(key).map(|value| value.to_json().to_string());
            for (index, item) in items.iter().enumerate() {
                let before = items[..index]
                    .iter()
                    .position(|other| of(other) == of(item));
                if let (Some(first), Some(value)) = (before, of(item)) {
                    let field = format!("{path}[{index}].{key}");
                    let problem =
                        format!("{value} is the {key} of {path}[{first}] already: use another");
                    self.wrong(&field, problem);
                }
            }
        }
    }

    fn scalar(&mut self, schema: &Value, value: &Value, path: &str) {
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            if !allowed.contains(value) {
                let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
                let written = value.as_str().unwrap_or_default();
                let fix = match nearest(written, names.iter().copied()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("use one of {}", names.join(", ")),
                };
                self.wrong(path, format!("{value} is not one of its values: {fix}"));
            }
            return;
        }
        if let Some(number) = value.as_f64() {
            self.number(schema, number, path);
        }
        if let Some(text) = value.as_str() {
            self.text(schema, text, path);
        }
    }

    fn number(&mut self, schema: &Value, number: f64, path: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.wrong(path, format!("{number} is too small: use {least} or more"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.wrong(path, format!("{number} is too large: use {most} or less"));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count() as u64;
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.wrong(
                path,
                format!("it has {length} characters, and {most} are the most"),
            );
        }
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            self.wrong(
                path,
                format!("it is empty: write at least {least} character"),
            );
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        // The pattern is of the CRD, and there is a test that each of them is a regular expression.
        if let Some(pattern) = pattern
            && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
        {
            let what = schema
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.wrong(
                path,
                format!(
                    "{text:?} does not match {pattern}: {}",
                    first_sentence(what)
                ),
            );
        }
    }
}

/// The schema of what stands at that path.
fn schema_at<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    path.split(['.', '[']).try_fold(schema, |schema, part| {
        if part.ends_with(']') {
            schema.get("items")
        } else {
            fields_of(schema).get(part)
        }
    })
}

/// The type, or `None` where it takes anything.
fn takes(schema: &Value) -> Option<&str> {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return Some("int-or-string");
    }
    schema.get("type").and_then(Value::as_str)
}

fn is_of(typed: &str, value: &Value) -> bool {
    let whole = value.is_i64() || value.is_u64();
    match typed {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // The API server reads 5.0 as 5.
        "integer" => whole || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "int-or-string" => whole || value.is_string(),
        _ => false,
    }
}

fn wrong_type(schema: &Value, typed: &str, content: &Content) -> String {
    let is = match content {
        Content::Scalar(value) => value.to_string(),
        Content::List(_) => "a list".to_owned(),
        Content::Object(_) => "an object".to_owned(),
    };
    let fix = match (typed, content) {
        // Quotes alone would not make it right.
        ("string", Content::Scalar(_)) if advice(schema).is_some() => {
            advice(schema).unwrap_or_default().to_owned()
        }
        // What it was before YAML read it nobody knows: no and off are false, too.
        ("string", Content::Scalar(Value::Bool(_))) => {
            "put it in quotes, as it stands there".to_owned()
        }
        ("string", Content::Scalar(_)) if schema.get("pattern").is_some() => worded(schema),
        ("string", Content::Scalar(value)) => format!("put it in quotes: \"{value}\""),
        ("number" | "integer" | "boolean", Content::Scalar(Value::String(text)))
            if serde_json::from_str::<Value>(text).is_ok_and(|value| is_of(typed, &value)) =>
        {
            format!("take it out of its quotes: {text}")
        }
        ("array", _) => "begin each entry with a dash".to_owned(),
        _ => worded(schema),
    };
    format!("it takes {}, not {is}: {fix}", article(typed))
}

/// What the first rule of a field says, such as `use h, m, s: 168h, not 7d`.
fn advice(schema: &Value) -> Option<&str> {
    schema
        .get("x-kubernetes-validations")?
        .get(0)?
        .get("message")?
        .as_str()
}

fn article(typed: &str) -> &str {
    match typed {
        "object" => "an object",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "int-or-string" => "a whole number or text",
        "string" => "text",
        other => other,
    }
}

/// What a field is for, by its schema.
fn worded(schema: &Value) -> String {
    let all = fields_of(schema).keys().map(String::as_str);
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let any = required.is_empty();
    let names: Vec<&str> = if any { all.collect() } else { required };
    let what = schema.get("description").and_then(Value::as_str);
    match what.map(first_sentence).filter(|what| !what.is_empty()) {
        _ if !names.is_empty() && names.len() <= MOST_NAMES => {
            let which = if any && names.len() > 1 {
                "one of "
            } else {
                ""
            };
            format!("set {which}{}", names.join(", "))
        }
        Some(what) => uncapitalised(&what),
        None => format!("write {}", article(takes(schema).unwrap_or("object"))),
    }
}

fn uncapitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), rest.as_str())
}

fn first_sentence(text: &str) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    match text.find(". ") {
        Some(end) => text[..end].to_owned(),
        None => text.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {"spec": {
                "type": "object",
                "required": ["count"],
                "properties": {
                    "count": {"type": "integer", "minimum": 1.0, "maximum": 9.0, "description": "How many."},
                    "share": {"type": "number"},
                    "amount": {"x-kubernetes-int-or-string": true},
                    "mode": {"type": "string", "enum": ["Fast", "Slow"], "default": "Slow"},
                    "on": {"type": "boolean", "nullable": true},
                    "names": {
                        "type": "array", "maxItems": 2, "minItems": 1,
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "properties": {
                            "name": {"type": "string", "maxLength": 3, "minLength": 1, "pattern": "^[a-z]*$"},
                            "size": {"type": "object", "properties": {"of": {"type": "string", "default": "all"}}, "default": {}},
                        }},
                    },
                },
            }},
        })
    }

    fn problems(yaml: &str) -> Vec<String> {
        let documents = crate::document::documents(yaml).expect("YAML");
        let findings = check(&schema(), &documents[0]);
        findings
            .iter()
            .map(|one| format!("{}: {}", one.field, one.problem))
            .collect()
    }

    #[test]
    fn what_is_right_has_no_problem() {
        let yaml = "{kind: A, spec: {count: 2.0, share: 3, amount: 4, on: null, names: [{name: a}, {name: b}]}}";
        assert_eq!(problems(yaml), [""; 0]);
        assert_eq!(
            problems("{spec: {count: 1, amount: 40Mi, on: true}}"),
            [""; 0]
        );
    }

    #[test]
    fn types_are_told_with_what_would_be_right() {
        assert_eq!(
            problems(
                "{spec: {count: '3', share: many, amount: 1.5, mode: 5, on: maybe, names: {a: b}}}"
            ),
            [
                "spec.count: it takes a whole number, not \"3\": take it out of its quotes: 3",
                "spec.share: it takes a number, not \"many\": write a number",
                "spec.amount: it takes a whole number or text, not 1.5: write a whole number or text",
                "spec.mode: it takes text, not 5: put it in quotes: \"5\"",
                "spec.on: it takes true or false, not \"maybe\": write true or false",
                "spec.names: it takes a list, not an object: begin each entry with a dash",
            ]
        );
    }

    #[test]
    fn bounds_are_told() {
        assert_eq!(
            problems("{spec: {count: 10, mode: fast, names: []}}"),
            [
                "spec.count: 10 is too large: use 9 or less",
                "spec.mode: \"fast\" is not one of its values: did you mean Fast?",
                "spec.names: it has 0 entries, and 1 is the least",
            ]
        );
        assert_eq!(
            problems("{spec: {count: 0, names: [{name: abcd}, {name: ''}, {name: A}, {name: A}]}}"),
            [
                "spec.count: 0 is too small: use 1 or more",
                "spec.names: it has 4 entries, and 2 are the most",
                "spec.names[0].name: it has 4 characters, and 3 are the most",
                "spec.names[1].name: it is empty: write at least 1 character",
                "spec.names[2].name: \"A\" does not match ^[a-z]*$: ",
                "spec.names[3].name: \"A\" does not match ^[a-z]*$: ",
                "spec.names[3].name: \"A\" is the name of spec.names[2] already: use another",
            ]
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_told_with_what_was_meant() {
        assert_eq!(
            problems("{spec: {cuont: 2, zzz: 1, names: [{of: x, size: {}}]}}"),
            [
                "spec.cuont: there is no such field: did you mean count?",
                "spec.zzz: there is no such field: use one of amount, count, mode, names, on, share",
                "spec.names[0].of: there is no such field here: it belongs into size, move it in",
                "spec.count: it is missing: how many",
            ]
        );
        assert_eq!(
            problems("{spec: null}"),
            [""; 0],
            "nothing says that there has to be a spec"
        );
    }

    #[test]
    fn defaults_are_filled_in_where_nothing_or_null_is_written() {
        let value = json!({"spec": {"count": 1, "on": null, "names": [{"name": "a"}]}});
        assert_eq!(
            with_defaults(&schema(), &value),
            json!({"spec": {"count": 1, "mode": "Slow", "names": [{"name": "a", "size": {"of": "all"}}]}})
        );
    }
}
