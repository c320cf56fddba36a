//! Soaks of what is there already: it agrees to be hit, is judged by its own metrics, and is left as it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{Phase, SoakOutcome, SoakTest, SoakTestStatus};
use soak_e2e::{
    JournalEvent, Namespace, Operator, Panel, Plugin, PodLog, Probe, came_to, client, criterion,
    kubectl, kubectl_with_input, prometheus_image, say, wait_until,
};
use tokio::task::JoinSet;

/// A namespace with somebody's own programs in it, all of them ready.
async fn shop(theme: &str) -> Namespace {
    let namespace = Namespace::new(&client().await, theme).await;
    for (name, replicas) in [("cart", "3"), ("bystander", "1")] {
        let manifest = include_str!("fixtures/cart.yaml")
            .replace("$NAME", name)
            .replace("$REPLICAS", replicas)
            .replace("$IMAGE", &prometheus_image());
        let apply = ["apply", "-n", &namespace.name, "-f", "-"];
        kubectl_with_input(&apply, &manifest).await.unwrap();
    }
    for name in ["cart", "bystander"] {
        rolled_out(&namespace, name).await;
    }
    namespace
}

async fn rolled_out(namespace: &Namespace, deployment: &str) {
    let name = format!("deployment/{deployment}");
    let wait = ["rollout", "status", &name, "--timeout=120s", "-n"];
    kubectl(&[&wait[..], &[&namespace.name]].concat())
        .await
        .unwrap();
}

/// What `kubectl soak init` writes.
async fn init(namespace: &Namespace) -> String {
    let ended = Plugin::run(namespace, &["init", "cart"], "").await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    ended.stdout
}

/// Does what the comment says that gives the pods their labels.
async fn agree(namespace: &Namespace, written: &str) {
    let line = written.lines().find(|line| line.contains("kubectl patch"));
    let line = line.expect("how the pods agree").trim_start_matches('#');
    let (command, patch) = line.split_once(" -p ").expect("a patch");
    let mut words: Vec<&str> = command.split_whitespace().skip(1).collect();
    words.extend(["-p", patch.trim_matches('\'')]);
    kubectl(&words).await.unwrap();
    rolled_out(namespace, "cart").await;
}

/// The soak of it, in short: a leak shows in two minutes, and goroutines come and go by a few.
fn brief(written: &str) -> SoakTest {
    let mut test: serde_json::Value = serde_saphyr::from_str(written).expect("YAML");
    let spec = &mut test["spec"];
    for (field, value) in [
        ("warmUp", "10s"),
        ("duration", "120s"),
        ("settle", "15s"),
        ("deadline", "8m"),
    ] {
        spec[field] = json!(value);
    }
    spec["workload"]["existing"]["cooldown"] = json!("2s");
    spec["chaos"]["interval"] = json!({"min": "25s", "max": "35s"});
    spec["chaos"]["guard"] = json!({"startAfter": "20s"});
    spec["metrics"] = json!({"step": "1s"});
    spec["seed"] = json!(3);
    let criteria = spec["criteria"].as_array_mut().expect("criteria");
    criteria.retain(|one| one["name"] != "open-files");
    let goroutines = criteria.iter_mut().find(|one| one["name"] == "goroutines");
    goroutines.expect("a Go program")["growth"]["maxPercent"] = json!(40);
    serde_json::from_value(test).expect("a SoakTest")
}

async fn deployment(namespace: &Namespace, name: &str) -> Deployment {
    let deployments = namespace.api::<Deployment>();
    deployments.get(name).await.unwrap()
}

async fn pods(namespace: &Namespace, app: &str) -> Vec<Pod> {
    let of = ListParams::default().labels(&format!("app={app}"));
    let mut pods = namespace.api::<Pod>().list(&of).await.unwrap().items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods
}

fn uids(pods: &[Pod]) -> Vec<Option<String>> {
    pods.iter().map(ResourceExt::uid).collect()
}

#[tokio::test]
async fn what_has_agreed_is_soaked_and_left_as_it_was() {
    let namespace = shop("existing").await;
    let agreed = PodLog::follow(&namespace);
    let written = init(&namespace).await;
    assert!(written.contains("query: go_goroutines"), "{written}");
    assert!(written.contains("{name: cart, replicas: 3}"), "{written}");
    let test = brief(&written);
    let first = uids(&pods(&namespace, "cart").await);
    let soak = namespace.soak(&test).await;

    // Before they agree nothing happens to anybody, and the status says what is missing.
    let limit = Duration::from_secs(60);
    soak.until("what is missing is told", limit, |status| {
        status
            .message
            .contains("of Deployment cart have not agreed")
            && status.phase == Phase::Deploying
    })
    .await;
    assert_eq!(uids(&pods(&namespace, "cart").await), first);
    agree(&namespace, &written).await;
    let before = deployment(&namespace, "cart").await;
    let bystanders = pods(&namespace, "bystander").await;

    let back = |status: &SoakTestStatus| {
        let mut events = status.chaos.recent.iter();
        events.any(|event| event.recovered_at.is_some()) && !status.estimates.is_empty()
    };
    let shown = Duration::from_secs(240);
    soak.until("a recovery and an estimate", shown, back).await;
    let operator = Operator::find(&namespace.client).await;
    for panel in Panel::all("soaktest") {
        // All but what is the simulation's own.
        if panel.row.is_empty() {
            panel.finds_something(&operator, &soak).await;
        }
    }

    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Passed);
    let chaos = &status.chaos;
    assert!(chaos.planned >= 2, "{}", chaos.summary);
    assert_eq!((chaos.injected, chaos.due), (chaos.planned, chaos.planned));
    let journal = soak.journal(&status).await;
    let hit: Vec<String> = JournalEvent::all(&journal)
        .into_iter()
        .map(|event| event.uid)
        .collect();
    for (uid, pod) in agreed.of("cart", "cart") {
        assert_eq!(pod.deleted_at.is_some(), hit.contains(&uid), "{pod:?}");
    }

    let after = deployment(&namespace, "cart").await;
    assert_eq!(after.spec, before.spec);
    assert_eq!(after.metadata.generation, before.metadata.generation);
    assert_eq!(after.annotations(), before.annotations());
    let bystanders_after = pods(&namespace, "bystander").await;
    assert_eq!(uids(&bystanders_after), uids(&bystanders));

    let told = Plugin::run(&namespace, &["report", "cart", "-o", "markdown"], "").await;
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.contains("goroutines"), "{}", told.stdout);

    // What was the soak's goes with it, and nothing else does.
    let living = uids(&pods(&namespace, "cart").await);
    soak.delete().await;
    wait_until("the journal is gone", limit, async || {
        let maps = namespace.api::<ConfigMap>();
        let maps = maps.list(&ListParams::default()).await.unwrap().items;
        let left = maps.iter().any(|map| map.name_any().starts_with("cart-"));
        if left {
            Probe::Waiting("it is there".to_owned())
        } else {
            Probe::Done(())
        }
    })
    .await;
    assert_eq!(uids(&pods(&namespace, "cart").await), living);
}

/// Asks each pod every now and then for a profile of the next ten minutes, which takes a goroutine or two until the pod goes.
async fn leak(namespace: &Namespace) {
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut asked = JoinSet::new();
    // Bounded, whatever becomes of the test.
    while asked.len() < 600 {
        pace.tick().await;
        for pod in pods(namespace, "cart").await {
            let pod = format!("{}/pods/{}:9090", namespace.name, pod.name_any());
            let path = "proxy/debug/pprof/goroutine?seconds=600";
            let request = Request::get(format!("/api/v1/namespaces/{pod}/{path}"));
            let (client, request) = (namespace.client.clone(), request.body(Vec::new()).unwrap());
            asked.spawn(async move { client.request_text(request).await });
        }
    }
    say("the leak has become too large");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_leak_of_somebodys_own_program_is_found_by_its_own_metric() {
    let namespace = shop("existing-leak").await;
    let written = init(&namespace).await;
    agree(&namespace, &written).await;
    let soak = namespace.soak(&brief(&written)).await;
    soak.reaches(Phase::WarmingUp, Duration::from_secs(60))
        .await;
    let status = tokio::select! {
        status = soak.ends() => status,
        () = leak(&namespace) => unreachable!("it never ends"),
    };
    came_to(&status, SoakOutcome::Failed);
    let goroutines = criterion(&status, "goroutines");
    assert_eq!(
        (goroutines.outcome, goroutines.component.as_deref()),
        (Outcome::Failed, Some("cart")),
        "{}",
        goroutines.sentence
    );
    for other in ["health", "evidence"] {
        let other = criterion(&status, other);
        assert_eq!(other.outcome, Outcome::Passed, "{}", other.sentence);
    }
}
