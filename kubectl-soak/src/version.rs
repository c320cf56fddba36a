//! `kubectl soak version`.

use soak_api::Plan;

/// What this program is, and what it knows.
pub(crate) fn run() -> String {
    format!(
        "kubectl soak {}\nAPI soak-operator.io/v1alpha1\nchaos plan, version {}\n",
        env!("CARGO_PKG_VERSION"),
        Plan::VERSION
    )
}
