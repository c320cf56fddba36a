//! The NATS server of a simulation: one, with JetStream on a volume that a restart of its container survives.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EmptyDirVolumeSource, Service, ServicePort, ServiceSpec, Volume,
    VolumeMount,
};
use kube::ResourceExt;
use soak_api::SoakTest;

use super::{Images, pods};

/// The component's name.
pub(super) const NAME: &str = "nats";

/// Of the whole server: of each of its streams it keeps the block that it writes to.
pub(super) const MEMORY_LIMIT: &str = "1Gi";

/// From here on its garbage collector works harder, rather than that the server is killed.
const HEAP_LIMIT: &str = "768MiB";

const CLIENT_PORT: i32 = 4_222;
const MONITOR_PORT: i32 = 8_222;

/// Where the simulation of `test` finds its NATS server, from any namespace.
pub(super) fn url(test: &SoakTest) -> String {
    let namespace = test.namespace().unwrap_or_default();
    format!(
        "nats://{}.{namespace}.svc:{CLIENT_PORT}",
        pods::full_name(test, NAME)
    )
}

pub(super) fn service(test: &SoakTest) -> Service {
    Service {
        metadata: pods::owned(test, NAME),
        spec: Some(ServiceSpec {
            selector: Some(pods::labels(test, NAME)),
            ports: Some(vec![ServicePort {
                name: Some("client".into()),
                port: CLIENT_PORT,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn deployment(test: &SoakTest, images: &Images) -> Deployment {
    let args = ["--jetstream", "--store_dir", "/data", "--http_port", "8222"];
    let port = |name: &str, port| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        ..ContainerPort::default()
    };
    let container = Container {
        name: NAME.to_owned(),
        image: Some(images.nats.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(args.map(str::to_owned).to_vec()),
        ports: Some(vec![
            port("client", CLIENT_PORT),
            port("monitor", MONITOR_PORT),
        ]),
        readiness_probe: Some(pods::probe(
            "/healthz?js-enabled-only=true",
            "monitor",
            1,
            3,
        )),
        env: Some(vec![pods::env("GOMEMLIMIT", HEAP_LIMIT)]),
        resources: Some(pods::resources("50m", "64Mi", MEMORY_LIMIT)),
        security_context: Some(pods::unprivileged()),
        volume_mounts: Some(vec![VolumeMount {
            name: "data".into(),
            mount_path: "/data".into(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    };
    let data = Volume {
        name: "data".into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    pods::deployment(test, NAME, 1, "Recreate", container, vec![data])
}
