use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kills the leader of a component, as podKill does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaderKill {
    /// The component whose leader is hit: worker or producer, or an existing Deployment.
    #[schemars(length(min = 1, max = 63))]
    pub component: String,
    /// How the leader is known; by the simulation's own metric where left out.
    #[serde(default)]
    pub leader: Leader,
}

/// How a leader is known. Exactly one is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.lease), has(self.label), has(self.query)].filter(x, x).size() == 1").message("set exactly one of lease, label, query"))]
#[serde(rename_all = "camelCase")]
pub struct Leader {
    /// A Lease in the SoakTest's namespace, whose holder is the pod's name, alone or before an underscore.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// A label that only the leader carries, such as role=leader.
    #[x_kube(validation = Rule::new("self.matches('^[^=,! ]+=[^=,! ]*$')").message("use key=value, such as role=leader"))]
    #[schemars(length(min = 1, max = 317))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A query of Prometheus whose only series above 0 has the leader's name in its label `pod`.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

impl Default for Leader {
    fn default() -> Self {
        Self {
            lease: None,
            label: None,
            query: Some("soak_sim_leader".to_owned()),
        }
    }
}
