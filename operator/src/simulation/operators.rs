//! Operators: processes that are killed, stopped, and started again, each with the operator's own code inside.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::watcher;
use soak_api::SoakTest;
use tokio::sync::Notify;

use super::api_server::{Caller, client};
use super::cluster::Model;
use super::faults::Dice;
use crate::clock::Clock;
use crate::context::Context;
use crate::controller::{reconcile, retry_after};
use crate::facts::PodFacts;
use crate::lease::{Keeper, Leadership};
use crate::metrics::Metrics;
use crate::outside::Outside;
use crate::workload::Images;

/// How long nothing happens, at most, where something may have.
const BLINK: Duration = Duration::from_millis(100);

/// Stops and goes on like a process that gets SIGSTOP and SIGCONT.
#[derive(Default)]
pub(super) struct Brake {
    on: AtomicBool,
    asleep: Mutex<Option<Waker>>,
}

impl Brake {
    pub(super) fn set(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        if !on && let Some(waker) = asleep.take() {
            waker.wake();
        }
    }

    /// Goes on with `inner` while the brake is off.
    async fn hold<T>(&self, inner: impl Future<Output = T>) -> T {
        let mut inner = pin!(inner);
        std::future::poll_fn(|cx: &mut task::Context<'_>| {
            if self.on.load(Ordering::SeqCst) {
                let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
                *asleep = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Pin::as_mut(&mut inner).poll(cx)
        })
        .await
    }
}

/// Keeps one replica alive: whenever its process ends, another one begins in the same pod or in a new one.
pub(super) async fn replica(
    model: Arc<Model>,
    number: u64,
    seed: u64,
    brake: Arc<Brake>,
    told_to_stop: Arc<Notify>,
) {
    let mut dice = Dice::new(seed, 100 + number);
    let mut pod = 0;
    for start in 0.. {
        let caller = Arc::new(Caller::new(format!("operator-{number}-{pod}")));
        let identity = format!("{}/{start}", caller.holder);
        let feed = Dice::new(seed, 1_000 * (number + 1) + start);
        let process = process(model.clone(), caller.clone(), identity, feed, &told_to_stop);
        tokio::select! {
            biased;
            () = caller.killed.notified() => model.state().promises.kills += 1,
            end = brake.hold(process) => {
                model.tell(format!("{} ends: {end:?}", caller.holder));
                // Another pod takes its place.
                pod += u64::from(end == End::ToldToStop);
            }
        }
        let calm = model.state().calm;
        let away = if calm {
            dice.between(200, 2_000)
        } else {
            dice.between(200, 9_000)
        };
        tokio::time::sleep(Duration::from_millis(away)).await;
        if dice.chance(300) {
            pod += 1;
        }
    }
}

/// Why a process ends that nobody kills.
#[derive(Debug, PartialEq)]
enum End {
    ToldToStop,
    DoesNotLead,
}

/// One process, from its start to its end.
async fn process(
    model: Arc<Model>,
    caller: Arc<Caller>,
    identity: String,
    dice: Dice,
    told_to_stop: &Notify,
) -> End {
    let client = client(model.clone(), caller.clone());
    let (mut keeper, mut leadership) = keeper(client.clone(), &caller, model.clock);
    let work = async {
        leadership.acquired().await;
        model.tell(format!("{identity} leads"));
        Box::pin(lead(&model, client, identity, leadership.clone(), dice)).await;
    };
    let end = tokio::select! {
        biased;
        () = told_to_stop.notified() => End::ToldToStop,
        // A process that was stopped for long works on before it knows that it does not lead any more.
        () = work => End::DoesNotLead,
        () = keeper.keep() => End::DoesNotLead,
    };
    keeper.release().await;
    end
}

/// What takes and keeps the Lease for that operator.
pub(super) fn keeper(client: Client, caller: &Caller, clock: Clock) -> (Keeper, Leadership) {
    Keeper::new(client, "soak-system", caller.holder.clone(), clock)
}

/// What the watches have brought.
struct Seen {
    test: Mutex<Option<Arc<SoakTest>>>,
    changed: Notify,
}

async fn lead(
    model: &Arc<Model>,
    client: Client,
    identity: String,
    leadership: Leadership,
    dice: Dice,
) {
    let reporter = Reporter {
        controller: "soak-operator".into(),
        instance: Some(identity.clone()),
    };
    let images = Images {
        worker: "worker".into(),
        producer: "producer".into(),
        nats: "nats".into(),
    };
    let ctx = Arc::new(Context::new(
        client.clone(),
        identity,
        images,
        Some("http://model".into()),
        PodFacts::default(),
        Recorder::new(client, reporter),
        Metrics::new(),
        leadership,
        model.clock,
        Outside::Model(model.clone()),
    ));
    let seen = Seen {
        test: Mutex::new(None),
        changed: Notify::new(),
    };
    tokio::join!(
        watch(model, &ctx.pods, &seen, dice),
        steps(model, &ctx, &seen)
    );
}

/// The controller: one reconcile after the other, when something changed or when it is time.
async fn steps(model: &Model, ctx: &Arc<Context>, seen: &Seen) {
    loop {
        let test = seen
            .test
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let again = match test {
            Some(test) => {
                model.state().promises.reconciles += 1;
                match reconcile(test, ctx).await {
                    Ok(again) => again,
                    Err(error) => Some(retry_after(&error)),
                }
            }
            None => None,
        };
        let pause = tokio::time::sleep(again.unwrap_or(Duration::from_secs(3_600)));
        tokio::select! {
            biased;
            () = seen.changed.notified() => {}
            () = pause => {}
        }
    }
}

/// Brings what happened to pods and to the SoakTest, in order and late.
async fn watch(model: &Model, pods: &PodFacts, seen: &Seen, mut dice: Dice) {
    let faults = model.faults;
    let lag = Cell::new(SignedDuration::ZERO);
    let mut tests = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(dice.between(20, 1_500))).await;
        let mut told = relist(model, pods);
        seen.changed.notify_one();
        loop {
            let now = model.clock.now();
            let (event, test, calm) = {
                let state = model.state();
                let visible = |at: &Timestamp| *at + lag.get() <= now;
                let event = state.told.get(told).filter(|(at, _)| visible(at));
                let test = state.tests.get(tests).filter(|(at, _)| visible(at));
                (event.cloned(), test.cloned(), state.calm)
            };
            if event.is_none() && test.is_none() {
                tokio::time::sleep(BLINK).await;
                continue;
            }
            if let Some((_, test)) = test {
                tests += 1;
                let mut known = seen.test.lock().unwrap_or_else(PoisonError::into_inner);
                let generation = |test: &Option<Arc<SoakTest>>| {
                    test.as_ref().and_then(|test| test.metadata.generation)
                };
                if generation(&known) != generation(&test) {
                    seen.changed.notify_one();
                }
                *known = test;
            }
            if let Some((_, event)) = event {
                told += 1;
                if pods.takes_in(event) {
                    seen.changed.notify_one();
                }
                let late = if !calm && dice.chance(faults.lags) {
                    dice.between(300, 8_000)
                } else {
                    dice.between(0, 30)
                };
                lag.set(SignedDuration::from_millis(
                    i64::try_from(late).unwrap_or(0),
                ));
                if !calm && dice.chance(faults.relists) {
                    break;
                }
            }
        }
    }
}

/// Lists all pods; the answer is how much of what will be told is in the list already.
fn relist(model: &Model, pods: &PodFacts) -> usize {
    let state = model.state();
    pods.takes_in(watcher::Event::Init);
    for live in state.pods.values() {
        pods.takes_in(watcher::Event::InitApply(live.pod.clone()));
    }
    pods.takes_in(watcher::Event::InitDone);
    state.told.len()
}
