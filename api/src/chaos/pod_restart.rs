use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use soak_verdict::Span;

/// Deletes one ready pod and gives it time to stop in an orderly way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodRestart {
    /// The component whose pod is hit: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
    /// How long the pod has between SIGTERM and SIGKILL; whole seconds, at least 1s.
    #[x_kube(validation = Rule::new(concat!("!self.matches(", span!(), ") || duration(self) >= duration('1s') && duration(self) <= duration('1h')")).message("gracePeriod must be from 1s to 1h"))]
    #[serde(default = "ten_seconds")]
    pub grace_period: Span,
}

fn ten_seconds() -> Span {
    Span::from_seconds(10)
}
