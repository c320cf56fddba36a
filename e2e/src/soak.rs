//! A `SoakTest` in the cluster, and how a test waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use soak_api::{
    COMPONENT, Chaos, CriterionResult, EVIDENCE_KEY, Evidence, Phase, SOAK_TEST, Simulation,
    SoakOutcome, SoakTest, SoakTestSpec, SoakTestStatus, Span, SpanRange,
};

use crate::wait::Waiting;
use crate::{Namespace, Probe, say, soak_test, wait_until};

/// How long after its deadline a soak may still be on its way to Completed.
const GRACE: Duration = Duration::from_secs(20);

/// A `SoakTest` in the cluster.
pub struct Soak {
    client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Soak {
    pub(crate) fn new(namespace: &Namespace, name: &str) -> Self {
        Self {
            client: namespace.client.clone(),
            namespace: namespace.name.clone(),
            name: name.to_owned(),
        }
    }

    /// The objects of a kind in its namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// As it is now.
    pub async fn now(&self) -> SoakTest {
        self.api().get(&self.name).await.unwrap()
    }

    /// Each version of it that the API server announces, from now on.
    pub fn versions(&self) -> impl futures::Stream<Item = SoakTest> + Send + Unpin + use<> {
        let tests: Api<SoakTest> = self.api();
        watch_object(tests, &self.name)
            .filter_map(async |seen| seen.ok().flatten())
            .boxed()
    }

    /// Waits until its status is as wanted, and returns it. Panics when it is Completed and is not.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&SoakTestStatus) -> bool,
    ) -> SoakTestStatus {
        let what = format!("{} in {}: {what}", self.name, self.namespace);
        let mut waiting = Waiting::new(&what, limit);
        let mut versions = self.versions();
        loop {
            let Ok(version) = tokio::time::timeout(waiting.left(), versions.next()).await else {
                waiting.give_up()
            };
            let status = version
                .expect("a watch does not end")
                .status
                .unwrap_or_default();
            if wanted(&status) {
                return status;
            }
            let state = summary(&status);
            assert!(
                status.phase != Phase::Completed,
                "{what} will never be: {state}"
            );
            waiting.still(state);
        }
    }

    /// Waits until it is in this phase or past it.
    pub async fn reaches(&self, phase: Phase, limit: Duration) -> SoakTestStatus {
        self.until(&format!("{phase:?}"), limit, |status| status.phase >= phase)
            .await
    }

    /// Waits until it is Completed, which it must be by its own deadline.
    pub async fn ends(&self) -> SoakTestStatus {
        let begun = self
            .until("a deadline", Duration::from_secs(60), |status| {
                status.deadline_at.is_some()
            })
            .await;
        let deadline = begun.deadline_at.expect("just seen");
        let left =
            Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
        let status = self.reaches(Phase::Completed, left + GRACE).await;
        say(&format!("{}: {}", self.name, summary(&status)));
        status
    }

    /// Changes its spec, as `kubectl patch --type merge` would.
    pub async fn patch_spec(&self, spec: Value) {
        let tests: Api<SoakTest> = self.api();
        let patch = Patch::Merge(json!({"spec": spec}));
        tests
            .patch(&self.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Asks for its deletion.
    pub async fn delete(&self) {
        let tests: Api<SoakTest> = self.api();
        tests
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// The living pods of one of its components.
    pub async fn pods(&self, component: &str) -> Vec<Pod> {
        let labels = format!("{SOAK_TEST}={},{COMPONENT}={component}", self.name);
        let pods: Api<Pod> = self.api();
        let mut pods = pods
            .list(&ListParams::default().labels(&labels))
            .await
            .unwrap()
            .items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// The Deployment of one of its components.
    pub async fn deployment(&self, component: &str) -> Deployment {
        let labels = format!("{SOAK_TEST}={},{COMPONENT}={component}", self.name);
        let deployments: Api<Deployment> = self.api();
        let list = deployments
            .list(&ListParams::default().labels(&labels))
            .await
            .unwrap()
            .items;
        let [deployment] = <[_; 1]>::try_from(list)
            .unwrap_or_else(|l| panic!("{} Deployments are {labels}", l.len()));
        deployment
    }

    /// The entries of its journal, from the first batch to the one that the status names last, and those that the status
    /// itself has; panics where a chunk or a batch is not there.
    pub async fn journal(&self, status: &SoakTestStatus) -> Vec<String> {
        let maps: Api<ConfigMap> = self.api();
        let mut lines = Vec::new();
        for chunk in 0..status.journal.chunks {
            let name = format!("{}-journal-{chunk}", self.name);
            let map = maps
                .get(&name)
                .await
                .unwrap_or_else(|error| panic!("{name} of the journal: {error}"));
            let text = map.data.into_iter().flatten().map(|(_, text)| text);
            lines.extend(text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()));
        }
        let mut batches: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        let mut last = String::new();
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            if let Some(names) = line.strip_prefix("# ") {
                let (name, before) = names.split_once(' ').expect("two names");
                name.clone_into(&mut last);
                batches.insert(last.clone(), (before.to_owned(), Vec::new()));
            } else {
                let batch = batches
                    .get_mut(&last)
                    .expect("a batch comes before its entries");
                batch.1.push(line);
            }
        }
        let mut chain = Vec::new();
        let mut next = status.journal.head.clone();
        while !next.is_empty() && next != "-" {
            let batch = batches.remove(&next);
            let (before, entries) =
                batch.unwrap_or_else(|| panic!("the journal has no batch {next}"));
            chain.push(entries);
            next = before;
        }
        chain.reverse();
        chain.push(status.journal.tail.lines().map(str::to_owned).collect());
        chain.concat()
    }

    /// What its outcome rests on, as it is kept for reports; panics where it is not.
    pub async fn evidence(&self, status: &SoakTestStatus) -> Evidence {
        let name = status.evidence.as_ref().expect("evidence was kept");
        let map = self.api::<ConfigMap>().get(name).await.unwrap();
        let mut data = map.binary_data.unwrap_or_default();
        let bytes = data.remove(EVIDENCE_KEY).expect("it is under its key");
        assert!(bytes.0.len() <= 700 * 1024, "{} bytes", bytes.0.len());
        Evidence::decode(&bytes.0).expect("it is readable")
    }

    /// Waits until nothing of its workload is left.
    pub async fn workload_is_gone(&self) {
        let what = format!("nothing left of {}'s workload", self.name);
        wait_until(&what, Duration::from_secs(60), async || {
            nothing(&self.workload().await)
        })
        .await;
    }

    /// Waits until neither it nor its workload nor its journal is left.
    pub async fn everything_is_gone(&self) {
        let what = format!("nothing left of {}", self.name);
        wait_until(&what, Duration::from_secs(90), async || {
            let mut left = self.workload().await;
            let maps: Api<ConfigMap> = self.api();
            let journal = format!("{}-journal-", self.name);
            let maps = maps.list(&ListParams::default()).await.unwrap();
            let ours = |map: &&ConfigMap| {
                map.name_any().starts_with(&journal)
                    || map.labels().get(SOAK_TEST) == Some(&self.name)
            };
            left.extend(
                maps.iter()
                    .filter(ours)
                    .map(|map| format!("configmap {}", map.name_any())),
            );
            let tests: Api<SoakTest> = self.api();
            left.extend(
                tests
                    .get_opt(&self.name)
                    .await
                    .unwrap()
                    .map(|test| format!("soaktest {}", test.name_any())),
            );
            nothing(&left)
        })
        .await;
    }

    async fn workload(&self) -> Vec<String> {
        [
            self.labelled::<Deployment>().await,
            self.labelled::<ReplicaSet>().await,
            self.labelled::<Pod>().await,
            self.labelled::<Service>().await,
        ]
        .concat()
    }

    async fn labelled<K>(&self) -> Vec<String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let labels = format!("{SOAK_TEST}={}", self.name);
        let list = self
            .api::<K>()
            .list(&ListParams::default().labels(&labels))
            .await
            .unwrap();
        list.iter()
            .map(|object| format!("{} {}", K::kind(&()).to_lowercase(), object.name_any()))
            .collect()
    }
}

fn nothing(left: &[String]) -> Probe<()> {
    if left.is_empty() {
        Probe::Done(())
    } else {
        Probe::Waiting(format!("left: {}", left.join(", ")))
    }
}

fn summary(status: &SoakTestStatus) -> String {
    let outcome = status
        .outcome
        .map(|outcome| format!(" {outcome:?}"))
        .unwrap_or_default();
    format!(
        "{:?}{outcome} {} chaos {}: {}",
        status.phase, status.progress, status.chaos.summary, status.message
    )
}

/// A small soak that is over in less than a minute: two workers, one producer, no chaos, and nothing lost.
pub fn small(name: &str) -> SoakTest {
    let test = json!({
        "apiVersion": "soak-operator.io/v1alpha1",
        "kind": "SoakTest",
        "metadata": {"name": name},
        "spec": {
            "warmUp": "5s",
            "duration": "20s",
            "settle": "5s",
            "deadline": "3m",
            "seed": 7,
            "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 2}, "producers": {"replicas": 1}}},
            "metrics": {"step": "1s"},
            "criteria": [
                {"name": "no-loss", "increase": {"query": "soak_sim_messages_lost_total", "max": 0, "durable": true}},
            ],
        },
    });
    serde_json::from_value(test).expect("a SoakTest")
}

/// The simulation that a spec has, to be changed.
///
/// # Panics
///
/// Where it has none.
pub fn simulation(spec: &mut SoakTestSpec) -> &mut Simulation {
    let simulation = spec.workload.simulation.as_mut();
    simulation.expect("a simulation")
}

/// The chaos of the examples' twins, kills of workers, with another pace: the shortest and the longest pause and how long
/// there is none at first, in seconds.
pub fn worker_kills(min: u64, max: u64, start_after: u64) -> Chaos {
    let mut chaos = soak_test("examples/clean.yaml")
        .spec
        .chaos
        .expect("the twins are about chaos");
    chaos.interval = Some(SpanRange {
        min: span(min),
        max: span(max),
    });
    chaos.guard.start_after = span(start_after);
    chaos
}

/// The soak ended with this outcome; its message says why where it did not.
#[track_caller]
pub fn came_to(status: &SoakTestStatus, outcome: SoakOutcome) {
    assert_eq!(status.outcome, Some(outcome), "{}", status.message);
}

/// A span of whole seconds.
pub fn span(seconds: u64) -> Span {
    Span::from_seconds(seconds)
}

/// What the criterion of this name came to.
pub fn criterion<'a>(status: &'a SoakTestStatus, name: &str) -> &'a CriterionResult {
    let names: Vec<_> = status.criteria.iter().map(|c| c.name.as_str()).collect();
    let found = status.criteria.iter().find(|c| c.name == name);
    found.unwrap_or_else(|| {
        panic!(
            "no criterion {name} was judged, only {names:?}: {}",
            status.message
        )
    })
}
