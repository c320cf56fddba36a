//! The simulation at the size it was designed for, in one process beside one NATS server: it gets
//! to work, takes over from five workers that crash at once, survives the server, and loses nothing.

#[path = "support/pods.rs"]
mod pods;
#[path = "support/simulation.rs"]
mod simulation;
mod support;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::future::join_all;
use pods::Pod;
use simulation::{Simulation, Size, tasks_come_back_to};
use soak_sim::intervals::Intervals;
use soak_sim::message::Numbered;
use soak_sim::nats::Nats;
use soak_sim::{assignment, ledger, names};
use support::{NatsServer, eventually, metric};
use tokio::runtime::Handle;

/// Two cores bear 300 messages/s beside everything that so many processes do when idle.
const DESIGN: Size = Size {
    partitions: 1500,
    workers: 100,
    producers: 10,
    message_rate: 0.2,
    patience: Duration::from_secs(600),
};
const CRASHING_WORKERS: u32 = 5;

/// What took how long, and what it had come to by then, line by line.
struct Log {
    since: Instant,
}

impl Log {
    fn start() -> Self {
        println!(
            "{:48} {:>9} {:>9} {:>9} {:>16} {:>12}",
            "", "took s", "sent", "received", "nats-server MiB", "process MiB"
        );
        Self {
            since: Instant::now(),
        }
    }

    fn row(&mut self, what: &str, simulation: &Simulation) {
        let auditor = simulation.auditor.addr;
        let stored = metric(auditor, "soak_sim_messages_stored_total").unwrap_or(0);
        let waiting = metric(auditor, "soak_sim_messages_unreceived").unwrap_or(0);
        println!(
            "{what:48} {:9.1} {stored:9} {:9} {:16} {:12}",
            self.since.elapsed().as_secs_f64(),
            stored.saturating_sub(waiting),
            resident_mebibytes(simulation.nats.pid()),
            resident_mebibytes(std::process::id()),
        );
        self.since = Instant::now();
    }
}

fn resident_mebibytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    let kibibytes: u64 = resident.expect("VmRSS").trim().parse().expect("a number");
    kibibytes / 1024
}

async fn works(simulation: &Simulation, client: &Nats) {
    simulation.works().await;
    all_own_what_they_are_assigned(simulation, client).await;
}

/// Waits until the workers that run are those that are assigned to, and own what that gives them.
async fn all_own_what_they_are_assigned(simulation: &Simulation, client: &Nats) {
    eventually(
        "all own what they are assigned",
        DESIGN.patience,
        || async {
            let Ok(Some(written)) = assignment::current(&client.assignment).await else {
                return false;
            };
            let of = &written.assignment;
            let assigned = of.members.iter().map(|id| of.owned_by(*id).len() as u64);
            let owned = |pod: &Pod| metric(pod.addr, "soak_sim_partitions_owned");
            sorted(simulation.workers.iter().filter_map(owned)) == sorted(assigned)
        },
    )
    .await;
}

fn sorted(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable();
    counts
}

/// The highest number that the ledger has of a partition, as soon as the server answers.
async fn received(client: &Nats, partition: u32) -> u64 {
    let highest = Cell::new(None);
    eventually("the ledger answers", DESIGN.patience, || async {
        let read = ledger::read(&client.ledger, partition).await.ok();
        highest.set(read.map(|(entry, _)| entry.received.highest().unwrap_or(0)));
        highest.get().is_some()
    })
    .await;
    highest.get().expect("just seen")
}

/// Waits until every single partition has received more than it has now.
async fn every_partition_goes_on(client: &Nats) {
    let mut before = vec![];
    for partition in 0..client.partitions {
        before.push(received(client, partition).await);
    }
    for (partition, before) in (0..).zip(before) {
        eventually("every partition goes on", DESIGN.patience, || async {
            received(client, partition).await > before
        })
        .await;
    }
}

async fn crash_at_once(simulation: &mut Simulation) {
    let workers = simulation.workers.drain(..CRASHING_WORKERS as usize);
    let producer = simulation.producers.drain(..1);
    join_all(workers.chain(producer).map(Pod::crash)).await;
}

fn replace_the_crashed(simulation: &mut Simulation) {
    for n in 0..CRASHING_WORKERS {
        simulation.add_worker(n);
    }
    simulation.add_producer(0);
}

/// Ends publishing, and waits until every loss is certain.
async fn drain(simulation: &Simulation, client: &Nats) {
    let asked = client.control.put(names::DRAIN, "now".into()).await;
    asked.expect("the operator drains");
    let auditor = simulation.auditor.addr;
    eventually("the drain comes to rest", DESIGN.patience, || async {
        metric(auditor, "soak_sim_drained") == Some(1)
    })
    .await;
}

/// Holds the ledger of every partition to the last number in its stream. Returns how many
/// messages there are.
async fn ledger_has_every_number(client: &Nats) -> u64 {
    let mut sent = 0;
    for partition in 0..client.partitions {
        let stream = names::stream(names::stream_of(partition));
        let stream = client.jetstream.get_stream_no_info(stream).await;
        let last = stream
            .expect("a name")
            .direct_get_last_for_subject(names::subject(partition))
            .await
            .expect("every partition was published to");
        let last = Numbered::decode(&last.payload).expect("ours").number;
        let read = ledger::read(&client.ledger, partition).await;
        let (entry, _) = read.expect("the ledger answers");
        assert_eq!(
            entry.received,
            (1..=last).collect::<Intervals>(),
            "partition {partition}"
        );
        sent += last;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make sim-design-size"]
async fn at_its_design_size_the_simulation_takes_over_and_loses_nothing() {
    let base = Handle::current().metrics().num_alive_tasks();
    let mut log = Log::start();
    let mut simulation = Simulation::start(DESIGN, NatsServer::start());
    let url = simulation.nats.url();
    let client = Box::pin(Nats::open(&url, "test", DESIGN.partitions)).await;

    works(&simulation, &client).await;
    log.row("everything is ready and owned", &simulation);
    every_partition_goes_on(&client).await;
    log.row("every partition receives", &simulation);

    crash_at_once(&mut simulation).await;
    all_own_what_they_are_assigned(&simulation, &client).await;
    log.row("95 workers took over from five that crashed", &simulation);
    replace_the_crashed(&mut simulation);
    works(&simulation, &client).await;
    log.row("the five and a producer were replaced", &simulation);
    every_partition_goes_on(&client).await;
    log.row("every partition receives", &simulation);

    simulation.nats.crash_and_restart();
    every_partition_goes_on(&client).await;
    works(&simulation, &client).await;
    log.row("NATS was killed: all receive, ready and owned", &simulation);

    drain(&simulation, &client).await;
    log.row("the drain has come to rest", &simulation);
    let sent = ledger_has_every_number(&client).await;
    let judged = ["stored_total", "unreceived", "lost_total"]
        .map(|of| metric(simulation.auditor.addr, &format!("soak_sim_messages_{of}")));
    assert_eq!(judged, [Some(sent), Some(0), Some(0)], "by the auditor");

    drop(client);
    drop(simulation.end().await);
    tasks_come_back_to(base).await;
    println!("{:48} {:9.1}", "ended", log.since.elapsed().as_secs_f64());
}
