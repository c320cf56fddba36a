//! All processes of a simulation of any size, in the test's own process.

#![allow(dead_code)]

use std::time::Duration;

use soak_sim::names;
use tokio::runtime::Handle;

use super::pods::{Pod, producer, shares, worker};
use super::support::{NatsServer, PATIENCE, eventually, is_ready, metric};

/// How large a simulation is, and how long it may take to get to work.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub partitions: u32,
    pub workers: u32,
    pub producers: u32,
    /// Messages per second to each partition.
    pub message_rate: f64,
    /// How long to wait for a condition that is sure to come.
    pub patience: Duration,
}

impl Size {
    /// Alive in a simulation at work: per worker claim, election, assignment, http; per producer
    /// claim, control, assignment, http; four in the auditor and one a stream; one a partition in
    /// each role.
    pub fn tasks(self) -> u64 {
        let streams = names::streams(self.partitions).end;
        (self.workers * 4 + self.producers * 4 + 4 + streams + 2 * self.partitions).into()
    }
}

pub struct Simulation {
    pub size: Size,
    pub nats: NatsServer,
    pub workers: Vec<Pod>,
    pub producers: Vec<Pod>,
    pub auditor: Pod,
}

impl Simulation {
    pub fn start(size: Size, nats: NatsServer) -> Self {
        Self {
            auditor: Pod::auditor(&nats, size.partitions),
            producers: (0..size.producers)
                .map(|n| Self::producer(size, &nats, n))
                .collect(),
            workers: (0..size.workers)
                .map(|n| Self::worker(size, &nats, n))
                .collect(),
            size,
            nats,
        }
    }

    fn producer(size: Size, nats: &NatsServer, n: u32) -> Pod {
        Pod::producer(producer(
            nats,
            &format!("producer-{n}"),
            shares(size.partitions).weights,
            size.producers,
            size.message_rate,
        ))
    }

    fn worker(size: Size, nats: &NatsServer, n: u32) -> Pod {
        let name = format!("worker-{n}");
        let mut config = worker(nats, &name, shares(size.partitions), size.workers);
        config.delay.max = Duration::from_millis(2);
        Pod::worker(config)
    }

    /// Starts another in the place of a worker, which is handed back and still runs.
    pub fn replace_worker(&mut self, n: u32) -> Pod {
        let replacement = Self::worker(self.size, &self.nats, n);
        std::mem::replace(&mut self.workers[n as usize], replacement)
    }

    pub fn add_worker(&mut self, n: u32) {
        self.workers.push(Self::worker(self.size, &self.nats, n));
    }

    pub fn add_producer(&mut self, n: u32) {
        self.producers
            .push(Self::producer(self.size, &self.nats, n));
    }

    pub fn all(&self) -> impl Iterator<Item = &Pod> {
        self.workers
            .iter()
            .chain(&self.producers)
            .chain([&self.auditor])
    }

    pub fn sum(&self, name: &str) -> u64 {
        self.all().filter_map(|pod| metric(pod.addr, name)).sum()
    }

    /// Waits until everything is ready and at work: every partition owned, and exactly the tasks
    /// alive that this takes. A pod is ready before the last of its partitions is taken up, so
    /// the tasks are a part of the condition; one too many, left behind, never goes away again.
    pub async fn works(&self) {
        eventually(
            "everybody is ready, every partition owned, and no task missing or left over",
            self.size.patience,
            || async {
                for pod in self.all() {
                    assert!(pod.runs(), "{} has ended by itself", pod.name);
                }
                self.all().all(|pod| is_ready(pod.addr))
                    && self.sum("soak_sim_partitions_owned") == u64::from(self.size.partitions)
                    && self.sum("soak_sim_tasks_alive") == self.size.tasks()
            },
        )
        .await;
    }

    /// Waits until so many more messages are acknowledged.
    pub async fn acknowledges(&self, more: u64) {
        let acked = || self.sum("soak_sim_messages_acked_total");
        let enough = acked() + more;
        eventually("work goes on", self.size.patience, || async {
            acked() > enough
        })
        .await;
    }

    pub async fn end(self) -> NatsServer {
        for pod in self.workers.into_iter().chain(self.producers) {
            pod.stop().await;
        }
        self.auditor.stop().await;
        self.nats
    }
}

pub async fn tasks_come_back_to(base: usize) {
    eventually("tasks come back to base", PATIENCE, || async {
        Handle::current().metrics().num_alive_tasks() <= base + 5
    })
    .await;
}
