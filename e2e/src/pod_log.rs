//! What became of every pod of a namespace, as the API server told it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher;
use soak_api::{COMPONENT, SOAK_TEST};
use tokio::task::JoinHandle;

use crate::{Namespace, say};

/// One pod, living or gone.
#[derive(Clone, Debug)]
pub struct PodRecord {
    /// Its name.
    pub name: String,
    /// The `SoakTest` that it belongs to.
    pub soak: String,
    /// The component that it belongs to.
    pub component: String,
    /// When somebody asked for its deletion, to the second; where that was not heard, when it was first missing.
    pub deleted_at: Option<Timestamp>,
    /// How often its container had been restarted when it was last seen.
    pub restarts: i32,
}

/// The pods of a namespace by uid, followed by a watch until dropped.
pub struct PodLog {
    heard: Arc<Mutex<Heard>>,
    watch: JoinHandle<()>,
}

/// What a watch told so far.
#[derive(Default)]
struct Heard {
    /// Every pod that ever was.
    pods: BTreeMap<String, PodRecord>,
    /// Those that a new list has named so far, while there is one.
    listed: BTreeSet<String>,
}

impl Heard {
    /// Takes in one event of the watch, which came `now`.
    fn hear(&mut self, event: watcher::Event<Pod>, now: Timestamp) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.insert(pod.uid().unwrap_or_default());
                self.note(&pod);
            }
            // Nobody tells of the deletions while a watch was broken: whatever is missing afterwards is deleted.
            watcher::Event::InitDone => {
                let missing = |uid: &&String| !self.listed.contains(*uid);
                let missing: Vec<_> = self.pods.keys().filter(missing).cloned().collect();
                for uid in missing {
                    self.is_gone(&uid, now);
                }
            }
            watcher::Event::Apply(pod) => self.note(&pod),
            watcher::Event::Delete(pod) => {
                self.note(&pod);
                self.is_gone(&pod.uid().unwrap_or_default(), now);
            }
        }
    }

    fn note(&mut self, pod: &Pod) {
        self.pods.insert(pod.uid().unwrap_or_default(), record(pod));
    }

    fn is_gone(&mut self, uid: &str, now: Timestamp) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.deleted_at.get_or_insert(now);
        }
    }
}

impl PodLog {
    /// Follows the pods of the namespace from now on.
    pub fn follow(namespace: &Namespace) -> Self {
        let mut events = namespace.told_of::<Pod>();
        let place = namespace.name.clone();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let listener = heard.clone();
        let watch = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => listener.lock().unwrap().hear(event, Timestamp::now()),
                    Err(error) => say(&format!("the watch of the pods in {place} broke: {error}")),
                }
            }
        });
        Self { heard, watch }
    }

    /// Every pod of one component of one soak that ever was.
    pub fn of(&self, soak: &str, component: &str) -> BTreeMap<String, PodRecord> {
        let heard = self.heard.lock().unwrap();
        let ours = |pod: &PodRecord| pod.soak == soak && pod.component == component;
        let pods = heard.pods.iter();
        pods.filter(|(_, pod)| ours(pod))
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn pod(uid: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}})).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// When each pod was deleted, as far as these events tell; they come a second apart.
    fn deletions(events: Vec<watcher::Event<Pod>>) -> Vec<(String, Option<i64>)> {
        let mut heard = Heard::default();
        for (event, second) in events.into_iter().zip(1..) {
            heard.hear(event, at(second));
        }
        let pods = heard.pods.into_iter();
        pods.map(|(uid, pod)| (uid, pod.deleted_at.map(Timestamp::as_second)))
            .collect()
    }

    #[test]
    fn a_pod_that_vanishes_while_the_watch_is_broken_was_deleted() {
        use watcher::Event::{Apply, Init, InitApply, InitDone};
        let told = deletions(vec![
            Init,
            InitApply(pod("stays")),
            InitApply(pod("vanishes")),
            InitDone,
            Apply(pod("comes")),
            Init,
            InitApply(pod("comes")),
            InitApply(pod("stays")),
            InitDone,
        ]);
        let expected = [("comes", None), ("stays", None), ("vanishes", Some(9))];
        assert_eq!(told, expected.map(|(uid, at)| (uid.to_string(), at)));
    }

    #[test]
    fn a_deletion_is_dated_by_the_request_for_it() {
        let mut asked = pod("asked");
        asked.metadata.deletion_timestamp = Some(Time(at(40)));
        asked.metadata.deletion_grace_period_seconds = Some(30);
        let told = deletions(vec![
            watcher::Event::Apply(pod("asked")),
            watcher::Event::Apply(asked.clone()),
            watcher::Event::Delete(asked),
            watcher::Event::Delete(pod("at once")),
        ]);
        let expected = [("asked", Some(10)), ("at once", Some(4))];
        assert_eq!(told, expected.map(|(uid, at)| (uid.to_string(), at)));
    }
}
