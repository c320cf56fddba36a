//! Leadership by a Lease of our own: one operator acts, the others wait.
//!
//! A leader may change the cluster only while its Lease has more time left than a request may take, and its process
//! ends when it loses it. The holder is the pod's uid: a container that restarts in the same pod takes its Lease up
//! again at once, because its predecessor is dead; another pod waits until the Lease has run out or is released.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::mutant::Mutant;

const NAME: &str = "soak-operator";

/// How long a Lease is good for after its last renewal.
const DURATION: Duration = Duration::from_secs(15);

/// How often it is renewed, and asked for.
const RENEW_EVERY: Duration = Duration::from_secs(4);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long it is tried to let the Lease go, and how often: a process that is told to stop is gone in three seconds.
const RELEASED_WITHIN: Duration = Duration::from_secs(2);
const RELEASE_EVERY: Duration = Duration::from_millis(100);

/// Until when this process leads; it is extended as the Lease is renewed.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    term: watch::Receiver<Option<Term>>,
}

/// One process's time as the leader.
#[derive(Clone, Copy, Debug)]
struct Term {
    /// The Lease runs out then, if it is not renewed.
    until: Instant,
    /// When the last leader before this process led.
    before: Option<Led>,
}

/// The time for which a process is known to have led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Led {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

impl Leadership {
    /// Whether the Lease outlasts a request that begins now.
    pub(crate) fn may_act(&self) -> bool {
        let term = self.term.borrow();
        let lasts = |term: Term| term.until > Instant::now() + REQUEST_TIMEOUT;
        term.is_some_and(lasts) || Mutant::IgnoresTheLease.is_on()
    }

    /// When the last leader before this process led; from then on nobody was there.
    pub(crate) fn led_before(&self) -> Option<Led> {
        self.term.borrow().and_then(|term| term.before)
    }

    /// Waits until this process leads.
    pub(crate) async fn acquired(&mut self) {
        // The keeper lives as long as the process; if it is gone, so is all hope to lead.
        if self.term.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Asks for the Lease, then keeps it.
pub(crate) struct Keeper {
    leases: Api<Lease>,
    holder: String,
    clock: Clock,
    term: watch::Sender<Option<Term>>,
    /// Whom we saw holding it, by renewal, and since when: time is measured here, not read off another's clock.
    rival: Option<(Option<MicroTime>, Instant)>,
    /// What was asked for has no answer, and may be done yet, or met a conflict, which may be with what was asked for before.
    unanswered: bool,
}

impl Keeper {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        holder: String,
        clock: Clock,
    ) -> (Self, Leadership) {
        let (term, receiver) = watch::channel(None);
        let leases = Api::namespaced(client, namespace);
        (
            Self {
                leases,
                holder,
                clock,
                term,
                rival: None,
                unanswered: false,
            },
            Leadership { term: receiver },
        )
    }

    /// Returns when leadership is lost, which has to end the process.
    pub(crate) async fn keep(&mut self) {
        loop {
            let asked_at = Instant::now();
            match tokio::time::timeout(REQUEST_TIMEOUT, self.ask()).await {
                Ok(Ok(Answer::Held { before })) => {
                    self.unanswered = false;
                    let before = self.term.borrow().map_or(before, |term| term.before);
                    let until = asked_at + DURATION;
                    self.term.send_replace(Some(Term { until, before }));
                }
                Ok(Ok(Answer::Taken)) if self.term.borrow().is_some() => {
                    tracing::error!("another operator holds the lease");
                    return;
                }
                Ok(Ok(Answer::RanOut)) => {
                    tracing::error!("the lease had run out before it was renewed");
                    return;
                }
                Ok(Ok(Answer::Taken)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "failed to renew the lease"),
                Err(_) => {
                    tracing::warn!("the API server did not answer in time to renew the lease");
                }
            }
            let until = self.term.borrow().map(|term| term.until);
            match until {
                Some(until) if until <= Instant::now() + REQUEST_TIMEOUT => {
                    tracing::error!("the lease runs out and could not be renewed");
                    return;
                }
                Some(_) => tokio::time::sleep_until(asked_at + RENEW_EVERY).await,
                None => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    /// Lets the next operator take over at once, also where the Lease becomes ours only now: what was asked for when this
    /// process was told to stop may be done after that.
    pub(crate) async fn release(&mut self) {
        let led = self.term.send_replace(None).is_some();
        if !led && !self.unanswered {
            return;
        }
        let released = async {
            loop {
                match self.give_back().await {
                    Ok(true) => {
                        tracing::info!("the lease is released");
                        return;
                    }
                    Ok(false) if !self.unanswered => return,
                    Ok(false) => {}
                    Err(error) => tracing::debug!(%error, "failed to release the lease"),
                }
                tokio::time::sleep(RELEASE_EVERY).await;
            }
        };
        let in_time = tokio::time::timeout(RELEASED_WITHIN, released).await;
        if led && in_time.is_err() {
            tracing::warn!("the lease could not be released, it runs out by itself");
        }
    }

    /// Whether the Lease was ours, and is nobody's now.
    async fn give_back(&self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            return Ok(false);
        };
        let ours = holder_of(&lease) == Some(&self.holder);
        if ours {
            let now = MicroTime(self.clock.now());
            let_go(lease.spec.get_or_insert_default(), now);
            self.leases
                .replace(NAME, &PostParams::default(), &lease)
                .await?;
        }
        Ok(ours)
    }

    /// Takes or renews the Lease if nobody else holds it; a conflict means that somebody else was faster.
    async fn ask(&mut self) -> Result<Answer, kube::Error> {
        let now = MicroTime(self.clock.now());
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(NAME.into()),
                    ..ObjectMeta::default()
                },
                spec: Some(held(None, &self.holder, false, now)),
            };
            self.unanswered = true;
            return won(
                self.leases.create(&PostParams::default(), &lease).await,
                None,
            );
        };
        let holder = holder_of(&lease).cloned();
        if holder.as_ref() != Some(&self.holder) && holder.is_some() && !self.rival_is_dead(&lease)
        {
            // What was asked for before meets a conflict.
            self.unanswered = false;
            return Ok(Answer::Taken);
        }
        let before = lease.spec.as_ref().and_then(|spec| {
            let until = spec.renew_time.as_ref()?.0;
            let since = spec.acquire_time.as_ref().map_or(until, |at| at.0);
            Some(Led { since, until })
        });
        let leads = self.term.borrow().is_some();
        // It was stopped for as long: a process that begins anew says since when nobody was there.
        if leads
            && !Mutant::GoesOnWhereItWasFrozen.is_on()
            && !lease.spec.as_ref().is_some_and(|spec| lasts(spec, &now))
        {
            return Ok(Answer::RanOut);
        }
        lease.spec = Some(held(lease.spec.as_ref(), &self.holder, leads, now));
        self.unanswered = true;
        won(
            self.leases
                .replace(NAME, &PostParams::default(), &lease)
                .await,
            before,
        )
    }

    fn rival_is_dead(&mut self, lease: &Lease) -> bool {
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        match &self.rival {
            Some((seen, since)) if *seen == renewed => since.elapsed() > DURATION,
            _ => {
                self.rival = Some((renewed, Instant::now()));
                false
            }
        }
    }
}

/// The Lease once it is taken or renewed by `holder`, whose process `leads` if it held it before. One that starts anew in the
/// same pod leads anew.
fn held(before: Option<&LeaseSpec>, holder: &str, leads: bool, now: MicroTime) -> LeaseSpec {
    let ours = |spec: &&LeaseSpec| spec.holder_identity.as_deref() == Some(holder);
    let kept = before.filter(|spec| leads && ours(spec));
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    LeaseSpec {
        acquire_time: kept
            .and_then(|spec| spec.acquire_time.clone())
            .or(Some(now.clone())),
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        lease_transitions: Some(if before.as_ref().is_some_and(ours) {
            transitions
        } else {
            transitions + 1
        }),
        renew_time: Some(now),
        ..LeaseSpec::default()
    }
}

/// Nobody holds the Lease any more, and its holder led until now; not if it had run out, for it may have been stopped for as
/// long, and that time is not to count as led.
fn let_go(spec: &mut LeaseSpec, now: MicroTime) {
    spec.holder_identity = None;
    if lasts(spec, &now) || Mutant::SaysItLed.is_on() {
        spec.renew_time = Some(now);
    }
}

/// Whether the Lease has not run out.
fn lasts(spec: &LeaseSpec, now: &MicroTime) -> bool {
    let renewed = spec.renew_time.as_ref();
    renewed.is_some_and(|at| now.0.duration_since(at.0).unsigned_abs() < DURATION)
}

fn holder_of(lease: &Lease) -> Option<&String> {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_ref())
        .filter(|holder| !holder.is_empty())
}

/// What came of asking for the Lease.
enum Answer {
    /// It is ours; whoever had it before, we or another, led then.
    Held { before: Option<Led> },
    /// It is somebody else's.
    Taken,
    /// It was ours, and has run out.
    RanOut,
}

fn won(answer: Result<Lease, kube::Error>, before: Option<Led>) -> Result<Answer, kube::Error> {
    match answer {
        Ok(_) => Ok(Answer::Held { before }),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Answer::Taken),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> MicroTime {
        MicroTime(Timestamp::from_second(1_800_000_000 + second).expect("in range"))
    }

    /// When the holder is said to have begun to lead, after it renewed its Lease so many seconds after the last time.
    fn leads_since(holder: &str, leads: bool, pause: i64) -> i64 {
        let before = held(None, "one", false, at(0));
        let renewed = held(Some(&before), "one", true, at(4));
        let after = held(Some(&renewed), holder, leads, at(4 + pause));
        after.acquire_time.expect("said").0.as_second() - 1_800_000_000
    }

    #[test]
    fn a_lease_that_is_renewed_in_time_is_held_since_it_was_taken() {
        assert_eq!(leads_since("one", true, 4), 0);
        assert_eq!(leads_since("one", true, 14), 0);
    }

    #[test]
    fn whoever_may_not_have_been_there_leads_anew() {
        assert_eq!(leads_since("two", false, 20), 24, "another pod");
        assert_eq!(leads_since("one", false, 1), 5, "another process");
    }

    #[test]
    fn whoever_lets_a_lease_go_led_until_then_and_not_if_it_had_run_out() {
        let led_until = |second| {
            let mut spec = held(None, "one", false, at(4));
            let_go(&mut spec, at(second));
            assert_eq!(spec.holder_identity, None);
            spec.renew_time
        };
        assert_eq!(led_until(8), Some(at(8)));
        assert_eq!(led_until(60), Some(at(4)));
    }
}
