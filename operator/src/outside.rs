//! What lies outside the cluster's API: Prometheus, and the workload itself.

use std::time::Duration;

use soak_api::{CrashEndpoint, SoakTest};

use crate::decision::Answer;
use crate::prometheus::{Error, Prometheus};
use crate::workload;

/// The way there.
pub(crate) enum Outside {
    /// Over the network.
    Network {
        /// For Prometheus.
        http: reqwest::Client,
        /// For the pods of a workload.
        pods: reqwest::Client,
    },
    /// Into a model of it.
    #[cfg(test)]
    Model(std::sync::Arc<crate::simulation::Model>),
}

impl Outside {
    /// The Prometheus at `url`; nothing is asked yet.
    pub(crate) fn prometheus(&self, url: &str) -> Result<Prometheus, Error> {
        match self {
            Self::Network { http, .. } => Prometheus::open(url, http),
            #[cfg(test)]
            Self::Model(model) => Ok(Prometheus::modelled(url, model.clone())),
        }
    }

    /// Tells the workload to finish what it has and to start nothing new; asking twice changes nothing.
    pub(crate) async fn drain(&self, test: &SoakTest) -> Result<(), String> {
        match self {
            Self::Network { .. } => workload::drain(test).await.map_err(|e| e.to_string()),
            #[cfg(test)]
            Self::Model(model) => model.drain().await,
        }
    }

    /// Asks the process of a pod to crash. A connection that breaks is what a crash looks like from here, so it counts as
    /// accepted like an answer does: whether the process did crash is shown by its container.
    pub(crate) async fn crash(&self, address: &str, pod: &str, endpoint: &CrashEndpoint) -> Answer {
        match self {
            Self::Network { pods, .. } => ask_to_crash(pods, address, pod, endpoint).await,
            #[cfg(test)]
            Self::Model(model) => model.crash(pod).await,
        }
    }
}

/// The client that asks pods: what one of them answers leads nowhere else.
pub(crate) fn pod_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(3))
        .build()
}

async fn ask_to_crash(
    http: &reqwest::Client,
    address: &str,
    pod: &str,
    endpoint: &CrashEndpoint,
) -> Answer {
    let CrashEndpoint { port, path } = endpoint;
    let host = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    let url = format!("http://{host}:{port}{path}?pod={pod}");
    match http.post(url).send().await {
        Ok(response) if response.status().is_success() => Answer::Accepted,
        // A proxy beside it says so where the process has ended without an answer.
        Ok(response) if matches!(response.status().as_u16(), 502..=504) => Answer::Unknown,
        Ok(response) => Answer::Refused(format!("{path} answered {}", response.status())),
        Err(error) if error.is_connect() || error.is_builder() => {
            Answer::Refused(error.to_string())
        }
        Err(_) => Answer::Accepted,
    }
}
