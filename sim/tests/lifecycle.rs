//! The whole simulation in one process: it starts, works, is restarted, and leaves nothing behind.

#[path = "support/pods.rs"]
mod pods;
#[path = "support/simulation.rs"]
mod simulation;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use pods::{Pod, producer, worker};
use simulation::{Simulation, Size, tasks_come_back_to};
use soak_sim::assignment::{Assignment, Shares, Strategy};
use soak_sim::weights::{Distribution, Weights};
use support::{NatsServer, PATIENCE, eventually, is_ready, metric};
use tokio::runtime::Handle;

const SMALL: Size = Size {
    partitions: 24,
    workers: 3,
    producers: 2,
    message_rate: 10.0,
    patience: PATIENCE,
};
/// How long the simulation runs before it is held to its base.
const SHORT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

async fn comes_back_to_base(run_for: Duration) {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut nats = NatsServer::start();
    for _ in 0..2 {
        let mut simulation = Simulation::start(SMALL, nats);
        simulation.works().await;

        // It does not matter here what happens meanwhile, only that much of it does.
        tokio::time::sleep(run_for / 2).await;
        let steady = simulation.sum("soak_sim_tasks_alive");
        assert_eq!(steady, SMALL.tasks(), "steady tasks do not move");

        simulation.nats.crash_and_restart();
        simulation.acknowledges(u64::from(SMALL.partitions)).await;
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
    let mut simulation = Simulation::start(SMALL, NatsServer::start());
    simulation.works().await;
    for restart in 0..12 {
        // At once, whatever it was doing: starting, taking over, or at work.
        let worker = simulation.replace_worker(restart % SMALL.workers);
        if restart.is_multiple_of(2) {
            worker.stop().await;
        } else {
            worker.crash().await;
        }
    }
    simulation.works().await;
    simulation.acknowledges(u64::from(SMALL.partitions)).await;
    simulation.end().await;
    tasks_come_back_to(base).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_before_it_has_found_nats_ends() {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut nats = NatsServer::start();
    nats.kill();
    let simulation = Simulation::start(SMALL, nats);
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
