//! A thousand soaks at once: what the operator takes for them, and whether it keeps its paces. `make bench-thousand`. Nothing
//! of this is asserted: the machine is shared.
//!
//! So many pods run on no small cluster. Theirs are never scheduled, and this test says of each what a kubelet would: that it
//! runs and is ready. All else is real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use soak_api::{COMPONENT, Phase, SOAK_TEST, SoakTest};
use soak_e2e::{
    JournalEvent, Namespace, Operator, Probe, client, is_ready, quantile, say, small, span,
    wait_until,
};

const SOAKS: u32 = 1_000;

/// Three events a second over all of them.
const EVERY: Duration = Duration::from_secs(333);

const MIB: f64 = 1_048_576.0;

/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(300);

/// A Deployment of one pod that nobody schedules.
fn deployment(name: &str) -> Deployment {
    let labels = json!({"app": name, SOAK_TEST: name, COMPONENT: name});
    let deployment = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "schedulerName": "nobody",
                    "automountServiceAccountToken": false,
                    "containers": [{"name": "main", "image": "none"}]
                }
            }
        }
    });
    serde_json::from_value(deployment).expect("a Deployment")
}

/// A soak of it that goes on for longer than is measured.
fn soak(name: &str) -> SoakTest {
    let mut test = small(name);
    test.spec.duration = span(1_800);
    test.spec.deadline = Some(span(3_600));
    let mut test = serde_json::to_value(test).expect("JSON");
    let spec = &mut test["spec"];
    let deployments = json!([{"name": name, "replicas": 1}]);
    spec["workload"] = json!({"existing": {"deployments": deployments, "cooldown": "1s"}});
    let every = format!("{}s", EVERY.as_secs());
    spec["chaos"] = json!({
        "interval": {"min": every, "max": every},
        "guard": {"startAfter": "1s", "minReadyPercent": 0, "overlap": true},
        "events": [{"podKill": {"component": name}}],
    });
    spec["criteria"] =
        json!([{"name": "memory", "growth": {"signal": "Memory", "maxPercent": 50}}]);
    serde_json::from_value(test).expect("a SoakTest")
}

/// What a kubelet says of a pod once it is ready.
fn ready() -> Value {
    let now = Timestamp::now();
    let condition = |of: &str| json!({"type": of, "status": "True", "lastTransitionTime": now});
    json!({"status": {
        "phase": "Running",
        "startTime": now,
        "conditions": [condition("ContainersReady"), condition("Ready")],
        "containerStatuses": [{
            "name": "main", "image": "none", "imageID": "none", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {"startedAt": now}},
        }],
    }})
}

/// Makes all pods of the namespace ready, those that come later, too.
fn keep_ready(namespace: &Namespace) {
    let (told, pods) = (namespace.told_of::<Pod>(), namespace.api::<Pod>());
    let made = told.for_each_concurrent(16, move |event| {
        let pods = pods.clone();
        async move {
            let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = event else {
                return;
            };
            if pod.metadata.deletion_timestamp.is_none() && !is_ready(&pod) {
                let params = PatchParams::default();
                // One that is gone by now has another in its place.
                let _ = pods
                    .patch_status(&pod.name_any(), &params, &Patch::Strategic(ready()))
                    .await;
            }
        }
    });
    tokio::spawn(made);
}

/// When each soak wrote that its operator was there, in order.
type Beats = Arc<Mutex<BTreeMap<String, Vec<Timestamp>>>>;

fn heartbeats(namespace: &Namespace) -> Beats {
    let beats = Beats::default();
    let (seen, tests) = (beats.clone(), namespace.api::<SoakTest>());
    tokio::spawn(
        watcher(tests, watcher::Config::default()).for_each(move |event| {
            if let Ok(watcher::Event::Apply(test)) = event
                && let Some(at) = test
                    .status
                    .as_ref()
                    .and_then(|status| status.presence.seen_at)
            {
                let mut seen = seen.lock().unwrap();
                let beats = seen.entry(test.name_any()).or_default();
                if beats.last() != Some(&at) {
                    beats.push(at);
                }
            }
            std::future::ready(())
        }),
    );
    beats
}

/// What the operator took so far, for whatever it does.
struct Taken {
    cpu: f64,
    memory: f64,
    passes: f64,
    requests: BTreeMap<String, f64>,
}

impl Taken {
    async fn by(operator: &Operator) -> Self {
        let sum = async |metric| operator.counts(metric).await.values().sum();
        Self {
            cpu: sum("process_cpu_seconds_total").await,
            memory: sum("process_resident_memory_bytes").await,
            passes: sum("soak_operator_reconcile_seconds_count").await,
            requests: operator.counts("soak_operator_api_requests_total").await,
        }
    }
}

fn tell_paces(beats: &Beats, from: Timestamp) {
    let beats = beats.lock().unwrap();
    let pauses = beats.values().flat_map(|beats| {
        let pairs = beats.windows(2).filter(move |pair| pair[1] > from);
        pairs.map(|pair| pair[1].duration_since(pair[0]).as_secs_f64())
    });
    let pauses: Vec<f64> = pauses.collect();
    let longest = quantile(&pauses, 1.0);
    say(&format!(
        "from a write of a status to its soak's next: p50 {:.1} s, p99 {:.1} s, longest {longest:.1} s of {}",
        quantile(&pauses, 0.5),
        quantile(&pauses, 0.99),
        pauses.len()
    ));
    let mut seconds = BTreeMap::<i64, f64>::new();
    for at in beats.values().flatten().filter(|at| **at > from) {
        *seconds.entry(at.as_second()).or_default() += 1.0;
    }
    let each: Vec<f64> = seconds.into_values().collect();
    let mean = each.iter().sum::<f64>() / each.len() as f64;
    say(&format!(
        "such writes in a second: {mean:.1} on average, {:.0} in the fullest",
        quantile(&each, 1.0)
    ));
}

#[tokio::test]
async fn a_thousand_soaks_at_once() {
    let client = client().await;
    let operator = Operator::find(&client).await;
    let namespace = Namespace::new(&client, "bench-thousand").await;
    let idle = Taken::by(&operator).await;
    keep_ready(&namespace);
    let deployments: Api<Deployment> = namespace.api();
    let names: Vec<_> = (0..SOAKS).map(|number| format!("one-{number}")).collect();
    for name in &names {
        let params = PostParams::default();
        deployments
            .create(&params, &deployment(name))
            .await
            .unwrap();
    }
    wait_until("all pods", Duration::from_secs(900), async || {
        let pods = namespace.api::<Pod>().list(&ListParams::default()).await;
        let ready = pods.unwrap().iter().filter(|pod| is_ready(pod)).count();
        if ready == names.len() {
            Probe::Done(())
        } else {
            Probe::Waiting(format!("{ready} of {SOAKS} are ready"))
        }
    })
    .await;
    // One after the other, so that their events are spread evenly, too.
    let tests: Api<SoakTest> = namespace.api();
    let mut pace = tokio::time::interval(EVERY / SOAKS);
    for name in &names {
        pace.tick().await;
        let params = PostParams::default();
        tests.create(&params, &soak(name)).await.unwrap();
    }
    wait_until("all to soak", Duration::from_secs(300), async || {
        let tests = tests.list(&ListParams::default()).await.unwrap();
        let phase = |test: &SoakTest| test.status.as_ref().map(|status| status.phase);
        let soaking = tests
            .iter()
            .filter(|test| phase(test) == Some(Phase::Soaking));
        match soaking.count() {
            soaking if soaking == names.len() => Probe::Done(()),
            soaking => Probe::Waiting(format!("{soaking} of {SOAKS} soak")),
        }
    })
    .await;
    let beats = heartbeats(&namespace);
    let (from, before) = (Timestamp::now(), Taken::by(&operator).await);
    // What is measured is what happens in so long, and not a condition.
    tokio::time::sleep(MEASURED).await;
    let after = Taken::by(&operator).await;
    let minutes = MEASURED.as_secs_f64() / 60.0;
    say(&format!(
        "{SOAKS} soaks: {:.1} CPU-seconds a minute, {:.0} MiB, {:.0} of them without any, {:.0} passes a minute",
        (after.cpu - before.cpu) / minutes,
        after.memory / MIB,
        idle.memory / MIB,
        (after.passes - before.passes) / minutes
    ));
    for (labels, count) in &after.requests {
        let asked = count - before.requests.get(labels).copied().unwrap_or_default();
        say(&format!(
            "requests a minute {labels}: {:.0}",
            asked / minutes
        ));
    }
    tell_paces(&beats, from);
    let (mut late, mut results) = (Vec::new(), BTreeMap::new());
    for name in &names {
        let soak = namespace.existing(name);
        let status = soak.now().await.status.unwrap_or_default();
        for event in JournalEvent::all(&soak.journal(&status).await) {
            let why = format!("{} {}", event.result, event.reason);
            *results.entry(why).or_insert(0) += 1;
            let done = event.injected_at.filter(|at| *at > from);
            late.extend(done.map(|at| at.duration_since(event.planned_at).as_secs_f64() * 1e3));
        }
    }
    say(&format!(
        "kills: {results:?}; later than planned: p50 {:.0} ms, p99 {:.0} ms, latest {:.0} ms of {}",
        quantile(&late, 0.5),
        quantile(&late, 0.99),
        quantile(&late, 1.0),
        late.len()
    ));
}
