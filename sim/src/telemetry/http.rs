//! One port for Prometheus and the kubelet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::debug::{Hoard, crash};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether this process does its work right now.
#[derive(Clone, Debug)]
pub struct Ready(pub(super) Arc<AtomicBool>);

impl Ready {
    /// Says yes or no from now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// What was said last.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Shown {
    registry: Arc<Registry>,
    ready: Ready,
}

/// Binds the port; an error means that it is taken, and the process had better end.
pub async fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// Serves `/metrics`, `/healthz`, `/readyz`, `/debug/allocate` and `/debug/crash` of this pod until told to stop.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    ready: Ready,
    pod_name: String,
    stop: CancellationToken,
) {
    let hoard = Hoard::default();
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route(
            "/debug/allocate",
            post(move |uri: Uri| async move { hoard.allocate(&uri) }),
        )
        .route(
            "/debug/crash",
            post(move |uri: Uri| async move { crash(&pod_name, &uri) }),
        )
        .with_state(Shown { registry, ready });
    // A scraper keeps its connection open: waiting for it to close would outlast the grace period.
    tokio::select! {
        () = stop.cancelled() => {}
        result = axum::serve(listener, app) => if let Err(error) = result {
            error!(%error, "failed to serve HTTP");
        }
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let mut text = String::with_capacity(8192);
    match prometheus_client::encoding::text::encode(&mut text, &shown.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    if shown.ready.get() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
