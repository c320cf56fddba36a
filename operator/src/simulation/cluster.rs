//! The model of the cluster: its objects, the controllers that turn Deployments into pods, and the kubelet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus, Pod,
    PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::runtime::watcher;
use serde_json::{Value, json};
use soak_api::{COMPONENT, EVENT, SOAK_TEST, SoakTest};

use super::faults::{Dice, End, Faults, Meddler};
use super::history::History;
use super::promises::{Blow, Promises, Strike, overlap};
use crate::clock::Clock;
use crate::decision::Answer;
use crate::workload;

/// Where the soak is.
pub(super) const NAMESPACE: &str = "soak";

/// What it is called.
pub(super) const NAME: &str = "model";

/// Of every template.
const HASH: &str = "7f9c8d6b5";

/// The cluster, shared by everything that runs in it.
pub(crate) struct Model {
    pub(super) clock: Clock,
    pub(super) faults: Faults,
    state: Mutex<State>,
}

/// A pod with what the kubelet intends for it.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) pod: Pod,
    pub(super) ready_at: Timestamp,
    pub(super) gone_at: Option<Timestamp>,
    /// When it is not ready any more because it is cut off.
    cut_at: Option<Timestamp>,
    /// When it is ready again because it is not cut off any more.
    back_at: Option<Timestamp>,
}

/// The life of a pod, for Prometheus and for the promises.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) name: String,
    pub(super) component: String,
    pub(super) from: Timestamp,
    pub(super) to: Option<Timestamp>,
}

pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) history: History,
    pub(super) promises: Promises,
    /// Everything but pods, by resource and name.
    pub(super) objects: BTreeMap<(String, String), Value>,
    pub(super) pods: BTreeMap<String, Live>,
    pub(super) lives: BTreeMap<String, Life>,
    /// What the watch of pods tells, in order, with the instant of each.
    pub(super) told: Vec<(Timestamp, watcher::Event<Pod>)>,
    /// What the watch of SoakTests tells.
    pub(super) tests: Vec<(Timestamp, Option<Arc<SoakTest>>)>,
    pub(super) version: u64,
    pub(super) born: u64,
    /// When Prometheus was away.
    pub(super) blind: Vec<(Timestamp, Timestamp)>,
    pub(super) drained: Option<Timestamp>,
    /// Nothing goes wrong any more.
    pub(super) calm: bool,
    /// Something changed that controllers go by.
    pub(super) changed: bool,
    disturbed_at: Timestamp,
    pub(super) meddler: Meddler,
    /// When no status could be written, or can.
    unwritten: Vec<(Timestamp, Timestamp)>,
    /// Of what came later, so that the runs without it are what they were.
    pub(super) later: Dice,
    /// What goes wrong.
    pub(super) faults: Faults,
}

impl Model {
    pub(super) fn new(seed: u64, faults: Faults, clock: Clock) -> Self {
        let now = clock.now();
        Self {
            clock,
            faults,
            state: Mutex::new(State {
                dice: Dice::new(seed, 1),
                history: History::new(now),
                promises: Promises::default(),
                objects: BTreeMap::new(),
                pods: BTreeMap::new(),
                lives: BTreeMap::new(),
                told: Vec::new(),
                tests: Vec::new(),
                version: 0,
                born: 0,
                blind: Vec::new(),
                drained: None,
                calm: false,
                changed: false,
                disturbed_at: now,
                meddler: Meddler::new(seed),
                unwritten: Vec::new(),
                later: Dice::new(seed, 6),
                faults,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, line: impl Into<String>) {
        let now = self.clock.now();
        self.state().history.tell(now, line.into());
    }

    /// The SoakTest as the API server has it.
    pub(super) fn test(&self) -> Option<Arc<SoakTest>> {
        self.state().test()
    }

    /// Answers as the simulation's NATS does.
    pub(crate) async fn drain(&self) -> Result<(), String> {
        let delay = self.state().dice.between(5, 300);
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
        let now = self.clock.now();
        let mut state = self.state();
        if !state.calm && state.dice.chance(self.faults.deaf) {
            return Err("nobody answers".to_owned());
        }
        state.drained.get_or_insert(now);
        Ok(())
    }

    /// What a pod's own endpoint does: its process ends, or nobody is there to hear it. What is on its way goes on, whatever
    /// becomes of who sent it.
    pub(crate) async fn crash(self: &Arc<Self>, pod: &str) -> Answer {
        let (model, pod) = (self.clone(), pod.to_owned());
        let asked = tokio::spawn(async move {
            let delay = model.state().dice.between(5, 300);
            tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
            model.crashes(&pod)
        });
        asked.await.unwrap_or(Answer::Unknown)
    }

    fn crashes(&self, pod: &str) -> Answer {
        let now = self.clock.now();
        let mut state = self.state();
        let deaf = !state.calm && state.dice.chance(self.faults.deaf);
        if deaf && state.dice.chance(500) {
            state
                .history
                .tell(now, format!("{pod} answers, and does not crash"));
            return Answer::Accepted;
        }
        let live = state.pods.get(pod).filter(|live| is_ready(&live.pod));
        let Some(live) = live.filter(|_| !deaf).cloned() else {
            return Answer::Refused("nobody answers".to_owned());
        };
        state
            .history
            .tell(now, format!("{pod} crashes as it was asked to"));
        let restarts = u32::try_from(restarts(&live.pod)).unwrap_or_default();
        state.strike_pod(&live, Blow::Container(restarts), now);
        state.restart(now, pod);
        Answer::Accepted
    }

    /// Lets controllers and kubelet do what is due.
    pub(super) fn tick(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        state.disturb(&self.faults, now);
        state.kubelet(now);
        if std::mem::take(&mut state.changed) {
            state.collect(now);
            state.controllers(&self.faults, now);
        }
    }
}

impl State {
    pub(super) fn test(&self) -> Option<Arc<SoakTest>> {
        self.tests.last().and_then(|(_, test)| test.clone())
    }

    pub(super) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// Prometheus goes away for good.
    pub(super) fn blinded(&mut self, now: Timestamp) {
        self.history
            .tell(now, "Prometheus is away for good".to_owned());
        self.blind.push((now, now + SignedDuration::from_hours(1)));
    }

    pub(super) fn is_blind(&self, at: Timestamp) -> bool {
        self.blind.iter().any(|(from, to)| *from <= at && at < *to)
    }

    /// Tells whoever watches how the SoakTest is now, or that it is gone.
    pub(super) fn tell_test(&mut self, now: Timestamp) {
        let key = ("soaktests".to_owned(), NAME.to_owned());
        let object = self.objects.get(&key).cloned();
        let test = object.and_then(|object| serde_json::from_value(object).ok());
        self.tests.push((now, test.map(Arc::new)));
        self.changed = true;
    }

    pub(super) fn tell_pod(&mut self, now: Timestamp, name: &str) {
        self.changed = true;
        let version = self.next_version();
        if let Some(live) = self.pods.get_mut(name) {
            live.pod.metadata.resource_version = Some(version);
            let pod = live.pod.clone();
            self.told.push((now, watcher::Event::Apply(pod)));
        }
    }

    /// Marks a pod as terminating, as a DELETE does; the kubelet takes it away after its grace period.
    pub(super) fn terminate(&mut self, now: Timestamp, name: &str, grace_seconds: i64) {
        let linger = SignedDuration::from_millis(
            i64::try_from(self.dice.between(200, 1_500)).unwrap_or(200),
        );
        let Some(live) = self.pods.get_mut(name) else {
            return;
        };
        if live.gone_at.is_some() {
            return;
        }
        live.pod.metadata.deletion_timestamp = Some(Time(now));
        live.gone_at = Some(now + SignedDuration::from_secs(grace_seconds.min(3)) + linger);
        if let Some(life) = live
            .pod
            .metadata
            .uid
            .as_ref()
            .and_then(|uid| self.lives.get_mut(uid))
        {
            life.to = Some(now);
        }
        self.tell_pod(now, name);
    }

    /// Holds what is about to be done to a pod against the promises.
    pub(super) fn strike_pod(&mut self, live: &Live, blow: Blow<'_>, now: Timestamp) {
        let uid = live.pod.metadata.uid.clone().unwrap_or_default();
        let component = component_of(&live.pod).unwrap_or_default();
        self.strike(&uid, component, live.gone_at.is_some(), blow, now);
    }

    /// The Lease of the operators.
    pub(super) fn lease(&self) -> Option<Value> {
        let key = ("leases".to_owned(), "soak-operator".to_owned());
        self.objects.get(&key).cloned()
    }

    /// No status can be written before.
    pub(super) fn unwritten_until(&self) -> Timestamp {
        let last = self.unwritten.last();
        last.map_or(Timestamp::MIN, |(_, until)| *until)
    }

    /// For how many seconds none could be written until now.
    pub(super) fn unwritten_seconds(&self, now: Timestamp) -> f64 {
        let so_far = (Timestamp::MIN, now);
        let seconds = self.unwritten.iter().map(|time| overlap(*time, so_far));
        seconds.sum()
    }

    /// Hardly anything goes wrong from now on.
    pub(super) fn calms_down(&mut self, now: Timestamp) {
        self.calm = true;
        if let Some((_, until)) = self.unwritten.last_mut() {
            *until = now.min(*until);
        }
    }

    /// Holds what is about to be done to a pod or a Deployment against the promises.
    pub(super) fn strike(
        &mut self,
        uid: &str,
        component: &str,
        terminating: bool,
        blow: Blow<'_>,
        now: Timestamp,
    ) {
        let lease = self.lease();
        let strike = Strike {
            uid,
            blow,
            lease: lease.as_ref(),
            test: self.test(),
            ready: self.ready(component),
            terminating,
            at: now,
        };
        self.promises.strikes(&strike);
    }

    /// What of events that are to be undone is in force.
    pub(super) fn in_force(&self, test: &SoakTest) -> Vec<String> {
        let policies = self
            .objects
            .keys()
            .filter(|(of, _)| of == "networkpolicies");
        let policies = policies.map(|(_, name)| name.clone());
        let components = workload::components(test);
        let workers = components.iter().find(|one| one.name == "worker");
        let (name, planned) = workers.map_or_else(Default::default, |workers| {
            (workers.deployment.clone(), u64::from(workers.replicas))
        });
        let key = ("deployments".to_owned(), name);
        let replicas = self
            .objects
            .get(&key)
            .map(|object| Deployment::of(object).replicas);
        let scaled = replicas.filter(|replicas| *replicas != planned);
        policies
            .chain(scaled.map(|replicas| format!("{replicas} workers")))
            .collect()
    }

    /// The pod that the event is about loses the network, or has it again.
    pub(super) fn connect(&mut self, event: Option<u64>, back: bool, now: Timestamp) {
        let after = |dice: &mut Dice, least, most| {
            let millis = i64::try_from(dice.between(least, most)).unwrap_or(500);
            Some(now + SignedDuration::from_millis(millis))
        };
        let mut pods = self.pods.values_mut();
        let Some(live) = pods.find(|live| event.is_some() && labelled(&live.pod) == event) else {
            return;
        };
        if back {
            live.cut_at = None;
            live.back_at = after(&mut self.dice, 300, 3_000);
        } else {
            live.cut_at = after(&mut self.dice, 1_000, 6_000);
        }
    }

    /// The container of a pod ends, and the kubelet starts another.
    fn restart(&mut self, now: Timestamp, name: &str) {
        let back = self.dice.between(500, 4_000);
        if let Some(live) = self.pods.get_mut(name) {
            live.ready_at = now + SignedDuration::from_millis(i64::try_from(back).unwrap_or(500));
            let restarts = restarts(&live.pod) + 1;
            live.pod.status = Some(status(now, false, restarts));
        }
        self.tell_pod(now, name);
    }

    /// What neither chaos nor the operator does.
    fn disturb(&mut self, faults: &Faults, now: Timestamp) {
        if now.duration_since(self.disturbed_at) < SignedDuration::from_secs(1) || self.calm {
            return;
        }
        self.disturbed_at = now;
        let victim = |state: &mut Self| {
            let ready: Vec<_> = state
                .pods
                .values()
                .filter(|live| live.gone_at.is_none() && live.ready_at <= now)
                .map(|live| live.pod.metadata.name.clone().unwrap_or_default())
                .collect();
            let last = ready.len().checked_sub(1)?;
            let place = state.dice.between(0, last as u64);
            ready.get(usize::try_from(place).ok()?).cloned()
        };
        if self.dice.chance(faults.blind) {
            let away = self.dice.between(2_000, 60_000);
            let until = now + SignedDuration::from_millis(i64::try_from(away).unwrap_or(2_000));
            self.history
                .tell(now, format!("Prometheus is away for {away} ms"));
            self.blind.push((now, until));
        }
        if now >= self.unwritten_until() && self.later.chance(faults.unwritten) {
            let most = if self.later.chance(250) {
                400_000
            } else {
                120_000
            };
            let millis = self.later.between(5_000, most);
            let lasts = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(5_000));
            self.unwritten.push((now, now + lasts));
            let what = format!("no status can be written for {millis} ms");
            self.history.tell(now, what);
        }
        if self.dice.chance(faults.deletions)
            && let Some(name) = victim(self)
        {
            self.history.tell(now, format!("somebody deletes {name}"));
            let to_no_effect = self.goes_anyway(&name);
            self.disturbed(&name, to_no_effect, now);
            self.terminate(now, &name, 1);
        }
        if self.dice.chance(faults.crashes)
            && let Some(name) = victim(self)
        {
            self.history
                .tell(now, format!("the container of {name} ends"));
            self.disturbed(&name, false, now);
            self.restart(now, &name);
        }
    }

    fn disturbed(&mut self, name: &str, to_no_effect: bool, now: Timestamp) {
        let uid = self.pods[name].pod.metadata.uid.as_deref();
        let uid = uid.unwrap_or_default();
        self.promises.disturbed(uid, to_no_effect, now);
    }

    /// Whether its Deployment is about to take the pod away, or another in its place: it is rolled out, or has too many.
    fn goes_anyway(&self, name: &str) -> bool {
        let live = &self.pods[name];
        let deployments = self.objects.iter();
        let deployments = deployments.filter(|((resource, _), _)| resource == "deployments");
        let mut deployments = deployments.map(|(_, object)| Deployment::of(object));
        deployments
            .find(|deployment| owned_by(&live.pod, &deployment.uid))
            .is_some_and(|deployment| {
                let alive = self
                    .pods
                    .values()
                    .filter(|live| live.gone_at.is_none() && owned_by(&live.pod, &deployment.uid));
                template_of(&live.pod) != deployment.template
                    || alive.count() as u64 > deployment.replicas
            })
    }

    fn kubelet(&mut self, now: Timestamp) {
        let gone: Vec<_> = self
            .pods
            .iter()
            .filter(|(_, live)| live.gone_at.is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.changed = true;
            if let Some(live) = self.pods.remove(&name) {
                self.told.push((now, watcher::Event::Delete(live.pod)));
            }
        }
        self.network(now);
        let starting: Vec<_> = self
            .pods
            .iter()
            .filter(|(_, live)| live.ready_at <= now && !is_ready(&live.pod) && !is_cut(live, now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in starting {
            if let Some(live) = self.pods.get_mut(&name) {
                let restarts = restarts(&live.pod);
                let started = live.ready_at;
                live.pod.status = Some(status(started, true, restarts));
                let life = live
                    .pod
                    .metadata
                    .uid
                    .as_ref()
                    .and_then(|uid| self.lives.get_mut(uid));
                if let Some(life) = life
                    && restarts == 0
                {
                    life.from = started;
                }
            }
            self.tell_pod(now, &name);
        }
    }

    /// Pods that are cut off are not ready for so long, and their containers go on.
    fn network(&mut self, now: Timestamp) {
        let due = |live: &Live| {
            let (cut, back) = (is_cut(live, now), live.back_at.is_some_and(|at| at <= now));
            cut && is_ready(&live.pod) || back
        };
        let due = self.pods.iter().filter(|(_, live)| due(live));
        let names: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(live) = self.pods.get_mut(&name) {
                let ready = live.back_at.take_if(|at| *at <= now).is_some() && live.ready_at <= now;
                let status = live.pod.status.get_or_insert_default();
                status.conditions = Some(vec![condition(ready)]);
            }
            self.tell_pod(now, &name);
        }
    }

    fn controllers(&mut self, faults: &Faults, now: Timestamp) {
        let deployments: Vec<_> = self
            .objects
            .iter()
            .filter(|((resource, _), _)| resource == "deployments")
            .map(|(_, object)| Deployment::of(object))
            .collect();
        for deployment in deployments {
            let mine: Vec<String> = self
                .pods
                .iter()
                .filter(|(_, live)| owned_by(&live.pod, &deployment.uid))
                .map(|(name, _)| name.clone())
                .collect();
            if deployment.goes {
                for pod in &mine {
                    self.terminate(now, pod, 1);
                }
                if mine.is_empty() {
                    let key = ("deployments".to_owned(), deployment.name);
                    self.objects.remove(&key);
                }
                continue;
            }
            let alive: Vec<String> = mine
                .into_iter()
                .filter(|name| self.pods[name].gone_at.is_none())
                .collect();
            self.count(&deployment.name, &alive);
            for _ in alive.len() as u64..deployment.replicas {
                self.bear(&deployment, faults, now);
            }
            // Those that came last are the first to go.
            for name in alive
                .iter()
                .skip(usize::try_from(deployment.replicas).unwrap_or(0))
            {
                self.terminate(now, name, 10);
            }
            // One for another: the next goes once all are ready.
            let whole = alive.len() as u64 == deployment.replicas
                && alive.iter().all(|name| is_ready(&self.pods[name].pod));
            let old = |name: &&String| template_of(&self.pods[*name].pod) != deployment.template;
            if let Some(name) = alive.iter().find(old).filter(|_| whole) {
                self.terminate(now, name, 10);
            }
        }
    }

    /// Writes down how many pods a Deployment has, and how many of them are ready.
    fn count(&mut self, deployment: &str, alive: &[String]) {
        let ready = alive.iter().filter(|name| is_ready(&self.pods[*name].pod));
        let (all, ready) = (alive.len(), ready.count());
        let key = ("deployments".to_owned(), deployment.to_owned());
        if let Some(object) = self.objects.get_mut(&key) {
            object["status"] =
                json!({"replicas": all, "updatedReplicas": all, "readyReplicas": ready});
        }
    }

    fn bear(&mut self, deployment: &Deployment, faults: &Faults, now: Timestamp) {
        self.born += 1;
        let start = if faults.ends == Some(End::NeverReady) {
            3_600_000
        } else if !self.calm && self.dice.chance(faults.slow_start) {
            self.dice.between(20_000, 70_000)
        } else {
            self.dice.between(300, 4_000)
        };
        let mut pod = Pod::default();
        let component = deployment.component.clone();
        let born = self.born;
        let set = format!("{}-{HASH}", deployment.name);
        let pod_name = format!("{set}-{born:05}");
        pod.metadata.name = Some(pod_name.clone());
        pod.metadata.namespace = Some(NAMESPACE.to_owned());
        pod.metadata.uid = Some(uid_of(born));
        pod.metadata.creation_timestamp = Some(Time(now));
        pod.metadata.labels = Some(
            [
                (SOAK_TEST.to_owned(), NAME.to_owned()),
                (COMPONENT.to_owned(), component.clone()),
                ("pod-template-hash".to_owned(), HASH.to_owned()),
            ]
            .into(),
        );
        pod.metadata.owner_references = Some(vec![OwnerReference {
            kind: "ReplicaSet".to_owned(),
            name: set,
            controller: Some(true),
            ..OwnerReference::default()
        }]);
        let owner = ("owner".to_owned(), deployment.uid.clone());
        let template = ("template".to_owned(), deployment.template.clone());
        pod.metadata.annotations = Some([owner, template].into());
        let ready_at = now + SignedDuration::from_millis(i64::try_from(start).unwrap_or(300));
        let uid = uid_of(born);
        self.lives.insert(
            uid,
            Life {
                name: pod_name.clone(),
                component,
                from: ready_at,
                to: None,
            },
        );
        let live = Live {
            pod,
            ready_at,
            gone_at: None,
            cut_at: None,
            back_at: None,
        };
        self.pods.insert(pod_name.clone(), live);
        self.tell_pod(now, &pod_name);
    }

    /// Takes away what belonged to a SoakTest that is gone.
    fn collect(&mut self, now: Timestamp) {
        if self.tests.is_empty() || self.test().is_some() {
            return;
        }
        let deployments: Vec<_> = self
            .objects
            .keys()
            .filter(|(resource, _)| resource == "deployments")
            .filter(|key| {
                self.objects[*key]
                    .pointer("/metadata/ownerReferences")
                    .is_some()
            })
            .cloned()
            .collect();
        for key in deployments {
            if let Some(object) = self.objects.get_mut(&key) {
                object["metadata"]["deletionTimestamp"] = Value::String(now.to_string());
            }
        }
        self.objects.retain(|(resource, _), _| {
            !matches!(
                resource.as_str(),
                "services" | "configmaps" | "networkpolicies"
            )
        });
    }

    /// The worker that leads: the eldest that lives.
    pub(super) fn leads(&self) -> Option<&str> {
        let workers = self
            .pods
            .iter()
            .filter(|(_, live)| component_of(&live.pod) == Some("worker"));
        let living = workers.filter(|(_, live)| live.gone_at.is_none());
        living.map(|(name, _)| name.as_str()).next()
    }

    pub(super) fn ready(&self, component: &str) -> usize {
        self.pods
            .values()
            .filter(|live| {
                live.gone_at.is_none()
                    && is_ready(&live.pod)
                    && component_of(&live.pod) == Some(component)
            })
            .count()
    }
}

/// As long as a real one.
fn uid_of(born: u64) -> String {
    format!("{born:08}-5d0e-4c1b-9f43-2a7be0c1d9e8")
}

/// What its controller goes by.
struct Deployment {
    name: String,
    uid: String,
    component: String,
    replicas: u64,
    /// What changes with its pods' template.
    template: String,
    goes: bool,
}

impl Deployment {
    fn of(object: &Value) -> Self {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Self {
            name: text(metadata.get("name")),
            uid: text(metadata.get("uid")),
            component: text(metadata["labels"].get(COMPONENT)),
            replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
            template: text(
                object
                    .pointer("/spec/template/metadata/annotations")
                    .and_then(|all| all.get(EVENT)),
            ),
            goes: metadata.get("deletionTimestamp").is_some(),
        }
    }
}

pub(super) fn component_of(pod: &Pod) -> Option<&str> {
    pod.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(COMPONENT))
        .map(String::as_str)
}

/// The event whose index is among these labels or annotations.
pub(super) fn event_of(marks: Option<&Value>) -> Option<u64> {
    marks?.get(EVENT)?.as_str()?.parse().ok()
}

/// The event by which the pod is labelled.
pub(super) fn labelled(pod: &Pod) -> Option<u64> {
    let mark = pod.metadata.labels.as_ref()?.get(EVENT)?;
    mark.rsplit('-').next()?.parse().ok()
}

fn template_of(pod: &Pod) -> String {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get("template").cloned())
        .unwrap_or_default()
}

fn is_cut(live: &Live, now: Timestamp) -> bool {
    live.cut_at.is_some_and(|at| at <= now)
}

fn owned_by(pod: &Pod, owner: &str) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get("owner"))
        .is_some_and(|uid| uid == owner)
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_ref());
    containers
        .and_then(|c| c.first())
        .map_or(0, |c| c.restart_count)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

fn condition(ready: bool) -> PodCondition {
    PodCondition {
        type_: "Ready".to_owned(),
        status: if ready { "True" } else { "False" }.to_owned(),
        ..PodCondition::default()
    }
}

fn status(at: Timestamp, ready: bool, restarts: i32) -> PodStatus {
    let running = ContainerState {
        running: ready.then_some(ContainerStateRunning {
            started_at: Some(Time(at)),
        }),
        ..ContainerState::default()
    };
    let last = (restarts > 0).then(|| ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 1,
            reason: Some("Error".to_owned()),
            finished_at: Some(Time(at)),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    });
    PodStatus {
        conditions: Some(vec![condition(ready)]),
        pod_ip: Some("10.0.0.1".to_owned()),
        container_statuses: Some(vec![ContainerStatus {
            name: "main".to_owned(),
            restart_count: restarts,
            state: Some(running),
            last_state: last,
            ..ContainerStatus::default()
        }]),
        ..PodStatus::default()
    }
}
