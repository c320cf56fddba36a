use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replaces all pods of a component one after the other, as `kubectl rollout restart` does. Proven by every pod's having
/// gone and as many being ready again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The component that is rolled out: worker or producer.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
}
