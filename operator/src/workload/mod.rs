//! The workload as components: each with a name, replicas and a pod. Everything downstream knows only these.

mod existing;
mod nats;
mod pods;
mod simulation;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, ResourceExt};
use soak_api::{Quantity, SoakTest, Workload, WorkloadKind};

use crate::facts::PodFact;

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
    pub(crate) name: String,
    /// Its Deployment, and the beginning of its pods' names.
    pub(crate) deployment: String,
    pub(crate) replicas: u32,
    /// The memory at which its container is killed, where that is known.
    pub(crate) memory_limit: Option<&'static str>,
    /// Whether criteria are about it; the rest carries or checks the load.
    pub(crate) judged: bool,
}

/// What comes before the last five characters of a generated name is cut to so many.
const LONGEST_BASE: usize = 58;

/// The longest hash of a template, and the dashes around it.
const HASH: usize = 12;

/// The regular expression of the names of the components' pods: their Deployment's, a hash, and five characters; where that is
/// too long the beginning.
pub(crate) fn pod_names(components: &[Component]) -> String {
    let (whole, cut): (Vec<_>, Vec<_>) = components.iter().partition(|one| one.has_room());
    let whole: Vec<&str> = whole.iter().map(|one| one.deployment.as_str()).collect();
    let whole = match whole.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        all => Some(format!("(?:{})", all.join("|"))),
    };
    let cut = cut
        .into_iter()
        .map(|one| match one.deployment.get(..LONGEST_BASE) {
            Some(base) => format!("{base}[a-z0-9]+"),
            None => format!("{}-[a-z0-9-]+", one.deployment),
        });
    let whole = whole.map(|names| format!("{names}-[a-z0-9]+-[a-z0-9]+"));
    whole.into_iter().chain(cut).collect::<Vec<_>>().join("|")
}

impl Component {
    /// Whether the names of its pods have room for all that they are made of.
    fn has_room(&self) -> bool {
        self.deployment.len() + HASH <= LONGEST_BASE
    }

    /// Whether a pod has such a name.
    pub(crate) fn names(&self, pod: &str) -> bool {
        let name = &self.deployment;
        let base = &name[..name.len().min(LONGEST_BASE)];
        let Some(rest) = pod.strip_prefix(base) else {
            return false;
        };
        let suffix = rest.strip_prefix('-').unwrap_or_default();
        if self.has_room() {
            suffix.split('-').count() == 2
        } else if name.len() < LONGEST_BASE {
            !suffix.is_empty()
        } else {
            !rest.is_empty() && !rest.contains('-')
        }
    }

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

/// Whether the pod is one of a component's: by its label, and by the Deployment that keeps it.
pub(crate) fn is_of(components: &[Component], pod: &PodFact) -> bool {
    let mut components = components.iter();
    components
        .any(|one| one.name == pod.component && pod.deployment.as_deref() == Some(&*one.deployment))
}

/// The facts of a pod, if it is one of the soak's.
pub(crate) fn pod_of(test: &SoakTest, pod: &Pod) -> Option<PodFact> {
    let ((namespace, name), fact) = PodFact::of(pod)?;
    let same = Some(namespace) == test.namespace() && name == test.name_any();
    (same && is_of(&components(test), &fact)).then_some(fact)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(deployment: &str) -> Component {
        Component {
            name: deployment.to_owned(),
            deployment: deployment.to_owned(),
            replicas: 1,
            memory_limit: None,
            judged: true,
        }
    }

    /// The name that Kubernetes gives to a pod of a Deployment.
    fn named(deployment: &str) -> String {
        let base = format!("{deployment}-548557bc5d-");
        format!("{}x2k4p", &base[..base.len().min(LONGEST_BASE)])
    }

    #[test]
    fn a_pod_is_known_by_its_name_however_long_its_deployments_is() {
        for length in 1..=63 {
            let deployment = "a".repeat(length);
            let (component, pod) = (of(&deployment), named(&deployment));
            assert!(component.names(&pod), "{pod}");
            for others in [
                vec![],
                vec![of("shop")],
                vec![of("shop"), of(&"b".repeat(60))],
            ] {
                let names = pod_names(&[others, vec![component.clone()]].concat());
                let pattern = regex::Regex::new(&format!("^(?:{names})$"));
                assert!(pattern.expect("a pattern").is_match(&pod), "{names}: {pod}");
            }
        }
    }

    #[test]
    fn the_pods_of_others_have_other_names() {
        let cart = of("cart");
        for other in [
            "cart-0",
            "cart-worker-548557bc5d-x2k4p",
            "carts-548557bc5d-x2k4p",
            "art-548557bc5d-x2k4p",
        ] {
            assert!(!cart.names(other), "{other}");
        }
    }
}
