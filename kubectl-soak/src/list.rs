//! `kubectl soak list`: all soaks, and how far each has come.

use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use soak_api::{SoakTest, SoakTestStatus};

use crate::cluster::{self, explained};
use crate::timeline::Timeline;
use crate::wording::{NOTHING, aligned, between};

/// List soaks, and how far each has come
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: cluster::Args,

    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// The table.
pub(crate) async fn run(args: &Args) -> anyhow::Result<String> {
    let cluster = args.cluster.open().await?;
    let tests = if args.all_namespaces {
        Api::all(cluster.client.clone())
    } else {
        cluster.soak_tests()
    };
    let tests = tests.list(&ListParams::default()).await;
    let tests = tests.map_err(explained)?.items;
    if tests.is_empty() {
        let place = if args.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}: -A shows those of all", cluster.namespace)
        };
        return Ok(format!("there are no soaktests in {place}\n"));
    }
    Ok(table(&tests, args.all_namespaces, Timestamp::now()))
}

fn table(tests: &[SoakTest], namespaces: bool, now: Timestamp) -> String {
    let header = [
        "NAMESPACE",
        "NAME",
        "PHASE",
        "OUTCOME",
        "LEFT",
        "CHAOS",
        "AGE",
    ];
    let mut rows: Vec<Vec<String>> = tests.iter().map(|test| row(test, now)).collect();
    rows.sort();
    rows.insert(0, header.map(str::to_owned).to_vec());
    if !namespaces {
        for row in &mut rows {
            row.remove(0);
        }
    }
    aligned(&rows, 0).join("\n") + "\n"
}

fn row(test: &SoakTest, now: Timestamp) -> Vec<String> {
    let status = test.status.clone().unwrap_or_default();
    let nothing = || NOTHING.to_owned();
    let age = test.creation_timestamp().map(|at| between(at.0, now));
    vec![
        test.namespace().unwrap_or_default(),
        test.name_any(),
        format!("{:?}", status.phase),
        outcome(&status),
        Timeline::of(test, now)
            .left
            .map_or_else(nothing, |left| between(now, now + left)),
        Some(status.chaos.summary)
            .filter(|summary| !summary.is_empty())
            .unwrap_or_else(nothing),
        age.unwrap_or_else(nothing),
    ]
}

/// What it came to, or what it can no longer avoid.
fn outcome(status: &SoakTestStatus) -> String {
    match (status.outcome, status.foregone()) {
        (Some(outcome), _) => format!("{outcome:?}"),
        (None, Some(foregone)) => foregone.in_words().to_owned(),
        (None, None) => NOTHING.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{at, failed, leaking, soaking};

    #[test]
    fn soaks_are_listed_by_namespace_and_name() {
        let mut elsewhere = leaking();
        elsewhere.metadata.namespace = Some("another".to_owned());
        let mut over = failed();
        over.metadata.name = Some("over".to_owned());
        let tests = [over, soaking(), elsewhere];
        insta::assert_snapshot!(table(&tests, true, at("06:04:00")));
    }

    #[test]
    fn of_one_namespace_its_name_is_left_out() {
        let text = table(&[soaking()], false, at("06:04:00"));
        assert!(text.starts_with("NAME "), "{text}");
        assert!(!text.contains("NAMESPACE"), "{text}");
    }
}
