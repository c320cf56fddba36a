//! The operator killed thirty times while events overlap, five seconds apart: what became of each is known, and no pod was
//! hit twice. It takes twenty minutes, so `make test` leaves it to `make soak-kills`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use soak_api::{Phase, SoakTest, SoakTestStatus};
use soak_e2e::{
    JournalEvent, Namespace, Nodes, Operator, PodLog, Soak, client, say, simulation, small, span,
};

const KILLS: u64 = 30;

/// Long enough for thirty kills, of which each costs a Lease's length; ended by `abort` when they are over.
fn test() -> SoakTest {
    let mut test = small("thirty");
    let spec = &mut test.spec;
    simulation(spec).workers.replicas = 6;
    spec.warm_up = span(10);
    spec.duration = span(3_600);
    spec.settle = span(15);
    spec.deadline = Some(span(4_200));
    let chaos = json!({
        "interval": {"min": "5s", "max": "5s"},
        "guard": {"startAfter": "5s", "minReadyPercent": 30, "overlap": true},
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
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let killed = nodes
        .kill(&node.expect("it runs"), &pod.uid().unwrap())
        .await;
    assert!(!killed.is_empty(), "nothing of {} ran", pod.name_any());
    operator
        .leads(Timestamp::now(), Duration::from_secs(90))
        .await;
    operator.replace().await;
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
    let soak = namespace.soak(&test()).await;
    soak.reaches(Phase::Soaking, Duration::from_secs(120)).await;
    for round in 1..=KILLS {
        kill(&operator, &nodes, round).await;
        let chaos = soak.now().await.status.unwrap().chaos;
        let (injected, due) = (chaos.injected, chaos.due);
        say(&format!(
            "kill {round}: {injected} of {due} events injected"
        ));
    }
    soak.patch_spec(json!({"abort": true})).await;
    let status = soak
        .reaches(Phase::Completed, Duration::from_secs(120))
        .await;

    let events = events(&soak, &status).await;
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
    let ended = status.times.cleaning_up.unwrap();
    let gone: BTreeSet<_> = pods
        .of(&soak.name, "worker")
        .into_iter()
        .filter(|(_, pod)| pod.deleted_at.is_some_and(|at| at < ended))
        .map(|(uid, _)| uid)
        .collect();
    let hit: Vec<_> = events.iter().filter(|event| event.hit()).collect();
    let once: BTreeSet<_> = hit.iter().map(|event| event.uid.clone()).collect();
    assert_eq!(once.len(), hit.len(), "a pod was hit twice");
    assert_eq!(gone, once, "the pods that went are those that events hit");
    assert_eq!(status.breaches, [], "nothing happened beside chaos");
}
