//! What running processes show is what docs/simulation.md tells, and follows the field's conventions.

#[path = "support/pods.rs"]
mod pods;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use pods::{Pod, producer, shares, worker};
use soak_sim::{LeakMode, Leaks};
use support::{NatsServer, PATIENCE, eventually, get, is_ready, metric};

const PARTITIONS: u32 = 12;

/// A metric, as documented or as scraped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    name: String,
    kind: String,
    help: String,
    processes: BTreeSet<String>,
}

/// The rows of the table of metrics.
fn documented() -> BTreeSet<Metric> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulation.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let table = page.split_once("\n## Metrics\n").expect("a section").1;
    table
        .split("\n## ")
        .next()
        .expect("its text")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            let [name, kind, processes, help] = cells[..] else {
                panic!("four columns: {row}");
            };
            Metric {
                name: name.split(['{', '`']).next().expect("a name").to_owned(),
                kind: kind.to_owned(),
                help: help.to_owned(),
                processes: processes.split(", ").map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// What the processes show, under the names that Prometheus gives it.
fn scraped(processes: &BTreeMap<&'static str, SocketAddr>) -> BTreeSet<Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for (process, addr) in processes {
        let answer = get(*addr, "/metrics").expect("it answers");
        let helps: BTreeMap<&str, &str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
            .collect();
        for (name, kind) in answer
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = helps.get(name).expect("every metric has a help text");
            let metric = Metric {
                name: format!("{name}{suffix}"),
                kind: kind.to_owned(),
                help: help.trim_end_matches('.').to_owned(),
                processes: BTreeSet::new(),
            };
            let known = metrics.entry(name.to_owned()).or_insert(metric);
            assert_eq!(
                known.help,
                help.trim_end_matches('.'),
                "{name} of {process}"
            );
            known.processes.insert((*process).to_owned());
        }
    }
    metrics.into_values().collect()
}

/// One of each process; a worker and a producer that leak, so that their account is there.
fn start(nats: &NatsServer) -> [(&'static str, Pod); 3] {
    let leak = |mode| Leaks { mode, every: None };
    let mut worker = worker(nats, "worker", shares(PARTITIONS), 1);
    worker.leak = leak(LeakMode::OrphanedPullLoop);
    let mut producer = producer(nats, "producer", shares(PARTITIONS).weights, 1, 20.0);
    producer.leak = leak(LeakMode::ProducerTicker);
    [
        ("worker", Pod::worker(worker)),
        ("producer", Pod::producer(producer)),
        ("auditor", Pod::auditor(nats, PARTITIONS)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let nats = NatsServer::start();
    let pods = start(&nats);
    let addrs = pods
        .each_ref()
        .map(|(process, pod)| (*process, pod.addr))
        .into();
    let addrs: &BTreeMap<_, _> = &addrs;
    eventually("all are ready and at work", PATIENCE, || async {
        addrs.values().all(|addr| is_ready(*addr))
            && metric(addrs["worker"], "soak_sim_messages_acked_total") > Some(100)
            && metric(addrs["worker"], "soak_sim_rebalance_duration_seconds_count") > Some(0)
            && metric(addrs["worker"], "soak_sim_jetstream_consumers") > Some(0)
    })
    .await;

    assert_eq!(scraped(addrs), documented());

    for metric in documented() {
        let Metric {
            name, kind, help, ..
        } = &metric;
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        let stem = name.trim_end_matches("_total");
        assert!(
            kind != "histogram" || stem.ends_with("_seconds"),
            "{name} is measured in base units"
        );
        assert!(!help.is_empty() && help.len() < 160, "{name}: {help}");
        let ours = name.starts_with("soak_sim_") || name.starts_with("process_");
        assert!(ours && !name.contains("milli"), "{name}");
    }
    for (process, addr) in addrs {
        let answer = get(*addr, "/metrics").expect("it answers");
        let series = answer
            .lines()
            .filter(|line| line.starts_with("soak_sim_") || line.starts_with("process_"));
        for line in series.clone() {
            let labels = line.split_once('{').map_or("", |(_, labels)| labels);
            let by_label = ["component=", "le=", ""].map(|label| labels.starts_with(label));
            assert!(by_label[0] || by_label[1] || labels.is_empty(), "{line}");
        }
        // However many partitions there are.
        assert!(series.count() < 80, "{process} has few series");
    }

    for (_, pod) in pods {
        pod.stop().await;
    }
}
