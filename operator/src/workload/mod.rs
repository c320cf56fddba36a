//! The workload as components: each with a name, replicas and a pod. Everything downstream knows only these.

mod nats;
mod pods;
mod simulation;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use soak_api::{SoakTest, Workload};

pub(crate) use pods::rolled_at_once;
pub(crate) use simulation::drain;

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
    pub(crate) name: &'static str,
    pub(crate) replicas: u32,
    /// The memory at which its container is killed.
    pub(crate) memory_limit: &'static str,
    /// Whether criteria are about it; the rest carries or checks the load.
    pub(crate) judged: bool,
}

/// The components of the workload, those that others depend on first.
pub(crate) fn components(workload: &Workload) -> Vec<Component> {
    simulation::components(&workload.simulation)
}

/// How many pods the component is planned to have; none where there is no such component.
pub(crate) fn replicas(workload: &Workload, component: &str) -> u32 {
    let components = components(workload);
    let found = components.iter().find(|one| one.name == component);
    found.map_or(0, |component| component.replicas)
}

/// The name of the component's Deployment.
pub(crate) fn deployment_name(test: &SoakTest, component: &str) -> String {
    pods::full_name(test, component)
}

/// How long the workload keeps moving work around after a component is ready again, in seconds.
pub(crate) fn cooldown_seconds(_workload: &Workload) -> f64 {
    simulation::COOLDOWN_SECONDS
}

/// The Services of the workload.
pub(crate) fn services(test: &SoakTest) -> Vec<Service> {
    vec![nats::service(test)]
}

/// The Deployments of the workload.
pub(crate) fn deployments(test: &SoakTest, images: &Images) -> Vec<Deployment> {
    let mut deployments = vec![nats::deployment(test, images)];
    deployments.extend(simulation::deployments(test, images));
    deployments
}
