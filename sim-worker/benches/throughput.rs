//! How many messages one producer publishes and one worker consumes in a second, with all that makes
//! them exact, beside `nats bench` on the same server in the same run.
//!
//! Both publish messages of one size to as many subjects, into a file, and wait for the server to
//! store each, with as many under way; both consume the whole stream with explicit acknowledgements.
//! Ours also gives each message an id and its place in the partition, and writes the ledger before it
//! acknowledges.
//!
//! Of 1 500 partitions, one of 10 producers has 150 and one of 100 workers has 15: published at 150
//! and consumed at 15 is what the two are held to. There are no partitions but these. Ours has a
//! consumer for each of them, so that a partition can be taken over alone, and to find the next
//! message of one the server passes over the messages in between of all others in its stream.
//! `nats bench` has one consumer, of everything.
//!
//! In the end one worker consumes its share of all 1 500, whose other partitions hold as many
//! messages and are left alone.

#[path = "../tests/processes/mod.rs"]
mod processes;
#[path = "../../sim/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use processes::{Pod, Sizes};
use soak_sim::assignment::{Assignment, Shares, Strategy};
use soak_sim::claim::{Lease, RENEW};
use soak_sim::names;
use soak_sim::nats::Nats;
use support::{NatsServer, metric};

const ROUNDS: usize = 3;
const MESSAGES: u64 = 100_000;
/// Partitions, or subjects, and messages under way: a producer has one in each partition.
const PARTITIONS: [u32; 3] = [15, 150, 256];
const BYTES: usize = 64;
/// The first of them are left out: connections, claims and bindings are not what is measured.
const WARM: u64 = 10_000;
/// The design size, and messages in each of its partitions.
const ALL: Sizes = Sizes {
    partitions: 1500,
    workers: 100,
    producers: 1,
    message_rate: 10_000.0,
    payload_bytes: BYTES,
};
const EACH: u64 = 400;

fn main() {
    if processes::is_producer() {
        return processes::be_a_producer();
    }
    println!("messages a second                nats bench       ours    ratio");
    let ratios = PARTITIONS.map(|partitions| (partitions, ratios(partitions)));
    for (partitions, [published, consumed]) in ratios {
        println!(
            "{partitions:>4} partitions: published {published:.2} and consumed {consumed:.2} of nats bench, in the middle of {ROUNDS}"
        );
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (owned, rate) = runtime.block_on(consume_a_share());
    println!(
        "{owned:>4} partitions of {}, {EACH} messages in each: {rate:.0} consumed a second",
        ALL.partitions
    );
}

/// One worker of many on its own partitions, of which it returns how many, while the messages of
/// all others wait.
async fn consume_a_share() -> (usize, f64) {
    let server = NatsServer::start();
    let url = server.url();
    let nats = Box::pin(Nats::open(&url, "bench", ALL.partitions)).await;
    let mut producer = Pod::producer_of(&server, "producer", &ALL);
    let sent = || metric(producer.addr, "soak_sim_messages_sent_total").unwrap_or(0);
    while sent() < EACH * u64::from(ALL.partitions) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    producer.kill();

    // We lead, and assign to workers that are not there.
    let mut lease = Lease::take(&nats.claims, names::LEADER.into(), "bench")
        .await
        .expect("nobody leads");
    let shares = Shares {
        strategy: Strategy::ConsistentHash,
        weights: vec![1.0; ALL.partitions as usize],
    };
    let members: BTreeSet<u32> = (0..ALL.workers).collect();
    let assignment = Assignment::of(1, members, &shares);
    let value = serde_json::to_vec(&assignment).expect("it encodes");
    nats.assignment
        .put(names::CURRENT, value.into())
        .await
        .expect("assigned");

    let worker = Pod::worker_of(&server, "worker", &ALL);
    let owned = assignment.owned_by(0).len();
    let messages = EACH * owned as u64;
    let addr = worker.addr;
    let acked = move || metric(addr, "soak_sim_messages_acked_total").unwrap_or(0);
    let measure = move || rate(acked, messages / 10, messages * 9 / 10);
    let mut measured = tokio::task::spawn_blocking(measure);
    loop {
        tokio::select! {
            rate = &mut measured => return (owned, rate.expect("it measures")),
            () = tokio::time::sleep(RENEW) => assert!(lease.renew().await, "we still lead"),
        }
    }
}

/// Ours to theirs, published and consumed, in the middle of all rounds.
fn ratios(partitions: u32) -> [f64; 2] {
    let server = NatsServer::start();
    let mut ratios = [vec![], vec![]];
    for _ in 0..ROUNDS {
        let theirs = [
            nats_bench_publish(&server, partitions),
            nats_bench_consume(&server),
        ];
        let ours = [publish(&server, partitions), consume(&server, partitions)];
        for (n, what) in ["published", "consumed"].iter().enumerate() {
            let ratio = ours[n] / theirs[n];
            println!(
                "{partitions:>4} partitions, {what:<12} {:>13.0} {:>10.0} {ratio:>8.2}",
                theirs[n], ours[n]
            );
            ratios[n].push(ratio);
        }
    }
    ratios.map(|mut of| {
        of.sort_by(f64::total_cmp);
        of[ROUNDS / 2]
    })
}

fn sizes(partitions: u32) -> Sizes {
    Sizes {
        partitions,
        workers: 1,
        producers: 1,
        // More than any server takes: one message under way in each partition is the limit.
        message_rate: 10_000.0,
        payload_bytes: BYTES,
    }
}

/// One producer, once it is warm.
fn publish(server: &NatsServer, partitions: u32) -> f64 {
    let producer = Pod::producer_of(server, "producer", &sizes(partitions));
    let sent = || metric(producer.addr, "soak_sim_messages_sent_total").unwrap_or(0);
    rate(sent, WARM, WARM + MESSAGES)
}

/// One worker on all that was published.
fn consume(server: &NatsServer, partitions: u32) -> f64 {
    let mut worker = Pod::worker_of(server, "worker", &sizes(partitions));
    let acked = || metric(worker.addr, "soak_sim_messages_acked_total").unwrap_or(0);
    let rate = rate(acked, WARM, MESSAGES);
    worker.terminate();
    rate
}

/// How fast a count goes from `from` to `to`, in a second.
fn rate(count: impl Fn() -> u64, from: u64, to: u64) -> f64 {
    let reached = |enough| loop {
        let now = count();
        if now >= enough {
            return (Instant::now(), now);
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let (begun, first) = reached(from);
    let (ended, last) = reached(to.max(first + 1));
    (last - first) as f64 / ended.duration_since(begun).as_secs_f64()
}

fn nats_bench_publish(server: &NatsServer, subjects: u32) -> f64 {
    let subjects = subjects.to_string();
    nats_bench(
        server,
        &[
            "pub",
            "async",
            "bench",
            "--create",
            "--purge",
            "--storage",
            "file",
            "--batch",
            &subjects,
            "--multisubject",
            "--multisubjectmax",
            &subjects,
        ],
    )
}

fn nats_bench_consume(server: &NatsServer) -> f64 {
    nats_bench(server, &["consume", "--batch", "256", "--acks", "explicit"])
}

/// Runs it, and reads the messages a second out of what it prints.
fn nats_bench(server: &NatsServer, args: &[&str]) -> f64 {
    let (messages, bytes) = (MESSAGES.to_string(), BYTES.to_string());
    let output = Command::new(nats_client())
        .args(["--server", &server.url(), "bench", "js"])
        .args(args)
        .args(["--msgs", &messages, "--size", &bytes, "--no-progress"])
        .output()
        .expect("nats runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = text.lines().find_map(|line| {
        let (_, stats) = line.split_once("stats: ")?;
        let (rate, _) = stats.split_once(" msgs/sec")?;
        rate.replace(',', "").parse().ok()
    });
    said.unwrap_or_else(|| panic!("nats bench said no rate: {output:?}"))
}

/// The client's binary: `NATS_CLI`, or built from its module.
fn nats_client() -> String {
    if let Ok(path) = std::env::var("NATS_CLI") {
        return path;
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/tools");
    let built = Command::new(tools)
        .arg("nats")
        .stderr(Stdio::inherit())
        .output()
        .expect("hack/tools runs");
    assert!(
        built.status.success(),
        "hack/tools nats failed; or set NATS_CLI"
    );
    String::from_utf8(built.stdout)
        .expect("a path")
        .trim()
        .into()
}
