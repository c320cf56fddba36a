//! `kubectl soak lint`: what is wrong with a SoakTest, before a cluster says so.
//!
//! Three parts, each of which needs that the ones before it found nothing where it looks: the schema of the CRD, its CEL
//! rules, and what no API server can know, such as that a plan is empty.

mod finding;
mod header;
mod meaning;
mod nearest;
mod rules;
mod schema;

use std::path::{Path, PathBuf};

use anyhow::bail;
use kube::CustomResourceExt;
use serde_json::Value;
use soak_api::SoakTest;

use self::finding::{Finding, Severity};
use self::rules::Rules;
use crate::document::{self, Node};

/// Find what is wrong with SoakTests, without a cluster
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// SoakTests in YAML or JSON, or - for standard input
    #[arg(short, long, value_name = "FILE", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,
}

/// What was found, in lines; and whether that was nothing.
pub(crate) fn run(args: &Args) -> anyhow::Result<(String, bool)> {
    let linter = Linter::new()?;
    let mut text = String::new();
    let mut clean = true;
    for path in &args.filename {
        let (lines, fine) = linter.lint(path)?;
        text.push_str(&lines);
        clean &= fine;
    }
    Ok((text, clean))
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

    fn lint(&self, path: &Path) -> anyhow::Result<(String, bool)> {
        let file = document::read(path)?;
        let mut findings = Vec::new();
        let mut count = 0;
        match document::documents(&file.text) {
            Err(malformed) => findings.push(Finding {
                at: malformed.at,
                severity: Severity::Error,
                field: String::new(),
                problem: format!("not YAML: {}", malformed.problem),
            }),
            Ok(documents) => {
                let tests: Vec<&Node> = documents
                    .iter()
                    .filter(|one| header::is_ours(one))
                    .collect();
                count = tests.len();
                findings.extend(tests.into_iter().flat_map(|test| self.findings(test)));
            }
        }
        let name = &file.name;
        if !findings.is_empty() {
            let lines = findings.iter().map(|finding| format!("{name}:{finding}"));
            return Ok((lines.collect::<Vec<_>>().join("\n") + "\n", false));
        }
        let tests = match count {
            0 => bail!("there is no SoakTest in {name}"),
            1 => "1 SoakTest".to_owned(),
            count => format!("{count} SoakTests"),
        };
        Ok((format!("{name}: {tests}, nothing wrong\n"), true))
    }

    /// In the order of the file.
    fn findings(&self, test: &Node) -> Vec<Finding> {
        let mut findings = header::check(test);
        findings.extend(schema::check(&self.schema, test));
        let object = schema::with_defaults(&self.schema, &header::named(test));
        findings.extend(self.rules.check(&object, test, &findings));
        if findings.is_empty() {
            findings = meaning::check(&object, test);
        }
        findings.sort_by_key(|finding| finding.at);
        findings
    }
}

/// The schema of SoakTests.
fn crd_schema() -> Value {
    let crd = serde_json::to_value(SoakTest::crd()).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}
