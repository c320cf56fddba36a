//! Workers, auditors and producers as processes of their own, to be killed.

#![allow(dead_code)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use soak_sim::args::{Common, LogFormat};
use soak_sim::{Leaks, producer, signals};
use tokio_util::sync::CancellationToken;

use super::support::{NatsServer, PATIENCE, eventually, free_addr, is_ready, metric};

pub const PARTITIONS: u32 = 24;
pub const WORKERS: u32 = 4;
pub const PRODUCERS: u32 = 2;

/// A process of the simulation; killed when dropped.
pub struct Pod {
    pub child: Child,
    pub addr: SocketAddr,
}

/// How big a simulation is.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub partitions: u32,
    pub workers: u32,
    pub producers: u32,
    pub message_rate: f64,
    pub payload_bytes: usize,
}

impl Sizes {
    /// What most tests take.
    pub fn at_rate(message_rate: f64) -> Self {
        Self {
            partitions: PARTITIONS,
            workers: WORKERS,
            producers: PRODUCERS,
            message_rate,
            payload_bytes: 0,
        }
    }
}

impl Pod {
    pub fn worker(nats: &NatsServer, name: &str, leak: &str) -> Self {
        let mut command = Self::worker_command(&Sizes::at_rate(1.0));
        command
            .env("PROCESSING_DELAY_MAX", "5ms")
            .env("LEAK_MODE", leak);
        Self::start(command, nats, name)
    }

    /// One that processes at once.
    pub fn worker_of(nats: &NatsServer, name: &str, sizes: &Sizes) -> Self {
        Self::start(Self::worker_command(sizes), nats, name)
    }

    fn worker_command(sizes: &Sizes) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_soak-sim-worker"));
        command
            .env("PARTITIONS", sizes.partitions.to_string())
            .env("WORKERS", sizes.workers.to_string())
            .env("PROCESSING_DELAY_MIN", "0ms")
            .env("PROCESSING_DELAY_MAX", "0ms");
        command
    }

    pub fn auditor(nats: &NatsServer) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_soak-sim-worker"));
        command
            .arg("audit")
            .env("PARTITIONS", PARTITIONS.to_string());
        Self::start(command, nats, "auditor")
    }

    pub fn producer(nats: &NatsServer, name: &str, message_rate: f64) -> Self {
        Self::producer_of(nats, name, &Sizes::at_rate(message_rate))
    }

    /// Cargo builds another package's program for tests of that package only, so that this very
    /// program is one.
    pub fn producer_of(nats: &NatsServer, name: &str, sizes: &Sizes) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--ignored", "--exact", "processes::a_producer"])
            .env("PARTITIONS", sizes.partitions.to_string())
            .env("PRODUCERS", sizes.producers.to_string())
            .env("MESSAGE_RATE", sizes.message_rate.to_string())
            .env("PAYLOAD_BYTES", sizes.payload_bytes.to_string())
            .stdout(Stdio::null());
        Self::start(command, nats, name)
    }

    fn start(mut command: Command, nats: &NatsServer, name: &str) -> Self {
        let addr = free_addr();
        let child = command
            .env("NATS_URL", nats.url())
            .env("POD_NAME", name)
            .env("HTTP_ADDR", addr.to_string())
            .env("RUST_LOG", "warn")
            .stderr(Stdio::null())
            .spawn()
            .expect("the process starts");
        Self { child, addr }
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, at which it ends in order.
    pub fn terminate(&mut self) {
        let sent = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a producer's process does in a test program.
#[test]
#[ignore = "no test: a process that tests start and kill"]
fn a_producer() {
    be_a_producer();
}

/// Whether this process was started as a producer.
pub fn is_producer() -> bool {
    std::env::var_os("MESSAGE_RATE").is_some()
}

/// Publishes as the environment says, until it is killed.
pub fn be_a_producer() {
    fn told<T: std::str::FromStr>(name: &str) -> T {
        let text = std::env::var(name).expect(name);
        text.parse().ok().expect(name)
    }
    let config = producer::Config {
        common: Common {
            nats_url: told("NATS_URL"),
            partitions: told("PARTITIONS"),
            pod_name: told("POD_NAME"),
            http_addr: told("HTTP_ADDR"),
            log_format: LogFormat::Pretty,
        },
        weights: vec![1.0; told("PARTITIONS")],
        producers: told("PRODUCERS"),
        message_rate: told("MESSAGE_RATE"),
        payload_bytes: told("PAYLOAD_BYTES"),
        leak: Leaks::default(),
    };
    let runtime = signals::runtime().expect("a runtime");
    let until_killed = producer::run(config, CancellationToken::new());
    runtime.block_on(until_killed).expect("it runs");
}

pub fn workers(nats: &NatsServer, leak: &str) -> Vec<Pod> {
    (0..WORKERS)
        .map(|n| Pod::worker(nats, &format!("worker-{n}"), leak))
        .collect()
}

pub fn producers(nats: &NatsServer, message_rate: f64) -> Vec<Pod> {
    (0..PRODUCERS)
        .map(|n| Pod::producer(nats, &format!("producer-{n}"), message_rate))
        .collect()
}

pub fn owned(workers: &[Pod]) -> Vec<Option<u64>> {
    workers
        .iter()
        .map(|pod| metric(pod.addr, "soak_sim_partitions_owned"))
        .collect()
}

/// Everybody ready, and every partition with exactly one of them.
pub async fn settled(workers: &[Pod]) -> Vec<Option<u64>> {
    eventually("workers own all partitions", PATIENCE, || async {
        let total: u64 = owned(workers).into_iter().flatten().sum();
        total == u64::from(PARTITIONS) && workers.iter().all(|pod| is_ready(pod.addr))
    })
    .await;
    owned(workers)
}

/// A length of time from the environment, in minutes.
pub fn minutes(variable: &str) -> Option<Duration> {
    let text = std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())?;
    let minutes: u64 = text.parse().expect("whole minutes");
    Some(Duration::from_secs(60 * minutes))
}
