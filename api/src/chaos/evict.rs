use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Evicts one ready pod, as draining its node would: refused where a PodDisruptionBudget does not allow it, and with the
/// grace period of the pod's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evict {
    /// The component whose pod is hit: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
}
