//! A Deployment as it is found in the cluster: what it says of its pods, and what one of them says of itself.

use std::collections::BTreeSet;

use anyhow::anyhow;
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::ListParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, ResourceExt};
use soak_api::{COMPONENT, Quantity, SOAK_TEST};

use super::runtime;
use crate::cluster::{Cluster, explained};

/// Ports that are likelier than others to have metrics.
const LIKELY: [&str; 4] = ["metrics", "prometheus", "http-metrics", "prom"];

/// Where metrics are where nobody says otherwise.
const PATH: &str = "metrics";

/// What is known of a Deployment.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) replicas: u32,
    /// The container that has the metrics, or else the first.
    pub(super) container: String,
    /// Whether its pods have others.
    pub(super) sidecars: bool,
    /// The memory at which its container is killed, as it is written and in bytes.
    pub(super) memory_limit: Option<(String, f64)>,
    /// The labels by which its pods agree to be hit that they have.
    pub(super) labels: BTreeSet<(String, String)>,
    /// The HorizontalPodAutoscaler that scales it.
    pub(super) autoscaler: Option<String>,
    pub(super) metrics: Result<Metrics, String>,
}

/// What a pod tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metrics {
    pub(super) container: String,
    /// Where, such as `8080/metrics`.
    pub(super) place: String,
    /// Whether its port is named `metrics`, by which the operator's own Prometheus finds it.
    pub(super) named: bool,
    pub(super) names: BTreeSet<String>,
}

/// A port that metrics may be at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    container: String,
    port: i32,
    path: String,
    named: bool,
}

pub(super) async fn find(cluster: &Cluster, name: &str) -> anyhow::Result<Found> {
    let namespace = &cluster.namespace;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let found = deployments.get_opt(name).await.map_err(explained)?;
    let deployment = found.ok_or_else(|| {
        anyhow!(
            "there is no Deployment {name} in namespace {namespace}: kubectl get deployments{} lists them",
            cluster.flags
        )
    })?;
    let spec = deployment.spec.clone().unwrap_or_default();
    let labels = spec.template.metadata.and_then(|metadata| metadata.labels);
    let pod = spec.template.spec.unwrap_or_default();
    let autoscaler = autoscaler(cluster, name).await;
    let metrics = metrics(cluster, spec.selector.try_into().unwrap_or_default()).await;
    let of_metrics = metrics
        .as_ref()
        .ok()
        .map(|metrics| metrics.container.as_str());
    let mut containers = pod.containers.iter();
    let container = containers
        .find(|one| Some(one.name.as_str()) == of_metrics)
        .or(pod.containers.first());
    Ok(Found {
        name: name.to_owned(),
        namespace: namespace.clone(),
        replicas: u32::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
        container: container.map(|one| one.name.clone()).unwrap_or_default(),
        sidecars: pod.containers.len() > 1 || pod.init_containers.iter().flatten().any(is_sidecar),
        memory_limit: container.and_then(memory_limit),
        labels: labels
            .unwrap_or_default()
            .into_iter()
            .filter(|(label, _)| [SOAK_TEST, COMPONENT].contains(&label.as_str()))
            .collect(),
        autoscaler,
        metrics,
    })
}

/// An init container that goes on beside the others.
fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn memory_limit(container: &Container) -> Option<(String, f64)> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    let written = limits.get("memory")?.0.clone();
    let bytes: Quantity = written.parse().ok()?;
    Some((written, bytes.value()))
}

/// Whoever may not look is told of none.
async fn autoscaler(cluster: &Cluster, deployment: &str) -> Option<String> {
    let all: Api<HorizontalPodAutoscaler> =
        Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let all = all.list(&ListParams::default()).await.ok()?;
    let scales = |one: &HorizontalPodAutoscaler| {
        let target = one.spec.as_ref().map(|spec| &spec.scale_target_ref);
        target.is_some_and(|target| target.kind == "Deployment" && target.name == deployment)
    };
    let found = all.into_iter().find(scales)?;
    Some(found.name_any())
}

/// What the first pod tells that tells anything, through the API server; or why none does.
async fn metrics(cluster: &Cluster, selector: Selector) -> Result<Metrics, String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = ListParams::default().labels_from(&selector);
    let all = pods.list(&params).await;
    let all = all.map_err(|error| explained(error).to_string())?;
    let ready = |pod: &&Pod| is_ready(pod) && selector.matches(pod.labels());
    let Some(pod) = all.iter().find(ready) else {
        return Err("none of its pods is ready".to_owned());
    };
    let name = pod.name_any();
    let places = places(pod);
    if places.is_empty() {
        return Err(format!("pod {name} names no port"));
    }
    let mut problems = Vec::new();
    for place in places {
        let Place {
            container,
            port,
            path,
            named,
        } = place;
        match scraped(cluster, &name, port, &path).await {
            Ok(text) => {
                let names = runtime::names(&text);
                if !names.is_empty() {
                    return Ok(Metrics {
                        container,
                        place: format!("{port}{path}"),
                        named,
                        names,
                    });
                }
                problems.push(format!("{port}{path}: no metrics"));
            }
            Err(problem) => problems.push(format!("{port}{path}: {problem}")),
        }
    }
    Err(format!("pod {name} tells none: {}", problems.join("; ")))
}

async fn scraped(cluster: &Cluster, pod: &str, port: i32, path: &str) -> Result<String, String> {
    let namespace = &cluster.namespace;
    let url = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
    let request = Request::get(url).body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = cluster.client.request_text(request).await;
    answer.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => {
            "you may not get pods/proxy, through which it would be asked".to_owned()
        }
        kube::Error::Api(status) => format!("it answers {}", status.code),
        error => error.to_string(),
    })
}

/// Where metrics may be, the likeliest first: where an annotation says, at ports with such a name, and at all others.
fn places(pod: &Pod) -> Vec<Place> {
    let annotation = |name: &str| pod.annotations().get(&format!("prometheus.io/{name}"));
    // What is in an annotation may be anything.
    let is_path = |path: &&str| path.chars().all(|c| c.is_ascii_graphic());
    let path = annotation("path").map(|path| path.trim_start_matches('/'));
    let path = path.filter(is_path).unwrap_or(PATH);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| {
        let ports = container.ports.iter().flatten();
        ports.map(move |port| (container.name.clone(), port))
    });
    let mut ports: Vec<(String, String, i32)> = ports
        .filter(|(_, port)| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .map(|(container, port)| {
            let name = port.name.clone().unwrap_or_default();
            (container, name, port.container_port)
        })
        .collect();
    let annotated = annotation("port").and_then(|port| port.parse().ok());
    if let Some(port) = annotated.filter(|port| ports.iter().all(|(.., known)| known != port)) {
        ports.push((String::new(), String::new(), port));
    }
    ports.sort_by_key(|(_, name, port)| {
        let likely = LIKELY.iter().position(|one| one == name);
        (Some(*port) != annotated, likely.unwrap_or(LIKELY.len()))
    });
    let places = ports.into_iter().map(|(container, name, port)| Place {
        container,
        port,
        path: format!("/{path}"),
        named: name == LIKELY[0],
    });
    places.collect()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions.is_some_and(|all| {
        let mut all = all.iter();
        all.any(|one| one.type_ == "Ready" && one.status == "True")
    });
    ready && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake::{Answer, fake};

    fn pod(annotations: &Value) -> Value {
        json!({
            "metadata": {"name": "cart-1", "labels": {"app": "cart"}, "annotations": annotations},
            "spec": {"containers": [
                {"name": "cart", "ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                ]},
                {"name": "exporter", "ports": [{"name": "metrics", "containerPort": 9100}]},
            ]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}
        })
    }

    fn where_to(annotations: &Value) -> Vec<String> {
        let pod = serde_json::from_value(pod(annotations)).expect("a pod");
        let places = places(&pod).into_iter();
        places
            .map(|one| format!("{}{}", one.port, one.path))
            .collect()
    }

    #[test]
    fn metrics_are_looked_for_at_the_likeliest_port_first() {
        assert_eq!(where_to(&json!({})), ["9100/metrics", "8080/metrics"]);
        let annotated = json!({"prometheus.io/port": "8080", "prometheus.io/path": "stats"});
        assert_eq!(where_to(&annotated), ["8080/stats", "9100/stats"]);
        let hostile = json!({"prometheus.io/path": "/metrics\nspec: {}"});
        assert_eq!(where_to(&hostile)[0], "9100/metrics");
        let elsewhere = json!({"prometheus.io/port": "7000"});
        assert_eq!(where_to(&elsewhere)[0], "7000/metrics");
    }

    fn deployment() -> Value {
        json!({
            "metadata": {"name": "cart"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "cart"}},
                "template": {
                    "metadata": {"labels": {"app": "cart", SOAK_TEST: "cart"}},
                    "spec": {"containers": [{"name": "cart", "resources": {"limits": {"memory": "256Mi"}}}]}
                }
            }
        })
    }

    #[tokio::test]
    async fn what_a_deployment_and_one_of_its_pods_say_is_found() {
        let scaler = json!({"metadata": {"name": "cart-by-cpu"}, "spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "cart"}}});
        let (cluster, asked) = fake(vec![
            Answer::object(&deployment()),
            Answer::object(&json!({"metadata": {}, "items": [scaler]})),
            Answer::object(&json!({"metadata": {}, "items": [pod(&json!({}))]})),
            Answer::text(404, "no such page"),
            Answer::text(200, "go_goroutines 12\n"),
        ]);
        let found = find(&cluster, "cart").await.expect("found");
        assert_eq!(found.replicas, 3);
        assert_eq!(found.autoscaler.as_deref(), Some("cart-by-cpu"));
        assert_eq!(
            found.memory_limit,
            Some(("256Mi".to_owned(), 268_435_456.0))
        );
        assert_eq!(
            found.labels,
            [(SOAK_TEST.to_owned(), "cart".to_owned())].into()
        );
        assert!(!found.sidecars, "the template has one container");
        let metrics = found.metrics.expect("metrics");
        assert_eq!(
            (metrics.place.as_str(), metrics.named),
            ("8080/metrics", false)
        );
        assert!(metrics.names.contains("go_goroutines"));
        let asked = asked.lock().expect("no panic");
        let last = "GET /api/v1/namespaces/soak/pods/cart-1:8080/proxy/metrics";
        assert_eq!(asked.last().map(|(call, _)| call.as_str()), Some(last));
    }

    #[tokio::test]
    async fn where_nothing_tells_anything_each_place_says_why() {
        let (cluster, _) = fake(vec![
            Answer::object(&deployment()),
            Answer::text(403, "no"),
            Answer::object(&json!({"metadata": {}, "items": [pod(&json!({}))]})),
            Answer::text(200, "<html></html>"),
            Answer::text(403, "no"),
        ]);
        let found = find(&cluster, "cart").await.expect("found");
        assert_eq!(
            found.metrics.expect_err("no metrics"),
            "pod cart-1 tells none: 9100/metrics: no metrics; 8080/metrics: you may not get pods/proxy, through which it would be asked"
        );
    }

    #[tokio::test]
    async fn a_deployment_that_is_not_there_is_told_with_where_to_look() {
        let (cluster, _) = fake(vec![Answer::not_found()]);
        let problem = find(&cluster, "crat").await.expect_err("not there");
        assert_eq!(
            problem.to_string(),
            "there is no Deployment crat in namespace soak: kubectl get deployments -n soak lists them"
        );
    }
}
