//! The whole simulation in one process: it starts, works, and leaves nothing behind.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use soak_sim::args::{Common, LogFormat};
use soak_sim::assignment::{Shares, Strategy};
use soak_sim::{Delay, Leaks, audit, producer, worker};
use support::{NatsServer, PATIENCE, eventually, free_addr, is_ready, metric};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 24;
const WORKERS: u32 = 3;
const PRODUCERS: u32 = 2;
/// Alive in a simulation at work: per worker claim, election, assignment, http; per producer
/// claim, control, assignment, http; five in the auditor; one a partition in each role.
const TASKS: u64 = (WORKERS * 4 + PRODUCERS * 4 + 5 + 2 * PARTITIONS) as u64;
/// How long the simulation runs before it is held to its base.
const SHORT: Duration = Duration::from_secs(15);
const HOUR: Duration = Duration::from_secs(3600);

struct Simulation {
    stop: CancellationToken,
    running: JoinSet<std::io::Result<()>>,
    workers: Vec<SocketAddr>,
    all: Vec<SocketAddr>,
}

impl Simulation {
    fn start(nats: &NatsServer) -> Self {
        let stop = CancellationToken::new();
        let mut simulation = Self {
            stop,
            running: JoinSet::new(),
            workers: vec![],
            all: vec![],
        };
        for n in 0..WORKERS {
            let common = simulation.common(nats, format!("worker-{n}"));
            simulation.workers.push(common.http_addr);
            let delay = Delay {
                min: Duration::ZERO,
                max: Duration::from_millis(2),
            };
            let shares = Shares {
                strategy: Strategy::ConsistentHash,
                weights: vec![1.0; PARTITIONS as usize],
            };
            let config = worker::Config {
                common,
                shares,
                workers: WORKERS,
                delay,
                leak: Leaks::default(),
            };
            simulation
                .running
                .spawn(worker::run(config, simulation.stop.clone()));
        }
        for n in 0..PRODUCERS {
            let common = simulation.common(nats, format!("producer-{n}"));
            let config = producer::Config {
                common,
                weights: vec![1.0; PARTITIONS as usize],
                producers: PRODUCERS,
                message_rate: 10.0,
                payload_bytes: 0,
                leak: Leaks::default(),
            };
            simulation
                .running
                .spawn(producer::run(config, simulation.stop.clone()));
        }
        let common = simulation.common(nats, "auditor".into());
        simulation
            .running
            .spawn(audit::run(common, simulation.stop.clone()));
        simulation
    }

    fn common(&mut self, nats: &NatsServer, pod_name: String) -> Common {
        let http_addr = free_addr();
        self.all.push(http_addr);
        Common {
            nats_url: nats.url(),
            pod_name,
            http_addr,
            log_format: LogFormat::Pretty,
        }
    }

    fn tasks(&self) -> u64 {
        self.all
            .iter()
            .filter_map(|addr| metric(*addr, "soak_sim_tasks_alive"))
            .sum()
    }

    /// Waits until everything is ready and at work: every partition owned, and exactly the tasks
    /// alive that this takes. A pod is ready before the last of its partitions is taken up, so
    /// the tasks are a part of the condition; one too many, left behind, never goes away again.
    async fn works(&self) {
        eventually(
            "everybody is ready, every partition owned, and no task missing or left over",
            PATIENCE,
            || async {
                let owned: u64 = self
                    .workers
                    .iter()
                    .filter_map(|a| metric(*a, "soak_sim_partitions_owned"))
                    .sum();
                self.all.iter().all(|addr| is_ready(*addr))
                    && owned == u64::from(PARTITIONS)
                    && self.tasks() == TASKS
            },
        )
        .await;
    }

    async fn end(mut self) {
        self.stop.cancel();
        let ended = async {
            while let Some(result) = self.running.join_next().await {
                result.expect("no panic").expect("no error");
            }
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("everything ends");
    }
}

async fn comes_back_to_base(run_for: Duration) {
    let mut nats = NatsServer::start();
    let base = Handle::current().metrics().num_alive_tasks();

    for _ in 0..2 {
        let simulation = Simulation::start(&nats);
        simulation.works().await;

        // It does not matter here what happens meanwhile, only that much of it does.
        tokio::time::sleep(run_for / 2).await;
        assert_eq!(simulation.tasks(), TASKS, "steady tasks do not move");

        nats.crash_and_restart();
        let sent = || {
            simulation
                .all
                .iter()
                .filter_map(|a| metric(*a, "soak_sim_messages_acked_total"))
                .sum::<u64>()
        };
        let before = sent();
        eventually("work goes on after a crash of NATS", PATIENCE, || async {
            sent() > before + u64::from(PARTITIONS)
        })
        .await;
        simulation.works().await;
        simulation.end().await;

        eventually("tasks come back to base", PATIENCE, || async {
            Handle::current().metrics().num_alive_tasks() <= base + 5
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_simulation_comes_back_to_base() {
    comes_back_to_base(SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes two hours"]
async fn the_whole_simulation_comes_back_to_base_after_an_hour() {
    comes_back_to_base(HOUR).await;
}
