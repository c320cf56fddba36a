//! What lies outside the cluster's API: Prometheus, and the workload itself.

use soak_api::SoakTest;

use crate::prometheus::{Error, Prometheus};
use crate::workload;

/// The way there.
pub(crate) enum Outside {
    /// Over the network.
    Network(reqwest::Client),
    /// Into a model of it.
    #[cfg(test)]
    Model(std::sync::Arc<crate::simulation::Model>),
}

impl Outside {
    /// The Prometheus at `url`; nothing is asked yet.
    pub(crate) fn prometheus(&self, url: &str) -> Result<Prometheus, Error> {
        match self {
            Self::Network(http) => Prometheus::open(url, http),
            #[cfg(test)]
            Self::Model(model) => Ok(Prometheus::modelled(url, model.clone())),
        }
    }

    /// Tells the workload to finish what it has and to start nothing new; asking twice changes nothing.
    pub(crate) async fn drain(&self, test: &SoakTest) -> Result<(), String> {
        match self {
            Self::Network(_) => workload::drain(test).await.map_err(|e| e.to_string()),
            #[cfg(test)]
            Self::Model(model) => model.drain().await,
        }
    }
}
