//! JUnit's XML, which GitHub, GitLab and Jenkins show: a test case for each criterion.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use soak_api::verdict::Outcome;
use soak_api::{CriterionResult, SoakOutcome};

use super::view::View;

/// What a criterion that could be proven neither way is shown as.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Inconclusive {
    /// Not a pass, so that nobody takes it for one
    Failure,
    /// Skipped, with the sentence as its message
    Skipped,
}

/// The criteria as test cases, in the order of the verdict.
pub(crate) fn of(view: &View<'_>, inconclusive: Inconclusive) -> anyhow::Result<String> {
    let suite_name = match (view.namespace(), view.name()) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let mut suite = TestSuite::new(suite_name.as_str());
    if let Some((from, to)) = view.window() {
        suite.set_time(Duration::from_secs_f64(to - from));
    }
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let properties = [
        ("outcome", Some(view.outcome().to_owned())),
        ("seed", number(view.seed())),
        (
            "planVersion",
            number(view.status.plan_version.map(i64::from)),
        ),
        ("duration", Some(view.spec.duration.to_string())),
        ("operator", Some(view.evidence.operator.clone())),
        ("kubectl-soak", Some(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    for (name, value) in properties {
        if let Some(value) = value {
            suite.add_property((name, value.as_str()));
        }
    }
    let class = suite_name.replace('/', ".");
    let add = |suite: &mut TestSuite, name: &str, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(class.as_str());
        suite.add_test_case(case);
    };
    for result in &view.status.criteria {
        add(&mut suite, &result.name, status(result, inconclusive));
    }
    // Somebody or something ended it: no criterion says so.
    let ended = matches!(
        view.status.outcome,
        Some(SoakOutcome::Aborted | SoakOutcome::Error) | None
    );
    if ended || view.status.criteria.is_empty() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(view.reason()).set_type(view.outcome());
        add(&mut suite, "soak", status);
    }
    let mut report = Report::new("soak-operator");
    report.add_test_suite(suite);
    let xml = report.to_string().context("failed to write JUnit")?;
    // The schema knows it of a suite, but not of all of them, and Jenkins can be told to be strict.
    let xml = xml.replacen(&format!(" skipped=\"{}\"", report.skipped), "", 1);
    Ok(xml.trim_end().to_owned() + "\n")
}

fn status(result: &CriterionResult, inconclusive: Inconclusive) -> TestCaseStatus {
    let sentence = result.sentence.as_str();
    match (result.outcome, inconclusive) {
        (Outcome::Passed, _) => TestCaseStatus::success(),
        (Outcome::Inconclusive, Inconclusive::Skipped) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(sentence).set_type("Inconclusive");
            status
        }
        (outcome, _) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(sentence)
                .set_type(super::view::outcome(outcome))
                // Some show the message, some the text.
                .set_description(sentence);
            status
        }
    }
}
