//! The operator that the tests are about: where it runs and whether it leads.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};

use crate::{Probe, pod_metrics, wait_until};

/// The release that `make deploy` installs; the chart's tests install others.
const LABELS: &str = "app.kubernetes.io/name=soak-operator,app.kubernetes.io/component=operator,app.kubernetes.io/instance=soak-operator";

/// The operator's Deployment and what is around it.
#[derive(Clone)]
pub struct Operator {
    client: Client,
    /// Its namespace.
    pub namespace: String,
    /// The name of its Deployment and of its `ServiceAccount`.
    pub name: String,
    /// Its image.
    pub image: String,
}

impl Operator {
    /// Finds it.
    pub async fn find(client: &Client) -> Self {
        let deployments: Api<Deployment> = Api::all(client.clone());
        let found = deployments
            .list(&ListParams::default().labels(LABELS))
            .await
            .unwrap()
            .items;
        let Some(deployment) = found.first() else {
            panic!("no operator is deployed: make deploy installs it")
        };
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let image = pod
            .and_then(|pod| pod.containers.first())
            .and_then(|container| container.image.clone());
        Self {
            client: client.clone(),
            namespace: deployment.namespace().unwrap(),
            name: deployment.name_any(),
            image: image.expect("the operator has an image"),
        }
    }

    fn pod_api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its pods, those on their way out included.
    pub async fn pods(&self) -> Vec<Pod> {
        self.pod_api()
            .list(&ListParams::default().labels(LABELS))
            .await
            .unwrap()
            .items
    }

    /// Waits until one pod of it is ready and has taken or renewed the Lease after `since`, and returns that pod: a
    /// Lease outlives the process that held it.
    pub async fn leads(&self, since: Timestamp, limit: Duration) -> Pod {
        wait_until("an operator that leads", limit, async || {
            let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
            let leases = leases.list(&ListParams::default()).await.unwrap();
            let holders: Vec<_> = leases
                .iter()
                .filter_map(|lease| lease.spec.as_ref())
                .filter(|spec| spec.renew_time.as_ref().is_some_and(|at| at.0 > since))
                .filter_map(|spec| spec.holder_identity.clone())
                .collect();
            let pods = self.pods().await;
            let leader = pods.iter().find(|pod| {
                let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
                let holds = holders
                    .iter()
                    .any(|holder| holder.contains(&name) || holder.contains(&uid));
                holds && is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
            });
            match leader {
                Some(pod) => Probe::Done(pod.clone()),
                None => Probe::Waiting(format!(
                    "the Lease's holder is {holders:?}, pods: {}",
                    states(&pods)
                )),
            }
        })
        .await
    }

    /// What its metric of that name came to so far, by its labels. Where its process ends, it begins anew.
    pub async fn counts(&self, metric: &str) -> BTreeMap<String, f64> {
        let pods = self.pods().await;
        let [pod] = pods.as_slice() else {
            panic!("one pod counts: {}", states(&pods))
        };
        let text = pod_metrics(&self.namespace, &pod.name_any()).await.unwrap();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.strip_prefix(metric)?.rsplit_once(' ')?;
            let whole = series.is_empty() || series.starts_with('{');
            Some((series.to_owned(), value.parse().ok()?)).filter(|_| whole)
        });
        values.collect()
    }

    /// Deletes its pods in an orderly way and waits until another leads, whose container has never been restarted.
    pub async fn replace(&self) -> Pod {
        let since = Timestamp::now();
        let before: Vec<_> = self
            .pods()
            .await
            .iter()
            .map(|pod| (pod.name_any(), pod.uid()))
            .collect();
        for (name, _) in &before {
            // It may have gone by itself.
            let _ = self.pod_api().delete(name, &DeleteParams::default()).await;
        }
        wait_until(
            "the operator's pods to go",
            Duration::from_secs(60),
            async || {
                let pods = self.pods().await;
                let old = pods
                    .iter()
                    .filter(|pod| before.iter().any(|(_, uid)| *uid == pod.uid()));
                if old.count() == 0 {
                    Probe::Done(())
                } else {
                    Probe::Waiting(states(&pods))
                }
            },
        )
        .await;
        self.leads(since, Duration::from_secs(60)).await
    }
}

/// How often the pod's container was restarted.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|container| container.restart_count).sum()
}

/// Whether the pod says that it is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn states(pods: &[Pod]) -> String {
    let state = |pod: &Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        let going = if pod.metadata.deletion_timestamp.is_some() {
            ", terminating"
        } else {
            ""
        };
        format!(
            "{} {phase}, ready: {}, restarts: {}{going}",
            pod.name_any(),
            is_ready(pod),
            restarts(pod)
        )
    };
    if pods.is_empty() {
        "none".to_owned()
    } else {
        pods.iter().map(state).collect::<Vec<_>>().join("; ")
    }
}
