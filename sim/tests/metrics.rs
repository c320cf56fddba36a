//! What running processes show is what docs/simulation.md tells, and follows the field's conventions.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use soak_sim::args::{Common, LogFormat};
use soak_sim::assignment::{Shares, Strategy};
use soak_sim::{Delay, LeakMode, Leaks, audit, producer, worker};
use support::{NatsServer, PATIENCE, eventually, free_addr, get, is_ready, metric};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PARTITIONS: usize = 12;

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

struct Simulation {
    stop: CancellationToken,
    running: JoinSet<std::io::Result<()>>,
    addrs: BTreeMap<&'static str, SocketAddr>,
}

/// One of each process; a worker and a producer that leak, so that their account is there.
fn start(nats: &NatsServer) -> Simulation {
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    let mut addrs = BTreeMap::new();
    let mut common = |process: &'static str| {
        let http_addr = free_addr();
        addrs.insert(process, http_addr);
        Common {
            nats_url: nats.url(),
            pod_name: process.into(),
            http_addr,
            log_format: LogFormat::Pretty,
        }
    };
    let leak = |mode| Leaks { mode, every: None };
    let worker = worker::Config {
        common: common("worker"),
        shares: Shares {
            strategy: Strategy::WeightedConsistentHash,
            weights: vec![1.0; PARTITIONS],
        },
        workers: 1,
        delay: Delay {
            min: Duration::ZERO,
            max: Duration::ZERO,
        },
        leak: leak(LeakMode::OrphanedPullLoop),
    };
    let producer = producer::Config {
        common: common("producer"),
        weights: vec![1.0; PARTITIONS],
        producers: 1,
        message_rate: 20.0,
        payload_bytes: 256,
        leak: leak(LeakMode::ProducerTicker),
    };
    running.spawn(worker::run(worker, stop.clone()));
    running.spawn(producer::run(producer, stop.clone()));
    running.spawn(audit::run(common("auditor"), stop.clone()));
    Simulation {
        stop,
        running,
        addrs,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let nats = NatsServer::start();
    let mut simulation = start(&nats);
    let addrs = &simulation.addrs;
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

    simulation.stop.cancel();
    while let Some(ended) = simulation.running.join_next().await {
        ended.expect("no panic").expect("no error");
    }
}
