//! The whole simulation in one process: it starts, works, is restarted, and leaves nothing behind.

#[path = "support/pods.rs"]
mod pods;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use pods::{Pod, producer, shares, worker};
use soak_sim::assignment::{Assignment, Shares, Strategy};
use soak_sim::weights::{Distribution, Weights};
use support::{NatsServer, PATIENCE, eventually, is_ready, metric};
use tokio::runtime::Handle;

const PARTITIONS: u32 = 24;
const WORKERS: u32 = 3;
const PRODUCERS: u32 = 2;
/// One a partition where there are this few.
const STREAMS: u32 = PARTITIONS;
/// Alive in a simulation at work: per worker claim, election, assignment, http; per producer
/// claim, control, assignment, http; four in the auditor and one a stream; one a partition in
/// each role.
const TASKS: u64 = (WORKERS * 4 + PRODUCERS * 4 + 4 + STREAMS + 2 * PARTITIONS) as u64;
/// How long the simulation runs before it is held to its base.
const SHORT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

struct Simulation {
    nats: NatsServer,
    workers: Vec<Pod>,
    others: Vec<Pod>,
}

impl Simulation {
    fn start(nats: NatsServer) -> Self {
        let mut others = vec![Pod::auditor(&nats, PARTITIONS)];
        for n in 0..PRODUCERS {
            let (name, weights) = (format!("producer-{n}"), shares(PARTITIONS).weights);
            others.push(Pod::producer(producer(
                &nats, &name, weights, PRODUCERS, 10.0,
            )));
        }
        let workers = (0..WORKERS).map(|n| Self::worker(&nats, n)).collect();
        Self {
            nats,
            workers,
            others,
        }
    }

    fn worker(nats: &NatsServer, n: u32) -> Pod {
        let mut config = worker(nats, &format!("worker-{n}"), shares(PARTITIONS), WORKERS);
        config.delay.max = Duration::from_millis(2);
        Pod::worker(config)
    }

    fn all(&self) -> impl Iterator<Item = &Pod> {
        self.workers.iter().chain(&self.others)
    }

    fn sum(&self, name: &str) -> u64 {
        self.all().filter_map(|pod| metric(pod.addr, name)).sum()
    }

    /// Waits until everything is ready and at work: every partition owned, and exactly the tasks
    /// alive that this takes. A pod is ready before the last of its partitions is taken up, so
    /// the tasks are a part of the condition; one too many, left behind, never goes away again.
    async fn works(&self) {
        eventually(
            "everybody is ready, every partition owned, and no task missing or left over",
            PATIENCE,
            || async {
                self.all().all(|pod| is_ready(pod.addr))
                    && self.sum("soak_sim_partitions_owned") == u64::from(PARTITIONS)
                    && self.sum("soak_sim_tasks_alive") == TASKS
            },
        )
        .await;
    }

    /// Waits until so many more messages are acknowledged.
    async fn acknowledges(&self, more: u64) {
        let acked = || self.sum("soak_sim_messages_acked_total");
        let enough = acked() + more;
        eventually("work goes on", PATIENCE, || async { acked() > enough }).await;
    }

    async fn end(self) -> NatsServer {
        for pod in self.workers.into_iter().chain(self.others) {
            pod.stop().await;
        }
        self.nats
    }
}

async fn tasks_come_back_to(base: usize) {
    eventually("tasks come back to base", PATIENCE, || async {
        Handle::current().metrics().num_alive_tasks() <= base + 5
    })
    .await;
}

async fn comes_back_to_base(run_for: Duration) {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut nats = NatsServer::start();
    for _ in 0..2 {
        let mut simulation = Simulation::start(nats);
        simulation.works().await;

        // It does not matter here what happens meanwhile, only that much of it does.
        tokio::time::sleep(run_for / 2).await;
        let steady = simulation.sum("soak_sim_tasks_alive");
        assert_eq!(steady, TASKS, "steady tasks do not move");

        simulation.nats.crash_and_restart();
        simulation.acknowledges(u64::from(PARTITIONS)).await;
        simulation.works().await;
        nats = simulation.end().await;
        tasks_come_back_to(base).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_simulation_comes_back_to_base_after_thirty_seconds() {
    comes_back_to_base(SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes an hour: make sim-hour"]
async fn the_whole_simulation_comes_back_to_base_after_an_hour() {
    comes_back_to_base(HOUR).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_restarts_comes_back_to_base() {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut simulation = Simulation::start(NatsServer::start());
    simulation.works().await;
    for restart in 0..12 {
        // At once, whatever it was doing: starting, taking over, or at work.
        let n = restart % WORKERS;
        let replacement = Simulation::worker(&simulation.nats, n);
        let worker = std::mem::replace(&mut simulation.workers[n as usize], replacement);
        if restart.is_multiple_of(2) {
            worker.stop().await;
        } else {
            worker.crash().await;
        }
    }
    simulation.works().await;
    simulation.acknowledges(u64::from(PARTITIONS)).await;
    simulation.end().await;
    tasks_come_back_to(base).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_before_it_has_found_nats_ends() {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut nats = NatsServer::start();
    nats.kill();
    let simulation = Simulation::start(nats);
    eventually("all of them serve", PATIENCE, || async {
        let http = simulation
            .all()
            .filter(|pod| metric(pod.addr, "soak_sim_tasks_alive{component=\"http\"}") == Some(1));
        http.count() == simulation.all().count()
    })
    .await;
    assert!(simulation.all().all(|pod| !is_ready(pod.addr)));
    simulation.end().await;
    tasks_come_back_to(base).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_partitions_have_more_messages_and_are_shared_out_by_weight() {
    let nats = NatsServer::start();
    let weights = Weights {
        distribution: Distribution::Exponential,
        extreme_share_percent: 10.0,
        extreme_weight: 20.0,
    };
    let shares = Shares {
        strategy: Strategy::WeightedConsistentHash,
        weights: weights.of(10),
    };
    let heavy = shares.weights.iter().position(|weight| *weight >= 20.0);
    let heavy = u32::try_from(heavy.expect("one of ten")).expect("few");
    let workers =
        ["worker-0", "worker-1"].map(|name| Pod::worker(worker(&nats, name, shares.clone(), 2)));
    let producer = Pod::producer(producer(&nats, "producer", shares.weights.clone(), 1, 2.0));

    let by_weight = Assignment::of(1, [0, 1].into(), &shares);
    let expected: BTreeSet<u64> = [0, 1].map(|id| by_weight.owned_by(id).len() as u64).into();
    eventually("partitions are shared out by weight", PATIENCE, || async {
        let owned = workers
            .each_ref()
            .map(|pod| metric(pod.addr, "soak_sim_partitions_owned").unwrap_or(0));
        BTreeSet::from(owned) == expected
    })
    .await;
    let client = Box::pin(soak_sim::nats::Nats::open(&nats.url(), "test", 10)).await;
    eventually("most messages are the heavy one's", PATIENCE, || async {
        let mut received = vec![];
        for partition in 0..10 {
            let read = soak_sim::ledger::read(&client.ledger, partition).await;
            let (entry, _) = read.expect("the ledger answers");
            received.push(entry.received.count());
        }
        let all: u64 = received.iter().sum();
        all > 300 && 2 * received[heavy as usize] > all
    })
    .await;
    for pod in workers.into_iter().chain([producer]) {
        pod.stop().await;
    }
}
