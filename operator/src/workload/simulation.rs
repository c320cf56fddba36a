//! The simulation as components: workers, producers and the auditor, the independent reader that counts loss.

use async_nats::jetstream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar};
use soak_api::{Simulation, SoakTest};
use soak_sim::names::{CONTROL, DRAIN};

use super::{Component, Images, nats, pods};

/// Work is moved around once more after a worker has joined, and takes this long to come to rest, in seconds.
pub(super) const COOLDOWN_SECONDS: f64 = 12.0;

const WORKER: &str = "worker";
const PRODUCER: &str = "producer";
const AUDITOR: &str = "auditor";

/// A drain that could not be asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    #[error("failed to reach NATS: {0}")]
    Connect(#[from] async_nats::ConnectError),
    #[error("failed to open the bucket {CONTROL}: {0}")]
    Bucket(#[from] jetstream::context::KeyValueError),
    #[error("failed to write {DRAIN}: {0}")]
    Put(#[from] jetstream::kv::PutError),
}

/// Room for a leak to show, and little enough to be reached by one that runs away.
const MEMORY_LIMIT: &str = "128Mi";

pub(super) fn components(simulation: &Simulation) -> Vec<Component> {
    vec![
        Component {
            name: nats::NAME,
            replicas: 1,
            memory_limit: nats::MEMORY_LIMIT,
            judged: false,
        },
        Component {
            name: AUDITOR,
            replicas: 1,
            memory_limit: MEMORY_LIMIT,
            judged: false,
        },
        Component {
            name: PRODUCER,
            replicas: simulation.producers.replicas,
            memory_limit: MEMORY_LIMIT,
            judged: true,
        },
        Component {
            name: WORKER,
            replicas: simulation.workers.replicas,
            memory_limit: MEMORY_LIMIT,
            judged: true,
        },
    ]
}

pub(super) fn deployments(test: &SoakTest, images: &Images) -> Vec<Deployment> {
    let simulation = &test.spec.workload.simulation;
    let (workers, producers) = (&simulation.workers, &simulation.producers);
    let worker_image = workers.image.as_ref().unwrap_or(&images.worker);
    let producer_image = producers.image.as_ref().unwrap_or(&images.producer);
    let worker_env = vec![
        pods::env("WORKERS", workers.replicas.to_string()),
        pods::env(
            "PROCESSING_DELAY_MIN",
            workers.processing_delay.min.to_string(),
        ),
        pods::env(
            "PROCESSING_DELAY_MAX",
            workers.processing_delay.max.to_string(),
        ),
        pods::env("LEAK_MODE", simulation.leak.mode.name()),
    ];
    let producer_env = vec![
        pods::env("PRODUCERS", producers.replicas.to_string()),
        pods::env("MESSAGE_RATE", simulation.message_rate.to_string()),
    ];
    let audit = Container {
        args: Some(vec!["audit".into()]),
        ..container(test, AUDITOR, worker_image, vec![])
    };
    vec![
        pods::deployment(test, AUDITOR, 1, "Recreate", audit, vec![]),
        pods::deployment(
            test,
            PRODUCER,
            producers.replicas,
            pods::ROLLING,
            container(test, PRODUCER, producer_image, producer_env),
            vec![],
        ),
        pods::deployment(
            test,
            WORKER,
            workers.replicas,
            pods::ROLLING,
            container(test, WORKER, worker_image, worker_env),
            vec![],
        ),
    ]
}

/// Tells producers to stop and workers to finish; asking twice changes nothing.
pub(crate) async fn drain(test: &SoakTest) -> Result<(), DrainError> {
    let client = async_nats::connect(nats::url(test)).await?;
    let bucket = jetstream::new(client).get_key_value(CONTROL).await?;
    bucket.put(DRAIN, "1".into()).await?;
    Ok(())
}

fn container(test: &SoakTest, component: &str, image: &str, more: Vec<EnvVar>) -> Container {
    let mut env = vec![
        pods::env_field("POD_NAME", "metadata.name"),
        pods::env("NATS_URL", nats::url(test)),
        pods::env(
            "PARTITIONS",
            test.spec.workload.simulation.partitions.to_string(),
        ),
    ];
    env.extend(more);
    Container {
        name: component.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".into()),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some("metrics".into()),
            container_port: 8_080,
            ..ContainerPort::default()
        }]),
        liveness_probe: Some(pods::probe("/healthz", "metrics", 10, 6)),
        readiness_probe: Some(pods::probe("/readyz", "metrics", 1, 3)),
        resources: Some(pods::resources("10m", "32Mi", MEMORY_LIMIT)),
        security_context: Some(pods::unprivileged()),
        ..Container::default()
    }
}
