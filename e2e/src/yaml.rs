//! YAML as it lies in the repository.

use serde_json::Value;
use soak_api::SoakTest;

use crate::repository;

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text)
        .unwrap_or_else(|error| panic!("failed to read YAML: {error}\n{text}"))
}

/// The `SoakTest` in a file of the repository, such as `examples/clean.yaml`.
pub fn soak_test(path: &str) -> SoakTest {
    let text = std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path} is no SoakTest: {error}"))
}

/// The Prometheus image that is in the cluster.
pub fn prometheus_image() -> String {
    let versions = std::fs::read_to_string(repository().join("hack/versions.env")).unwrap();
    let version = versions
        .lines()
        .find_map(|line| line.strip_prefix("PROMETHEUS_VERSION="));
    format!(
        "prom/prometheus:{}",
        version.expect("hack/versions.env has PROMETHEUS_VERSION")
    )
}
