//! Every kind of chaos event on real pods: what it does is what the API server saw, and what the status says of it is that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use soak_api::verdict::Outcome;
use soak_api::{
    Chaos, EVENT, EventRecord, EventResult, Phase, SOAK_TEST, SoakOutcome, SoakTest,
    SoakTestStatus, WorkloadCleanup,
};
use soak_e2e::{
    Namespace, Nodes, Operator, PodLog, Probe, Soak, came_to, client, criterion, kubectl,
    kubectl_with_input, node_of, pod_metrics, say, simulation, small, span, wait_until,
};

const DEPLOYED: Duration = Duration::from_secs(90);

/// A soak of three workers with these events, each at an instant of its own.
fn eventful(name: &str, seconds: u64, events: &Value) -> SoakTest {
    let mut test = small(name);
    simulation(&mut test.spec).workers.replicas = 3;
    test.spec.warm_up = span(10);
    test.spec.duration = span(seconds);
    test.spec.settle = span(15);
    test.spec.deadline = Some(span(seconds + 150));
    let chaos = json!({"guard": {"startAfter": "1s", "minReadyPercent": 50}, "events": events});
    test.spec.chaos = Some(serde_json::from_value::<Chaos>(chaos).expect("chaos"));
    test
}

/// Once, so long after the chaos begins.
fn once(at: &str, kind: &str, more: &Value) -> Value {
    let mut event = json!({"component": "worker"});
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    json!({kind: event, "every": at, "maxEvents": 1})
}

/// How long the component took to come back from the event, which was proven.
fn proven(event: &EventRecord) -> Duration {
    assert_eq!(event.result, EventResult::Injected, "{event:?}");
    let (injected, recovered) = (event.injected_at.unwrap(), event.recovered_at.unwrap());
    let since = event.undone_at.unwrap_or(injected);
    assert!(event.planned_at <= injected && injected <= since && since < recovered);
    recovered.duration_since(since).unsigned_abs()
}

/// Says how long each took, for the table in docs/chaos.md.
fn say_recoveries(events: &[EventRecord]) {
    for event in events {
        let recovery = proven(event).as_secs_f64();
        say(&format!("{}: recovered after {recovery:.1} s", event.kind));
    }
}

#[tokio::test]
async fn every_kind_of_event_is_carried_out_and_proven() {
    let namespace = Namespace::new(&client().await, "events").await;
    let events = json!([
        once("20s", "podKill", &json!({})),
        once("45s", "podRestart", &json!({"gracePeriod": "3s"})),
        once("70s", "podCrash", &json!({})),
        once("95s", "evict", &json!({})),
        once("120s", "leaderKill", &json!({})),
    ]);
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&eventful("events", 145, &events)).await;
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Passed);
    let events = &status.chaos.recent;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["podKill", "podRestart", "podCrash", "evict", "leaderKill"]
    );
    say_recoveries(events);
    // What the API server told of the pods themselves.
    let seen = pods.of(&soak.name, "worker");
    let crashed = &seen[&events[2].uid];
    assert_eq!(
        crashed.restarts, 1,
        "the container of {crashed:?} restarted once"
    );
    let judged_until = status.times.judging.unwrap();
    let gone: BTreeMap<_, _> = seen
        .iter()
        .filter(|(_, pod)| pod.deleted_at.is_some_and(|at| at < judged_until))
        .collect();
    let hit = events.iter().filter(|event| event.kind != "podCrash");
    assert!(hit.clone().all(|event| gone.contains_key(&event.uid)));
    assert_eq!(gone.len(), hit.count(), "no other pod went: {seen:#?}");
    let restarts: i32 = seen.values().map(|pod| pod.restarts).sum();
    assert_eq!(restarts, 1, "no other container restarted: {seen:#?}");
}

/// Waits until the Deployment of the workers has so many replicas, by its own word.
async fn has_replicas(soak: &Soak, replicas: i32) {
    let what = format!("{replicas} workers planned and ready");
    wait_until(&what, Duration::from_secs(90), async || {
        let deployment = soak.deployment("worker").await;
        let planned = deployment.spec.and_then(|spec| spec.replicas);
        let ready = deployment.status.and_then(|status| status.ready_replicas);
        if (planned, ready) == (Some(replicas), Some(replicas)) {
            Probe::Done(())
        } else {
            Probe::Waiting(format!("{planned:?} planned, {ready:?} ready"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_component_is_scaled_for_a_while_and_rolled_out_and_nobody_is_blamed() {
    let namespace = Namespace::new(&client().await, "scale").await;
    let more = json!({"by": {"min": 1, "max": 1}, "for": "15s"});
    let fewer = json!({"by": {"min": -1, "max": -1}, "for": "15s"});
    let events = json!([
        once("10s", "scale", &more),
        once("65s", "scale", &fewer),
        once("110s", "rollout", &json!({})),
    ]);
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&eventful("scale", 160, &events)).await;
    soak.reaches(Phase::Soaking, DEPLOYED).await;
    for replicas in [4, 3, 2, 3] {
        has_replicas(&soak, replicas).await;
    }
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Passed);
    let events = &status.chaos.recent;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["scale", "scale", "rollout"]);
    say_recoveries(events);
    assert!(
        events[..2].iter().all(|event| event.undone_at.is_some()),
        "{events:?}"
    );
    // Three at first, one more; one fewer and one for it; three new ones.
    let seen = pods.of(&soak.name, "worker");
    assert_eq!(seen.len(), 3 + 1 + 1 + 3, "{seen:#?}");
    let judged = status.times.judging.unwrap();
    let gone = seen
        .values()
        .filter(|pod| pod.deleted_at.is_some_and(|at| at < judged));
    assert_eq!(gone.count(), 1 + 1 + 3, "{seen:#?}");
}

const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: workers}
spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hindered-worker}}";

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open}
spec: {podSelector: {}, ingress: [{}]}";

#[tokio::test]
async fn nothing_is_done_where_an_autoscaler_or_another_policy_would_undo_it() {
    let namespace = Namespace::new(&client().await, "hindered").await;
    let of = ["-n", namespace.name.as_str()];
    for object in [AUTOSCALER, POLICY] {
        let create = [&["create", "-f", "-"][..], &of].concat();
        kubectl_with_input(&create, object).await.unwrap();
    }
    let events = json!([
        once("5s", "scale", &json!({"by": {"min": 1, "max": 2}})),
        once("10s", "networkPartition", &json!({})),
    ]);
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&eventful("hindered", 20, &events)).await;
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Inconclusive);
    for event in &status.chaos.recent {
        let came_to = (event.result, event.reason.as_str());
        assert_eq!(came_to, (EventResult::Abandoned, "Refused"), "{event:?}");
    }
    assert_eq!(status.chaos.recent.len(), 2);
    assert_eq!(pods.of(&soak.name, "worker").len(), 3);
    let notes = [
        "get",
        "events.events.k8s.io",
        "-o",
        "jsonpath={.items[*].note}",
    ];
    let told = kubectl(&[&notes[..], &of].concat()).await.unwrap();
    for why in [
        "HorizontalPodAutoscaler workers scales",
        "NetworkPolicy open selects",
    ] {
        assert!(told.contains(why), "{told}");
    }
}

/// The policies that chaos has made for the soak.
async fn policies(soak: &Soak) -> Vec<NetworkPolicy> {
    let policies: Api<NetworkPolicy> = soak.api();
    let ours = ListParams::default().labels(&format!("{SOAK_TEST}={}", soak.name));
    policies.list(&ours).await.unwrap().items
}

#[tokio::test]
async fn a_pod_is_cut_off_for_a_while_and_what_is_left_is_undone_when_the_soak_is_aborted() {
    let namespace = Namespace::new(&client().await, "partition").await;
    let mut test = eventful(
        "partition",
        200,
        &json!([
            once("10s", "networkPartition", &json!({"for": "10s"})),
            once(
                "40s",
                "scale",
                &json!({"by": {"min": 1, "max": 1}, "for": "1h"})
            ),
            once("60s", "networkPartition", &json!({"for": "1h"})),
        ]),
    );
    test.spec.chaos.as_mut().unwrap().guard.overlap = true;
    test.spec.cleanup.workload = WorkloadCleanup::Keep;
    let soak = namespace.soak(&test).await;
    let cut_off = wait_until("a pod cut off", DEPLOYED, async || {
        match policies(&soak).await.pop() {
            Some(policy) => Probe::Done(policy),
            None => Probe::Waiting("no policy".to_owned()),
        }
    })
    .await;
    let spec = cut_off.spec.expect("a policy says something");
    assert_eq!(
        spec.policy_types,
        Some(vec!["Ingress".to_owned(), "Egress".to_owned()])
    );
    assert!(spec.egress.is_none_or(|open| open.is_empty()));
    let selector = spec
        .pod_selector
        .unwrap_or_default()
        .match_labels
        .expect("labels");
    let workers = soak.pods("worker").await;
    let selected = workers.iter().filter(|pod| {
        let labels = pod.labels();
        selector
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    });
    let selected: Vec<_> = selected.map(ResourceExt::name_any).collect();
    let back = |status: &SoakTestStatus| !status.chaos.recent.is_empty();
    let status = soak
        .until("connected again", Duration::from_secs(60), back)
        .await;
    let event = &status.chaos.recent[0];
    assert_eq!(
        selected,
        std::slice::from_ref(&event.pod),
        "that pod and no other"
    );
    assert!(policies(&soak).await.is_empty());
    let lasted = event
        .undone_at
        .unwrap()
        .duration_since(event.injected_at.unwrap());
    assert!(lasted >= SignedDuration::from_secs(10), "{lasted:#}");
    // Where nobody enforces policies nothing is proven, and that is said.
    match event.result {
        EventResult::Injected => {}
        result => assert_eq!(
            (result, event.reason.as_str()),
            (EventResult::Unproven, "NotCutOff")
        ),
    }
    has_replicas(&soak, 4).await;
    // What is done to all of a component goes with nothing else, however much may overlap.
    let refused = |status: &SoakTestStatus| status.chaos.due == 3;
    let status = soak
        .until("the third event", Duration::from_secs(60), refused)
        .await;
    assert_eq!(
        status
            .chaos
            .recent
            .last()
            .map(|event| event.reason.as_str()),
        Some("NotRecovered")
    );
    soak.patch_spec(json!({"abort": true})).await;
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Aborted);
    assert!(policies(&soak).await.is_empty());
    assert_eq!(
        soak.deployment("worker")
            .await
            .spec
            .and_then(|spec| spec.replicas),
        Some(3)
    );
}

/// Enforces the first policy that chaos makes for the soak, on the pod that it selects and for as long as it is there.
async fn enforce(client: &Client, soak: &Soak, nodes: &Nodes) {
    let operator = Operator::find(client).await;
    let scrapes: Api<Pod> = Api::namespaced(client.clone(), &operator.namespace);
    let scrapes = scrapes.list(&ListParams::default()).await.unwrap();
    let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.clone();
    let scrapes: Vec<String> = scrapes.iter().filter_map(address).collect();
    let label = wait_until("a policy", DEPLOYED, async || {
        let policy = policies(soak).await.pop().and_then(|policy| policy.spec);
        let selector = policy.and_then(|spec| spec.pod_selector?.match_labels);
        match selector.and_then(|mut labels| labels.remove(EVENT)) {
            Some(label) => Probe::Done(label),
            None => Probe::Waiting("none".to_owned()),
        }
    })
    .await;
    let workers = soak.pods("worker").await;
    let mut cut = workers
        .iter()
        .filter(|pod| pod.labels().get(EVENT) == Some(&label));
    let pod = cut.next().expect("a pod that the policy selects");
    let (node, address) = (node_of(pod), address(pod).expect("an address"));
    nodes.cut_off(&node, &address, &scrapes).await;
    wait_until("no policy", DEPLOYED, async || {
        match policies(soak).await.as_slice() {
            [] => Probe::Done(()),
            _ => Probe::Waiting("there is one".to_owned()),
        }
    })
    .await;
    nodes.reconnect(&node, &address).await;
}

#[tokio::test]
async fn a_pod_that_is_cut_off_proves_it_by_being_unready_and_comes_back() {
    let client = client().await;
    let nodes = Nodes::open(&client).await;
    let namespace = Namespace::new(&client, "cut-off").await;
    let once = once("10s", "networkPartition", &json!({"for": "20s"}));
    let soak = namespace
        .soak(&eventful("cut-off", 70, &json!([once])))
        .await;
    enforce(&client, &soak, &nodes).await;
    let status = soak.ends().await;
    let [event] = status.chaos.recent.as_slice() else {
        panic!("one event: {:?}", status.chaos.recent)
    };
    proven(event);
    say_recoveries(&status.chaos.recent);
    let health = criterion(&status, "health");
    assert_eq!(health.outcome, Outcome::Passed, "{}", health.sentence);
}

/// The worker that says of itself that it leads.
async fn leader(soak: &Soak) -> String {
    wait_until("a leader", Duration::from_secs(60), async || {
        for pod in soak.pods("worker").await {
            let name = pod.name_any();
            let metrics = pod_metrics(&soak.namespace, &name)
                .await
                .unwrap_or_default();
            if metrics.lines().any(|line| line == "soak_sim_leader 1") {
                return Probe::Done(name);
            }
        }
        Probe::Waiting("no worker leads".to_owned())
    })
    .await
}

/// Waits until so many events are behind us, and the workload has recovered from them.
async fn recovered(soak: &Soak, events: u32) {
    let what = format!("{events} events recovered from");
    let quiet = |status: &SoakTestStatus| {
        status.chaos.due == events
            && status.chaos.pending.is_none()
            && status.chaos.recovering.is_empty()
    };
    soak.until(&what, Duration::from_secs(90), quiet).await;
}

#[tokio::test]
async fn a_leader_is_known_by_a_lease_a_label_or_a_query() {
    let namespace = Namespace::new(&client().await, "leaders").await;
    let events = json!([
        once("20s", "leaderKill", &json!({"leader": {"lease": "chief"}})),
        once(
            "45s",
            "leaderKill",
            &json!({"leader": {"label": "role=leader"}})
        ),
        once(
            "90s",
            "leaderKill",
            &json!({"leader": {"query": "soak_sim_leader == 1"}})
        ),
        once(
            "110s",
            "leaderKill",
            &json!({"leader": {"lease": "nobody"}})
        ),
    ]);
    let soak = namespace.soak(&eventful("leaders", 130, &events)).await;
    soak.reaches(Phase::Soaking, DEPLOYED).await;
    let workers = soak.pods("worker").await;
    let (by_lease, by_label) = (workers[2].name_any(), workers[1].name_any());
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "chief"}, "spec": {"holderIdentity": format!("{by_lease}_5f3a")},
    });
    let of = ["-n", namespace.name.as_str()];
    let create = [&["create", "-f", "-"][..], &of].concat();
    kubectl_with_input(&create, &lease.to_string())
        .await
        .unwrap();
    let label = [&["label", "pod", &by_label, "role=leader"][..], &of].concat();
    kubectl(&label).await.unwrap();
    recovered(&soak, 2).await;
    let by_query = leader(&soak).await;
    let status = soak.ends().await;
    let events = &status.chaos.recent;
    for (event, pod) in events.iter().zip([by_lease, by_label, by_query]) {
        proven(event);
        assert_eq!(event.pod, pod, "{event:?}");
    }
    let unknown = &events[3];
    assert_eq!(
        (unknown.result, unknown.reason.as_str()),
        (EventResult::Skipped, "NoLeader")
    );
    let evidence = criterion(&status, "evidence");
    assert!(
        evidence.sentence.contains("NoLeader"),
        "{}",
        evidence.sentence
    );
}

#[tokio::test]
async fn an_eviction_respects_a_disruption_budget() {
    let namespace = Namespace::new(&client().await, "budget").await;
    let events = json!([
        once("10s", "evict", &json!({})),
        once("40s", "evict", &json!({})),
    ]);
    let budget = "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: all}, spec: \
                  {minAvailable: 3, selector: {matchLabels: {soak-operator.io/component: worker}}}}";
    let of = ["-n", namespace.name.as_str()];
    let create = [&["create", "-f", "-"][..], &of].concat();
    kubectl_with_input(&create, budget).await.unwrap();
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&eventful("budget", 70, &events)).await;
    recovered(&soak, 1).await;
    let seen = pods.of(&soak.name, "worker");
    assert!(
        seen.values().all(|pod| pod.deleted_at.is_none()),
        "{seen:#?}"
    );
    let delete = [&["delete", "poddisruptionbudget", "all"][..], &of].concat();
    kubectl(&delete).await.unwrap();
    let status = soak.ends().await;
    let [kept, evicted] = status.chaos.recent.as_slice() else {
        panic!("{:?}", status.chaos.recent);
    };
    assert_eq!(
        (kept.result, kept.reason.as_str()),
        (EventResult::Abandoned, "Refused")
    );
    proven(evicted);
}

#[tokio::test]
async fn a_dry_run_says_whom_it_would_have_hit_and_touches_nobody() {
    let namespace = Namespace::new(&client().await, "dry-run").await;
    let mut test = eventful(
        "dry-run",
        30,
        &json!([{"podKill": {"component": "worker"}, "every": "8s"}]),
    );
    test.spec.chaos.as_mut().unwrap().dry_run = true;
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;
    came_to(&status, SoakOutcome::Inconclusive);
    let seen = pods.of(&soak.name, "worker");
    let judged = status.times.judging.unwrap();
    assert!(
        seen.values()
            .all(|pod| pod.deleted_at.is_none_or(|at| at >= judged))
    );
    assert_eq!(status.chaos.recent.len(), 3);
    for event in &status.chaos.recent {
        assert_eq!(
            (event.result, event.reason.as_str()),
            (EventResult::Skipped, "DryRun")
        );
        assert!(seen.contains_key(&event.uid), "{event:?}");
    }
}
