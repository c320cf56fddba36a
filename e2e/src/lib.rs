//! What the tests against a real cluster share: namespaces that go when their test does, soaks that can be waited for,
//! the operator and the processes on the nodes, and a report of everything when a test fails.
//!
//! The tests need a cluster with the operator in it, within reach through `KUBECONFIG`, and `kubectl`, `helm` and
//! `docker` on the path: `hack/e2e.sh` sees to that and runs them in an order in which they do not disturb each other.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a step that fails is a test that fails, and the panic says which"
)]

mod command;
mod dashboard;
mod journal;
mod namespace;
mod node;
mod operator;
mod plugin;
mod pod_log;
mod prometheus;
mod quantile;
mod report;
mod soak;
mod wait;
mod yaml;

pub use command::{docker, helm, kubectl, kubectl_with_input, pod_metrics, repository};
pub use dashboard::Panel;
pub use journal::JournalEvent;
pub use namespace::Namespace;
pub use node::{Nodes, node_of};
pub use operator::{Operator, is_ready};
pub use plugin::{Ended, Plugin};
pub use pod_log::{PodLog, PodRecord};
pub use prometheus::{Series, query};
pub use quantile::quantile;
pub use soak::{Soak, came_to, criterion, simulation, small, span, worker_kills};
pub use wait::{Probe, say, wait_until};
pub use yaml::{documents, prometheus_image, soak_test};

/// A client for the cluster that `KUBECONFIG` names.
pub async fn client() -> kube::Client {
    let reach = "no cluster within reach: hack/e2e.sh runs these tests where there is one";
    let client = kube::Client::try_default().await.expect(reach);
    client.apiserver_version().await.expect(reach);
    client
}
