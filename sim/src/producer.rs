//! A producer: holds an id, and publishes to the partitions that fall to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::Common;
use crate::claim::Ids;
use crate::control::watch_drain;
use crate::leak::{Leaks, Role, Site};
use crate::process::{Process, instance};
use crate::publish::{self, Publishing};
use crate::tasks::{Component, Tasks};
use crate::telemetry::Telemetry;

/// What a producer is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every process is told.
    pub common: Common,
    /// The weight of partition 0, 1, 2 and so on.
    pub weights: Vec<f64>,
    /// How many producers are planned: partition p belongs to id p % producers.
    pub producers: u32,
    /// Messages per second to a partition of weight 1.
    pub message_rate: f64,
    /// The least size of a message in bytes; the message itself takes some 50.
    pub payload_bytes: usize,
    /// What it leaks.
    pub leak: Leaks,
}

/// Runs a producer until told to stop.
pub async fn run(config: Config, stop: CancellationToken) -> std::io::Result<()> {
    let mut telemetry = Telemetry::default();
    let metrics = publish::Metrics::register(&mut telemetry.registry);
    let tasks = telemetry.tasks.clone();
    let leak = Site::new(config.leak, Role::Producer, &mut telemetry.registry, &tasks);
    let (claim, control, own) = (
        tasks.component("claim"),
        tasks.component("control"),
        tasks.component("assignment"),
    );
    drop(tasks.component(Publishers::COMPONENT));
    let ready = telemetry.ready.clone();
    let process = Process::start(telemetry, &config.common).await?;
    let Some(nats) = process.connect(&config.common, &stop).await else {
        return Ok(());
    };

    let holder = instance(&config.common.pod_name);
    let ids = Ids {
        store: nats.claims.clone(),
        role: "producer",
        planned: config.producers,
        more: false,
    };
    let (held_by_us, held) = watch::channel(None);
    let (drain_wanted, draining) = watch::channel(false);
    claim
        .start("hold", |stop| ids.hold(holder, held_by_us, stop))
        .await;
    control
        .start("drain", |stop| {
            watch_drain(nats.control.clone(), drain_wanted, stop)
        })
        .await;
    let publishing = Arc::new(Publishing {
        nats: nats.clone(),
        metrics,
        draining,
        rates: config
            .weights
            .iter()
            .map(|weight| weight * config.message_rate)
            .collect(),
        payload_bytes: config.payload_bytes,
        ready,
    });
    let publishers = Publishers {
        publishing,
        tasks,
        running: BTreeMap::new(),
    };
    own.start("own", |stop| {
        publishers.follow(held, config.producers, stop)
    })
    .await;

    let leak_clock = leak.start_clock().await;

    stop.cancelled().await;
    info!("stopping");
    // The other way round than a worker: nobody else may publish before we have ended.
    own.stop().await;
    tokio::join!(claim.stop(), control.stop());
    if let Some(clock) = leak_clock {
        clock.stop().await;
    }
    process.stop(&nats).await;
    Ok(())
}

pub(crate) struct Publishers {
    publishing: Arc<Publishing>,
    tasks: Tasks,
    running: BTreeMap<u32, Component>,
}

impl Publishers {
    /// The component that all publishing tasks belong to.
    pub(crate) const COMPONENT: &'static str = "publish";

    /// Publishes to the partitions of whichever id is held.
    async fn follow(
        mut self,
        mut held: watch::Receiver<Option<u32>>,
        producers: u32,
        stop: CancellationToken,
    ) {
        loop {
            // Whatever came before ends first: another may hold that id by now.
            self.stop().await;
            let id = *held.borrow_and_update();
            if let Some(id) = id {
                let partitions = (0..).take(self.publishing.rates.len());
                self.start(partitions.filter(|partition| partition % producers == id))
                    .await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = held.changed() => {}
            }
        }
        self.stop().await;
    }

    async fn start(&mut self, partitions: impl Iterator<Item = u32>) {
        for partition in partitions {
            let component = self.tasks.component(Self::COMPONENT);
            let publishing = Arc::clone(&self.publishing);
            let work = |stop| async move { publishing.publish(partition, stop).await };
            component.start(format!("p-{partition}"), work).await;
            self.running.insert(partition, component);
        }
        // With fewer partitions than producers some have nothing to do, and do it well.
        if self.running.is_empty() {
            self.publishing.ready.set(true);
        }
    }

    async fn stop(&mut self) {
        self.publishing.ready.set(false);
        join_all(self.running.values().map(Component::stop)).await;
        self.running.clear();
    }
}
