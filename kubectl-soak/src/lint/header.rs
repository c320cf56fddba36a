//! What every object of Kubernetes has before its spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::{Value, json};
use soak_api::SoakTest;

use super::finding::Finding;
use super::nearest::nearest;
use crate::node::{Content, Node};

/// Whether the document is a SoakTest, or was meant to be one: files may hold other objects as well.
pub(super) fn is_ours(document: &Node) -> bool {
    let text = |field| document.field(field).and_then(Node::as_str);
    let group = SoakTest::group(&());
    let of_our_group = text("apiVersion").is_some_and(|version| version.starts_with(&*group));
    let called_so =
        text("kind").is_some_and(|kind| nearest(kind, [&*SoakTest::kind(&())]).is_some());
    let nameless = document.field("kind").is_none() || document.field("apiVersion").is_none();
    of_our_group || called_so || nameless
}

/// Kind, version and metadata.
pub(super) fn check(document: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (field, expected) in [
        ("apiVersion", SoakTest::api_version(&())),
        ("kind", SoakTest::kind(&())),
    ] {
        let written = document.field(field).and_then(Node::as_str);
        if written != Some(&*expected) {
            let problem = match written {
                Some(written) => format!("{written} is not known: use {expected}"),
                None => format!("it is missing: write {field}: {expected}"),
            };
            findings.push(Finding::error(document, field, problem));
        }
    }
    findings.extend(metadata(document));
    findings
}

fn metadata(document: &Node) -> Vec<Finding> {
    let Some(metadata) = document.field("metadata") else {
        let problem = "it is missing: write metadata: {name: ...}";
        return vec![Finding::error(document, "metadata", problem)];
    };
    let Content::Object(fields) = &metadata.content else {
        return vec![Finding::error(
            document,
            "metadata",
            "it takes an object with a name",
        )];
    };
    let mut findings = Vec::new();
    let known = known();
    for (name, ..) in fields {
        if !known.contains(name) {
            let meant = nearest(name, known.iter().map(String::as_str));
            let problem = match meant {
                Some(meant) => format!("there is no such field: did you mean {meant}?"),
                None => "there is no such field: take it out".to_owned(),
            };
            findings.push(Finding::error(
                document,
                format!("metadata.{name}"),
                problem,
            ));
        }
    }
    let fields = ["name", "generateName"];
    let names = fields.map(|field| metadata.field(field).and_then(Node::as_str));
    let other = fields.into_iter().find(|field| {
        let node = metadata.field(field).map(|node| &node.content);
        matches!(
            node,
            Some(Content::Scalar(Value::Bool(_) | Value::Number(_)))
        )
    });
    if let (true, Some(field)) = (names == [None, None], other) {
        let problem = "it takes text, and YAML reads something else here: put it in quotes, as it stands there";
        findings.push(Finding::error(
            document,
            format!("metadata.{field}"),
            problem,
        ));
    } else if names == [None, None] {
        let problem = "it has no name: set name, or generateName for a new one each time";
        findings.push(Finding::error(document, "metadata", problem));
    }
    findings
}

/// The fields of metadata, of which the CRD's schema says nothing.
fn known() -> Vec<String> {
    let schema = schemars::schema_for!(ObjectMeta);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

/// The document with the name that the API server would give it, where it is to give one.
pub(super) fn named(document: &Node) -> Value {
    let mut object = document.to_json();
    let metadata = &object["metadata"];
    if let (None, Some(prefix)) = (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        object["metadata"]["name"] = json!(format!("{prefix}x7k2p"));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> Vec<String> {
        let documents = crate::document::documents(yaml).expect("YAML");
        assert!(is_ours(&documents[0]), "{yaml}");
        let findings = check(&documents[0]);
        findings
            .iter()
            .map(|one| format!("{}: {}", one.field, one.problem))
            .collect()
    }

    #[test]
    fn a_name_of_its_own_or_one_that_is_given_is_enough() {
        let yaml = |metadata: &str| {
            format!(
                "{{apiVersion: soak-operator.io/v1alpha1, kind: SoakTest, metadata: {metadata}}}"
            )
        };
        assert_eq!(
            problems(&yaml("{name: a, namespace: b, labels: {c: d}}")),
            [""; 0]
        );
        assert_eq!(problems(&yaml("{generateName: a-}")), [""; 0]);
        let nameless =
            "metadata: it has no name: set name, or generateName for a new one each time";
        for without in ["{}", "{name: ~}"] {
            assert_eq!(problems(&yaml(without)), [nameless], "{without}");
        }
        // YAML's y is a truth value, and a number is no name.
        for unquoted in ["{name: true}", "{name: 7}"] {
            let problems = problems(&yaml(unquoted));
            assert!(
                problems[0].starts_with("metadata.name: it takes text"),
                "{problems:?}"
            );
        }
        assert_eq!(
            problems(&yaml("a")),
            ["metadata: it takes an object with a name"]
        );
    }

    #[test]
    fn the_name_that_is_given_is_there_for_the_rules() {
        let documents = crate::document::documents("metadata: {generateName: a-}").expect("YAML");
        let name = named(&documents[0])["metadata"]["name"].clone();
        assert!(
            name.as_str()
                .is_some_and(|name| name.starts_with("a-") && name.len() == 7),
            "{name}"
        );
    }

    #[test]
    fn other_objects_are_not_ours() {
        let ours = |yaml: &str| is_ours(&crate::document::documents(yaml).expect("YAML")[0]);
        assert!(!ours("{apiVersion: v1, kind: Namespace}"));
        assert!(!ours("{apiVersion: apps/v1, kind: Deployment}"));
        assert!(ours("{apiVersion: v1, kind: soaktest}"));
        assert!(ours("{apiVersion: soak-operator.io/v1, kind: Job}"));
        assert!(ours("{spec: {}}"));
    }
}
