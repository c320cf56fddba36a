//! What the operator keeps of the workload's pods: a few facts each instead of whole objects.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use soak_api::{COMPONENT, EVENT, PROTECT, SOAK_TEST, SoakTest};

/// The facts of one pod that decisions are made on.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact by itself, true or not whatever the others are"
)]
pub(crate) struct PodFact {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Its resource version. A change of nothing else is no change of the facts.
    pub(crate) version: String,
    pub(crate) component: String,
    /// The Deployment that keeps it, by way of a ReplicaSet; `None` where none does.
    pub(crate) deployment: Option<String>,
    pub(crate) created_at: Timestamp,
    /// When the last of its containers started that did; `None` while one of them does not run.
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
    /// It has failed or succeeded, and is nothing but its object any more.
    pub(crate) over: bool,
    pub(crate) protected: bool,
    /// How often its containers have been restarted, all of them together: each begins another incarnation.
    pub(crate) restarts: u32,
    pub(crate) node: String,
    /// Why the container that ended last did, such as `OOMKilled` or `Error`, and its exit code.
    pub(crate) last_end: Option<(String, i32)>,
    /// When that was.
    pub(crate) ended_at: Option<Timestamp>,
    /// A container has ended, and the next has not been made yet: it has just ended, or is put off for a while.
    pub(crate) stopped: bool,
    /// Why a container does not run, such as `ImagePullBackOff`, and the image or message.
    pub(crate) waiting: Option<(String, String)>,
    /// Why Kubernetes itself took it away, such as `EvictionByEvictionAPI`; `Evicted` for a kubelet's eviction.
    pub(crate) disruption: Option<String>,
}

impl PodFact {
    /// Ready and not on its way out.
    pub(crate) fn serves(&self) -> bool {
        self.ready && !self.terminating
    }

    /// Of how many restarts the incarnation was that ended last; `None` where none has.
    pub(crate) fn last_ended(&self) -> Option<u32> {
        if self.stopped {
            Some(self.restarts)
        } else {
            self.restarts.checked_sub(1)
        }
    }

    /// Whether the incarnation of so many restarts has ended.
    pub(crate) fn has_ended(&self, restarts: u32) -> bool {
        self.last_ended().is_some_and(|last| last >= restarts)
    }

    pub(crate) fn of(pod: &Pod) -> Option<(SoakTestKey, Self)> {
        let labels = pod.labels();
        let test = labels.get(SOAK_TEST)?;
        let status = pod.status.as_ref();
        let containers = containers(pod);
        let last_end = containers.iter().filter_map(|one| terminated(one));
        let last_end = last_end.max_by_key(|end| end.finished_at.as_ref().map(|at| at.0));
        let ready = status
            .and_then(|s| s.conditions.as_ref())
            .is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        let disruption = status.and_then(|s| {
            let target = s
                .conditions
                .iter()
                .flatten()
                .find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
            target
                .and_then(|c| c.reason.clone())
                .or_else(|| s.reason.clone().filter(|r| r == "Evicted"))
        });
        let fact = Self {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            version: pod.resource_version().unwrap_or_default(),
            component: labels.get(COMPONENT).cloned().unwrap_or_default(),
            deployment: deployment(pod),
            created_at: pod.creation_timestamp().map(|t| t.0).unwrap_or_default(),
            started_at: all_started(&containers),
            ready,
            terminating: pod.metadata.deletion_timestamp.is_some(),
            over: status
                .and_then(|s| s.phase.as_deref())
                .is_some_and(|phase| matches!(phase, "Failed" | "Succeeded")),
            protected: labels.get(PROTECT).is_some_and(|v| v == "true"),
            restarts: containers
                .iter()
                .filter_map(|one| u32::try_from(one.restart_count).ok())
                .fold(0, u32::saturating_add),
            node: pod
                .spec
                .as_ref()
                .and_then(|s| s.node_name.clone())
                .unwrap_or_default(),
            last_end: last_end.map(|end| (end.reason.clone().unwrap_or_default(), end.exit_code)),
            ended_at: last_end
                .and_then(|end| end.finished_at.as_ref())
                .map(|at| at.0),
            stopped: containers.iter().any(|one| stopped(one)),
            waiting: containers.iter().find_map(|one| waiting(one)),
            disruption,
        };
        Some(((pod.namespace().unwrap_or_default(), test.clone()), fact))
    }
}

/// A Deployment's ReplicaSets have its name and the hash of their template.
fn deployment(pod: &Pod) -> Option<String> {
    let hash = pod.labels().get("pod-template-hash")?;
    let mut owners = pod.owner_references().iter();
    let set = owners.find(|owner| owner.kind == "ReplicaSet" && owner.controller == Some(true))?;
    let name = set.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    Some(name.to_owned())
}

/// The containers that are to run for as long as the pod does: its own, and sidecars, which are written as init containers
/// that are always restarted.
fn containers(pod: &Pod) -> Vec<&ContainerStatus> {
    let spec = pod.spec.iter();
    let init = spec.flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars: Vec<&str> = init
        .filter(|one| one.restart_policy.as_deref() == Some("Always"))
        .map(|one| one.name.as_str())
        .collect();
    let status = pod.status.iter();
    let own = status
        .clone()
        .flat_map(|s| s.container_statuses.iter().flatten());
    let init = status.flat_map(|s| s.init_container_statuses.iter().flatten());
    own.chain(init.filter(|one| sidecars.contains(&one.name.as_str())))
        .collect()
}

/// When the last of the containers started; `None` where there is none, or one does not run.
fn all_started(containers: &[&ContainerStatus]) -> Option<Timestamp> {
    let starts: Option<Vec<_>> = containers.iter().map(|one| started_at(one)).collect();
    starts?.into_iter().max()
}

fn started_at(container: &ContainerStatus) -> Option<Timestamp> {
    container
        .state
        .as_ref()?
        .running
        .as_ref()?
        .started_at
        .as_ref()
        .map(|t| t.0)
}

/// How the container last ended: as it is, or the one before it.
fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state];
    let mut ended = states.into_iter().flatten();
    ended.find_map(|state| state.terminated.as_ref())
}

fn stopped(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    let put_off = |state: &ContainerState| {
        let reason = state.waiting.as_ref()?.reason.as_deref()?;
        Some(reason == "CrashLoopBackOff")
    };
    state.is_some_and(|state| state.terminated.is_some() || put_off(state) == Some(true))
}

fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let detail = if reason.contains("Image") {
        container.image.clone()
    } else {
        waiting.message.clone().unwrap_or_default()
    };
    Some((reason, detail))
}

/// The facts of a component's Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// How many pods it is to have.
    pub(crate) replicas: u32,
    /// The event that last changed it.
    pub(crate) event: Option<u32>,
}

impl Owner {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let event = deployment.annotations().get(EVENT);
        Self {
            name: deployment.name_any(),
            uid: deployment.uid().unwrap_or_default(),
            replicas: u32::try_from(replicas.unwrap_or(1)).unwrap_or(0),
            event: event.and_then(|index| index.parse().ok()),
        }
    }
}

/// Namespace and name of a SoakTest.
pub(crate) type SoakTestKey = (String, String);

/// The pods of every SoakTest, as the watch last told.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodFacts {
    inner: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The first list has been read: before, a pod that is not there may well be there.
    listed: bool,
    pods: HashMap<SoakTestKey, BTreeMap<String, PodFact>>,
    /// The last facts of pods that are gone, by uid, until the last pod of their SoakTest has gone too.
    departed: HashMap<SoakTestKey, HashMap<String, PodFact>>,
    relisted: HashMap<SoakTestKey, BTreeMap<String, PodFact>>,
    /// Which SoakTest each of the pods was last labelled with, by uid.
    whose: HashMap<String, SoakTestKey>,
}

impl PodFacts {
    /// The pods of a SoakTest and the last facts of those that are gone; `None` before the first list is in.
    pub(crate) fn of(&self, key: &SoakTestKey) -> Option<(Vec<PodFact>, HashMap<String, PodFact>)> {
        let known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.listed.then(|| {
            let pods = known
                .pods
                .get(key)
                .map(|pods| pods.values().cloned().collect())
                .unwrap_or_default();
            (pods, known.departed.get(key).cloned().unwrap_or_default())
        })
    }

    /// The component and the name of each pod of a SoakTest that is `meant` and not over.
    pub(crate) fn names(
        &self,
        key: &SoakTestKey,
        meant: impl Fn(&PodFact) -> bool,
    ) -> Vec<(String, String)> {
        let known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = known.pods.get(key).into_iter().flat_map(BTreeMap::values);
        pods.filter(|pod| !pod.over && meant(pod))
            .map(|pod| (pod.component.clone(), pod.name.clone()))
            .collect()
    }

    /// Forgets the pods that are gone of SoakTests that nobody judges any more: pods that are not the soak's own may come and
    /// go for years with its label.
    pub(crate) fn keep_departed_of(&self, goes_on: impl Fn(&SoakTestKey) -> bool) {
        let mut known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.departed.retain(|key, _| goes_on(key));
    }

    /// Follows a watch of pods and yields the SoakTests whose facts changed.
    pub(crate) fn follow(
        self,
        events: impl Stream<Item = watcher::Result<watcher::Event<Pod>>> + Send,
    ) -> impl Stream<Item = ObjectRef<DeserializeGuard<SoakTest>>> + Send {
        events.flat_map(move |event| {
            let changed = match event {
                Ok(event) => self.apply(event),
                Err(error) => {
                    tracing::warn!(%error, "the watch of pods broke, and is taken up again");
                    Vec::new()
                }
            };
            futures::stream::iter(
                changed
                    .into_iter()
                    .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace)),
            )
        })
    }

    /// Takes in what a watch tells; whether any facts changed.
    #[cfg(test)]
    pub(crate) fn takes_in(&self, event: watcher::Event<Pod>) -> bool {
        !self.apply(event).is_empty()
    }

    fn apply(&self, event: watcher::Event<Pod>) -> Vec<SoakTestKey> {
        let mut known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Apply(pod) => {
                let Some((key, fact)) = PodFact::of(&pod) else {
                    return Vec::new();
                };
                let before = known.whose.insert(fact.uid.clone(), key.clone());
                let other = before.filter(|before| *before != key);
                if let Some(other) = &other {
                    // It was given another label, and is none of that soak's any more.
                    known.withdraw(other, &fact.uid);
                }
                let before = known
                    .pods
                    .entry(key.clone())
                    .or_default()
                    .insert(fact.uid.clone(), fact.clone());
                let version = fact.version.clone();
                if before.map(|before| PodFact { version, ..before }) == Some(fact) {
                    Vec::new()
                } else {
                    other.into_iter().chain([key]).collect()
                }
            }
            watcher::Event::Delete(pod) => {
                let Some((key, fact)) = PodFact::of(&pod) else {
                    return Vec::new();
                };
                known.whose.remove(&fact.uid);
                known.leave(&key, fact);
                vec![key]
            }
            watcher::Event::Init => {
                known.relisted.clear();
                Vec::new()
            }
            watcher::Event::InitApply(pod) => {
                if let Some((key, fact)) = PodFact::of(&pod) {
                    known
                        .relisted
                        .entry(key)
                        .or_default()
                        .insert(fact.uid.clone(), fact);
                }
                Vec::new()
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut known.relisted);
                known.whose = listed
                    .iter()
                    .flat_map(|(key, pods)| pods.keys().map(|uid| (uid.clone(), key.clone())))
                    .collect();
                let before = std::mem::replace(&mut known.pods, listed);
                let Known { pods, departed, .. } = &mut *known;
                // Of those that were gone with their whole SoakTest before this list, nobody asks any more.
                departed.retain(|key, _| pods.contains_key(key) || before.contains_key(key));
                for (key, facts) in before {
                    let now = pods.get(&key);
                    for (uid, fact) in facts {
                        if now.is_none_or(|now| !now.contains_key(&uid)) {
                            departed.entry(key.clone()).or_default().insert(uid, fact);
                        }
                    }
                }
                known.listed = true;
                known
                    .pods
                    .keys()
                    .chain(known.departed.keys())
                    .cloned()
                    .collect()
            }
        }
    }
}

impl Known {
    /// The pod is there, and not the SoakTest's any more.
    fn withdraw(&mut self, key: &SoakTestKey, uid: &str) {
        let fact = self.pods.get_mut(key).and_then(|pods| pods.remove(uid));
        if let Some(fact) = fact {
            let departed = self.departed.entry(key.clone()).or_default();
            departed.insert(uid.to_owned(), fact);
        }
    }

    fn leave(&mut self, key: &SoakTestKey, fact: PodFact) {
        if let Some(pods) = self.pods.get_mut(key) {
            pods.remove(&fact.uid);
            if pods.is_empty() {
                self.pods.remove(key);
                self.departed.remove(key);
                return;
            }
        }
        self.departed
            .entry(key.clone())
            .or_default()
            .insert(fact.uid.clone(), fact);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    fn pod(test: &str, name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("soak".into());
        pod.metadata.name = Some(name.into());
        pod.metadata.uid = Some(format!("uid-{name}"));
        pod.metadata.labels = Some([(SOAK_TEST.to_owned(), test.to_owned())].into());
        pod
    }

    /// A pod with the statuses of its containers, and of its sidecar.
    fn pod_of(containers: &serde_json::Value, sidecar: &serde_json::Value) -> PodFact {
        let pod = serde_json::json!({
            "metadata": {"name": "cart-1", "labels": {SOAK_TEST: "friday"}},
            "spec": {
                "containers": [{"name": "app"}, {"name": "log"}],
                "initContainers": [
                    {"name": "migrate"},
                    {"name": "proxy", "restartPolicy": "Always"},
                ]
            },
            "status": {
                "containerStatuses": containers,
                "initContainerStatuses": [
                    {"name": "migrate", "restartCount": 4, "image": "", "imageID": "", "ready": true,
                     "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T09:00:00Z"}}},
                    sidecar,
                ]
            }
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        PodFact::of(&pod).expect("of a soak").1
    }

    fn runs(name: &str, restarts: u32, since: &str) -> serde_json::Value {
        serde_json::json!({
            "name": name, "restartCount": restarts, "image": "", "imageID": "", "ready": true,
            "state": {"running": {"startedAt": since}},
        })
    }

    #[test]
    fn a_restart_of_any_container_is_one_of_the_pod_and_a_finished_init_container_is_none() {
        let (app, log, proxy) = (
            runs("app", 0, "2026-01-01T10:00:01Z"),
            runs("log", 2, "2026-01-01T10:05:00Z"),
            runs("proxy", 1, "2026-01-01T10:00:00Z"),
        );
        let fact = pod_of(&serde_json::json!([app, log]), &proxy);
        assert_eq!(fact.restarts, 3);
        let started = fact.started_at.map(|at| at.to_string());
        assert_eq!(started.as_deref(), Some("2026-01-01T10:05:00Z"));
        assert!(!fact.stopped);
        assert_eq!(fact.last_end, None);
    }

    #[test]
    fn the_container_that_ended_last_tells_why_and_the_pod_has_not_started_until_it_runs_again() {
        let ended = |name: &str, reason: &str, at: &str| {
            serde_json::json!({
                "name": name, "restartCount": 0, "image": "", "imageID": "", "ready": false,
                "state": {"terminated": {"exitCode": 137, "reason": reason, "finishedAt": at}},
            })
        };
        let app = ended("app", "Error", "2026-01-01T10:04:00Z");
        let log = ended("log", "OOMKilled", "2026-01-01T10:06:00Z");
        let proxy = runs("proxy", 0, "2026-01-01T10:00:00Z");
        let fact = pod_of(&serde_json::json!([app, log]), &proxy);
        assert_eq!(fact.last_end, Some(("OOMKilled".to_owned(), 137)));
        assert_eq!(fact.started_at, None);
        assert!(fact.stopped && fact.has_ended(0));
    }

    fn list(facts: &PodFacts, pods: &[Pod]) {
        facts.apply(watcher::Event::Init);
        for pod in pods {
            facts.apply(watcher::Event::InitApply(pod.clone()));
        }
        facts.apply(watcher::Event::InitDone);
    }

    fn key(test: &str) -> SoakTestKey {
        ("soak".into(), test.into())
    }

    #[test]
    fn before_the_first_list_nothing_is_known() {
        let facts = PodFacts::default();
        facts.apply(watcher::Event::Init);
        assert!(facts.of(&key("a")).is_none());
        facts.apply(watcher::Event::InitDone);
        assert!(facts.of(&key("a")).is_some());
    }

    #[test]
    fn a_pod_that_vanished_between_two_lists_is_known_as_departed() {
        let facts = PodFacts::default();
        list(&facts, &[pod("a", "one"), pod("a", "two")]);
        list(&facts, &[pod("a", "two")]);
        let (pods, departed) = facts.of(&key("a")).expect("listed");
        assert_eq!(pods.len(), 1);
        assert!(departed.contains_key("uid-one"));
    }

    #[test]
    fn a_pod_that_is_given_another_label_is_none_of_the_first_soaks_any_more() {
        let facts = PodFacts::default();
        list(&facts, &[pod("a", "one"), pod("a", "two")]);
        let changed = facts.apply(watcher::Event::Apply(pod("none", "one")));
        assert_eq!(changed, [key("a"), key("none")]);
        let (pods, departed) = facts.of(&key("a")).expect("listed");
        let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["two"]);
        assert!(departed.contains_key("uid-one"));
        facts.apply(watcher::Event::Delete(pod("none", "one")));
        let known = facts.inner.lock().expect("not poisoned");
        assert_eq!(known.whose.len(), 1, "{:?}", known.whose);
    }

    #[test]
    fn a_pod_is_kept_by_the_deployment_whose_replica_set_controls_it() {
        let kept_by = |owner: &str, controls: bool| {
            let mut pod = pod("a", "one");
            let labels = pod.metadata.labels.as_mut().expect("labels");
            labels.insert("pod-template-hash".to_owned(), "5c9d".to_owned());
            pod.metadata.owner_references = Some(vec![OwnerReference {
                kind: "ReplicaSet".to_owned(),
                name: owner.to_owned(),
                controller: Some(controls),
                ..OwnerReference::default()
            }]);
            PodFact::of(&pod).expect("of a soak").1.deployment
        };
        assert_eq!(kept_by("cart-5c9d", true).as_deref(), Some("cart"));
        assert_eq!(
            kept_by("cart-canary-5c9d", true).as_deref(),
            Some("cart-canary")
        );
        assert_eq!(kept_by("cart-77aa", true), None, "of an older template");
        assert_eq!(kept_by("cart-5c9d", false), None, "let go of");
        let bare = PodFact::of(&pod("a", "one")).expect("of a soak").1;
        assert_eq!(bare.deployment, None);
    }

    #[test]
    fn of_pods_that_go_with_the_label_of_no_soak_nothing_is_kept() {
        let facts = PodFacts::default();
        list(&facts, &[pod("over", "stays"), pod("goes-on", "stays-too")]);
        for place in 0..50 {
            for soak in ["over", "goes-on"] {
                let gone = pod(soak, &format!("{soak}-{place}"));
                facts.apply(watcher::Event::Apply(gone.clone()));
                facts.apply(watcher::Event::Delete(gone));
            }
        }
        facts.keep_departed_of(|(_, name)| name == "goes-on");
        let departed = |soak| facts.of(&key(soak)).expect("listed").1.len();
        assert_eq!((departed("over"), departed("goes-on")), (0, 50));
    }

    #[test]
    fn what_is_known_of_soaks_that_are_gone_does_not_pile_up() {
        let facts = PodFacts::default();
        for soak in 0..50 {
            list(&facts, &[pod(&format!("soak-{soak}"), "one")]);
        }
        list(&facts, &[]);
        list(&facts, &[]);
        let known = facts.inner.lock().expect("not poisoned");
        assert!(known.pods.is_empty());
        assert!(known.departed.is_empty(), "{:?}", known.departed.keys());
    }
}
