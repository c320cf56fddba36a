//! The operator's permissions taken away in the middle of a soak: said clearly, and then on.
//!
//! They are those of the operator that all tests share, so that this runs when all other tests are over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use soak_api::{EventResult, SoakOutcome, SoakTestStatus};
use soak_e2e::{
    Namespace, Operator, Probe, came_to, client, criterion, simulation, small, span, wait_until,
    worker_kills,
};

/// Takes these verbs away, and the answer is the role as it was.
async fn take(roles: &Api<ClusterRole>, name: &str, taken: &[(&str, &str)]) -> ClusterRole {
    let before = roles.get(name).await.unwrap();
    let mut less = before.clone();
    for rule in less.rules.iter_mut().flatten() {
        let resources = rule.resources.clone().unwrap_or_default();
        rule.verbs.retain(|verb| {
            !taken
                .iter()
                .any(|(taken, of)| verb == taken && resources.iter().any(|one| one == of))
        });
    }
    assert_ne!(less.rules, before.rules, "nothing was taken away");
    roles
        .replace(name, &PostParams::default(), &less)
        .await
        .unwrap();
    before
}

async fn give_back(roles: &Api<ClusterRole>, name: &str, before: &ClusterRole) {
    let mut role = roles.get(name).await.unwrap();
    role.rules.clone_from(&before.rules);
    roles
        .replace(name, &PostParams::default(), &role)
        .await
        .unwrap();
}

#[tokio::test]
async fn without_permission_to_delete_events_are_refused_by_name_and_the_soak_still_ends_and_goes()
{
    let client = client().await;
    let operator = Operator::find(&client).await;
    let namespace = Namespace::new(&client, "permissions").await;
    let mut test = small("hindered");
    simulation(&mut test.spec).workers.replicas = 3;
    test.spec.chaos = Some(worker_kills(8, 10, 1));
    test.spec.duration = span(50);
    test.spec.settle = span(10);
    test.spec.deadline = Some(span(125));
    let soak = namespace.soak(&test).await;
    soak.until("a kill", Duration::from_secs(120), |status| {
        status.chaos.injected > 0
    })
    .await;

    let roles: Api<ClusterRole> = Api::all(client.clone());
    let taken = [
        ("delete", "pods"),
        ("delete", "deployments"),
        ("delete", "services"),
    ];
    let before = take(&roles, &operator.name, &taken).await;
    let hindered = AssertUnwindSafe(async {
        let refused = |status: &SoakTestStatus| {
            let last = status.chaos.recent.last();
            last.is_some_and(|event| event.reason == "Refused")
        };
        let status = soak
            .until("a refusal", Duration::from_secs(60), refused)
            .await;
        let last = status.chaos.recent.last().unwrap();
        assert_eq!(last.result, EventResult::Abandoned, "{last:?}");
        told_in_the_words_of_the_api_server(&namespace).await;
        // The workload cannot be removed, which holds up nothing, and is said.
        let status = soak.ends().await;
        let mut conditions = status.conditions.iter();
        let cleaned_up = conditions
            .find(|condition| condition.type_ == "CleanedUp")
            .expect("a condition CleanedUp");
        assert_eq!(cleaned_up.status, "False");
        assert!(
            cleaned_up.message.contains("deployment hindered-worker"),
            "{}",
            cleaned_up.message
        );
        came_to(&status, SoakOutcome::Inconclusive);
        let evidence = criterion(&status, "evidence");
        assert!(
            evidence.sentence.contains("Refused"),
            "{}",
            evidence.sentence
        );
        soak.delete().await;
        soak.everything_is_gone().await;
    });
    let result = hindered.catch_unwind().await;
    give_back(&roles, &operator.name, &before).await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

async fn told_in_the_words_of_the_api_server(namespace: &Namespace) {
    let events: Api<Event> = namespace.api();
    wait_until(
        "an event that says why",
        Duration::from_secs(30),
        async || {
            let all = events.list(&ListParams::default()).await.unwrap();
            let notes: Vec<_> = all.into_iter().filter_map(|event| event.note).collect();
            let says = |note: &String| {
                note.contains("was refused") && note.contains("cannot delete resource")
            };
            match notes.iter().find(|note| says(note)) {
                Some(_) => Probe::Done(()),
                None => Probe::Waiting(json!(notes).to_string()),
            }
        },
    )
    .await;
}
