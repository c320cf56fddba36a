//! Workers, producers and the NATS server killed at random, in the midst of whatever they do: no
//! message is lost, and the ledger says exactly what the streams hold.
//!
//! The order of what is killed is drawn from `SEED`, 1 where left out. A dozen events, or as many
//! as fit into `MINUTES`: `make sim-crash MINUTES=5 SEED=7`.

mod processes;
#[path = "../../sim/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use processes::{PARTITIONS, PRODUCERS, Pod, minutes, producers, settled, workers};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use soak_sim::intervals::Intervals;
use soak_sim::message::Numbered;
use soak_sim::nats::Nats;
use soak_sim::{ledger, names};
use support::{NatsServer, PATIENCE, eventually, is_ready, metric};

const EVENTS: u32 = 12;
const MESSAGE_RATE: f64 = 20.0;

/// What is done at once: at most one of each.
#[derive(Debug)]
struct Blow {
    worker: Option<usize>,
    producer: Option<usize>,
    /// The server is killed, or stops to answer for a while.
    nats: Option<Fate>,
    /// So many more messages are stored, or received, before the next.
    until: (Progress, u64),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed,
    Stalled,
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    Stored,
    Received,
}

fn below(random: &mut ChaCha8Rng, end: usize) -> usize {
    random.next_u32() as usize % end
}

/// Any of the three, at least one, and now and then several together.
fn draw(random: &mut ChaCha8Rng, workers: usize) -> Blow {
    let what = 1 + below(random, 7);
    Blow {
        worker: (what & 1 != 0).then(|| below(random, workers)),
        producer: (what & 2 != 0).then(|| below(random, PRODUCERS as usize)),
        nats: (what & 4 != 0).then(|| [Fate::Killed, Fate::Stalled][below(random, 2)]),
        until: (
            [Progress::Stored, Progress::Received][below(random, 2)],
            20 + below(random, 200) as u64,
        ),
    }
}

struct Simulation {
    nats: NatsServer,
    client: Nats,
    workers: Vec<Pod>,
    producers: Vec<Pod>,
    auditor: Pod,
    started: u32,
}

impl Simulation {
    async fn start() -> Self {
        let nats = NatsServer::start();
        let simulation = Self {
            workers: workers(&nats, "None"),
            auditor: Pod::auditor(&nats),
            producers: producers(&nats, MESSAGE_RATE),
            client: Box::pin(Nats::open(&nats.url(), "test", PARTITIONS)).await,
            nats,
            started: 0,
        };
        settled(&simulation.workers).await;
        eventually("all are ready", PATIENCE, || async {
            let others = simulation.producers.iter().chain([&simulation.auditor]);
            others.into_iter().all(|pod| is_ready(pod.addr))
        })
        .await;
        simulation
    }

    fn progress(&self, of: Progress) -> Option<u64> {
        let stored = metric(self.auditor.addr, "soak_sim_messages_stored_total")?;
        let waiting = metric(self.auditor.addr, "soak_sim_messages_unreceived")?;
        Some(match of {
            Progress::Stored => stored,
            Progress::Received => stored.saturating_sub(waiting),
        })
    }

    async fn strike(&mut self, blow: &Blow) {
        let before = self.progress(blow.until.0).expect("the auditor answers");
        if let Some(n) = blow.producer {
            self.producers[n].kill();
        }
        if let Some(n) = blow.worker {
            self.workers[n].kill();
        }
        match blow.nats {
            Some(Fate::Killed) => self.nats.crash_and_restart(),
            Some(Fate::Stalled) => self.stall().await,
            None => {}
        }
        self.started += 1;
        let name = |role: &str| format!("{role}-again-{}", self.started);
        if let Some(n) = blow.producer {
            self.producers[n] = Pod::producer(&self.nats, &name("producer"), MESSAGE_RATE);
        }
        if let Some(n) = blow.worker {
            self.workers[n] = Pod::worker(&self.nats, &name("worker"), "None");
        }
        let enough = before + blow.until.1;
        eventually("work goes on", PATIENCE, || async {
            self.progress(blow.until.0) >= Some(enough)
        })
        .await;
    }

    /// Stops the server until a request of ours has timed out, as everybody's do by then. Nobody
    /// has more messages under way than it has partitions to publish to.
    async fn stall(&self) {
        self.nats.stall();
        eventually("requests time out", PATIENCE, || async {
            self.client.jetstream.query_account().await.is_err()
        })
        .await;
        for pod in &self.producers {
            let under_way = metric(pod.addr, "soak_sim_messages_in_flight").unwrap_or(0);
            assert!(under_way <= u64::from(PARTITIONS), "{under_way} under way");
        }
        self.nats.go_on();
    }

    /// Ends publishing, and waits until every loss is certain.
    async fn drain(&self) {
        settled(&self.workers).await;
        let control = &self.client.control;
        control
            .put(names::DRAIN, "now".into())
            .await
            .expect("the operator drains");
        eventually("the drain comes to rest", PATIENCE, || async {
            metric(self.auditor.addr, "soak_sim_drained") == Some(1)
        })
        .await;
    }

    fn judged(&self) -> [Option<u64>; 4] {
        ["stored", "lost", "duplicated", "out_of_order"]
            .map(|of| metric(self.auditor.addr, &format!("soak_sim_messages_{of}_total")))
    }
}

/// The numbers of every partition, message by message, straight from the streams.
async fn content_of_streams(nats: &Nats) -> BTreeMap<u32, Vec<u64>> {
    let mut content: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for number in names::streams(PARTITIONS) {
        let of = nats.jetstream.get_stream(names::stream(number)).await;
        let of = of.expect("the stream is there");
        let state = &of.cached_info().state;
        let messages: Vec<_> = stream::iter(state.first_sequence..=state.last_sequence)
            .map(|sequence| of.direct_get(sequence))
            .buffered(64)
            .try_collect()
            .await
            .expect("a limits stream keeps all");
        for message in messages {
            let numbered = Numbered::decode(&message.payload).expect("ours");
            let partition = names::partition_of(&message.subject);
            assert_eq!(partition, Some(numbered.partition));
            let numbers = content.entry(numbered.partition).or_default();
            numbers.push(numbered.number);
        }
    }
    content
}

/// Holds the ledger to the streams. Returns how many messages there are, and how many more than
/// these were processed.
async fn ledger_equals_streams(client: &Nats) -> (u64, u64) {
    let content = content_of_streams(client).await;
    assert_eq!(content.len(), PARTITIONS as usize);
    let (mut stored, mut duplicated) = (0, 0);
    for (partition, numbers) in content {
        let ascending: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(
            numbers, ascending,
            "partition {partition} has every number once, in order: no failure has burnt one"
        );
        let (entry, _) = ledger::read(&client.ledger, partition)
            .await
            .expect("the ledger answers");
        assert_eq!(
            entry.received,
            numbers.iter().copied().collect::<Intervals>(),
            "partition {partition}"
        );
        stored += numbers.len() as u64;
        duplicated += entry.duplicated;
    }
    (stored, duplicated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_nothing_is_lost_and_the_ledger_equals_the_streams() {
    let seed = std::env::var("SEED").ok().filter(|text| !text.is_empty());
    let seed = seed.map_or(1, |text| text.parse().expect("SEED is a number"));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut simulation = Simulation::start().await;
    let (started, limit) = (Instant::now(), minutes("MINUTES"));
    let mut blows = 0;
    while limit.map_or(blows < EVENTS, |limit| started.elapsed() < limit) {
        let blow = draw(&mut random, simulation.workers.len());
        println!("seed {seed}, event {blows}: {blow:?}");
        simulation.strike(&blow).await;
        blows += 1;
    }

    let took = started.elapsed();
    simulation.drain().await;
    let (stored, _) = ledger_equals_streams(&simulation.client).await;
    let [judged, lost, ..] = simulation.judged();
    assert_eq!([judged, lost], [Some(stored), Some(0)], "by the auditor");

    // Acknowledgements that went down with the server make duplicates even after the drain.
    simulation.auditor.kill();
    simulation.auditor = Pod::auditor(&simulation.nats);
    eventually("another auditor comes to the same", PATIENCE, || async {
        let (stored, duplicated) = ledger_equals_streams(&simulation.client).await;
        let [judged, lost, twice, _] = simulation.judged();
        metric(simulation.auditor.addr, "soak_sim_drained") == Some(1)
            && [judged, lost, twice] == [Some(stored), Some(0), Some(duplicated)]
    })
    .await;
    let [.., twice, out_of_order] = simulation.judged().map(Option::unwrap_or_default);
    println!(
        "{blows} events in {took:?}: {stored} messages, none lost, {twice} duplicated, {out_of_order} out of order",
    );
}
