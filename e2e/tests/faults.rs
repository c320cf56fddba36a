//! What goes wrong around a soak: it always ends, never as Passed, and says what it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::DeleteParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{Criterion, HealthBreach, Phase, Prometheus, SoakOutcome, SoakTestStatus};
use soak_e2e::{
    Namespace, Nodes, Probe, Soak, came_to, client, criterion, kubectl, kubectl_with_input,
    node_of, prometheus_image, say, simulation, small, span, wait_until,
};

const DEPLOYED: Duration = Duration::from_secs(90);

/// It was Completed by its deadline.
fn ended_in_time(status: &SoakTestStatus) {
    let (completed, deadline) = (status.times.completed.unwrap(), status.deadline_at.unwrap());
    let late = completed.duration_since(deadline);
    assert!(
        late <= SignedDuration::from_secs(1),
        "Completed {late} after its deadline"
    );
}

/// It Failed by health alone, and the message, the first breach and the sentence name the pod and the reason.
fn failed_by_health(status: &SoakTestStatus, pod: &str, reason: &str) {
    let breaches = breaches_told(status, pod, reason);
    let breach = breaches
        .first()
        .unwrap_or_else(|| panic!("no breach of {pod}: {:?}", status.breaches));
    assert_eq!(breach.reason, reason, "{breach:?}");
}

/// The breaches of the pod, first one first, where health alone Failed and its sentence names the pod and the reason.
fn breaches_told<'s>(status: &'s SoakTestStatus, pod: &str, reason: &str) -> Vec<&'s HealthBreach> {
    came_to(status, SoakOutcome::Failed);
    let health = criterion(status, "health");
    assert_eq!(health.outcome, Outcome::Failed, "{}", health.sentence);
    assert!(
        health.sentence.contains(pod) && health.sentence.contains(reason),
        "{}",
        health.sentence
    );
    assert!(
        status.message.starts_with("Failed: health: "),
        "{}",
        status.message
    );
    let breaches = status.breaches.iter();
    breaches.filter(|breach| breach.pod == pod).collect()
}

/// A soak that is being judged, and one of its workers.
async fn soaking(namespace: &Namespace, name: &str) -> (Soak, Pod) {
    let mut test = small(name);
    test.spec.duration = span(40);
    test.spec.settle = span(10);
    let soak = namespace.soak(&test).await;
    soak.reaches(Phase::Soaking, DEPLOYED).await;
    let worker = soak
        .pods("worker")
        .await
        .into_iter()
        .next()
        .expect("a worker");
    (soak, worker)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let statuses = pod.status.iter();
    statuses.flat_map(|status| status.container_statuses.iter().flatten())
}

fn container_restarts(pod: &Pod) -> i32 {
    containers(pod)
        .map(|container| container.restart_count)
        .sum()
}

async fn restarted(client: &Client, pod: &Pod, times: i32) -> Pod {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
    let (what, name) = (
        format!("restart {times} of {}", pod.name_any()),
        pod.name_any(),
    );
    wait_until(&what, Duration::from_secs(40), async || {
        match pods.get(&name).await {
            Ok(pod) if container_restarts(&pod) >= times => Probe::Done(pod),
            Ok(pod) => Probe::Waiting(format!("restarts: {}", container_restarts(&pod))),
            Err(error) => Probe::Never(error.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn nats_taken_away_while_soaking_is_never_a_pass() {
    let namespace = Namespace::new(&client().await, "no-nats").await;
    let (soak, _) = soaking(&namespace, "without-nats").await;
    let nats = soak.pods("nats").await.remove(0).name_any();
    let deployment = soak.deployment("nats").await.name_any();
    kubectl(&[
        "scale",
        "deployment",
        &deployment,
        "--replicas=0",
        "-n",
        &namespace.name,
    ])
    .await
    .unwrap();
    let status = soak.ends().await;
    ended_in_time(&status);
    failed_by_health(&status, &nats, "PodDeleted");
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn nats_that_cannot_be_deployed_is_an_error_at_the_deadline() {
    let namespace = Namespace::new(&client().await, "nats-quota").await;
    let no_services = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {services: '0'}}}";
    kubectl_with_input(&["create", "-n", &namespace.name, "-f", "-"], no_services)
        .await
        .unwrap();
    wait_until(
        "the quota to be in force",
        Duration::from_secs(20),
        async || {
            let service = [
                "create",
                "service",
                "clusterip",
                "probe",
                "--tcp=80",
                "--dry-run=server",
                "-n",
                &namespace.name,
            ];
            match kubectl(&service).await {
                Err(message) if message.contains("exceeded quota") => Probe::Done(()),
                other => Probe::Waiting(format!("{other:?}")),
            }
        },
    )
    .await;
    let mut test = small("nats-refused");
    test.spec.deadline = Some(span(45));
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;
    ended_in_time(&status);
    came_to(&status, SoakOutcome::Error);
    assert!(status.message.contains("nats"), "{}", status.message);
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_an_error_at_the_deadline_that_names_it() {
    let namespace = Namespace::new(&client().await, "no-image").await;
    let image = "soak-operator.invalid/no-such-worker:0";
    let mut test = small("no-image");
    simulation(&mut test.spec).workers.image = Some(image.to_owned());
    test.spec.deadline = Some(span(45));
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;
    ended_in_time(&status);
    came_to(&status, SoakOutcome::Error);
    assert!(status.message.contains(image), "{}", status.message);
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn a_prometheus_that_does_not_answer_is_inconclusive_at_the_deadline_and_named() {
    let namespace = Namespace::new(&client().await, "prom-url").await;
    let url = "http://prometheus.nowhere.invalid:9090";
    let mut test = small("wrong-url");
    test.spec.metrics.prometheus = Some(Prometheus {
        url: url.to_owned(),
    });
    test.spec.deadline = Some(span(80));
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;
    ended_in_time(&status);
    came_to(&status, SoakOutcome::Inconclusive);
    assert!(status.message.contains(url), "{}", status.message);
    let metrics = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "MetricsAvailable");
    let metrics = metrics.expect("a condition MetricsAvailable");
    assert!(
        metrics.status == "False" && metrics.message.contains(url),
        "{metrics:?}"
    );
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn a_prometheus_that_dies_halfway_is_inconclusive_at_the_deadline() {
    let namespace = Namespace::new(&client().await, "prom-dies").await;
    let manifest = include_str!("fixtures/prometheus.yaml").replace("$IMAGE", &prometheus_image());
    kubectl_with_input(&["create", "-n", &namespace.name, "-f", "-"], &manifest)
        .await
        .unwrap();
    let ready = [
        "rollout",
        "status",
        "deployment/own",
        "--timeout=60s",
        "-n",
        &namespace.name,
    ];
    kubectl(&ready).await.unwrap();

    let mut test = small("half-blind");
    let url = format!("http://own.{}.svc:9090", namespace.name);
    test.spec.metrics.prometheus = Some(Prometheus { url: url.clone() });
    test.spec.warm_up = span(10);
    test.spec.duration = span(40);
    test.spec.deadline = Some(span(120));
    let soak = namespace.soak(&test).await;
    let available = |status: &SoakTestStatus| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == "MetricsAvailable" && c.status == "True")
    };
    soak.until("metrics while soaking", DEPLOYED, |s| {
        s.phase == Phase::Soaking && available(s)
    })
    .await;
    kubectl(&["delete", "deployment", "own", "-n", &namespace.name])
        .await
        .unwrap();
    let status = soak.ends().await;
    ended_in_time(&status);
    came_to(&status, SoakOutcome::Inconclusive);
    assert!(status.message.contains(&url), "{}", status.message);
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn a_query_that_prometheus_cannot_answer_is_told_at_once_and_spoils_its_own_criterion_alone()
{
    let namespace = Namespace::new(&client().await, "bad-query").await;
    let mut test = small("bad-query");
    // On a machine with much else to do draining takes its time.
    test.spec.settle = span(20);
    test.spec.duration = span(60);
    let more = json!([{"name": "torn", "growth": {"query": "sum by (pod) (up", "maxPercent": 5}}]);
    let more: Vec<Criterion> = serde_json::from_value(more).unwrap();
    test.spec.criteria.extend(more);
    let soak = namespace.soak(&test).await;
    let limit = Duration::from_secs(120);
    let told = |status: &SoakTestStatus| {
        let mut unmeasured = status.unmeasured.iter();
        unmeasured.any(|one| one.criterion == "torn" && one.why.contains("parse error"))
    };
    let status = soak.until("told of the query", limit, told).await;
    assert_eq!(status.phase, Phase::Soaking);
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Inconclusive);
    let torn = criterion(&status, "torn");
    assert_eq!(torn.outcome, Outcome::Inconclusive);
    assert!(torn.sentence.contains("parse error"), "{}", torn.sentence);
    for other in ["health", "evidence", "no-loss"] {
        let other = criterion(&status, other);
        assert_eq!(other.outcome, Outcome::Passed, "{}", other.sentence);
    }
}

#[tokio::test]
async fn a_worker_deleted_by_somebody_else_fails_health() {
    let namespace = Namespace::new(&client().await, "deleted").await;
    let (soak, worker) = soaking(&namespace, "meddled-with").await;
    let pods: Api<Pod> = namespace.api();
    pods.delete(&worker.name_any(), &DeleteParams::default())
        .await
        .unwrap();
    // It goes on, and says from then on what will become of it.
    let foretold = |status: &SoakTestStatus| {
        let conditions = status.conditions.iter();
        let passed = conditions.filter(|one| one.type_ == "Passed" && one.status == "False");
        passed.filter(|one| one.reason == "HealthBreached").count() == 1
            && status.message.contains("; it will be Failed: ")
    };
    let limit = Duration::from_secs(30);
    let status = soak.until("told to fail", limit, foretold).await;
    assert!(status.phase < Phase::Judging, "{:?}", status.phase);
    let status = soak.ends().await;
    failed_by_health(&status, &worker.name_any(), "PodDeleted");
}

#[tokio::test]
async fn a_worker_that_keeps_crashing_fails_health_with_its_termination_reason() {
    let client = client().await;
    let namespace = Namespace::new(&client, "crashes").await;
    let nodes = Nodes::open(&client).await;
    let (soak, worker) = soaking(&namespace, "crash-loop").await;
    let node = node_of(&worker);
    let uid = worker.uid().unwrap();
    for crash in 1..=2 {
        wait_until("a process to kill", Duration::from_secs(40), async || {
            let killed = nodes.kill(&node, &uid).await;
            if killed.is_empty() {
                Probe::Waiting("none runs".to_owned())
            } else {
                Probe::Done(())
            }
        })
        .await;
        say(&format!("crash {crash} of {}", worker.name_any()));
        if crash == 1 {
            restarted(&client, &worker, crash).await;
        }
    }
    let status = soak.ends().await;
    failed_by_health(&status, &worker.name_any(), "ContainerRestarted");
    let sentence = &criterion(&status, "health").sentence;
    assert!(
        sentence.contains("exit code 137"),
        "the last termination is told: {sentence}"
    );
}

fn last_end(pod: &Pod) -> Option<&str> {
    let mut ends =
        containers(pod).filter_map(|container| container.last_state.as_ref()?.terminated.as_ref());
    ends.find_map(|end| end.reason.as_deref())
}

/// Makes the pod use twice the memory that it may, until its kubelet says so. A container runtime under load learns of
/// the kill before it learns of the reason and then calls it "Error": once more, in that case.
async fn exhaust(client: &Client, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
    let name = pod.name_any();
    let path = format!(
        "/api/v1/namespaces/{}/pods/{name}:8080/proxy/debug/allocate?bytes={}",
        pod.namespace().unwrap(),
        256 * 1024 * 1024
    );
    wait_until("OOMKilled", Duration::from_secs(45), async || {
        match pods.get(&name).await {
            Ok(pod) if last_end(&pod) == Some("OOMKilled") => Probe::Done(()),
            Ok(pod) => {
                let request = http::Request::post(&path).body(Vec::new()).unwrap();
                let asked = client.request_text(request);
                // The answer may die with it.
                let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
                Probe::Waiting(format!(
                    "it last ended by {:?}, asked: {answer:?}",
                    last_end(&pod)
                ))
            }
            Err(error) => Probe::Never(error.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_runs_out_of_memory_fails_health_as_such() {
    let client = client().await;
    let namespace = Namespace::new(&client, "oom").await;
    let (soak, worker) = soaking(&namespace, "hungry").await;
    exhaust(&client, &worker).await;
    let status = soak.ends().await;
    // Each breach says what the kubelet said, and one at least that it was memory.
    let breaches = breaches_told(&status, &worker.name_any(), "OOMKilled");
    let said = |breach: &HealthBreach| (breach.reason.clone(), breach.detail.clone());
    let memory = ("OOMKilled".to_owned(), "exit code 137".to_owned());
    let unexplained = (
        "ContainerRestarted".to_owned(),
        "Error, exit code 137".to_owned(),
    );
    let said: Vec<_> = breaches.into_iter().map(said).collect();
    assert!(said.contains(&memory), "{said:?}");
    assert!(
        said.iter().all(|one| *one == memory || *one == unexplained),
        "{said:?}"
    );
}
