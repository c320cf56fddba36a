use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Crashes the process of one ready pod, which asks it to by HTTP: the pod stays, its container restarts. Proven by the
/// end of that container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCrash {
    /// The component whose pod is hit: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
    /// What the pod is asked; the simulation's own endpoint where left out.
    #[serde(default)]
    pub endpoint: CrashEndpoint,
}

/// A `POST` with the query `pod=<its name>`, at which the process ends by itself, as if it had crashed. A pod of another
/// name has to refuse it: addresses are used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrashEndpoint {
    /// The port that the container listens on.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(default = "http")]
    pub port: u16,
    /// The path, such as /debug/crash.
    #[x_kube(validation = Rule::new("self.matches('^/[A-Za-z0-9._~/-]*$')").message("path begins with / and has letters, digits and . _ ~ / - only, such as /debug/crash"))]
    #[schemars(length(min = 1, max = 253))]
    #[serde(default = "debug_crash")]
    pub path: String,
}

impl Default for CrashEndpoint {
    fn default() -> Self {
        Self {
            port: http(),
            path: debug_crash(),
        }
    }
}

fn http() -> u16 {
    8_080
}

fn debug_crash() -> String {
    "/debug/crash".to_owned()
}
