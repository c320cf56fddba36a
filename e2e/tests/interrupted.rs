//! The operator killed thirty times while events overlap, five seconds apart; and cut off from the API server, and the API
//! server killed: what became of each event is known, and no pod was hit twice. Each takes many minutes, so `make test` leaves
//! them to `make soak-kills`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use soak_api::{Phase, SoakTest, SoakTestStatus};
use soak_e2e::{
    JournalEvent, Namespace, Nodes, Operator, PodLog, Probe, Soak, client, node_of, say,
    simulation, small, span, wait_until,
};

const KILLS: u64 = 30;

/// For how many seconds the operator is cut off: less than a request waits for its answer, and longer than its Lease lasts.
const CUTS: [u64; 8] = [1, 3, 6, 9, 12, 16, 25, 5];

/// How often the API server is killed. Each time its kubelet waits longer before it starts it again, up to five minutes.
const API_SERVER_KILLS: u32 = 2;
const API_SERVER_BACK: Duration = Duration::from_secs(400);

/// Long enough for thirty kills, of which each costs a Lease's length; ended by `abort` when they are over.
fn test(name: &str) -> SoakTest {
    let mut test = small(name);
    let spec = &mut test.spec;
    simulation(spec).workers.replicas = 6;
    spec.warm_up = span(10);
    spec.duration = span(3_600);
    spec.settle = span(15);
    spec.deadline = Some(span(4_200));
    let chaos = json!({
        "interval": {"min": "5s", "max": "5s"},
        "guard": {"startAfter": "5s", "minReadyPercent": 30, "overlap": true, "recoveryTimeout": "30m"},
        "events": [{"podKill": {"component": "worker"}}],
    });
    spec.chaos = Some(serde_json::from_value(chaos).expect("chaos"));
    test
}

/// Kills the operator at any instant after it has begun to lead, and has a fresh pod in its place, whose container is
/// restarted at once again.
async fn kill(operator: &Operator, nodes: &Nodes, round: u64) {
    let pod = operator
        .leads(Timestamp::now(), Duration::from_secs(90))
        .await;
    // Any instant will do, and each round has another: that is what is tested.
    tokio::time::sleep(Duration::from_millis(round * 1_733 % 5_000)).await;
    let killed = nodes.kill(&node_of(&pod), &pod.uid().unwrap()).await;
    assert!(!killed.is_empty(), "nothing of {} ran", pod.name_any());
    operator
        .leads(Timestamp::now(), Duration::from_secs(90))
        .await;
    operator.replace().await;
}

/// Tells how far the soak's events are after that.
async fn tell(what: &str, soak: &Soak) {
    let chaos = soak.now().await.status.unwrap().chaos;
    let (injected, due) = (chaos.injected, chaos.due);
    say(&format!("{what}: {injected} of {due} events injected"));
}

/// What the journal tells once the status names it whole.
async fn events(soak: &Soak, status: &SoakTestStatus) -> Vec<JournalEvent> {
    JournalEvent::all(&soak.journal(status).await)
}

#[tokio::test]
async fn killed_thirty_times_it_accounts_for_every_event_and_hits_no_pod_twice() {
    let client = client().await;
    let namespace = Namespace::new(&client, "thirty").await;
    let (operator, nodes) = (Operator::find(&client).await, Nodes::open(&client).await);
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&test("thirty")).await;
    soak.reaches(Phase::Soaking, Duration::from_secs(120)).await;
    for round in 1..=KILLS {
        kill(&operator, &nodes, round).await;
        tell(&format!("kill {round}"), &soak).await;
    }
    let unheard = ends_with_every_event_accounted_for(&soak, &pods).await;
    assert_eq!(unheard, 0, "no watch was broken");
}

/// Cuts the operator off from everybody for so long, without a word to either side.
async fn cut_off(operator: &Operator, nodes: &Nodes, seconds: u64) {
    let pod = operator
        .leads(Timestamp::now(), Duration::from_secs(120))
        .await;
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let (node, address) = (node_of(&pod), address.expect("an address"));
    nodes.cut_off(&node, &address, &[]).await;
    // It lasts as long as it is to last, whatever happens meanwhile.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    nodes.reconnect(&node, &address).await;
    operator
        .leads(Timestamp::now(), Duration::from_secs(120))
        .await;
}

/// Kills the API server, and waits until it answers again.
async fn kill_api_server(client: &Client, nodes: &Nodes) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "kube-system");
    let servers = ListParams::default().labels("component=kube-apiserver");
    let server = pods.list(&servers).await.unwrap().items.remove(0);
    // The kubelet knows a pod of a manifest on its disk by the hash of that.
    let known_as = &server.annotations()["kubernetes.io/config.hash"];
    let killed = nodes.kill(&node_of(&server), known_as).await;
    assert!(!killed.is_empty(), "no API server ran");
    let what = "an API server that answers";
    wait_until(what, API_SERVER_BACK, async || {
        match client.apiserver_version().await {
            Ok(_) => Probe::Done(()),
            Err(error) => Probe::Waiting(error.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn cut_off_and_without_an_api_server_it_accounts_for_every_event_and_hits_no_pod_twice() {
    let client = client().await;
    let namespace = Namespace::new(&client, "cut-off").await;
    let (operator, nodes) = (Operator::find(&client).await, Nodes::open(&client).await);
    let pods = PodLog::follow(&namespace);
    let soak = namespace.soak(&test("cut-off")).await;
    soak.reaches(Phase::Soaking, Duration::from_secs(120)).await;
    for seconds in CUTS {
        cut_off(&operator, &nodes, seconds).await;
        tell(&format!("cut off for {seconds} s"), &soak).await;
        // One that has lost its Lease has ended, and its container is restarted later each time.
        operator.replace().await;
    }
    for _ in 0..API_SERVER_KILLS {
        kill_api_server(&client, &nodes).await;
        operator
            .leads(Timestamp::now(), Duration::from_secs(120))
            .await;
        tell("the API server killed", &soak).await;
    }
    let unheard = ends_with_every_event_accounted_for(&soak, &pods).await;
    say(&format!(
        "{unheard} pods were hit that came and went while no API server told of them"
    ));
}

/// Waits until the watch of the pods knows which of them live: it was broken with the API server, and begins anew later.
async fn has_caught_up(soak: &Soak, pods: &PodLog) {
    let what = "a watch of the pods that has caught up";
    wait_until(what, Duration::from_secs(90), async || {
        let there = soak.pods("worker").await;
        let there: BTreeSet<_> = there.iter().filter_map(ResourceExt::uid).collect();
        let known = pods.of(&soak.name, "worker");
        let living = known
            .into_iter()
            .filter(|(_, pod)| pod.deleted_at.is_none());
        let living: BTreeSet<_> = living.map(|(uid, _)| uid).collect();
        if living == there {
            Probe::Done(())
        } else {
            Probe::Waiting(format!("{} live, it knows {}", there.len(), living.len()))
        }
    })
    .await;
}

/// Ends the soak, and holds what it says of its events to the plan and to what became of its pods: how many of those that it hit
/// the watch has never heard of.
async fn ends_with_every_event_accounted_for(soak: &Soak, pods: &PodLog) -> usize {
    has_caught_up(soak, pods).await;
    soak.patch_spec(json!({"abort": true})).await;
    let status = soak
        .reaches(Phase::Completed, Duration::from_secs(300))
        .await;

    let events = events(soak, &status).await;
    let mut results: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        *results.entry(&event.result).or_default() += 1;
    }
    say(&format!(
        "{} events were due: {results:?}",
        status.chaos.due
    ));
    let indices: Vec<u32> = events.iter().map(|event| event.index).collect();
    let distinct: BTreeSet<u32> = indices.iter().copied().collect();
    assert_eq!(distinct.len(), indices.len(), "an event is there twice");
    let due: BTreeSet<u32> = (0..status.chaos.due).collect();
    assert_eq!(distinct, due, "an event is not accounted for");
    let accounted = ["Injected", "Skipped", "Abandoned", "Presumed"];
    let sum: usize = accounted
        .iter()
        .filter_map(|result| results.get(result))
        .sum();
    assert_eq!(sum, status.chaos.due as usize, "{results:?}");

    // By what the API server told of the pods, and not by our own records.
    let ended = status.times.cleaning_up.unwrap().as_second();
    let known = pods.of(&soak.name, "worker");
    let hit: Vec<_> = events.iter().filter(|event| event.hit()).collect();
    let once: BTreeSet<_> = hit.iter().map(|event| event.uid.as_str()).collect();
    assert_eq!(once.len(), hit.len(), "a pod was hit twice");
    let mut unheard = once.clone();
    for (uid, pod) in &known {
        // To the second: what went in the last one may have been hit, or cleaned up.
        let went = pod.deleted_at.map(Timestamp::as_second);
        let is_hit = unheard.remove(uid.as_str());
        assert!(!is_hit || went.is_some(), "hit and still there: {pod:?}");
        let by_us = went.is_some_and(|at| at < ended);
        assert!(is_hit || !by_us, "went and was not hit: {pod:?}");
    }
    assert_eq!(status.breaches, [], "nothing happened beside chaos");
    unheard.len()
}
