//! The ends that people bring about: deletion in every phase, abort and suspend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{EventResult, Phase, Prometheus, SoakOutcome, SoakTest};
use soak_e2e::{
    Namespace, Probe, came_to, client, criterion, simulation, small, span, wait_until, worker_kills,
};

const REACHED: Duration = Duration::from_secs(120);

/// As small as it gets, and over within half a minute of being ready.
fn tiny(name: &str) -> SoakTest {
    let mut test = small(name);
    simulation(&mut test.spec).workers.replicas = 1;
    test
}

/// A small soak with a kill every five seconds or so.
fn restless(name: &str) -> SoakTest {
    let mut test = small(name);
    simulation(&mut test.spec).workers.replicas = 3;
    test.spec.chaos = Some(worker_kills(8, 10, 1));
    test.spec.duration = span(60);
    test
}

/// Deletes the soak once it is in this very phase, and waits until nothing is left.
async fn deleted_in(phase: Phase, test: SoakTest) {
    let theme = format!("del-{phase:?}").to_lowercase();
    let namespace = Namespace::new(&client().await, &theme).await;
    let soak = namespace.soak(&test).await;
    soak.until(
        &format!("{phase:?}, to be deleted in it"),
        REACHED,
        |status| {
            assert!(
                status.phase <= phase,
                "{phase:?} was over before it could be seen"
            );
            status.phase == phase
        },
    )
    .await;
    soak.delete().await;
    soak.everything_is_gone().await;
}

#[tokio::test]
async fn deleted_at_once_it_leaves_nothing() {
    let namespace = Namespace::new(&client().await, "del-pending").await;
    let soak = namespace.soak(&tiny("deleted")).await;
    soak.delete().await;
    soak.everything_is_gone().await;
}

#[tokio::test]
async fn deleted_while_deploying_it_leaves_nothing() {
    deleted_in(Phase::Deploying, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_while_warming_up_it_leaves_nothing() {
    deleted_in(Phase::WarmingUp, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_while_soaking_it_leaves_nothing() {
    deleted_in(Phase::Soaking, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_while_settling_it_leaves_nothing() {
    deleted_in(Phase::Settling, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_while_judging_it_leaves_nothing() {
    // Judging goes on as long as Prometheus does not answer.
    let mut test = tiny("deleted");
    test.spec.metrics.prometheus = Some(Prometheus {
        url: "http://prometheus.nowhere.invalid:9090".to_owned(),
    });
    deleted_in(Phase::Judging, test).await;
}

#[tokio::test]
async fn deleted_while_cleaning_up_it_leaves_nothing() {
    deleted_in(Phase::CleaningUp, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_when_completed_it_leaves_nothing() {
    deleted_in(Phase::Completed, tiny("deleted")).await;
}

#[tokio::test]
async fn deleted_while_a_kill_is_under_way_it_leaves_nothing() {
    let namespace = Namespace::new(&client().await, "del-kill").await;
    let soak = namespace.soak(&restless("deleted")).await;
    let killed = |status: &soak_api::SoakTestStatus| {
        status.chaos.pending.is_some() || !status.chaos.recovering.is_empty()
    };
    soak.until("a kill", REACHED, killed).await;
    soak.delete().await;
    soak.everything_is_gone().await;
}

#[tokio::test]
async fn a_namespace_deleted_while_soaking_goes() {
    let client = client().await;
    let namespace = Namespace::new(&client, "del-namespace").await;
    let soak = namespace.soak(&tiny("deleted")).await;
    soak.reaches(Phase::Soaking, REACHED).await;
    let namespaces: Api<KubeNamespace> = Api::all(client);
    namespaces
        .delete(&namespace.name, &DeleteParams::default())
        .await
        .unwrap();
    wait_until(
        "the namespace to go",
        Duration::from_secs(90),
        async || match namespaces.get_opt(&namespace.name).await.unwrap() {
            None => Probe::Done(()),
            Some(namespace) => {
                Probe::Waiting(format!("{:?}", namespace.status.and_then(|s| s.conditions)))
            }
        },
    )
    .await;
}

#[tokio::test]
async fn aborted_while_soaking_it_is_aborted_and_its_workload_goes() {
    let namespace = Namespace::new(&client().await, "abort").await;
    let soak = namespace.soak(&restless("aborted")).await;
    soak.until("a kill", REACHED, |status| status.chaos.injected > 0)
        .await;
    soak.patch_spec(json!({"abort": true})).await;
    let status = soak
        .reaches(Phase::Completed, Duration::from_secs(60))
        .await;
    came_to(&status, SoakOutcome::Aborted);
    assert!(status.message.contains("spec.abort"), "{}", status.message);
    soak.workload_is_gone().await;
    let journal = soak.journal(&status).await;
    assert!(
        journal
            .iter()
            .any(|line| line.starts_with("e 0 podKill worker ")),
        "{journal:#?}"
    );
    soak.delete().await;
    soak.everything_is_gone().await;
}

#[tokio::test]
async fn aborted_before_it_has_begun_it_deploys_nothing_for_long() {
    let namespace = Namespace::new(&client().await, "abort-early").await;
    let mut test = tiny("aborted");
    test.spec.abort = true;
    let soak = namespace.soak(&test).await;
    let status = soak
        .reaches(Phase::Completed, Duration::from_secs(60))
        .await;
    came_to(&status, SoakOutcome::Aborted);
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn suspended_it_kills_nobody_and_time_runs_on() {
    let namespace = Namespace::new(&client().await, "suspend").await;
    let soak = namespace.soak(&restless("suspended")).await;
    soak.until("a kill", REACHED, |status| {
        status.chaos.injected == 1 && status.chaos.recovering.is_empty()
    })
    .await;
    soak.patch_spec(json!({"suspend": true})).await;
    let status = soak.ends().await;
    let chaos = &status.chaos;
    assert!(
        chaos.due == chaos.planned && chaos.planned >= 4,
        "{chaos:?}"
    );
    assert_eq!(chaos.injected, 1, "{:?}", chaos.recent);
    let others = chaos.recent.iter().filter(|event| event.index > 0);
    for event in others {
        assert_eq!(
            (event.result, event.reason.as_str()),
            (EventResult::Skipped, "Suspended"),
            "{event:?}"
        );
    }
    came_to(&status, SoakOutcome::Inconclusive);
    let evidence = criterion(&status, "evidence");
    assert_eq!(
        evidence.outcome,
        Outcome::Inconclusive,
        "{}",
        evidence.sentence
    );
    assert!(
        evidence.sentence.contains("Suspended"),
        "the reason is told: {}",
        evidence.sentence
    );
}
