//! From the book to the metrics: when a loss is certain, and when a drain has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures::{StreamExt, TryStreamExt};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::SharedBook;
use super::book::Totals;
use crate::consume::ACK_WAIT;
use crate::ledger;
use crate::names;
use crate::nats::Nats;
use crate::telemetry::{counter, gauge};

/// How often the book is judged; "twice" means in two judgements.
const LOOK: Duration = Duration::from_secs(1);
/// A number that waits this long is worth asking the server about.
const SLOW: Duration = Duration::from_secs(3);
/// Partitions asked about in one judgement, and at the same time.
const ASK: usize = 64;
const ASK_AT_ONCE: usize = 8;
/// Producers look for the drain every second: after this none is publishing any more.
const STREAM_QUIET: Duration = Duration::from_secs(3);
/// A takeover and a redelivery fit in here: after this nobody comes for what is left.
const LEDGER_QUIET: Duration = Duration::from_secs(10).saturating_add(ACK_WAIT);

/// What the auditor shows.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    lost: Counter,
    duplicated: Counter,
    out_of_order: Counter,
    stored: Counter,
    unreceived: Gauge,
    drained: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            lost: counter(
                registry,
                "soak_sim_messages_lost",
                "Messages certainly lost, from streams and ledger",
            ),
            duplicated: counter(
                registry,
                "soak_sim_messages_duplicated",
                "Messages processed although already in the ledger, from the ledger",
            ),
            out_of_order: counter(
                registry,
                "soak_sim_messages_out_of_order",
                "Messages processed for the first time after one of a higher number, from the ledger",
            ),
            stored: counter(
                registry,
                "soak_sim_messages_stored",
                "Messages in all streams, as read by the auditor",
            ),
            unreceived: gauge(
                registry,
                "soak_sim_messages_unreceived",
                "Messages in all streams that are not in the ledger yet",
            ),
            drained: gauge(
                registry,
                "soak_sim_drained",
                "1 once a drain was asked for and has come to rest: losses are final",
            ),
        }
    }

    fn show(&self, totals: Totals) {
        raise(&self.lost, totals.lost);
        raise(&self.duplicated, totals.duplicated);
        raise(&self.out_of_order, totals.out_of_order);
        raise(&self.stored, totals.stored);
        self.unreceived
            .set(i64::try_from(totals.unreceived).unwrap_or(i64::MAX));
    }
}

/// Raises a counter to a total. A counter never goes down: neither may what it counts.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// Judges the book once a second until told to stop.
pub(super) async fn judge(
    nats: Nats,
    book: SharedBook,
    draining: watch::Receiver<bool>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut slow = Slow::default();
    let mut rest = Rest::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        book.with(super::book::Book::confirm_holes);
        let asked = slow.next_to_ask(&book);
        confirm_acked(&nats, &book, asked).await;
        let resting = rest.look(book.with(|book| book.totals()), *draining.borrow());
        let drained =
            resting && read_all(&nats, &book).await && received_all(&nats, &book, &rest).await;
        let totals = book.with(|book| book.totals());
        metrics.show(totals);
        if metrics.drained.set(i64::from(drained)) != i64::from(drained) {
            info!(drained, ?totals, "the drain");
        }
        if totals.lost < metrics.lost.get() {
            error!(
                counted = metrics.lost.get(),
                now = totals.lost,
                "a loss was counted that was none"
            );
        }
    }
}

/// Since when the first unreceived number of each partition is the same.
#[derive(Debug, Default)]
struct Slow {
    since: BTreeMap<u32, (u64, Instant)>,
    next: u32,
}

impl Slow {
    /// Partitions that have waited long for a number, the next [`ASK`] in turn.
    fn next_to_ask(&mut self, book: &SharedBook) -> Vec<u32> {
        let now = Instant::now();
        let waiting = book.with(|book| book.waiting());
        let since = |partition: &u32, first: u64| match self.since.get(partition) {
            Some(&(same, since)) if same == first => since,
            _ => now,
        };
        self.since = waiting
            .iter()
            .map(|(p, first)| (*p, (*first, since(p, *first))))
            .collect();
        let slow = |range| {
            let waited = |&(_, since): &(u64, Instant)| now.duration_since(since) >= SLOW;
            self.since
                .range(range)
                .filter(move |(_, of)| waited(of))
                .map(|(p, _)| *p)
                .collect::<Vec<u32>>()
        };
        let mut slow = [slow(self.next..u32::MAX), slow(0..self.next)].concat();
        slow.truncate(ASK);
        // All of them again next time if they fit, so that a second look follows the first.
        if slow.len() == ASK {
            self.next = slow.last().map_or(0, |last| last + 1);
        }
        slow
    }
}

/// Asks the server how far each partition is acknowledged, and then the ledger what it has: in
/// this order, for workers write the ledger before they acknowledge.
async fn confirm_acked(nats: &Nats, book: &SharedBook, partitions: Vec<u32>) {
    futures::stream::iter(partitions)
        .for_each_concurrent(ASK_AT_ONCE, |partition| async move {
            let stream = names::stream(names::stream_of(partition));
            let consumer: Result<PullConsumer, _> = nats
                .jetstream
                .get_consumer_from_stream(names::durable(partition), stream)
                .await;
            let floor = match consumer {
                Ok(consumer) => consumer.cached_info().ack_floor.stream_sequence,
                Err(error) => return debug!(partition, %error, "failed to ask for the consumer"),
            };
            if record_fresh(nats, book, partition).await {
                book.with(|book| book.confirm_acked(partition, floor));
            }
        })
        .await;
}

async fn record_fresh(nats: &Nats, book: &SharedBook, partition: u32) -> bool {
    match ledger::read(&nats.ledger, partition).await {
        Ok((entry, revision)) => {
            book.with(|book| book.recorded(partition, entry, revision));
            true
        }
        Err(error) => {
            warn!(partition, %error, "failed to read the ledger");
            false
        }
    }
}

/// Since when nothing has moved during a drain.
#[derive(Debug, Default)]
struct Rest {
    seen: Totals,
    stream: Option<Instant>,
    ledger: Option<Instant>,
}

impl Rest {
    /// Whether producers have come to rest under a drain.
    fn look(&mut self, totals: Totals, draining: bool) -> bool {
        let now = Instant::now();
        if !draining || totals.stored != self.seen.stored {
            self.stream = None;
        }
        let moved =
            totals.received != self.seen.received || totals.duplicated != self.seen.duplicated;
        if !draining || moved {
            self.ledger = None;
        }
        self.seen = totals;
        self.ledger.get_or_insert(now);
        draining && self.stream.get_or_insert(now).elapsed() >= STREAM_QUIET
    }

    /// Whether workers have had all the time that a takeover takes.
    fn ledger_is_quiet(&self) -> bool {
        self.ledger
            .is_some_and(|since| since.elapsed() >= LEDGER_QUIET)
    }
}

/// Whether we have read every stream to its end. One request tells the ends of all of them.
async fn read_all(nats: &Nats, book: &SharedBook) -> bool {
    let listed: Vec<_> = match nats.jetstream.streams().try_collect().await {
        Ok(listed) => listed,
        Err(error) => {
            warn!(%error, "failed to ask for the ends of the streams");
            return false;
        }
    };
    let ends: BTreeMap<u32, u64> = listed
        .iter()
        .filter_map(|info| {
            let number = names::number_of_stream(&info.config.name)?;
            Some((number, info.state.last_sequence))
        })
        .collect();
    book.with(|book| {
        names::streams(nats.partitions).all(|stream| {
            ends.get(&stream)
                .is_some_and(|end| book.read_to(stream) >= *end)
        })
    })
}

/// Whether all was received, or the rest must be given up.
async fn received_all(nats: &Nats, book: &SharedBook, rest: &Rest) -> bool {
    if book.with(|book| book.totals()).unreceived == 0 {
        return true;
    }
    if !rest.ledger_is_quiet() {
        return false;
    }
    for partition in book.with(|book| book.waiting()).into_keys() {
        if !record_fresh(nats, book, partition).await {
            return false;
        }
    }
    book.with(super::book::Book::give_up_waiting);
    true
}
