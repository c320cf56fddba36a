//! Workers, producers and auditors in the test's own process.

#![allow(dead_code)]
#![expect(clippy::disallowed_methods, reason = "a process is no task of another")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use soak_sim::args::{Common, LogFormat};
use soak_sim::assignment::{Shares, Strategy};
use soak_sim::{Delay, Leaks, audit, producer, worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{NatsServer, free_addr};

/// A process of the simulation, run as a task.
pub struct Pod {
    pub name: String,
    pub addr: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

impl Pod {
    pub fn worker(config: worker::Config) -> Self {
        Self::start(config.common.clone(), |stop| worker::run(config, stop))
    }

    pub fn producer(config: producer::Config) -> Self {
        Self::start(config.common.clone(), |stop| producer::run(config, stop))
    }

    pub fn auditor(nats: &NatsServer, partitions: u32) -> Self {
        let common = common(nats, "auditor", partitions);
        Self::start(common.clone(), |stop| audit::run(common, stop))
    }

    fn start<F>(common: Common, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Self {
            name: common.pod_name,
            addr: common.http_addr,
            running: tokio::spawn(run(stop.clone())),
            stop,
        }
    }

    /// Whether it has not ended by itself.
    pub fn runs(&self) -> bool {
        !self.running.is_finished()
    }

    /// Tells it to end, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("no panic").expect("no error");
    }

    /// Drops everything at once, as if it had been killed.
    pub async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

pub fn common(nats: &NatsServer, pod_name: &str, partitions: u32) -> Common {
    Common {
        nats_url: nats.url(),
        partitions,
        pod_name: pod_name.into(),
        http_addr: free_addr(),
        log_format: LogFormat::Pretty,
    }
}

/// Partitions that all weigh 1, by consistent hashing.
pub fn shares(partitions: u32) -> Shares {
    Shares {
        strategy: Strategy::ConsistentHash,
        weights: vec![1.0; partitions as usize],
    }
}

fn count(weights: &[f64]) -> u32 {
    u32::try_from(weights.len()).expect("few")
}

/// A worker without a leak that processes at once.
pub fn worker(nats: &NatsServer, pod_name: &str, shares: Shares, workers: u32) -> worker::Config {
    worker::Config {
        common: common(nats, pod_name, count(&shares.weights)),
        shares,
        workers,
        delay: Delay {
            min: Duration::ZERO,
            max: Duration::ZERO,
        },
        leak: Leaks::default(),
    }
}

/// A producer without a leak, of messages as small as can be.
pub fn producer(
    nats: &NatsServer,
    pod_name: &str,
    weights: Vec<f64>,
    producers: u32,
    message_rate: f64,
) -> producer::Config {
    producer::Config {
        common: common(nats, pod_name, count(&weights)),
        weights,
        producers,
        message_rate,
        payload_bytes: 0,
        leak: Leaks::default(),
    }
}
