//! What no API server can know of a SoakTest that it would take.

use serde_json::Value;
use soak_api::SoakTest;
use soak_operator::rehearsal::doubts;

use super::finding::Finding;
use crate::node::Node;

/// What could not do what it says, of an object with its defaults filled in.
pub(super) fn check(object: &Value, document: &Node) -> Vec<Finding> {
    let test: SoakTest = match serde_path_to_error::deserialize(object) {
        Ok(test) => test,
        // What the schema lets pass and the operator cannot read, such as a duration beyond all bounds.
        Err(error) => {
            let field = error.path().to_string();
            return vec![Finding::error(document, field, error.inner().to_string())];
        }
    };
    let mut findings = switches(&test, document);
    let doubts = doubts(&test).into_iter();
    findings.extend(doubts.map(|doubt| Finding::warning(document, doubt.field, doubt.sentence)));
    findings
}

/// What is for a soak that runs, and not for one that is to begin.
fn switches(test: &SoakTest, document: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    if test.spec.abort {
        let problem = "the soak would end as soon as it begins: leave abort out";
        findings.push(Finding::warning(document, "spec.abort", problem));
    }
    if test.spec.suspend && test.spec.chaos.is_some() {
        let problem = "no chaos happens while it is suspended, and what is not done counts as not done: leave suspend \
                       out";
        findings.push(Finding::warning(document, "spec.suspend", problem));
    }
    findings
}
