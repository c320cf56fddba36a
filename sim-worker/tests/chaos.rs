//! Workers as real processes, killed without warning: whatever happens, no message is lost, and
//! the ledger says exactly what the stream holds.

#[path = "../../sim/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use soak_sim::args::{Common, LogFormat};
use soak_sim::intervals::Intervals;
use soak_sim::message::Numbered;
use soak_sim::nats::Nats;
use soak_sim::{Leaks, ledger, names, producer};
use support::{NatsServer, PATIENCE, ask, eventually, free_addr, is_ready, metric};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 24;
const WORKERS: u32 = 4;

/// A worker or an auditor as a process of its own.
struct Pod {
    child: Child,
    addr: SocketAddr,
}

impl Pod {
    fn start(nats: &NatsServer, name: &str, args: &[&str], leak: &str) -> Self {
        let addr = free_addr();
        let child = Command::new(env!("CARGO_BIN_EXE_soak-sim-worker"))
            .args(args)
            .env("NATS_URL", nats.url())
            .env("POD_NAME", name)
            .env("HTTP_ADDR", addr.to_string())
            .env("PARTITIONS", PARTITIONS.to_string())
            .env("WORKERS", WORKERS.to_string())
            .env("PROCESSING_DELAY_MIN", "0ms")
            .env("PROCESSING_DELAY_MAX", "5ms")
            .env("LEAK_MODE", leak)
            .env("RUST_LOG", "warn")
            .stderr(Stdio::null())
            .spawn()
            .expect("the worker starts");
        Self { child, addr }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, at which it ends in order.
    fn terminate(&mut self) {
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

fn workers(nats: &NatsServer, leak: &str) -> Vec<Pod> {
    (0..WORKERS)
        .map(|n| Pod::start(nats, &format!("worker-{n}"), &[], leak))
        .collect()
}

fn owned(workers: &[Pod]) -> Vec<Option<u64>> {
    workers
        .iter()
        .map(|pod| metric(pod.addr, "soak_sim_partitions_owned"))
        .collect()
}

/// Everybody ready, and every partition with exactly one of them.
async fn settled(workers: &[Pod]) -> Vec<Option<u64>> {
    eventually("workers own all partitions", PATIENCE, || async {
        let total: u64 = owned(workers).into_iter().flatten().sum();
        total == u64::from(PARTITIONS) && workers.iter().all(|pod| is_ready(pod.addr))
    })
    .await;
    owned(workers)
}

struct Producer {
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

impl Producer {
    fn start(nats: &NatsServer, message_rate: f64) -> Self {
        let stop = CancellationToken::new();
        let common = Common {
            nats_url: nats.url(),
            pod_name: "producer".into(),
            http_addr: free_addr(),
            log_format: LogFormat::Pretty,
        };
        let config = producer::Config {
            common,
            weights: vec![1.0; PARTITIONS as usize],
            producers: 1,
            message_rate,
            payload_bytes: 0,
            leak: Leaks::default(),
        };
        let running = tokio::spawn(producer::run(config, stop.clone()));
        Self { stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("no panic").expect("no error");
    }

    /// Drops everything at once, as if it had been killed.
    async fn crash(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// The numbers of every partition, message by message, straight from the stream.
async fn stream_content(nats: &Nats) -> BTreeMap<u32, Vec<u64>> {
    let info = nats.stream.get_info().await.expect("the stream answers");
    let mut content: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for sequence in info.state.first_sequence..=info.state.last_sequence {
        let message = nats
            .stream
            .direct_get(sequence)
            .await
            .expect("a limits stream keeps all");
        let numbered = Numbered::decode(&message.payload).expect("ours");
        assert_eq!(
            names::partition_of(&message.subject),
            Some(numbered.partition)
        );
        content
            .entry(numbered.partition)
            .or_default()
            .push(numbered.number);
    }
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_instant_workers_lose_nothing_and_the_ledger_equals_the_stream() {
    let nats = NatsServer::start();
    let mut auditor = Pod::start(&nats, "auditor", &["audit"], "None");
    let mut pods = workers(&nats, "None");
    let mut producer = Producer::start(&nats, 20.0);
    let base = settled(&pods).await;
    eventually("the auditor reads", PATIENCE, || async {
        is_ready(auditor.addr)
    })
    .await;
    let client = Nats::open(&nats.url(), "test").await;

    for round in 0..4_usize {
        // Another instant of the work each time, in the middle of batches, writes and acks.
        let processed = || {
            pods.iter()
                .filter_map(|pod| metric(pod.addr, "soak_sim_messages_received_total"))
                .sum::<u64>()
        };
        let enough = processed() + 100 + 37 * round as u64;
        eventually("work goes on", PATIENCE, || async { processed() >= enough }).await;
        let victim = round % pods.len();
        pods[victim].kill();
        if round == 1 {
            producer.crash().await;
            producer = Producer::start(&nats, 20.0);
        }
        eventually("survivors take over", PATIENCE, || async {
            owned(&pods).into_iter().flatten().sum::<u64>() == u64::from(PARTITIONS)
        })
        .await;
        pods[victim] = Pod::start(&nats, &format!("replacement-{round}"), &[], "None");
        let mut now = settled(&pods).await;
        eventually("the assignment comes back to base", PATIENCE, || {
            now = owned(&pods);
            let same = now == base;
            async move { same }
        })
        .await;
    }

    client
        .control
        .put(names::DRAIN, "now".into())
        .await
        .expect("the operator drains");
    eventually("the drain comes to rest", PATIENCE, || async {
        metric(auditor.addr, "soak_sim_drained") == Some(1)
    })
    .await;

    let content = stream_content(&client).await;
    assert_eq!(content.len(), PARTITIONS as usize);
    let mut stored = 0;
    for (partition, numbers) in content {
        let ascending: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(
            numbers, ascending,
            "partition {partition} has every number once, in order"
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
    }
    let totals = |addr| {
        ["stored", "lost", "duplicated"]
            .map(|of| metric(addr, &format!("soak_sim_messages_{of}_total")))
    };
    let judged = totals(auditor.addr);
    assert_eq!(judged[..2], [Some(stored), Some(0)]);

    auditor.kill();
    auditor = Pod::start(&nats, "auditor", &["audit"], "None");
    eventually(
        "another auditor comes to the same totals",
        PATIENCE,
        || async {
            metric(auditor.addr, "soak_sim_drained") == Some(1) && totals(auditor.addr) == judged
        },
    )
    .await;
    producer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_taken_out_of_the_stream_and_one_never_received_are_both_lost() {
    let nats = NatsServer::start();
    let client = Nats::open(&nats.url(), "test").await;
    for number in 1..=5 {
        let message = Numbered::now(3, number);
        let stored = client
            .jetstream
            .publish(names::subject(3), message.encode(0))
            .await
            .expect("sent");
        stored.await.expect("stored");
    }
    client.stream.delete_message(2).await.expect("taken out");
    client
        .control
        .put(names::DRAIN, "now".into())
        .await
        .expect("the operator drains");
    // No worker at all: after the drain the four that are left will never be received.
    let auditor = Pod::start(&nats, "auditor", &["audit"], "None");
    let lost = || metric(auditor.addr, "soak_sim_messages_lost_total");
    eventually("the hole is counted", PATIENCE, || async {
        lost() == Some(1)
    })
    .await;
    eventually("the rest is counted", PATIENCE, || async {
        metric(auditor.addr, "soak_sim_drained") == Some(1) && lost() == Some(5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphaned_pull_loops_leak_and_a_clean_worker_comes_back_to_base() {
    let (clean, leaking) = tokio::join!(
        tasks_after_restarts("None"),
        tasks_after_restarts("OrphanedPullLoop")
    );
    for (base, after) in clean {
        assert_eq!(base, after, "survivors of the clean twin");
    }
    let grown: u64 = leaking.iter().map(|(base, after)| after - base).sum();
    // A worker's share went to the survivors and back, twice.
    assert!(grown >= 4, "leaking survivors grew by {grown}");
    assert_eq!(grown % 2, 0, "each restart leaks the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_crashes_when_asked_to_by_its_own_name_only() {
    let nats = NatsServer::start();
    let producer = Producer::start(&nats, 1.0);
    let mut pod = Pod::start(&nats, "worker-0", &[], "None");
    let ready = || async { is_ready(pod.addr) };
    eventually("it is ready", PATIENCE, ready).await;
    let refusal = ask("POST", pod.addr, "/debug/crash?pod=worker-1").expect("an answer");
    assert!(refusal.starts_with("HTTP/1.1 409"), "{refusal}");
    assert!(is_ready(pod.addr), "it goes on");
    let answer = ask("POST", pod.addr, "/debug/crash?pod=worker-0");
    assert!(answer.is_none_or(|answer| answer.is_empty()));
    let end = pod.child.wait().expect("it ends");
    assert_eq!(end.signal(), Some(6), "SIGABRT: {end:?}");
    producer.stop().await;
}

/// Tasks of each survivor before a worker was restarted twice and after, both in steady state.
async fn tasks_after_restarts(leak: &str) -> Vec<(u64, u64)> {
    let nats = NatsServer::start();
    let producer = Producer::start(&nats, 2.0);
    let mut pods = workers(&nats, leak);
    let base = settled(&pods).await;
    let tasks = |pods: &[Pod]| -> Vec<u64> {
        pods[1..]
            .iter()
            .map(|pod| metric(pod.addr, "soak_sim_tasks_alive").unwrap_or(0))
            .collect()
    };
    let before = tasks(&pods);
    for restart in 0..2 {
        pods[0].terminate();
        eventually("survivors take over at once", PATIENCE, || async {
            owned(&pods).into_iter().flatten().sum::<u64>() == u64::from(PARTITIONS)
        })
        .await;
        pods[0] = Pod::start(&nats, &format!("restart-{restart}"), &[], leak);
        eventually("the assignment comes back to base", PATIENCE, || async {
            owned(&pods) == base
        })
        .await;
    }
    let after = tasks(&pods);
    producer.stop().await;
    before.into_iter().zip(after).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_beyond_the_planned_ones_takes_its_share_and_gives_it_back() {
    let nats = NatsServer::start();
    let mut workers = workers(&nats, "None");
    let before = settled(&workers).await;

    workers.push(Pod::start(&nats, "worker-more", &[], "None"));
    let with_more = settled(&workers).await;
    assert!(with_more.iter().all(|owned| owned.is_some_and(|n| n > 0)));

    workers.pop().expect("the one more").terminate();
    let after = settled(&workers).await;
    assert_eq!(after, before, "the same ids, so the same assignment");
}
