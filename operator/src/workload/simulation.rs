//! The simulation as components: workers, producers and the auditor, the independent reader that counts loss.

use async_nats::jetstream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar};
use soak_api::{Leak, Simulation, SoakTest, Weights};
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

pub(super) fn components(test: &SoakTest, simulation: &Simulation) -> Vec<Component> {
    let component = |name: &str, replicas, memory_limit, judged| Component {
        name: name.to_owned(),
        deployment: pods::full_name(test, name),
        replicas,
        memory_limit: Some(memory_limit),
        judged,
    };
    let (producers, workers) = (&simulation.producers, &simulation.workers);
    vec![
        component(nats::NAME, 1, nats::MEMORY_LIMIT, false),
        component(AUDITOR, 1, MEMORY_LIMIT, false),
        component(PRODUCER, producers.replicas, MEMORY_LIMIT, true),
        component(WORKER, workers.replicas, MEMORY_LIMIT, true),
    ]
}

pub(super) fn deployments(
    test: &SoakTest,
    simulation: &Simulation,
    images: &Images,
) -> Vec<Deployment> {
    let (workers, producers) = (&simulation.workers, &simulation.producers);
    let worker_image = workers.image.as_ref().unwrap_or(&images.worker);
    let producer_image = producers.image.as_ref().unwrap_or(&images.producer);
    let mut worker_env = vec![
        pods::env("WORKERS", workers.replicas.to_string()),
        pods::env(
            "PROCESSING_DELAY_MIN",
            workers.processing_delay.min.to_string(),
        ),
        pods::env(
            "PROCESSING_DELAY_MAX",
            workers.processing_delay.max.to_string(),
        ),
        pods::env("ASSIGNMENT", simulation.assignment.to_string()),
    ];
    let mut producer_env = vec![
        pods::env("PRODUCERS", producers.replicas.to_string()),
        pods::env("MESSAGE_RATE", simulation.message_rate.to_string()),
    ];
    if let Some(bytes) = simulation.payload_bytes {
        producer_env.push(pods::env("PAYLOAD_BYTES", bytes.to_string()));
    }
    let mut audit_env = Vec::new();
    for env in [&mut worker_env, &mut producer_env, &mut audit_env] {
        let partitions = simulation.partitions.to_string();
        env.push(pods::env("PARTITIONS", partitions));
    }
    // Each knows by itself which leaks are its own.
    for env in [&mut worker_env, &mut producer_env] {
        env.extend(weights_env(&simulation.weights));
        env.extend(leak_env(&simulation.leak));
    }
    let audit = Container {
        args: Some(vec!["audit".into()]),
        ..container(test, AUDITOR, worker_image, audit_env)
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

/// What is left out is left to the programs.
fn weights_env(weights: &Weights) -> Vec<EnvVar> {
    let extremes = [
        ("EXTREME_SHARE_PERCENT", weights.extreme_share_percent),
        ("EXTREME_WEIGHT", weights.extreme_weight),
    ];
    let distribution = pods::env("WEIGHT_DISTRIBUTION", weights.distribution.to_string());
    let told = |(name, value): (&str, Option<f64>)| Some(pods::env(name, value?.to_string()));
    [distribution]
        .into_iter()
        .chain(extremes.into_iter().filter_map(told))
        .collect()
}

fn leak_env(leak: &Leak) -> Vec<EnvVar> {
    let every = leak.every.as_ref();
    let mode = pods::env("LEAK_MODE", leak.mode.to_string());
    [mode]
        .into_iter()
        .chain(every.map(|every| pods::env("LEAK_EVERY", every.to_string())))
        .collect()
}

fn container(test: &SoakTest, component: &str, image: &str, more: Vec<EnvVar>) -> Container {
    let mut env = vec![
        pods::env_field("POD_NAME", "metadata.name"),
        pods::env("NATS_URL", nats::url(test)),
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

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;

    fn test(simulation: &Value) -> SoakTest {
        let mut object = json!({
            "apiVersion": "soak-operator.io/v1alpha1",
            "kind": "SoakTest",
            "metadata": {"name": "demo", "namespace": "soak", "uid": "7a9c"},
            "spec": {
                "duration": "10m",
                "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 2}, "producers": {"replicas": 1}}},
                "criteria": [{"name": "tasks", "growth": {"signal": "Tasks", "maxPercent": 5}}]
            }
        });
        let own = object["spec"]["workload"]["simulation"].as_object_mut();
        let more = simulation.as_object().expect("fields").clone();
        own.expect("a simulation").extend(more);
        serde_json::from_value(object).expect("a SoakTest")
    }

    /// What the container of a component is told under a name; none where it is told nothing.
    fn told(simulation: &Value, component: &str, name: &str) -> Option<String> {
        let images = Images {
            worker: "worker".into(),
            producer: "producer".into(),
            nats: "nats".into(),
        };
        let test = test(simulation);
        let deployment = crate::workload::deployments(&test, &images)
            .into_iter()
            .find(|one| one.metadata.name == Some(pods::full_name(&test, component)))
            .expect("a Deployment");
        let pod = deployment.spec.expect("a spec").template.spec;
        let env = pod.expect("a pod").containers.remove(0).env;
        let variable = env.expect("variables").into_iter().find(|v| v.name == name);
        variable.and_then(|variable| variable.value)
    }

    #[test]
    fn every_leak_of_the_api_is_one_of_the_programs_and_goes_by_the_clock_in_both() {
        for mode in soak_sim::LeakMode::value_variants() {
            let value = mode.to_possible_value().expect("none is hidden");
            let ours: soak_api::LeakMode =
                serde_json::from_value(json!(value.get_name())).expect("a mode of the API");
            assert_eq!(ours.to_string(), value.get_name());
            assert_eq!(ours.is_paced(), mode.is_paced(), "{ours}");
        }
        same_values::<soak_sim::LeakMode>("leak/properties/mode");
    }

    /// What may be written at a place in the API is what the programs take.
    fn same_values<T: ValueEnum>(place: &str) {
        let crd: Value = serde_json::to_value(SoakTest::crd()).expect("a CRD");
        let simulation = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/workload/properties/simulation/properties";
        let written = crd.pointer(&format!("{simulation}/{place}/enum"));
        let taken: Vec<String> = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        assert_eq!(written, Some(&json!(taken)), "{place}");
    }

    #[test]
    fn every_strategy_and_distribution_of_the_api_is_one_of_the_programs() {
        same_values::<soak_sim::assignment::Strategy>("assignment");
        same_values::<soak_sim::weights::Distribution>("weights/properties/distribution");
    }

    #[test]
    fn weights_strategy_and_size_reach_the_programs_and_what_is_left_out_is_left_to_them() {
        let written = json!({
            "weights": {"distribution": "Exponential", "extremeSharePercent": 2.5, "extremeWeight": 20},
            "assignment": "WeightedConsistentHash",
            "payloadBytes": 1024
        });
        for (component, name, value) in [
            (WORKER, "ASSIGNMENT", "WeightedConsistentHash"),
            (WORKER, "WEIGHT_DISTRIBUTION", "Exponential"),
            (PRODUCER, "WEIGHT_DISTRIBUTION", "Exponential"),
            (WORKER, "EXTREME_SHARE_PERCENT", "2.5"),
            (PRODUCER, "EXTREME_SHARE_PERCENT", "2.5"),
            (WORKER, "EXTREME_WEIGHT", "20"),
            (PRODUCER, "EXTREME_WEIGHT", "20"),
            (PRODUCER, "PAYLOAD_BYTES", "1024"),
        ] {
            assert_eq!(told(&written, component, name).as_deref(), Some(value));
        }
        for (component, name, value) in [
            (WORKER, "ASSIGNMENT", Some("ConsistentHash")),
            (WORKER, "WEIGHT_DISTRIBUTION", Some("Uniform")),
            (PRODUCER, "EXTREME_WEIGHT", None),
            (PRODUCER, "PAYLOAD_BYTES", None),
        ] {
            assert_eq!(told(&json!({}), component, name).as_deref(), value);
        }
    }

    #[test]
    fn workers_and_producers_are_told_of_the_leak_and_the_auditor_is_not() {
        let leak = json!({"leak": {"mode": "SlowDrip", "every": "20s"}});
        for component in [WORKER, PRODUCER] {
            let of = |name| told(&leak, component, name);
            assert_eq!(of("LEAK_MODE").as_deref(), Some("SlowDrip"));
            assert_eq!(of("LEAK_EVERY").as_deref(), Some("20s"));
            assert_eq!(told(&json!({}), component, "LEAK_EVERY"), None);
            let by_default = told(&json!({}), component, "LEAK_MODE");
            assert_eq!(by_default.as_deref(), Some("None"));
        }
        assert_eq!(told(&leak, AUDITOR, "LEAK_MODE"), None);
    }
}
