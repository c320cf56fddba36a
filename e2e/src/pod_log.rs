//! What became of every pod of a namespace, as the API server told it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use soak_api::{COMPONENT, SOAK_TEST};
use tokio::task::JoinHandle;

use crate::Namespace;

/// One pod, living or gone.
#[derive(Clone, Debug)]
pub struct PodRecord {
    /// Its name.
    pub name: String,
    /// The `SoakTest` that it belongs to.
    pub soak: String,
    /// The component that it belongs to.
    pub component: String,
    /// When somebody asked for its deletion, to the second.
    pub deleted_at: Option<Timestamp>,
    /// How often its container had been restarted when it was last seen.
    pub restarts: i32,
}

/// The pods of a namespace by uid, followed by a watch until dropped.
pub struct PodLog {
    pods: Arc<Mutex<BTreeMap<String, PodRecord>>>,
    watch: JoinHandle<()>,
}

impl PodLog {
    /// Follows the pods of the namespace from now on.
    pub fn follow(namespace: &Namespace) -> Self {
        let api: Api<Pod> = namespace.api();
        let pods: Arc<Mutex<BTreeMap<String, PodRecord>>> = Arc::default();
        let seen = pods.clone();
        let watch = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default().labels(SOAK_TEST)).boxed();
            while let Some(event) = events.next().await {
                let Ok(
                    watcher::Event::Apply(pod)
                    | watcher::Event::InitApply(pod)
                    | watcher::Event::Delete(pod),
                ) = event
                else {
                    continue;
                };
                seen.lock()
                    .unwrap()
                    .insert(pod.uid().unwrap_or_default(), record(&pod));
            }
        });
        Self { pods, watch }
    }

    /// Every pod of one component of one soak that ever was.
    pub fn of(&self, soak: &str, component: &str) -> BTreeMap<String, PodRecord> {
        let pods = self.pods.lock().unwrap();
        let ours = |pod: &PodRecord| pod.soak == soak && pod.component == component;
        pods.iter()
            .filter(|(_, pod)| ours(pod))
            .map(|(uid, pod)| (uid.clone(), pod.clone()))
            .collect()
    }
}

impl Drop for PodLog {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn record(pod: &Pod) -> PodRecord {
    let label = |name| pod.labels().get(name).cloned().unwrap_or_default();
    // The timestamp is when the pod has to be gone.
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    PodRecord {
        name: pod.name_any(),
        soak: label(SOAK_TEST),
        component: label(COMPONENT),
        deleted_at: pod
            .metadata
            .deletion_timestamp
            .as_ref()
            .map(|at| at.0 - grace),
        restarts: statuses.map(|container| container.restart_count).sum(),
    }
}
