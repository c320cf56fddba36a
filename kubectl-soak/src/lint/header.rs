//! What every object of Kubernetes has before its spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde_json::{Value, json};
use soak_api::SoakTest;

use super::finding::Finding;
use super::nearest::nearest;
use crate::document::{Content, Node};

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
    if metadata.field("name").is_none() && metadata.field("generateName").is_none() {
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
    if let (None, Some(prefix)) = (metadata.get("name"), metadata["generateName"].as_str()) {
        object["metadata"]["name"] = json!(format!("{prefix}x7k2p"));
    }
    object
}
