//! Every leak mode in a simulation at work: a worker is restarted, and each of the others has
//! grown by what its mode says, in the component that it says, and by nothing else.

#[path = "support/pods.rs"]
mod pods;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::TryStreamExt;
use pods::{Pod, producer, shares, worker};
use soak_sim::assignment::Assignment;
use soak_sim::nats::Nats;
use soak_sim::{LeakMode, Leaks};
use support::{NatsServer, PATIENCE, eventually, get, is_ready, metric};

const PARTITIONS: u32 = 60;
/// The one that is restarted, a clean witness, and one for each mode that leaks in a worker.
const WORKERS: [LeakMode; 10] = [
    LeakMode::None,
    LeakMode::None,
    LeakMode::OrphanedPullLoop,
    LeakMode::UnguardedStart,
    LeakMode::ConsumeLoopPerRestart,
    LeakMode::MonitorPerProcessEvent,
    LeakMode::OrphanedConsumers,
    LeakMode::KeptBuffers,
    LeakMode::PiledTimers,
    LeakMode::SlowDrip,
];
const COMPONENTS: [&str; 6] = [
    "claim",
    "election",
    "assignment",
    "consume",
    "publish",
    "http",
];

fn worker_that_leaks(nats: &NatsServer, name: &str, mode: LeakMode) -> Pod {
    let workers = u32::try_from(WORKERS.len()).expect("few");
    let mut config = worker(nats, name, shares(PARTITIONS), workers);
    config.leak = by_the_clock_ten_times_a_second(mode);
    Pod::worker(config)
}

fn producer_that_leaks(nats: &NatsServer, mode: LeakMode) -> Pod {
    let mut config = producer(nats, "producer", shares(PARTITIONS).weights, 1, 1.0);
    config.leak = by_the_clock_ten_times_a_second(mode);
    Pod::producer(config)
}

impl Pod {
    fn owned(&self) -> u64 {
        metric(self.addr, "soak_sim_partitions_owned").unwrap_or(0)
    }

    /// Tasks by component, how often it has leaked, and how many bytes: of one instant.
    fn figures(&self) -> Figures {
        let text = get(self.addr, "/metrics").expect("it answers");
        let value = |name: String| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map_or(0, |value| value.trim().parse().expect("a whole number"))
        };
        let of = |name: &str, component| value(format!("{name}{{component=\"{component}\"}} "));
        let sum = |name: &str| COMPONENTS.map(|component| of(name, component)).iter().sum();
        Figures {
            tasks: COMPONENTS
                .map(|component| (component, of("soak_sim_tasks_alive", component)))
                .into(),
            leaks: sum("soak_sim_leaks_total"),
            bytes: sum("soak_sim_leaked_bytes"),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Figures {
    tasks: BTreeMap<&'static str, u64>,
    leaks: u64,
    bytes: u64,
}

fn by_the_clock_ten_times_a_second(mode: LeakMode) -> Leaks {
    let every = Some(Duration::from_millis(100));
    Leaks { mode, every }
}

/// Everybody ready, every partition owned, and every pull loop there that this takes.
async fn settled(pods: &[Pod], planned: usize) {
    eventually(
        "all partitions are owned by all who are left",
        PATIENCE,
        || async {
            let members = pods.iter().filter(|pod| is_ready(pod.addr)).count();
            let owned: u64 = pods.iter().map(Pod::owned).sum();
            members == planned && owned == u64::from(PARTITIONS)
        },
    )
    .await;
}

/// Which pod holds which id.
async fn ids(nats: &Nats) -> BTreeMap<String, u32> {
    let keys: Vec<String> = nats
        .claims
        .keys()
        .await
        .expect("the bucket answers")
        .try_collect()
        .await
        .expect("keys");
    let mut ids = BTreeMap::new();
    for key in keys {
        if let Some(id) = key.strip_prefix("worker.") {
            let holder = nats
                .claims
                .get(&key)
                .await
                .expect("it answers")
                .expect("held");
            let holder = String::from_utf8(holder.to_vec()).expect("a name");
            let (pod, _) = holder.rsplit_once('.').expect("pod.instance");
            ids.insert(pod.to_owned(), id.parse().expect("a number"));
        }
    }
    ids
}

/// What a mode costs: events while a worker went and came back, none where the clock decides;
/// then component, tasks and bytes of each event.
fn expected(mode: LeakMode, own: &Moves) -> (Option<u64>, &'static str, u64, u64) {
    match mode {
        LeakMode::None => (Some(0), "", 0, 0),
        LeakMode::OrphanedPullLoop => (Some(own.released), "consume", 1, 65_536),
        LeakMode::UnguardedStart => (Some(2), "assignment", 1, 0),
        LeakMode::ConsumeLoopPerRestart => (Some(own.kept), "consume", 1, 4_096),
        LeakMode::MonitorPerProcessEvent => (Some(2), "election", 1, 8_192),
        LeakMode::OrphanedConsumers => (Some(own.taken), "consume", 0, 0),
        LeakMode::KeptBuffers => (Some(own.released), "consume", 0, 262_144),
        LeakMode::PiledTimers => (None, "assignment", 0, 2_048),
        LeakMode::SlowDrip => (None, "claim", 1, 16_384),
        LeakMode::ProducerTicker => (None, "publish", 1, 0),
    }
}

/// What two assignments do to one worker: one without the lost one, and one with it again.
struct Moves {
    taken: u64,
    kept: u64,
    released: u64,
}

impl Moves {
    fn of(id: u32, lost: u32) -> Self {
        let all: BTreeSet<u32> = (0..).take(WORKERS.len()).collect();
        let fewer = all.iter().copied().filter(|id| *id != lost).collect();
        let [base, meanwhile] = [all, fewer]
            .map(|members| Assignment::of(1, members, &shares(PARTITIONS)).owned_by(id));
        let count = |partitions: std::collections::btree_set::Difference<'_, u32>| {
            partitions.count() as u64
        };
        Self {
            taken: count(meanwhile.difference(&base)),
            kept: 2 * base.intersection(&meanwhile).count() as u64,
            released: count(meanwhile.difference(&base)),
        }
    }
}

/// Grown exactly by what the mode costs, in its own component.
async fn has_grown_as_it_should(pod: &Pod, base: &Figures, mode: LeakMode, own: &Moves) {
    let (events, component, tasks, bytes) = expected(mode, own);
    let mut now = base.clone();
    eventually(
        &format!("{mode:?} has cost what it says, from {base:?}"),
        PATIENCE,
        || {
            now = pod.figures();
            let leaks = now.leaks - base.leaks;
            let mut grown = base.clone();
            grown.leaks = now.leaks;
            grown.bytes += leaks * bytes;
            if let Some(of) = grown.tasks.get_mut(component) {
                *of += leaks * tasks;
            }
            let holds = now == grown && events.map_or(leaks >= 10, |events| leaks == events);
            async move { holds }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_leaks_where_it_says_and_as_much_as_it_says_while_a_worker_is_restarted() {
    let server = NatsServer::start();
    let producer = producer_that_leaks(&server, LeakMode::ProducerTicker);
    let mut pods: Vec<Pod> = WORKERS
        .iter()
        .enumerate()
        .map(|(n, mode)| worker_that_leaks(&server, &format!("worker-{n}"), *mode))
        .collect();
    settled(&pods, WORKERS.len()).await;
    let nats = Box::pin(Nats::open(&server.url(), "test", PARTITIONS)).await;
    let ids = ids(&nats).await;
    assert_eq!(ids.len(), WORKERS.len(), "{ids:?}");
    let base: Vec<Figures> = pods.iter().chain([&producer]).map(Pod::figures).collect();

    pods.remove(0).stop().await;
    settled(&pods, WORKERS.len() - 1).await;
    pods.insert(0, worker_that_leaks(&server, "worker-0", LeakMode::None));
    settled(&pods, WORKERS.len()).await;

    let lost = ids["worker-0"];
    for (n, mode) in WORKERS.iter().enumerate().skip(1) {
        let own = Moves::of(ids[&pods[n].name], lost);
        has_grown_as_it_should(&pods[n], &base[n], *mode, &own).await;
    }
    let nothing = Moves {
        taken: 0,
        kept: 0,
        released: 0,
    };
    let mode = LeakMode::ProducerTicker;
    has_grown_as_it_should(&producer, &base[WORKERS.len()], mode, &nothing).await;

    // One consumer each, and the orphans, of which every worker knows.
    let orphans = pods[6].figures().leaks;
    assert!(orphans > 0);
    eventually(
        "every worker sees the orphaned consumers",
        PATIENCE,
        || async {
            pods.iter().all(|pod| {
                metric(pod.addr, "soak_sim_jetstream_consumers")
                    == Some(u64::from(PARTITIONS) + orphans)
            })
        },
    )
    .await;
    for pod in pods.into_iter().chain([producer]) {
        pod.stop().await;
    }
}
