use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Deletes one ready pod with a grace period of one second: the kubelet sends SIGTERM, then SIGKILL about two seconds
/// later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodKill {
    /// The component whose pod is hit: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
}
