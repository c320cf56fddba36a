//! The auditor: reads all streams and the ledger by itself, and says what was lost.
//!
//! It shares nothing with the workers that might lose something: its consumers are its own, and
//! it is never a target of chaos. A number is lost when it is missing in the stream although a
//! higher one is stored, when it was acknowledged although the ledger does not have it, or when
//! it is still not in the ledger after a drain has come to rest. Each is confirmed a second time
//! before it is counted, since the readers trail what they read.

mod book;
mod reader;
mod verdict;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Common;
use crate::control::watch_drain;
use crate::ledger::Entry;
use crate::message::Numbered;
use crate::names;
use crate::nats::Nats;
use crate::process::Process;
use crate::tasks::Component;
use crate::telemetry::{Ready, Telemetry};

use book::Book;
use reader::{Source, follow};

/// The book that the readers write and the judge reads.
#[derive(Clone, Debug)]
struct SharedBook(Arc<Mutex<Book>>);

impl SharedBook {
    fn with<T>(&self, use_it: impl FnOnce(&mut Book) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many streams are not being read yet; ready once there are none.
#[derive(Clone, Debug)]
struct Unread {
    streams: Arc<AtomicUsize>,
    ready: Ready,
}

impl Unread {
    fn of(streams: usize, ready: Ready) -> Self {
        Self {
            streams: Arc::new(AtomicUsize::new(streams)),
            ready,
        }
    }

    /// Call once for each stream, when reading it has begun.
    fn one_less(&self) {
        if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.ready.set(true);
        }
    }
}

/// Runs the auditor until told to stop.
pub async fn run(common: Common, stop: CancellationToken) -> std::io::Result<()> {
    let mut telemetry = Telemetry::default();
    let metrics = verdict::Metrics::register(&mut telemetry.registry);
    let tasks = telemetry.tasks.clone();
    let (control, ledger, judge) = (
        tasks.component("control"),
        tasks.component("ledger"),
        tasks.component("audit"),
    );
    let streams: Vec<Component> = names::streams(common.partitions)
        .map(|_| tasks.component("stream"))
        .collect();
    let unread = Unread::of(streams.len(), telemetry.ready.clone());
    let process = Process::start(telemetry, &common).await?;
    let Some(nats) = process.connect(&common, &stop).await else {
        return Ok(());
    };

    let book = SharedBook(Arc::new(Mutex::new(Book::default())));
    let (drain_wanted, draining) = watch::channel(false);
    control
        .start("drain", |stop| {
            watch_drain(nats.control.clone(), drain_wanted, stop)
        })
        .await;
    for (number, stream) in (0..).zip(&streams) {
        let (nats, book, unread) = (nats.clone(), book.clone(), unread.clone());
        let work = |stop| read_stream(number, nats, book, unread, stop);
        stream.start(format!("read-{number}"), work).await;
    }
    ledger
        .start("read", |stop| read_ledger(nats.clone(), book.clone(), stop))
        .await;
    judge
        .start("judge", |stop| {
            verdict::judge(nats.clone(), book.clone(), draining, metrics, stop)
        })
        .await;

    stop.cancelled().await;
    info!("stopping");
    tokio::join!(
        control.stop(),
        join_all(streams.iter().map(Component::stop)),
        ledger.stop(),
        judge.stop()
    );
    process.stop(&nats).await;
    Ok(())
}

async fn read_stream(
    number: u32,
    nats: Nats,
    book: SharedBook,
    unread: Unread,
    stop: CancellationToken,
) {
    let mut unread = Some(unread);
    let reading = follow(
        &nats,
        Source::Stream(number),
        || {
            if let Some(unread) = unread.take() {
                unread.one_less();
            }
        },
        |message| match Numbered::decode(message.payload) {
            Ok(numbered) => book.with(|book| book.stored(number, &numbered, message.sequence)),
            Err(error) => warn!(subject = message.subject, %error, "a message that is not ours"),
        },
    );
    tokio::select! {
        () = stop.cancelled() => {}
        () = reading => {}
    }
}

async fn read_ledger(nats: Nats, book: SharedBook, stop: CancellationToken) {
    let prefix = format!("$KV.{}.", names::LEDGER);
    let reading = follow(
        &nats,
        Source::Ledger,
        || (),
        |message| {
            let key = message.subject.strip_prefix(&prefix);
            let Some(partition) = key.and_then(names::partition_of_durable) else {
                return;
            };
            match serde_json::from_slice::<Entry>(message.payload) {
                Ok(entry) => book.with(|book| book.recorded(partition, entry, message.sequence)),
                Err(error) => warn!(partition, %error, "failed to decode an entry of the ledger"),
            }
        },
    );
    tokio::select! {
        () = stop.cancelled() => {}
        () = reading => {}
    }
}
