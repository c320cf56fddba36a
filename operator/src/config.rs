//! How the operator is started.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Proves that a system does not leak, slow down or lose work while its pods keep restarting.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// The pod that the operator runs in.
    #[arg(long, env = "POD_NAME", default_value = "soak-operator")]
    pub(crate) pod_name: String,

    /// The pod's namespace, where the Lease is kept.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub(crate) pod_namespace: String,

    /// The pod's uid, which holds the Lease; the pod's name where it is not known.
    #[arg(long, env = "POD_UID")]
    pub(crate) pod_uid: Option<String>,

    /// The namespaces to look after, by commas; all where left out.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub(crate) watch_namespaces: Vec<String>,

    /// The Prometheus of SoakTests that name none, such as `http://prometheus.monitoring:9090`.
    #[arg(long, env = "PROMETHEUS_URL")]
    pub(crate) prometheus_url: Option<String>,

    /// The image of the simulation's workers.
    #[arg(long, env = "SIM_WORKER_IMAGE", default_value = concat!("soak-operator/sim-worker:", env!("CARGO_PKG_VERSION")))]
    pub(crate) sim_worker_image: String,

    /// The image of the simulation's producers.
    #[arg(long, env = "SIM_PRODUCER_IMAGE", default_value = concat!("soak-operator/sim-producer:", env!("CARGO_PKG_VERSION")))]
    pub(crate) sim_producer_image: String,

    /// The image of the simulation's NATS server.
    #[arg(long, env = "NATS_IMAGE", default_value = "nats:2.14.8")]
    pub(crate) nats_image: String,

    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:8080")]
    pub(crate) http_addr: SocketAddr,

    /// How logs are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "json")]
    pub(crate) log_format: LogFormat,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}
