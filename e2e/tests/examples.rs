//! The examples that the documentation points at.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use soak_api::Criterion;
use soak_e2e::{Namespace, client, kubectl, repository, soak_test};

fn example_paths() -> Vec<String> {
    let files = std::fs::read_dir(repository().join("examples")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let yaml = files.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    let mut paths: Vec<_> = yaml
        .map(|path| format!("examples/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn every_example_is_accepted_by_the_api_server() {
    let namespace = Namespace::new(&client().await, "examples").await;
    let paths = example_paths();
    assert!(paths.len() >= 4, "too few examples: {paths:?}");
    for path in paths {
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-n",
            &namespace.name,
            "-f",
        ];
        let applied = kubectl(&[&apply[..], &[&path]].concat()).await;
        assert!(applied.is_ok(), "{path} was refused: {applied:?}");
    }
}

#[test]
fn every_example_can_be_converted_into_what_the_operator_works_with() {
    for path in example_paths() {
        let spec = soak_test(&path).spec;
        let kinds: Result<Vec<_>, _> = spec.criteria.iter().map(Criterion::kind).collect();
        assert!(kinds.is_ok(), "{path}: {kinds:?}");
        let kinds = spec.chaos.as_ref().map(soak_api::Chaos::kinds).transpose();
        assert!(kinds.is_ok(), "{path}: {kinds:?}");
    }
}

#[test]
fn the_twins_differ_in_nothing_but_name_and_leak() {
    let lines = |path: &str| -> Vec<String> {
        let text = std::fs::read_to_string(repository().join(path)).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    };
    let (clean, leaking) = (lines("examples/clean.yaml"), lines("examples/leaking.yaml"));
    assert_eq!(clean.len(), leaking.len());
    let differences: Vec<_> = clean.iter().zip(&leaking).filter(|(a, b)| a != b).collect();
    let differences: Vec<_> = differences
        .iter()
        .map(|(a, b)| (a.trim(), b.trim()))
        .collect();
    assert_eq!(
        differences,
        [
            ("name: clean", "name: leaking"),
            ("leak: {mode: None}", "leak: {mode: OrphanedPullLoop}")
        ]
    );
}

#[test]
fn the_twins_lose_at_least_five_workers_whatever_the_seed() {
    for path in ["examples/clean.yaml", "examples/leaking.yaml"] {
        let spec = soak_test(path).spec;
        let chaos = spec.chaos.expect("the twins are about chaos");
        let interval = chaos.interval.as_ref().expect("they draw their kills");
        let fifth_at_the_latest = chaos.guard.start_after.duration() + 5 * interval.max.duration();
        let margin = spec.duration.duration().checked_sub(fifth_at_the_latest);
        assert!(
            margin > Some(Duration::ZERO),
            "{path}: the fifth kill may come at {fifth_at_the_latest:?}"
        );
        let [only] = &chaos.events[..] else {
            panic!("{path} does more than kill workers")
        };
        assert_eq!(
            only.pod_kill.as_ref().map(|kill| kill.component.as_str()),
            Some("worker")
        );
    }
}
