//! The workload as components: each with a name, replicas and a pod. Everything downstream knows only these.

mod existing;
mod nats;
mod pods;
mod simulation;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use soak_api::{Quantity, SoakTest, Workload, WorkloadKind};

pub(crate) use pods::rolled_at_once;
pub(crate) use simulation::DrainError;

/// The images that the simulation runs.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) worker: String,
    pub(crate) producer: String,
    pub(crate) nats: String,
}

/// A part of the workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Component {
    pub(crate) name: String,
    /// Its Deployment, and the beginning of its pods' names.
    pub(crate) deployment: String,
    pub(crate) replicas: u32,
    /// The memory at which its container is killed, where that is known.
    pub(crate) memory_limit: Option<&'static str>,
    /// Whether criteria are about it; the rest carries or checks the load.
    pub(crate) judged: bool,
}

impl Component {
    pub(crate) fn memory_limit_bytes(&self) -> Option<f64> {
        let limit: Quantity = self.memory_limit?.parse().ok()?;
        Some(limit.value())
    }
}

/// The components of the workload, those that others depend on first; none where it is of no one kind.
pub(crate) fn components(test: &SoakTest) -> Vec<Component> {
    match test.spec.workload.kind() {
        Some(WorkloadKind::Simulation(simulation)) => simulation::components(test, simulation),
        Some(WorkloadKind::Existing(existing)) => existing::components(existing),
        None => Vec::new(),
    }
}

/// How many pods the component is planned to have; none where there is no such component.
pub(crate) fn replicas(test: &SoakTest, component: &str) -> u32 {
    let components = components(test);
    let found = components.iter().find(|one| one.name == component);
    found.map_or(0, |component| component.replicas)
}

/// The name of the Deployment of one of the soak's own components; `None` where it is not for the soak to change.
pub(crate) fn own_deployment(test: &SoakTest, component: &str) -> Option<String> {
    let own = is_own(&test.spec.workload);
    own.then(|| pods::full_name(test, component))
}

/// Whether the workload was deployed by the soak, and is its own to change and to remove.
pub(crate) fn is_own(workload: &Workload) -> bool {
    workload.existing.is_none()
}

/// How long the workload keeps moving work around after a component is ready again, in seconds.
pub(crate) fn cooldown_seconds(workload: &Workload) -> f64 {
    match workload.kind() {
        Some(WorkloadKind::Existing(existing)) => existing.cooldown.duration().as_secs_f64(),
        _ => simulation::COOLDOWN_SECONDS,
    }
}

/// The Services that the soak deploys.
pub(crate) fn services(test: &SoakTest) -> Vec<Service> {
    match test.spec.workload.kind() {
        Some(WorkloadKind::Simulation(_)) => vec![nats::service(test)],
        _ => Vec::new(),
    }
}

/// The Deployments that the soak deploys.
pub(crate) fn deployments(test: &SoakTest, images: &Images) -> Vec<Deployment> {
    let Some(WorkloadKind::Simulation(simulation)) = test.spec.workload.kind() else {
        return Vec::new();
    };
    let mut deployments = vec![nats::deployment(test, images)];
    deployments.extend(simulation::deployments(test, simulation, images));
    deployments
}

/// Why what is to be there already is not as it should be; `None` where it is, or where there is no such thing.
pub(crate) async fn problem(
    test: &SoakTest,
    deployments: &Api<Deployment>,
) -> kube::Result<Option<String>> {
    match test.spec.workload.kind() {
        Some(WorkloadKind::Existing(existing)) => {
            existing::problem(test, existing, deployments).await
        }
        _ => Ok(None),
    }
}

/// Tells the workload to finish what it has and to start nothing new; asking twice changes nothing. One that was there
/// before goes on as it does.
pub(crate) async fn drain(test: &SoakTest) -> Result<(), DrainError> {
    match test.spec.workload.kind() {
        Some(WorkloadKind::Simulation(_)) => simulation::drain(test).await,
        _ => Ok(()),
    }
}
