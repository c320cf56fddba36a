//! Half an hour of chaos on the simulation, its NATS included: nothing is lost, work is taken over in time, rebalances end,
//! messages are fast where nobody is missing, and the tasks come back to where they were. `make soak-sim` prints the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{Phase, SoakTest};
use soak_e2e::{
    JournalEvent, Namespace, Nodes, Operator, Series, Soak, client, criterion, node_of, quantile,
    query, say, simulation, small, span,
};

const MINUTES: u64 = 30;
/// When NATS is killed: the kubelet restarts a container at once only if it ran ten minutes before.
const NATS_KILLED_AFTER: [u64; 3] = [3 * 60, 14 * 60, 25 * 60];
/// How long work may stand still after 95 of 100 blows, how long a rebalance may take, and 99 of 100 messages where nobody
/// is missing, in seconds; bounds of the histograms' buckets.
const TAKEOVER: f64 = 15.0;
const REBALANCE: f64 = 60.0;
const LATENCY: f64 = 0.1;

fn test() -> SoakTest {
    let mut test = small("half-an-hour");
    let spec = &mut test.spec;
    let simulation = simulation(spec);
    simulation.partitions = 60;
    simulation.workers.replicas = 6;
    simulation.producers.replicas = 2;
    spec.warm_up = span(60);
    spec.duration = span(60 * MINUTES);
    spec.settle = span(60);
    spec.deadline = Some(span(60 * MINUTES + 400));
    let chaos = json!({
        "interval": {"min": "10s", "max": "20s"},
        "guard": {"startAfter": "5s", "minReadyPercent": 50, "overlap": true},
        "events": [
            {"podKill": {"component": "worker"}, "weight": 2},
            {"podRestart": {"component": "worker", "gracePeriod": "5s"}},
            {"podCrash": {"component": "worker"}},
            {"leaderKill": {"component": "worker"}},
            {"podKill": {"component": "producer"}},
        ],
    });
    spec.chaos = Some(serde_json::from_value(chaos).expect("chaos"));
    let back = json!({"name": "back-to-base", "delta": {"signal": "Tasks", "within": 5}});
    spec.criteria
        .push(serde_json::from_value(back).expect("a criterion"));
    test
}

/// Something that was hit, and until when it was missing.
#[derive(Debug)]
struct Blow {
    what: String,
    at: Timestamp,
    back: Timestamp,
    /// How long a message had to wait for it, at most: the bound of a bucket.
    waited: f64,
}

impl Blow {
    fn of(event: &JournalEvent, end: Timestamp) -> Self {
        Self {
            what: format!("{} {}", event.kind, event.component),
            at: event.injected_at.unwrap_or(event.planned_at),
            back: event.recovered_at.unwrap_or(end),
            waited: 0.0,
        }
    }
}

/// What a worker's histogram counted between two scrapes: so many messages that took longer than `above` and at most `to`.
#[derive(Debug)]
struct Counted {
    from: Timestamp,
    until: Timestamp,
    above: f64,
    to: f64,
    messages: f64,
}

/// A histogram: the upper bounds of its buckets, and what each counted together with those before it.
type Buckets = Vec<(f64, f64)>;

/// What each scrape of each pod found.
fn scrapes(series: &[Series]) -> BTreeMap<&str, BTreeMap<Timestamp, Buckets>> {
    let mut pods: BTreeMap<_, BTreeMap<_, Buckets>> = BTreeMap::new();
    for one in series {
        let bound: f64 = one.labels["le"].replace("+Inf", "inf").parse().unwrap();
        let scrapes = pods.entry(one.labels["pod"].as_str()).or_default();
        for (at, count) in &one.samples {
            scrapes.entry(*at).or_default().push((bound, *count));
        }
    }
    for buckets in pods.values_mut().flat_map(BTreeMap::values_mut) {
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    }
    pods
}

/// What was counted between each scrape of a pod and the one before; the first tells of the five seconds before it, and so
/// does one after a crash, from which on all counts begin again.
fn counted(series: &[Series]) -> Vec<Counted> {
    let mut all = Vec::new();
    for scrapes in scrapes(series).values() {
        let mut before: Option<(Timestamp, &Buckets)> = None;
        for (until, buckets) in scrapes {
            let goes_on = |(_, old): &(Timestamp, &Buckets)| {
                old.last().map(|(_, count)| count) <= buckets.last().map(|(_, count)| count)
            };
            let since = before.filter(goes_on);
            let from = since.map_or(*until - SignedDuration::from_secs(5), |(at, _)| at);
            let (mut above, mut counted) = (0.0, 0.0);
            for (place, (to, count)) in buckets.iter().enumerate() {
                let up_to = count - since.map_or(0.0, |(_, old)| old[place].1);
                all.push(Counted {
                    from,
                    until: *until,
                    above,
                    to: *to,
                    messages: up_to - counted,
                });
                (above, counted) = (*to, up_to);
            }
            before = Some((*until, buckets));
        }
    }
    all.retain(|counted| counted.messages > 0.0);
    all
}

/// Charges each message that waited to the last blow before it began to: it waited longer than its bucket's lower bound.
fn charge(blows: &mut [Blow], counted: &[Counted]) {
    for one in counted {
        let began = one.until - SignedDuration::from_secs_f64(one.above);
        let cause = blows.iter_mut().rev().find(|blow| blow.at <= began);
        if let Some(blow) = cause {
            blow.waited = blow.waited.max(one.to);
        }
    }
}

fn total_of<'c>(counted: impl Iterator<Item = &'c Counted>) -> f64 {
    counted.fold(0.0, |total, one| total + one.messages)
}

/// How many messages were counted while nobody was missing, and how many of them took longer than [`LATENCY`].
fn outside(blows: &[Blow], counted: &[Counted], until: Timestamp) -> (f64, f64) {
    let calm = |one: &&Counted| {
        let hit = |blow: &Blow| blow.at <= one.until && one.from <= blow.back;
        one.until <= until && !blows.iter().any(hit)
    };
    let calm: Vec<_> = counted.iter().filter(calm).collect();
    let slow = calm.iter().filter(|one| one.to > LATENCY);
    (total_of(calm.iter().copied()), total_of(slow.copied()))
}

/// Kills NATS and says when that was.
async fn kill_nats(soak: &Soak, nodes: &Nodes) -> Blow {
    let pods = soak.pods("nats").await;
    let [pod] = &pods[..] else {
        panic!("{} pods of NATS", pods.len())
    };
    let at = Timestamp::now();
    let killed = nodes.kill(&node_of(pod), &pod.uid().unwrap()).await;
    assert!(!killed.is_empty(), "nothing of {} ran", pod.name_any());
    say("killed NATS");
    Blow {
        what: "NATS killed".to_owned(),
        at,
        // Nobody notes when NATS is back; whoever waits for it longer is slow.
        back: at + SignedDuration::from_secs(15),
        waited: 0.0,
    }
}

/// A line for each kind of blow: how often, and how many of them made no message wait longer than each bound.
fn table(blows: &[Blow]) -> String {
    let bounds = [LATENCY, 1.0, 5.0, TAKEOVER, 60.0, f64::INFINITY];
    let kinds: BTreeSet<_> = blows.iter().map(|blow| blow.what.as_str()).collect();
    let line = |kind: &str| {
        let all: Vec<_> = blows.iter().filter(|blow| blow.what == kind).collect();
        let within = |bound: f64| all.iter().filter(|blow| blow.waited <= bound).count();
        let counts = bounds.map(|bound| format!("{:>6}", within(bound))).concat();
        format!("\n  {kind:<20}{:>6}{counts}", all.len())
    };
    let heading = format!("\n  {:<20}{:>6}", "no message waited", "blows");
    let within = bounds
        .map(|bound| format!("{:>6}", format!("{bound}s")))
        .concat();
    heading + &within.replace("infs", " any") + &kinds.into_iter().map(line).collect::<String>()
}

#[tokio::test]
async fn half_an_hour_of_chaos_loses_nothing_and_everything_comes_back() {
    let client = client().await;
    let namespace = Namespace::new(&client, "soak-sim").await;
    let (operator, nodes) = (Operator::find(&client).await, Nodes::open(&client).await);
    let soak = namespace.soak(&test()).await;
    let begun = tokio::time::Instant::now();
    soak.reaches(Phase::Soaking, Duration::from_secs(240)).await;
    let mut blows = Vec::new();
    for seconds in NATS_KILLED_AFTER {
        // A plan, and not a condition.
        tokio::time::sleep_until(begun + Duration::from_secs(seconds)).await;
        blows.push(kill_nats(&soak, &nodes).await);
    }
    let status = soak.ends().await;
    let settled = status.times.judging.expect("it was judged");

    let events = JournalEvent::all(&soak.journal(&status).await);
    let hits = events.iter().filter(|event| event.hit());
    blows.extend(hits.map(|event| Blow::of(event, settled)));
    blows.sort_by_key(|blow| blow.at);
    let range = |metric: &str| {
        format!(
            "{metric}{{namespace=\"{}\"}}[{}m]",
            soak.namespace,
            MINUTES + 10
        )
    };
    let latency = query(&operator, &range("soak_sim_message_latency_seconds_bucket")).await;
    let latency = counted(&latency.unwrap());
    charge(&mut blows, &latency);
    let (calm, slow) = outside(&blows, &latency, settled);
    let rebalances = query(
        &operator,
        &range("soak_sim_rebalance_duration_seconds_bucket"),
    )
    .await;
    let rebalances = counted(&rebalances.unwrap());
    let total = total_of(rebalances.iter());
    let long = rebalances.iter().filter(|one| one.to > REBALANCE);
    let long = total_of(long);

    let unmade = events.iter().filter(|event| !event.hit());
    let unmade: Vec<_> = unmade.map(|event| event.reason.as_str()).collect();
    say(&format!(
        "{} events, {} not carried out: {unmade:?}",
        events.len(),
        unmade.len()
    ));
    say(&table(&blows));
    say(&format!(
        "outside of recovery {slow} of {calm} messages took longer than {LATENCY} s; {long} of {total} rebalances took longer than {REBALANCE} s"
    ));
    for one in &status.criteria {
        say(&format!(
            "{}: {:?}: {}",
            one.name, one.outcome, one.sentence
        ));
    }
    for breach in &status.breaches {
        say(&format!("breach: {breach:?}"));
    }

    for name in ["no-loss", "back-to-base", "evidence"] {
        let judged = criterion(&status, name);
        assert_eq!(judged.outcome, Outcome::Passed, "{}", judged.sentence);
    }
    // Nobody planned that NATS is killed, and health says so, once; of nothing else.
    let breaches = status.breaches.iter();
    let of: BTreeSet<_> = breaches.map(|one| one.component.as_str()).collect();
    assert_eq!(of, BTreeSet::from(["nats"]));
    let waits: Vec<_> = blows
        .iter()
        .filter(|blow| blow.what != "podKill producer")
        .map(|blow| blow.waited)
        .collect();
    let p95 = quantile(&waits, 0.95);
    assert!(
        p95 <= TAKEOVER,
        "after 95 of 100 blows work stood still for up to {p95} s"
    );
    assert!(total > 0.0 && long == 0.0, "{long} of {total} rebalances");
    assert!(
        calm > 0.0 && slow <= calm / 100.0,
        "{slow} of {calm} messages"
    );
}
