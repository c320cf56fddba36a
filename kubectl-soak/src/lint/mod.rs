//! `kubectl soak lint`: what is wrong with a SoakTest, before a cluster says so.
//!
//! Four parts: the schema of the CRD, its CEL rules, the queries, and what no API server can know, such as that a plan is
//! empty. Rules and rehearsal need that the ones before them found nothing where they look.

mod culprit;
mod finding;
mod header;
mod meaning;
pub(crate) mod nearest;
mod promql;
mod rules;
mod schema;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use soak_api::SoakTest;

use self::finding::{Finding, Severity};
use self::rules::Rules;
use crate::document;
use crate::node::{Content, Node, Place};
use crate::repeated::Repeated;

/// Find what is wrong with SoakTests, without a cluster
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// SoakTests in YAML or JSON, or - for standard input
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,
}

/// What was found in all files.
pub(crate) struct Linted {
    /// In lines.
    pub(crate) text: String,
    /// Whether that was nothing.
    pub(crate) clean: bool,
    /// Why some of it could not be looked at.
    pub(crate) problem: Option<anyhow::Error>,
}

/// Looks at every file, whatever is the matter with the others.
pub(crate) fn run(args: &Args) -> anyhow::Result<Linted> {
    let linter = Linter::new()?;
    let mut linted = Linted {
        text: String::new(),
        clean: true,
        problem: None,
    };
    let (mut tests, mut names) = (0, Vec::new());
    let mut problems = Vec::new();
    for path in &args.filename {
        match linter.lint(path) {
            Ok(file) => {
                linted.text.push_str(&file.text);
                linted.clean &= file.clean;
                tests += file.tests;
                names.push(file.name);
            }
            Err(problem) => problems.push(format!("{problem:#}")),
        }
    }
    if tests == 0 && linted.clean && problems.is_empty() {
        linted.text.clear();
        problems.push(format!("there is no SoakTest in {}", names.join(", ")));
    }
    linted.problem = (!problems.is_empty()).then(|| anyhow!("{}", problems.join("\nerror: ")));
    Ok(linted)
}

/// What a cluster would refuse of the SoakTests of a file, in lines.
pub(crate) fn refused(name: &str, documents: &[Node]) -> anyhow::Result<Vec<String>> {
    let linter = Linter::new()?;
    let tests = documents.iter().filter(|one| document::is_soak_test(one));
    let findings = tests.flat_map(|test| {
        let object = schema::with_defaults(&linter.schema, &header::named(test));
        let mut findings = linter.refused(&object, test);
        findings.sort_by_key(|finding| finding.at);
        findings
    });
    Ok(findings
        .map(|finding| format!("{name}:{finding}"))
        .collect())
}

/// What is wrong with criteria that stand by themselves, by the schema and the rules that they have in a SoakTest; and
/// where.
pub(crate) fn criteria(list: Node) -> anyhow::Result<Vec<(Place, String)>> {
    let schema = crd_schema();
    let own = &schema["properties"]["spec"]["properties"]["criteria"];
    let schema = json!({"type": "object", "properties": {"criteria": own}});
    let at = list.at;
    let document = Node {
        at,
        content: Content::Object(vec![("criteria".to_owned(), at, list)]),
    };
    let object = document.to_json();
    let mut findings = schema::check(&schema, &document);
    let object = schema::with_defaults(&schema, &object);
    findings.extend(Rules::of(&schema)?.check(&object, &document, &findings));
    let told = findings.into_iter().map(|one| match &*one.field {
        "" => (one.at, one.problem),
        field => (one.at, format!("{field}: {}", one.problem)),
    });
    Ok(told.collect())
}

/// All that is found in the documents of a text, warnings too.
#[cfg(test)]
pub(crate) fn found(text: &str) -> Vec<String> {
    let linter = Linter::new().expect("the schema");
    let documents = document::documents(text).expect("YAML");
    let findings = documents.iter().flat_map(|one| linter.findings(one));
    findings.map(|one| one.to_string()).collect()
}

/// What was found in one file.
struct LintedFile {
    name: String,
    text: String,
    clean: bool,
    tests: usize,
}

/// The schema and the rules of the CRD.
struct Linter {
    schema: Value,
    rules: Rules,
}

impl Linter {
    fn new() -> anyhow::Result<Self> {
        let schema = crd_schema();
        Ok(Self {
            rules: Rules::of(&schema)?,
            schema,
        })
    }

    fn lint(&self, path: &Path) -> anyhow::Result<LintedFile> {
        let file = document::read(path)?;
        let mut findings = Vec::new();
        let mut count = 0;
        match document::documents_and_repeated(&file.text) {
            Err(malformed) => findings.push(Finding {
                at: malformed.at,
                severity: Severity::Error,
                field: String::new(),
                problem: format!("not YAML: {}", malformed.problem),
            }),
            Ok((documents, repeated)) => {
                findings.extend(repeated.into_iter().map(again));
                let tests: Vec<&Node> = documents
                    .iter()
                    .filter(|one| header::is_ours(one))
                    .collect();
                count = tests.len();
                findings.extend(tests.into_iter().flat_map(|test| self.findings(test)));
                findings.sort_by_key(|finding| finding.at);
            }
        }
        let name = &file.name;
        if !findings.is_empty() {
            let lines = findings.iter().map(|finding| format!("{name}:{finding}"));
            return Ok(LintedFile {
                name: name.clone(),
                text: lines.collect::<Vec<_>>().join("\n") + "\n",
                clean: false,
                tests: count,
            });
        }
        let text = match count {
            0 => format!("{name}: no SoakTest\n"),
            1 => format!("{name}: 1 SoakTest, nothing wrong\n"),
            count => format!("{name}: {count} SoakTests, nothing wrong\n"),
        };
        Ok(LintedFile {
            name: file.name,
            text,
            clean: true,
            tests: count,
        })
    }

    /// In the order of the file.
    fn findings(&self, test: &Node) -> Vec<Finding> {
        let object = schema::with_defaults(&self.schema, &header::named(test));
        let mut findings = self.refused(&object, test);
        let (errors, warnings): (Vec<_>, Vec<_>) = promql::check(test)
            .into_iter()
            .partition(|finding| finding.severity == Severity::Error);
        findings.extend(errors);
        if findings.is_empty() {
            findings = warnings;
            findings.extend(meaning::check(&object, test));
        }
        findings.sort_by_key(|finding| finding.at);
        findings
    }

    /// What a cluster would refuse, of an object with its defaults filled in.
    fn refused(&self, object: &Value, test: &Node) -> Vec<Finding> {
        let mut findings = header::check(test);
        findings.extend(schema::check(&self.schema, test));
        findings.extend(self.rules.check(object, test, &findings));
        findings
    }
}

/// A key that an object has twice. Which of the two was meant nobody knows, and kubectl takes neither.
fn again(repeated: Repeated) -> Finding {
    let Repeated { at, first, field } = repeated;
    Finding {
        at,
        severity: Severity::Error,
        field,
        problem: format!(
            "it stands on line {} already: take one of the two out",
            first.line
        ),
    }
}

/// The schema of SoakTests.
fn crd_schema() -> Value {
    let crd = serde_json::to_value(SoakTest::crd()).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}
