//! Chaos: what is due, whether a guard refuses it, which pod it hits, and what became of what was begun.
//!
//! One event goes through four writes at most: its intent before anything is done, its result, its recovery into the
//! journal, and that into the status. A pending intent found later is resolved and never forgotten.

use jiff::{SignedDuration, Timestamp};
use soak_api::{
    Chaos, EventRecord, EventResult, PendingIntent, Recovering, SoakOutcome, SoakTest,
    SoakTestStatus,
};

use super::{Decision, Draft, Effect, health, lifecycle, signed};
use crate::chaos::grace_period_seconds;
use crate::facts::PodFact;
use crate::journal::{Entry, Journal};
use crate::mutant::Mutant;
use crate::plan::{self, PlannedEvent};
use crate::reasons::{breach, chaos as reason};

/// How late an event may still be carried out.
const LATEST: SignedDuration = SignedDuration::from_secs(10);

/// How many events the status shows.
const RECENT: usize = 10;

/// What came of carrying out an intent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KillResult {
    /// The API server accepted it for the intended pod.
    Accepted,
    /// The pod was gone, or its name had passed to another.
    Gone,
    /// The API server refused it, for the reason given.
    Refused(String),
    /// Nobody knows: no answer came.
    Unknown,
}

/// Counts the plan as the window begins; `false` if there is none to be had, which ends the soak.
pub(super) fn start(draft: &mut Draft<'_>) -> bool {
    match planned(draft) {
        Ok(events) => {
            let began = draft.now;
            let status = &mut draft.decision.status.chaos;
            status.planned = u32::try_from(events.len()).unwrap_or(u32::MAX);
            status.next_at = events.first().map(|event| began + signed(event.at));
            status.summary = summary(status.injected, status.planned);
            true
        }
        Err(error) => {
            lifecycle::end(
                draft,
                SoakOutcome::Inconclusive,
                format!("Inconclusive: {error}"),
            );
            false
        }
    }
}

/// Resolves what is begun and begins what is due, one event a pass.
pub(super) fn step(draft: &mut Draft<'_>, window_end: Timestamp) {
    if let Some(intent) = draft.before.chaos.pending.clone() {
        settle_intent(draft, intent);
        return;
    }
    recover(draft);
    let Some(began) = draft.before.times.soaking else {
        return;
    };
    let Ok(events) = planned(draft) else { return };
    let due = draft.decision.status.chaos.due as usize;
    let Some(event) = events.get(due) else {
        draft.status().chaos.next_at = None;
        return;
    };
    let at = began + signed(event.at);
    draft.status().chaos.next_at = Some(at);
    if draft.now < at {
        draft.look_at(at);
        return;
    }
    draft.status().chaos.due += 1;
    draft.status().chaos.next_at = events.get(due + 1).map(|next| began + signed(next.at));
    match target(draft, event, at, window_end) {
        Ok(pod) => {
            let version = pod.version.clone();
            let intent = PendingIntent {
                index: event.index,
                kind: event.kind.name().to_owned(),
                component: event.kind.component().to_owned(),
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
                grace_period_seconds: grace_period_seconds(&event.kind),
                planned_at: at,
                decided_at: draft.now,
            };
            if !Mutant::ForgetsTheIntent.is_on() {
                draft.status().chaos.pending = Some(intent.clone());
            }
            draft.decision.effect = Effect::Kill {
                intent,
                version,
                again: false,
            };
        }
        Err(reason) => {
            let record = EventRecord {
                index: event.index,
                kind: event.kind.name().to_owned(),
                component: event.kind.component().to_owned(),
                pod: String::new(),
                uid: String::new(),
                planned_at: at,
                injected_at: None,
                recovered_at: None,
                result: EventResult::Skipped,
                reason: reason.to_owned(),
            };
            draft.announce(
                true,
                "ChaosSkipped",
                format!("event {} was skipped: {reason}", event.index),
            );
            keep(draft, record);
            draft.look_at(draft.now);
        }
    }
}

/// Begins nothing more, since the soak ends before its time; `false` while something begun is still open. What was planned
/// for later is planned no longer.
pub(super) fn stop(draft: &mut Draft<'_>) -> bool {
    if let Some(intent) = draft.before.chaos.pending.clone() {
        settle_intent(draft, intent);
        draft.look_at(draft.now);
        return false;
    }
    recover(draft);
    let status = &mut draft.decision.status.chaos;
    status.planned = status.due;
    status.summary = summary(status.injected, status.planned);
    true
}

/// The pod that the event hits, or the guard that refuses it.
fn target<'a>(
    draft: &'a Draft<'_>,
    event: &PlannedEvent,
    at: Timestamp,
    window_end: Timestamp,
) -> Result<&'a PodFact, &'static str> {
    let Some(chaos) = draft.test.spec.chaos.as_ref() else {
        return Err(reason::NO_CANDIDATE);
    };
    if draft.test.spec.suspend {
        return Err(reason::SUSPENDED);
    }
    let missed = draft.now.duration_since(at) > LATEST && !Mutant::MakesUpForMissed.is_on();
    if missed || draft.now >= window_end {
        return Err(reason::MISSED);
    }
    let recovering = draft.decision.status.chaos.recovering.is_some();
    if recovering && !Mutant::IgnoresRecovery.is_on() {
        return Err(reason::NOT_RECOVERED);
    }
    let component = event.kind.component();
    let pods = || {
        draft
            .observed
            .pods
            .iter()
            .filter(|pod| pod.component == component)
    };
    if pods().any(|pod| pod.protected) {
        return Err(reason::PROTECTED);
    }
    let mut candidates: Vec<_> = pods().filter(|pod| pod.serves()).collect();
    if candidates.is_empty() {
        return Err(reason::NO_CANDIDATE);
    }
    let too_few = (candidates.len() - 1) * 100
        < draft.desired(component) * usize::from(chaos.guard.min_ready_percent);
    if too_few && !Mutant::IgnoresTheGuard.is_on() {
        return Err(reason::TOO_FEW_READY);
    }
    candidates.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
    let rank = plan::scaled(event.draw, candidates.len() as u64);
    usize::try_from(rank)
        .ok()
        .and_then(|rank| candidates.get(rank).copied())
        .ok_or(reason::NO_CANDIDATE)
}

/// An intent of an earlier pass, whose result nobody wrote down: done now if its pod still lives and it is not too
/// late; given up if it is; presumed done if the pod is gone, which proves nothing.
fn settle_intent(draft: &mut Draft<'_>, intent: PendingIntent) {
    let there = draft
        .observed
        .pods
        .iter()
        .find(|pod| pod.uid == intent.uid && !pod.terminating);
    let alive = there.is_some();
    let version = there.map(|pod| pod.version.clone()).unwrap_or_default();
    let late = draft.now.duration_since(intent.planned_at) > LATEST;
    if !alive
        && Mutant::TakesAnotherPod.is_on()
        && let Some(other) = draft.observed.pods.iter().find(|pod| pod.serves())
    {
        let (pod, uid) = (other.name.clone(), other.uid.clone());
        let version = other.version.clone();
        let intent = PendingIntent { pod, uid, ..intent };
        draft.status().chaos.pending = Some(intent.clone());
        draft.decision.effect = Effect::Kill {
            intent,
            version,
            again: true,
        };
        return;
    }
    if alive && !late && !Mutant::CallsPendingDone.is_on() {
        draft.decision.effect = Effect::Kill {
            intent,
            version,
            again: true,
        };
        draft.look_at(draft.now + SignedDuration::from_secs(1));
        return;
    }
    let mut record = record_of(&intent);
    if Mutant::CallsPendingDone.is_on() {
        record.result = EventResult::Injected;
        record.injected_at = Some(draft.now);
    } else if alive {
        record.result = EventResult::Abandoned;
        reason::TOO_LATE.clone_into(&mut record.reason);
    } else {
        record.result = EventResult::Presumed;
        reason::UNCONFIRMED.clone_into(&mut record.reason);
        record.injected_at = Some(intent.decided_at);
    }
    draft.announce(
        true,
        "ChaosUnproven",
        format!(
            "event {} was found pending: {:?}",
            intent.index, record.result
        ),
    );
    draft.status().chaos.pending = None;
    if record.result == EventResult::Presumed {
        draft.status().chaos.recovering = Some(Recovering {
            event: record,
            overdue: false,
        });
    } else if !Mutant::DropsTheIntent.is_on() {
        keep(draft, record);
    }
    draft.look_at(draft.now);
}

/// Notes that the component is back, or that it has been away too long.
pub(super) fn recover(draft: &mut Draft<'_>) {
    let Some(mut recovering) = draft.decision.status.chaos.recovering.clone() else {
        return;
    };
    let event = &recovering.event;
    let gone = !draft
        .observed
        .pods
        .iter()
        .any(|pod| pod.uid == event.uid && !pod.terminating);
    if gone && draft.ready(&event.component) >= draft.desired(&event.component) {
        let mut event = recovering.event;
        event.recovered_at = Some(draft.now);
        draft.status().chaos.recovering = None;
        keep(draft, event);
        return;
    }
    let Some(limit) = recovery_timeout(draft.test) else {
        return;
    };
    let overdue_at = event.injected_at.unwrap_or(event.planned_at) + limit;
    if recovering.overdue {
        return;
    }
    if draft.now < overdue_at {
        draft.look_at(overdue_at);
        return;
    }
    let detail = format!(
        "not ready again within {} after event {}",
        limit_text(draft.test),
        event.index
    );
    let component = event.component.clone();
    recovering.overdue = true;
    draft.status().chaos.recovering = Some(recovering);
    health::breach(
        draft,
        component,
        String::new(),
        breach::NOT_RECOVERED,
        detail,
    );
}

/// Brings what is begun to an end, because the soak ends: an event without recovery is written down as such.
pub(super) fn close(draft: &mut Draft<'_>) {
    if let Some(intent) = draft.status().chaos.pending.take() {
        let mut record = record_of(&intent);
        record.result = EventResult::Abandoned;
        reason::ENDED.clone_into(&mut record.reason);
        keep(draft, record);
    }
    if let Some(recovering) = draft.status().chaos.recovering.take() {
        keep(draft, recovering.event);
    }
    draft.status().chaos.next_at = None;
}

/// The status once the intent's result is known; `None` where nobody knows it, and the next pass has to find out.
pub(crate) fn resolve(
    test: &SoakTest,
    intent: &PendingIntent,
    result: &KillResult,
    now: Timestamp,
) -> Option<Decision> {
    let mut status: SoakTestStatus = test.status.clone().unwrap_or_default();
    let mut decision = Decision::default();
    if status.chaos.pending.as_ref() != Some(intent) {
        return None;
    }
    status.chaos.pending = None;
    let mut record = record_of(intent);
    match result {
        KillResult::Accepted => {
            record.result = EventResult::Injected;
            record.injected_at = Some(now);
            if now.duration_since(intent.planned_at) > SignedDuration::from_secs(1) {
                reason::LATE.clone_into(&mut record.reason);
            }
            status.chaos.injected += 1;
            status.chaos.summary = summary(status.chaos.injected, status.chaos.planned);
            status.chaos.recovering = Some(Recovering {
                event: record,
                overdue: false,
            });
        }
        KillResult::Gone | KillResult::Refused(_) => {
            record.result = EventResult::Abandoned;
            let why = if *result == KillResult::Gone {
                reason::POD_GONE
            } else {
                reason::REFUSED
            };
            why.clone_into(&mut record.reason);
            decision.journal.push(Entry::Event(record.clone()));
            push_recent(&mut status, record);
        }
        KillResult::Unknown => return None,
    }
    status.presence.seen_at = Some(now);
    decision.again = std::time::Duration::from_secs(1);
    decision.status = status;
    Some(decision)
}

/// The uids of pods that were, are being or may have been hit.
pub(super) fn hit<'a>(
    status: &'a SoakTestStatus,
    journal: &'a Journal,
) -> impl Iterator<Item = &'a str> {
    let pending = status
        .chaos
        .pending
        .iter()
        .map(|intent| intent.uid.as_str());
    let recovering = status
        .chaos
        .recovering
        .iter()
        .map(|recovering| recovering.event.uid.as_str());
    pending.chain(recovering).chain(journal.hit())
}

/// The plan, as the status fixed it; empty without chaos.
fn planned(draft: &Draft<'_>) -> Result<Vec<PlannedEvent>, plan::PlanError> {
    let (seed, version) = (
        draft.before.seed.unwrap_or_default(),
        draft.before.plan_version.unwrap_or(plan::VERSION),
    );
    let chaos: Option<&Chaos> = draft.test.spec.chaos.as_ref();
    chaos.map_or(Ok(Vec::new()), |chaos| {
        plan::plan(seed, version, chaos, draft.test.spec.duration.duration())
    })
}

fn record_of(intent: &PendingIntent) -> EventRecord {
    EventRecord {
        index: intent.index,
        kind: intent.kind.clone(),
        component: intent.component.clone(),
        pod: intent.pod.clone(),
        uid: intent.uid.clone(),
        planned_at: intent.planned_at,
        injected_at: None,
        recovered_at: None,
        result: EventResult::Abandoned,
        reason: String::new(),
    }
}

/// Writes the event into the journal and shows it in the status.
fn keep(draft: &mut Draft<'_>, record: EventRecord) {
    if !Mutant::ForgetsTheJournal.is_on() {
        draft.write(Entry::Event(record.clone()));
    }
    push_recent(draft.status(), record);
}

fn push_recent(status: &mut SoakTestStatus, record: EventRecord) {
    if status.chaos.recent.len() >= RECENT {
        status.chaos.recent.remove(0);
    }
    status.chaos.recent.push(record);
}

fn summary(injected: u32, planned: u32) -> String {
    format!("{injected}/{planned}")
}

fn recovery_timeout(test: &SoakTest) -> Option<SignedDuration> {
    test.spec
        .chaos
        .as_ref()
        .map(|chaos| signed(chaos.guard.recovery_timeout.duration()))
}

fn limit_text(test: &SoakTest) -> String {
    test.spec
        .chaos
        .as_ref()
        .map(|chaos| chaos.guard.recovery_timeout.to_string())
        .unwrap_or_default()
}
