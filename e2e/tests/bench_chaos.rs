//! What chaos costs and how exact it is, side by side in one run: `make bench-chaos`. No time is asserted: the machine is
//! shared, and only ratios mean something.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use soak_api::{COMPONENT, EVENT, Phase, SOAK_TEST, SoakTest, SoakTestStatus};
use soak_e2e::{
    JournalEvent, Namespace, Operator, Probe, Soak, client, quantile, say, simulation, small, span,
    wait_until,
};

const KILLS: usize = 30;

/// A soak without chaos.
fn quiet(name: &str, workers: u32, seconds: u64) -> SoakTest {
    let mut test = small(name);
    let spec = &mut test.spec;
    simulation(spec).workers.replicas = workers;
    spec.duration = span(seconds);
    spec.deadline = Some(span(seconds + 400));
    // What the workloads do is not what is measured: as little of it as they can do.
    spec.metrics.step = span(4);
    simulation(spec).partitions = 2;
    simulation(spec).message_rate = 0.1;
    test
}

/// A soak with such an event every so many seconds.
fn restless(name: &str, workers: u32, seconds: u64, every: u64, event: &Value) -> SoakTest {
    let mut test = quiet(name, workers, seconds);
    let every = format!("{every}s");
    let plan = json!({
        "interval": {"min": every, "max": every},
        "guard": {"startAfter": "1s", "minReadyPercent": 0, "overlap": true},
        "events": [event],
    });
    test.spec.chaos = Some(serde_json::from_value(plan).expect("chaos"));
    test
}

fn pod_kill() -> Value {
    json!({"podKill": {"component": "worker"}})
}

/// The image of the containers that keep a pod's network, which is on every node and does nothing.
async fn pause() -> String {
    let nodes: Api<Node> = Api::all(client().await);
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let images = nodes.iter().flat_map(|node| node.status.iter());
    let mut names = images
        .flat_map(|status| status.images.iter().flatten())
        .flat_map(|image| image.names.iter().flatten());
    let is_pause = |name: &&String| name.contains("/pause:");
    names.find(is_pause).expect("every node has it").clone()
}

/// Pods that do nothing, and agree to be hit by the soak of that name.
fn idle(name: &str, replicas: usize, image: &str) -> Deployment {
    let labels = json!({"app": name, SOAK_TEST: name, COMPONENT: name});
    let deployment = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "automountServiceAccountToken": false,
                    "containers": [{"name": "pause", "image": image, "imagePullPolicy": "IfNotPresent"}]
                }
            }
        }
    });
    serde_json::from_value(deployment).expect("a Deployment")
}

/// Soaks at once, with three events a second over all of them. What they soak does nothing, so that what is late is late by the
/// operator, and by what the machine has to do for the event itself.
struct Fleet {
    soaks: u64,
    /// How many seconds it is from each event of a soak to its next.
    every: u64,
    /// How many seconds are judged.
    window: u64,
    pods: usize,
    /// Whether a pod that is gone is replaced by one that starts.
    replaced: bool,
}

const FIFTEEN: Fleet = Fleet {
    soaks: 15,
    every: 5,
    window: 90,
    pods: 2,
    replaced: true,
};

/// As many events a second. A soak goes on with no more than eight events at once, and what is not replaced does not recover.
const THIRTY: Fleet = Fleet {
    soaks: 30,
    every: 10,
    window: 84,
    pods: 8,
    replaced: false,
};

/// The label of the nodes on which pods start that ask for it.
const STARTS: &str = "soak-operator.io/bench-starts";

/// Lets such pods start on all nodes, or on none; those that run go on.
async fn may_start(may: bool) {
    let nodes: Api<Node> = Api::all(client().await);
    let patch = json!({"metadata": {"labels": {STARTS: may.then_some("yes")}}});
    for node in nodes.list(&ListParams::default()).await.unwrap() {
        let params = PatchParams::default();
        let name = node.name_any();
        nodes
            .patch(&name, &params, &Patch::Merge(&patch))
            .await
            .unwrap();
    }
}

/// Pods that start now and not later, on any node.
fn starts_once(deployment: &mut Deployment) {
    let pod = deployment
        .spec
        .as_mut()
        .and_then(|spec| spec.template.spec.as_mut());
    let pod = pod.expect("a pod");
    pod.node_selector = Some([(STARTS.to_owned(), "yes".to_owned())].into());
    let anywhere = json!([{"operator": "Exists", "effect": "NoSchedule"}]);
    pod.tolerations = serde_json::from_value(anywhere).expect("a toleration");
}

impl Fleet {
    /// All of them, once each has begun to soak, with such an event.
    async fn sets_out(&self, namespace: &Namespace, event: &str, more: &Value) -> Vec<Soak> {
        let image = pause().await;
        let deployments: Api<Deployment> = namespace.api();
        may_start(true).await;
        for number in 0..self.soaks {
            let mut there = idle(&format!("plan-{number}"), self.pods, &image);
            if !self.replaced {
                starts_once(&mut there);
            }
            deployments
                .create(&PostParams::default(), &there)
                .await
                .unwrap();
        }
        self.stands(&deployments).await;
        may_start(false).await;
        let mut soaks = Vec::new();
        // One after the other, so that their events are spread evenly, too.
        let pace = Duration::from_secs(self.every) / u32::try_from(self.soaks).unwrap();
        let mut pace = tokio::time::interval(pace);
        for number in 0..self.soaks {
            pace.tick().await;
            let test = self.soak(&format!("plan-{number}"), event, more);
            soaks.push(namespace.soak(&test).await);
        }
        for soak in &soaks {
            soak.reaches(Phase::Soaking, Duration::from_secs(400)).await;
        }
        soaks
    }

    async fn stands(&self, deployments: &Api<Deployment>) {
        let planned = self.pods * usize::try_from(self.soaks).unwrap();
        wait_until("all pods", Duration::from_secs(900), async || {
            let there = deployments.list(&ListParams::default()).await.unwrap();
            let ready = |one: &Deployment| one.status.as_ref()?.ready_replicas;
            let ready: i32 = there.iter().filter_map(ready).sum();
            if usize::try_from(ready) == Ok(planned) {
                Probe::Done(())
            } else {
                Probe::Waiting(format!("{ready} of {planned} are ready"))
            }
        })
        .await;
    }

    fn soak(&self, name: &str, event: &str, more: &Value) -> SoakTest {
        let mut about = more.clone();
        about["component"] = json!(name);
        let test = restless(name, 2, self.window, self.every, &json!({ event: about }));
        let mut test = serde_json::to_value(test).expect("JSON");
        let spec = &mut test["spec"];
        let deployments = json!([{"name": name, "replicas": self.pods}]);
        spec["workload"] = json!({"existing": {"deployments": deployments, "cooldown": "1s"}});
        let memory = json!({"name": "memory", "growth": {"signal": "Memory", "maxPercent": 50}});
        spec["criteria"] = json!([memory]);
        serde_json::from_value(test).expect("a SoakTest")
    }

    /// What became of it, once its window is over.
    async fn ends(&self, soak: &Soak) -> SoakTestStatus {
        if !self.replaced {
            // It would be waited for until its time is over.
            soak.patch_spec(json!({"abort": true})).await;
        }
        soak.ends().await
    }
}

async fn window_is_over(soaks: &[Soak]) {
    for soak in soaks {
        soak.reaches(Phase::Settling, Duration::from_secs(300))
            .await;
    }
}

/// When a watch first told of a pod that it is on its way out, and that it is gone.
type Seen = Arc<Mutex<BTreeMap<String, (Timestamp, Option<Timestamp>)>>>;

fn follow(namespace: &Namespace) -> Seen {
    let mut events = namespace.told_of::<Pod>();
    let seen = Seen::default();
    let told = seen.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let (now, mut told) = (Timestamp::now(), told.lock().unwrap());
            match event {
                Ok(watcher::Event::Apply(pod)) if pod.metadata.deletion_timestamp.is_some() => {
                    told.entry(pod.uid().unwrap()).or_insert((now, None));
                }
                Ok(watcher::Event::Delete(pod)) => {
                    told.entry(pod.uid().unwrap()).or_insert((now, None)).1 = Some(now);
                }
                _ => {}
            }
        }
    });
    seen
}

/// From each instant until the pod was seen on its way out, and until it was seen gone, in milliseconds.
fn waits(begun: &BTreeMap<String, Timestamp>, seen: &Seen) -> (Vec<f64>, Vec<f64>) {
    let seen = seen.lock().unwrap();
    let since = |at: Timestamp, begun: Timestamp| millis(at.duration_since(begun));
    let told = begun
        .iter()
        .filter_map(|(uid, at)| Some((at, seen.get(uid)?)));
    let told: Vec<_> = told.collect();
    let going = told.iter().map(|(begun, (at, _))| since(*at, **begun));
    let gone = told
        .iter()
        .filter_map(|(begun, (_, at))| Some(since((*at)?, **begun)));
    (going.collect(), gone.collect())
}

fn millis(span: SignedDuration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn told(what: &str, values: &[f64]) -> (f64, f64) {
    let (half, most) = (quantile(values, 0.5), quantile(values, 0.99));
    say(&format!(
        "{what}: p50 {half:.0} ms, p99 {most:.0} ms of {}",
        values.len()
    ));
    (half, most)
}

/// A deletion with its uid, and nothing around it, of the eldest worker.
async fn bare_delete(namespace: &Namespace, soak: &Soak) -> (String, Timestamp) {
    let mut workers = soak.pods("worker").await;
    workers.sort_by_key(|pod| pod.creation_timestamp().map(|at| at.0));
    let worker = workers.first().expect("a worker");
    let params = DeleteParams {
        grace_period_seconds: Some(1),
        preconditions: Some(Preconditions {
            uid: worker.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let pods: Api<Pod> = namespace.api();
    let begun = Timestamp::now();
    pods.delete(&worker.name_any(), &params).await.unwrap();
    (worker.uid().unwrap(), begun)
}

#[tokio::test]
async fn a_kill_beside_a_bare_delete() {
    let namespace = Namespace::new(&client().await, "bench-kill").await;
    let seen = follow(&namespace);
    let seconds = 5 * KILLS as u64 + 8;
    let chaotic = namespace
        .soak(&restless("chaotic", 3, seconds, 5, &pod_kill()))
        .await;
    let bare = namespace.soak(&quiet("bare", 3, seconds)).await;
    bare.reaches(Phase::Soaking, Duration::from_secs(120)).await;
    let mut versions = chaotic.versions();
    let (mut due, mut asked) = (BTreeMap::new(), BTreeMap::new());
    let mut done = 0;
    while let Some(version) = versions.next().await {
        let status = version.status.unwrap_or_default();
        if let Some(intent) = status.chaos.pending {
            due.insert(intent.uid.clone(), intent.asked_from());
        }
        // After each kill one of the other kind, so that both meet the same machine.
        if status.chaos.injected > done {
            done = status.chaos.injected;
            let (uid, begun) = bare_delete(&namespace, &bare).await;
            asked.insert(uid, begun);
        }
        if status.phase > Phase::Soaking {
            break;
        }
    }
    let (ours, bares) = (waits(&due, &seen), waits(&asked, &seen));
    let (kill, _) = told("podKill, due to on its way out", &ours.0);
    let (delete, _) = told("bare DELETE, asked to on its way out", &bares.0);
    say(&format!("ratio of the medians: {:.2}", kill / delete));
    let (kill, _) = told("podKill, due to gone", &ours.1);
    let (delete, _) = told("bare DELETE, asked to gone", &bares.1);
    say(&format!("ratio of the medians: {:.2}", kill / delete));
    assert!(due.len() >= KILLS - 3, "{} kills", due.len());
}

/// How often the operator has asked the API server so far, for whatever it needs, by verb.
async fn requests(operator: &Operator) -> BTreeMap<String, f64> {
    let mut by_verb = BTreeMap::new();
    let counts = operator.counts("soak_operator_api_requests_total").await;
    for (labels, count) in counts {
        let verb = labels.split('"').nth(1).expect("a verb");
        *by_verb.entry(verb.to_owned()).or_insert(0.0) += count;
    }
    by_verb
}

/// What the machine allowed meanwhile, with no operator in between, in milliseconds.
struct Meanwhile {
    writes: Vec<f64>,
    timer: Vec<f64>,
}

impl Meanwhile {
    /// Measured until `over`.
    async fn of(namespace: &Namespace, over: impl Future<Output = ()>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writes = tokio::spawn(bare_writes(namespace.api(), stop.clone()));
        let timer = tokio::spawn(bare_timer(stop.clone()));
        over.await;
        stop.store(true, Ordering::Relaxed);
        Self {
            writes: writes.await.unwrap(),
            timer: timer.await.unwrap(),
        }
    }

    fn tell(&self) {
        told("a bare write meanwhile", &self.writes);
        told("a bare timer meanwhile, later than set", &self.timer);
    }
}

/// How long the API server takes to answer a write, which an event written down ahead of its instant does not wait for. In
/// milliseconds, one write after the other until told to stop.
async fn bare_writes(maps: Api<ConfigMap>, stop: Arc<AtomicBool>) -> Vec<f64> {
    let mut map = ConfigMap::default();
    map.metadata.name = Some("bare".to_owned());
    maps.create(&PostParams::default(), &map).await.unwrap();
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let patch = json!({"data": {"count": took.len().to_string()}});
        let begun = Timestamp::now();
        maps.patch("bare", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        took.push(millis(Timestamp::now().duration_since(begun)));
        // Its pace, and not a condition: so many writes are no load of their own.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    took
}

/// How late a timer is, three times a second until told to stop, in milliseconds.
async fn bare_timer(stop: Arc<AtomicBool>) -> Vec<f64> {
    let (mut at, mut late) = (tokio::time::Instant::now(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        at += Duration::from_millis(333);
        tokio::time::sleep_until(at).await;
        late.push(at.elapsed().as_secs_f64() * 1_000.0);
    }
    late
}

/// When each event of a soak was written down, by its place in the plan, as far as a watch tells.
fn decisions(soak: &Soak) -> Arc<Mutex<BTreeMap<u32, Timestamp>>> {
    let seen = Arc::<Mutex<BTreeMap<u32, Timestamp>>>::default();
    let (told, mut versions) = (seen.clone(), soak.versions());
    tokio::spawn(async move {
        while let Some(version) = versions.next().await {
            if let Some(intent) = version.status.and_then(|status| status.chaos.pending) {
                told.lock().unwrap().insert(intent.index, intent.decided_at);
            }
        }
    });
    seen
}

/// Kills: how late they are, and what each takes of the API server.
async fn kills(namespace: &Namespace, fleet: &Fleet) {
    let operator = Operator::find(&client().await).await;
    let soaks = fleet.sets_out(namespace, "podKill", &json!({})).await;
    let decided: Vec<_> = soaks.iter().map(decisions).collect();
    let before = requests(&operator).await;
    let meanwhile = Meanwhile::of(namespace, window_is_over(&soaks)).await;
    let after = requests(&operator).await;
    let (mut planned, mut late, mut results) = (0, Vec::new(), BTreeMap::new());
    // Where nobody was there to be hit until the instant itself, the event waits for its own write, which tells what it did.
    let (mut ahead, mut at_once) = (Vec::new(), Vec::new());
    for (soak, decided) in soaks.iter().zip(&decided) {
        let status = fleet.ends(soak).await;
        planned += status.chaos.planned;
        for event in JournalEvent::all(&soak.journal(&status).await) {
            let why = format!("{} {}", event.result, event.reason);
            *results.entry(why).or_insert(0) += 1;
            if let Some(at) = event.injected_at.filter(|_| event.result == "Injected") {
                let lateness = millis(at.duration_since(event.planned_at));
                late.push(lateness);
                match decided.lock().unwrap().get(&event.index) {
                    Some(decided) if *decided < event.planned_at => ahead.push(lateness),
                    Some(_) => at_once.push(lateness),
                    None => {}
                }
            }
        }
    }
    say(&format!(
        "{} of {planned} planned kills were made: {results:?}",
        late.len()
    ));
    assert!(late.len() as f64 >= f64::from(planned) / 2.0, "{results:?}");
    told("later than planned", &late);
    for (when, late) in [("ahead", ahead), ("at the instant", at_once)] {
        if !late.is_empty() {
            told(&format!("of these, written down {when}"), &late);
        }
    }
    late.sort_by(f64::total_cmp);
    let worst = &late[late.len().saturating_sub(8)..];
    say(&format!("the latest: {worst:.0?} ms"));
    meanwhile.tell();
    // Whatever the operator asked for meanwhile is counted, so that what skipped events take is in the first.
    let asked = |(verb, count): (&String, &f64)| {
        let asked = count - before.get(verb).copied().unwrap_or_default();
        (verb.clone(), asked)
    };
    let asked: BTreeMap<_, _> = after.iter().map(asked).collect();
    let total: f64 = asked.values().sum();
    let (kill, event) = (total / late.len() as f64, total / f64::from(planned));
    say(&format!(
        "requests a kill: {kill:.1}, a planned event: {event:.1}, of all that the operator asks for: {asked:?}"
    ));
}

#[tokio::test]
async fn fifteen_soaks_at_once_keep_their_plans() {
    let namespace = Namespace::new(&client().await, "bench-plans").await;
    kills(&namespace, &FIFTEEN).await;
}

/// What is late then is late by the operator, and not by all that a machine does to start three pods a second.
#[tokio::test]
async fn thirty_soaks_at_once_keep_their_plans_where_no_pod_has_to_start() {
    let namespace = Namespace::new(&client().await, "bench-kills").await;
    kills(&namespace, &THIRTY).await;
}

/// When a watch first told of each policy that chaos made, by the soak and the place in its plan.
fn policies(namespace: &Namespace) -> Arc<Mutex<BTreeMap<(String, u32), Timestamp>>> {
    let mut events = namespace.told_of::<NetworkPolicy>();
    let seen = Arc::<Mutex<BTreeMap<(String, u32), Timestamp>>>::default();
    let told = seen.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let Ok(watcher::Event::Apply(policy)) = event else {
                continue;
            };
            let label = |name| policy.labels().get(name).cloned().unwrap_or_default();
            let event = (label(SOAK_TEST), label(EVENT).parse().expect("a number"));
            told.lock()
                .unwrap()
                .entry(event)
                .or_insert_with(Timestamp::now);
        }
    });
    seen
}

/// The same with events that are more work for the operator than kills, and start no pod.
#[tokio::test]
async fn fifteen_soaks_at_once_cut_pods_off_on_time() {
    let namespace = Namespace::new(&client().await, "bench-policies").await;
    let seen = policies(&namespace);
    let more = json!({"for": "1s"});
    let soaks = FIFTEEN
        .sets_out(&namespace, "networkPartition", &more)
        .await;
    let meanwhile = Meanwhile::of(&namespace, window_is_over(&soaks)).await;
    let (mut planned, mut late, mut results) = (0, Vec::new(), BTreeMap::new());
    for soak in &soaks {
        let status = FIFTEEN.ends(soak).await;
        planned += status.chaos.planned;
        for event in JournalEvent::all(&soak.journal(&status).await) {
            let why = format!("{} {}", event.result, event.reason);
            *results.entry(why).or_insert(0) += 1;
            let place = (soak.name.clone(), event.index);
            let at = seen.lock().unwrap().get(&place).copied();
            late.extend(at.map(|at| millis(at.duration_since(event.planned_at))));
        }
    }
    say(&format!(
        "{} of {planned} planned partitions were made: {results:?}",
        late.len()
    ));
    told("later than planned, as a watch tells", &late);
    late.sort_by(f64::total_cmp);
    let worst = &late[late.len().saturating_sub(8)..];
    say(&format!("the latest: {worst:.0?} ms"));
    meanwhile.tell();
}
