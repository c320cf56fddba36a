//! What the pods of all components have in common.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use soak_api::{COMPONENT, SOAK_TEST, SoakTest};

/// The strategy that replaces pods one after the other.
pub(super) const ROLLING: &str = "RollingUpdate";

/// The user and group that every container runs as.
const NOBODY: i64 = 65_532;

/// The name of a component's Deployment and the beginning of its pods' names.
pub(crate) fn full_name(test: &SoakTest, component: &str) -> String {
    format!("{}-{component}", test.name_any())
}

/// The labels of a component's pods.
pub(super) fn labels(test: &SoakTest, component: &str) -> BTreeMap<String, String> {
    [
        (SOAK_TEST.to_owned(), test.name_any()),
        (COMPONENT.to_owned(), component.to_owned()),
    ]
    .into()
}

/// How many of a component's pods are replaced at the same time when it is rolled out: a quarter, at least one.
pub(crate) fn rolled_at_once(replicas: u32) -> u32 {
    (replicas / 4).max(1)
}

/// A pod comes once an old one has gone: what tells the pods of a component apart, such as an id, is there once.
fn one_for_another(replicas: u32) -> RollingUpdateDeployment {
    let count = |count| Some(IntOrString::Int(i32::try_from(count).unwrap_or(i32::MAX)));
    RollingUpdateDeployment {
        max_surge: count(0),
        max_unavailable: count(rolled_at_once(replicas)),
    }
}

/// Metadata of an object that belongs to the SoakTest and goes with it.
pub(super) fn owned(test: &SoakTest, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(full_name(test, component)),
        namespace: test.namespace(),
        labels: Some(labels(test, component)),
        owner_references: test.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// A Deployment of one container, which runs as nobody, without privileges and without a token.
pub(super) fn deployment(
    test: &SoakTest,
    component: &str,
    replicas: u32,
    strategy: &str,
    container: Container,
    volumes: Vec<k8s_openapi::api::core::v1::Volume>,
) -> Deployment {
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            fs_group: Some(NOBODY),
            run_as_group: Some(NOBODY),
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(10),
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        ..PodSpec::default()
    };
    Deployment {
        metadata: owned(test, component),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)),
            revision_history_limit: Some(0),
            selector: LabelSelector {
                match_labels: Some(labels(test, component)),
                match_expressions: None,
            },
            strategy: Some(DeploymentStrategy {
                type_: Some(strategy.to_owned()),
                rolling_update: (strategy == ROLLING).then(|| one_for_another(replicas)),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(test, component)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// The security context of every container.
pub(super) fn unprivileged() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Small requests, and a limit on memory so that a runaway process is killed alone.
pub(super) fn resources(cpu: &str, memory: &str, memory_limit: &str) -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(
            [
                ("cpu".into(), quantity(cpu)),
                ("memory".into(), quantity(memory)),
            ]
            .into(),
        ),
        limits: Some([("memory".into(), quantity(memory_limit))].into()),
        claims: None,
    }
}

/// A probe by HTTP GET.
pub(super) fn probe(path: &str, port: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// An environment variable of a fixed value.
pub(super) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// An environment variable with a field of the pod.
pub(super) fn env_field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: path.to_owned(),
        api_version: Some("v1".into()),
    };
    let source = EnvVarSource {
        field_ref: Some(field),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(source),
    }
}
