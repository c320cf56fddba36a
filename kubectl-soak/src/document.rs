//! YAML files and the documents in them.

use std::path::Path;

use anyhow::{anyhow, bail};
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;
use soak_api::SoakTest;

use crate::input;
use crate::node::{Content, Node, Place, START};
use crate::repeated::{self, Repeated};

/// A YAML file as a whole.
#[derive(Debug)]
pub(crate) struct File {
    /// As people call it.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Why a text is not YAML, and where.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) at: Place,
    pub(crate) problem: String,
}

/// Reads a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> anyhow::Result<File> {
    let (name, bytes) = input::read(path)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(File { name, text }),
        Err(_) => bail!("failed to read {name}: it is not text in UTF-8"),
    }
}

impl File {
    /// Its documents, for who needs all of them to be YAML.
    pub(crate) fn documents(&self) -> anyhow::Result<Vec<Node>> {
        let name = &self.name;
        documents(&self.text).map_err(|Malformed { at, problem }| {
            anyhow!("failed to read {name}: line {}: {problem}", at.line)
        })
    }
}

/// The SoakTests among the documents of a file, each as the operator reads it. Objects of other kinds are passed over.
pub(crate) fn soak_tests(name: &str, documents: &[Node]) -> anyhow::Result<Vec<SoakTest>> {
    let mut tests = Vec::new();
    for document in documents.iter().filter(|one| is_soak_test(one)) {
        let test = serde_path_to_error::deserialize(document.to_json()).map_err(|error| {
            let path = error.path().to_string();
            let line = document.place_of(&path).line;
            anyhow!(
                "failed to read {name}: line {line}: {path}: {}; kubectl soak lint tells all that is wrong with it",
                error.inner()
            )
        })?;
        tests.push(test);
    }
    if tests.is_empty() {
        bail!("failed to read {name}: there is no SoakTest in it");
    }
    Ok(tests)
}

/// Whether it says that it is a SoakTest.
pub(crate) fn is_soak_test(document: &Node) -> bool {
    document.field("kind").and_then(Node::as_str) == Some("SoakTest")
}

/// The documents of a text but for those that are empty; of a List, as `kubectl get -o yaml` writes it, its items.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Malformed> {
    let (documents, repeated) = documents_and_repeated(text)?;
    match repeated.into_iter().next() {
        None => Ok(documents),
        Some(Repeated { at, first, field }) => Err(Malformed {
            at,
            problem: format!("{field} stands on line {} already", first.line),
        }),
    }
}

/// The same for who goes on with the first of several keys of one name; and the others.
pub(crate) fn documents_and_repeated(text: &str) -> Result<(Vec<Node>, Vec<Repeated>), Malformed> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::PassThrough };
    let nodes: Result<Vec<Node>, _> = serde_saphyr::from_multiple_with_options(text, options);
    let mut nodes = nodes.map_err(|error| malformed(&error))?;
    let repeated = nodes.iter_mut().flat_map(repeated::taken_from).collect();
    let empty = |node: &Node| matches!(node.content, Content::Scalar(Value::Null));
    let nodes = nodes.into_iter().filter(|node| !empty(node));
    Ok((nodes.flat_map(items).collect(), repeated))
}

fn items(document: Node) -> Vec<Node> {
    let is_list = document.field("kind").and_then(Node::as_str) == Some("List");
    match document.field("items").map(|items| &items.content) {
        Some(Content::List(items)) if is_list => items.clone(),
        _ => vec![document],
    }
}

fn malformed(error: &serde_saphyr::Error) -> Malformed {
    let at = error.location().map_or(START, |at| Place {
        line: at.line(),
        column: at.column(),
    });
    let problem = error.without_snippet().to_string();
    let problem = problem.lines().next().unwrap_or_default();
    let problem = problem.trim_start_matches("error: ");
    // The place is told beside it.
    let problem = problem
        .rsplit_once(" at line ")
        .map_or(problem, |(bare, _)| bare);
    Malformed {
        at,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
kind: SoakTest
spec:
  criteria:
    - name: a
      growth: {signal: Tasks,
               maxPercent: 5.5}
    - name: b
---
# nothing
---
kind: Namespace
metadata: {name: ~, labels: {on: true, port: 8080}}
";

    #[test]
    fn each_field_knows_its_line_and_column() {
        let documents = documents(TWO).expect("YAML");
        assert_eq!(documents.len(), 2, "one of three is empty");
        let at = |path: &str| {
            let at = documents[0].place_of(path);
            (at.line, at.column)
        };
        assert_eq!(at("spec.criteria"), (3, 3));
        assert_eq!(at("spec.criteria[1]"), (7, 7));
        assert_eq!(at("spec.criteria[0].growth.maxPercent"), (6, 16));
        assert_eq!(at("spec.criteria[0].growth.query"), (5, 7));
        assert_eq!(at("metadata.name"), (1, 1));
        assert_eq!(documents[1].place_of("metadata.labels").line, 12);
    }

    #[test]
    fn scalars_keep_their_types() {
        let documents = documents(TWO).expect("YAML");
        assert_eq!(
            documents[1].to_json()["metadata"],
            serde_json::json!({"name": null, "labels": {"on": true, "port": 8080}})
        );
        assert_eq!(
            documents[0].to_json()["spec"]["criteria"][0]["growth"]["maxPercent"],
            serde_json::json!(5.5)
        );
    }

    #[test]
    fn what_is_no_yaml_says_where_it_stops_being_it() {
        for (text, line, problem) in [
            ("a: 1\nb: [1, 2\nc: 3\n", 3, ""),
            ("a: 1\nb: 2\na: 3\n", 3, "a stands on line 1 already"),
            ("a:\n\t- b\n", 2, "tab"),
        ] {
            let error = documents(text).expect_err(text);
            assert_eq!(error.at.line, line, "{}", error.problem);
            assert!(error.problem.contains(problem), "{}", error.problem);
        }
    }
}
