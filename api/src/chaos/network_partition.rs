use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

/// Cuts one ready pod off from the network for a while, but for being scraped. Refused where another NetworkPolicy selects
/// the pod. Proven by the pod's own no longer being ready meanwhile: not every cluster enforces NetworkPolicies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPartition {
    /// The component whose pod is cut off: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
    /// How long the pod stays cut off.
    #[x_kube(validation = Rule::new(concat!("!self.matches(", span!(), ") || duration(self) >= duration('1s') && duration(self) <= duration('24h')")).message("for must be from 1s to 24h"))]
    #[serde(default = "half_a_minute", rename = "for")]
    pub lasts: Span,
}

fn half_a_minute() -> Span {
    Span::from_seconds(30)
}
