//! Workers as real processes: what the auditor counts, what leaks, and who takes over.

mod processes;
#[path = "../../sim/tests/support/mod.rs"]
mod support;

use std::os::unix::process::ExitStatusExt;

use processes::{PARTITIONS, Pod, owned, producers, settled, workers};
use soak_sim::message::Numbered;
use soak_sim::names;
use soak_sim::nats::Nats;
use support::{NatsServer, PATIENCE, ask, eventually, is_ready, metric};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_taken_out_of_any_stream_and_one_never_received_are_both_lost() {
    let nats = NatsServer::start();
    let client = Nats::open(&nats.url(), "test", PARTITIONS).await;
    let streams = names::streams(PARTITIONS);
    assert!(streams.len() > 1, "several streams");
    let partitions = [3, PARTITIONS - 1];
    assert_eq!(partitions.map(names::stream_of), [3, streams.end - 1]);
    for partition in partitions {
        let stream = client.create_stream(names::stream_of(partition)).await;
        for number in 1..=5 {
            let message = Numbered::now(partition, number);
            let stored = client
                .jetstream
                .publish(names::subject(partition), message.encode(0))
                .await
                .expect("sent");
            stored.await.expect("stored");
        }
        let stream = stream.expect("the stream is there");
        stream.delete_message(2).await.expect("taken out");
    }
    client
        .control
        .put(names::DRAIN, "now".into())
        .await
        .expect("the operator drains");
    // No worker at all: after the drain the four that are left of each will never be received.
    let auditor = Pod::auditor(&nats);
    let lost = || metric(auditor.addr, "soak_sim_messages_lost_total");
    eventually("the holes are counted", PATIENCE, || async {
        lost() == Some(2)
    })
    .await;
    eventually("the rest is counted", PATIENCE, || async {
        metric(auditor.addr, "soak_sim_drained") == Some(1) && lost() == Some(10)
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
    let _producers = producers(&nats, 1.0);
    let mut pod = Pod::worker(&nats, "worker-0", "None");
    let ready = || async { is_ready(pod.addr) };
    eventually("it is ready", PATIENCE, ready).await;
    let refusal = ask("POST", pod.addr, "/debug/crash?pod=worker-1").expect("an answer");
    assert!(refusal.starts_with("HTTP/1.1 409"), "{refusal}");
    assert!(is_ready(pod.addr), "it goes on");
    let answer = ask("POST", pod.addr, "/debug/crash?pod=worker-0");
    assert!(answer.is_none_or(|answer| answer.is_empty()));
    let end = pod.child.wait().expect("it ends");
    assert_eq!(end.signal(), Some(6), "SIGABRT: {end:?}");
}

/// Tasks of each survivor before a worker was restarted twice and after, both in steady state.
async fn tasks_after_restarts(leak: &str) -> Vec<(u64, u64)> {
    let nats = NatsServer::start();
    let _producers = producers(&nats, 2.0);
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
        pods[0] = Pod::worker(&nats, &format!("restart-{restart}"), leak);
        eventually("the assignment comes back to base", PATIENCE, || async {
            owned(&pods) == base
        })
        .await;
    }
    let after = tasks(&pods);
    before.into_iter().zip(after).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_beyond_the_planned_ones_takes_its_share_and_gives_it_back() {
    let nats = NatsServer::start();
    let mut workers = workers(&nats, "None");
    let before = settled(&workers).await;

    workers.push(Pod::worker(&nats, "worker-more", "None"));
    let with_more = settled(&workers).await;
    assert!(with_more.iter().all(|owned| owned.is_some_and(|n| n > 0)));

    workers.pop().expect("the one more").terminate();
    let after = settled(&workers).await;
    assert_eq!(after, before, "the same ids, so the same assignment");
}
