//! What every process does the same way: serve HTTP first, then wait for NATS.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tracing::info;
use xxhash_rust::xxh3::xxh3_64;

use crate::args::Common;
use crate::nats::Nats;
use crate::tasks::Component;
use crate::telemetry::{Telemetry, bind, serve};

const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// The part of a process that outlives what it does.
#[derive(Debug)]
pub(crate) struct Process {
    http: Component,
}

impl Process {
    /// Binds the port and serves what the process shows of itself.
    pub(crate) async fn start(telemetry: Telemetry, common: &Common) -> std::io::Result<Self> {
        let listener = bind(common.http_addr).await?;
        info!(addr = %common.http_addr, "serving /metrics, /healthz and /readyz");
        let http = telemetry.tasks.component("http");
        let (registry, ready) = (Arc::new(telemetry.registry), telemetry.ready);
        let pod = common.pod_name.clone();
        http.start("serve", |stop| serve(listener, registry, ready, pod, stop))
            .await;
        Ok(Self { http })
    }

    /// Connects to NATS, however long that takes; none if told to stop before.
    pub(crate) async fn connect(&self, common: &Common, stop: &CancellationToken) -> Option<Nats> {
        tokio::select! {
            nats = Box::pin(Nats::open(&common.nats_url, &common.pod_name, common.partitions)) => Some(nats),
            () = stop.cancelled() => {
                self.http.stop().await;
                None
            }
        }
    }

    /// Sends what is still buffered, acknowledgements above all, and stops serving.
    pub(crate) async fn stop(&self, nats: &Nats) {
        let _ = tokio::time::timeout(FLUSH_WITHIN, nats.client.flush()).await;
        self.http.stop().await;
    }
}

/// A name for this start of this pod, unlike that of any other.
pub(crate) fn instance(pod_name: &str) -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let unique = format!("{pod_name}/{}/{}", std::process::id(), since.as_nanos());
    format!("{pod_name}.{:08x}", xxh3_64(unique.as_bytes()) >> 32)
}
