//! A worker: holds an id, stands for election, and consumes what the assignment gives it.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Common;
use crate::assignment::{self, Shares, Written};
use crate::claim::Ids;
use crate::consume::{self, Consumers, Delay};
use crate::leak::{Event, Leaks, Role, Site};
use crate::nats::Nats;
use crate::process::{Process, instance};
use crate::telemetry::{Ready, Telemetry, counter, gauge};

/// How often a worker looks for a new assignment.
const LOOK: Duration = Duration::from_millis(500);
/// How often it asks how many consumers there are: growth in the server is slow.
const COUNT: Duration = Duration::from_secs(5);

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every process is told.
    pub common: Common,
    /// The partitions, and how they are shared out.
    pub shares: Shares,
    /// How many workers are planned: ids are below this, but for those that a scale-up adds.
    pub workers: u32,
    /// How long processing takes.
    pub delay: Delay,
    /// What it leaks.
    pub leak: Leaks,
}

/// Runs a worker until told to stop.
pub async fn run(config: Config, stop: CancellationToken) -> std::io::Result<()> {
    let mut telemetry = Telemetry::default();
    let consume_metrics = consume::Metrics::register(&mut telemetry.registry);
    let rebalances = counter(
        &mut telemetry.registry,
        "soak_sim_rebalances",
        "Assignments that this worker has followed",
    );
    let consumers_in_nats = gauge(
        &mut telemetry.registry,
        "soak_sim_jetstream_consumers",
        "Consumers of all streams in NATS, the auditor's included: the same in every worker",
    );
    let leading = gauge(
        &mut telemetry.registry,
        "soak_sim_leader",
        "1 in the worker that assigns partitions",
    );
    let tasks = telemetry.tasks.clone();
    let leak = Site::new(config.leak, Role::Worker, &mut telemetry.registry, &tasks);
    let (claim, election, follow) = (
        tasks.component("claim"),
        tasks.component("election"),
        tasks.component("assignment"),
    );
    // Known from the start, though loops come and go.
    drop(tasks.component(Consumers::COMPONENT));
    let ready = telemetry.ready.clone();
    let process = Process::start(telemetry, &config.common).await?;
    let Some(nats) = process.connect(&config.common, &stop).await else {
        return Ok(());
    };

    let holder = instance(&config.common.pod_name);
    let ids = Ids {
        store: nats.claims.clone(),
        role: "worker",
        planned: config.workers,
        more: true,
    };
    let (held_by_us, held) = watch::channel(None);
    claim
        .start("hold", |stop| {
            ids.clone().hold(holder.clone(), held_by_us, stop)
        })
        .await;
    election
        .start("lead", |stop| {
            assignment::lead(
                nats.clone(),
                ids.clone(),
                config.shares,
                holder.clone(),
                held.clone(),
                leading,
                stop,
            )
        })
        .await;
    let consumers = Consumers::new(
        nats.clone(),
        tasks,
        consume_metrics,
        config.delay,
        leak.clone(),
        holder.clone(),
    );
    follow
        .start("follow", |stop| {
            let follower = Follower {
                nats: nats.clone(),
                held,
                consumers,
                rebalances,
                consumers_in_nats,
                counted: None,
                ready,
                leak: leak.clone(),
                under: None,
                members: None,
            };
            follower.follow(stop)
        })
        .await;
    let leak_clock = leak.start_clock().await;

    stop.cancelled().await;
    info!("stopping");
    // The id goes first and the loops at the same time: others take over while we finish.
    tokio::join!(claim.stop(), election.stop(), follow.stop());
    if let Some(clock) = leak_clock {
        clock.stop().await;
    }
    process.stop(&nats).await;
    Ok(())
}

struct Follower {
    nats: Nats,
    held: watch::Receiver<Option<u32>>,
    consumers: Consumers,
    rebalances: Counter,
    consumers_in_nats: Gauge,
    counted: Option<Instant>,
    ready: Ready,
    leak: Site,
    /// The id and version that the loops running now stand for.
    under: Option<(u32, u64)>,
    /// The members of the assignment that was followed last.
    members: Option<BTreeSet<u32>>,
}

impl Follower {
    async fn follow(mut self, stop: CancellationToken) {
        let mut latest = None;
        loop {
            let id = *self.held.borrow_and_update();
            if let Some(id) = id {
                self.newest(&mut latest).await;
                if let Some(latest) = &latest {
                    self.obey(id, latest).await;
                }
                self.count_consumers().await;
            } else {
                self.disown().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                // An error means that nobody holds ids any more: we are about to be stopped.
                Ok(()) = self.held.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.ready.set(false);
        self.consumers.stop().await;
    }

    async fn newest(&self, latest: &mut Option<Written>) {
        let known = latest
            .as_ref()
            .map_or(0, |latest| latest.assignment.version);
        match assignment::current(&self.nats.assignment).await {
            Ok(Some(next)) if next.assignment.version > known => *latest = Some(next),
            Ok(_) => {}
            Err(error) => warn!(%error, "failed to look for an assignment"),
        }
    }

    async fn obey(&mut self, id: u32, written: &Written) {
        let assignment = &written.assignment;
        if self.under == Some((id, assignment.version)) {
            return;
        }
        let owned = assignment.owned_by(id);
        info!(
            version = assignment.version,
            id,
            partitions = owned.len(),
            "following an assignment"
        );
        self.tell_leak(&assignment.members);
        self.consumers.own(&owned, written.at).await;
        self.under = Some((id, assignment.version));
        self.rebalances.inc();
        self.ready.set(assignment.members.contains(&id));
    }

    async fn count_consumers(&mut self) {
        if self.counted.is_some_and(|last| last.elapsed() < COUNT) {
            return;
        }
        self.counted = Some(Instant::now());
        // Of the account, which is one request however many streams there are.
        match self.nats.jetstream.query_account().await {
            Ok(account) => {
                let count = i64::try_from(account.consumers).unwrap_or(i64::MAX);
                self.consumers_in_nats.set(count);
            }
            Err(error) => warn!(%error, "failed to count the consumers"),
        }
    }

    fn tell_leak(&mut self, members: &BTreeSet<u32>) {
        if let Some(before) = self.members.replace(members.clone()) {
            for id in before.symmetric_difference(members) {
                self.leak.tell(Event::MemberChanged(*id));
            }
            self.leak.tell(Event::Rebalanced);
        }
    }

    async fn disown(&mut self) {
        self.ready.set(false);
        if self.under.take().is_some() {
            // Not an assignment's doing: even a leak mode keeps out of this.
            self.consumers.stop().await;
        }
    }
}
