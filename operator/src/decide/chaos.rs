//! Chaos: what is due, whether a guard refuses it, which pod it hits, and what became of what was begun.
//!
//! One event goes through four writes at most: its intent before anything is done, its result, its recovery into the
//! journal, and that into the status. A pending intent found later is resolved and never forgotten.

use jiff::{SignedDuration, Timestamp};
use soak_api::{
    Chaos, ChaosEvent, ChaosKind, EventRecord, EventResult, PendingIntent, Phase, Plan,
    PlannedEvent, Recovering, SoakOutcome, SoakTest, SoakTestStatus,
};

use super::{Decision, Draft, Effect, health, lifecycle, signed};
use crate::chaos::{self, Deed};
use crate::facts::PodFact;
use crate::journal::{Entry, IncarnationId};
use crate::mutant::Mutant;
use crate::reasons::{breach, chaos as reason};

/// How late an event may still be carried out.
pub(crate) const LATEST: SignedDuration = SignedDuration::from_secs(10);

/// How long after it was asked for, or was to be, a crash shows by a restart. One that comes later is not ours.
const RESTARTED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How many events a component may be recovering from at once, where they may overlap.
const MOST_AT_ONCE: usize = 8;

/// How many events the status shows, with those that are not yet recovered from.
const RECENT: usize = 8;

/// What came of carrying out an intent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was accepted for the intended pod.
    Accepted,
    /// The pod was gone, or its name had passed to another.
    Gone,
    /// It was refused, for the reason given.
    Refused(String),
    /// Nobody knows: no answer came.
    Unknown,
}

/// Counts the plan as the window begins; `false` if there is none to be had, which ends the soak.
pub(super) fn start(draft: &mut Draft<'_>) -> bool {
    match &draft.observed.plan {
        Ok(plan) => {
            let (began, plan) = (draft.now, plan.clone());
            let status = &mut draft.decision.status.chaos;
            status.planned = u32::try_from(plan.events().len()).unwrap_or(u32::MAX);
            status.next_at = plan.events().first().map(|event| began + signed(event.at));
            status.summary = summary(status.injected, status.planned);
            true
        }
        Err(error) => {
            let message = format!("Inconclusive: {error}");
            lifecycle::end(draft, SoakOutcome::Inconclusive, message);
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
    let Ok(plan) = draft.observed.plan.clone() else {
        return;
    };
    let next = next(&draft.decision.status, &plan);
    draft.status().chaos.next_at = next.map(|(_, at)| at);
    let Some((event, at)) = next else { return };
    if draft.now < at {
        draft.look_at(at);
        return;
    }
    draft.status().chaos.due += 1;
    draft.status().chaos.next_at = self::next(&draft.decision.status, &plan).map(|(_, at)| at);
    let (Some(kind), Some(chaos)) = (plan.kind(event), draft.test.spec.chaos.as_ref()) else {
        return;
    };
    let due = Due {
        event,
        kind,
        chaos,
        entry: chaos.events.get(event.entry),
        at,
    };
    match due.target(draft, window_end) {
        Ok(pod) if chaos.dry_run => {
            let record = EventRecord {
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
                restarts: pod.restarts,
                ..due.skipped(reason::DRY_RUN)
            };
            keep(draft, record);
            draft.look_at(draft.now);
        }
        Ok(pod) => {
            let version = pod.version.clone();
            let intent = due.intent(pod, draft.now);
            if !Mutant::ForgetsTheIntent.is_on() {
                draft.status().chaos.pending = Some(intent.clone());
            }
            draft.decision.effect = Effect::Inject {
                intent,
                deed: chaos::event(kind).deed(),
                version,
                again: false,
            };
        }
        Err(reason) => {
            let why = match &draft.observed.leader {
                Some(Err(why)) if reason == reason::NO_LEADER => format!(": {why}"),
                _ => String::new(),
            };
            let note = format!("event {} was skipped: {reason}{why}", event.index);
            draft.announce(true, "ChaosSkipped", note);
            keep(draft, due.skipped(reason));
            draft.look_at(draft.now);
        }
    }
}

/// The event that comes next, and when.
fn next<'p>(status: &SoakTestStatus, plan: &'p Plan) -> Option<(&'p PlannedEvent, Timestamp)> {
    let began = status.times.soaking?;
    let event = plan.events().get(status.chaos.due as usize)?;
    Some((event, began + signed(event.at)))
}

/// The event whose instant has come and of which nothing has been decided yet.
pub(crate) fn due<'p>(
    status: &SoakTestStatus,
    plan: &'p Plan,
    now: Timestamp,
) -> Option<&'p PlannedEvent> {
    let open = status.phase == Phase::Soaking && status.chaos.pending.is_none();
    let (event, at) = next(status, plan).filter(|_| open)?;
    (at <= now).then_some(event)
}

/// Begins nothing more, since the soak ends before its time; `false` while something begun is still open. What was planned
/// for later is planned no longer.
pub(super) fn stop(draft: &mut Draft<'_>) -> bool {
    if let Some(intent) = draft.before.chaos.pending.clone() {
        settle_intent(draft, intent);
        return false;
    }
    recover(draft);
    let status = &mut draft.decision.status.chaos;
    status.planned = status.due;
    status.summary = summary(status.injected, status.planned);
    true
}

/// An event whose instant has come.
struct Due<'a> {
    event: &'a PlannedEvent,
    kind: &'a ChaosKind,
    chaos: &'a Chaos,
    entry: Option<&'a ChaosEvent>,
    at: Timestamp,
}

impl Due<'_> {
    /// The pod that the event hits, or the guard that refuses it.
    fn target<'p>(
        &self,
        draft: &'p Draft<'_>,
        window_end: Timestamp,
    ) -> Result<&'p PodFact, &'static str> {
        if draft.test.spec.suspend {
            return Err(reason::SUSPENDED);
        }
        let missed = draft.now.duration_since(self.at) > LATEST;
        if missed && !Mutant::MakesUpForMissed.is_on() || draft.now >= window_end {
            return Err(reason::MISSED);
        }
        let guard = &self.chaos.guard;
        let recovering = &draft.decision.status.chaos.recovering;
        let most = if guard.overlap { MOST_AT_ONCE } else { 1 };
        if recovering.len() >= most && !Mutant::IgnoresRecovery.is_on() {
            return Err(reason::NOT_RECOVERED);
        }
        let component = self.kind.component();
        let pods = || {
            let pods = draft.observed.pods.iter();
            pods.filter(|pod| pod.component == component)
        };
        if pods().any(|pod| pod.protected) {
            return Err(reason::PROTECTED);
        }
        // The watch may still show a pod ready that was hit a moment ago.
        let hit = |pod: &PodFact| recovering.iter().any(|one| one.event.uid == pod.uid);
        let serving: Vec<_> = pods().filter(|pod| pod.serves() && !hit(pod)).collect();
        if serving.is_empty() {
            return Err(reason::NO_CANDIDATE);
        }
        let too_few = (serving.len() - 1) * 100
            < draft.desired(component) * usize::from(guard.min_ready_percent);
        if too_few && !Mutant::IgnoresTheGuard.is_on() {
            return Err(reason::TOO_FEW_READY);
        }
        let least = self.entry.and_then(|entry| entry.min_age.as_ref());
        let least = least.map_or(SignedDuration::ZERO, |age| signed(age.duration()));
        let mut candidates = serving;
        candidates.retain(|pod| draft.now.duration_since(pod.created_at) >= least);
        if candidates.is_empty() {
            return Err(reason::TOO_YOUNG);
        }
        if chaos::event(self.kind).leader().is_some() {
            let leader = draft.observed.leader.as_ref();
            let name = leader.and_then(|leader| leader.as_ref().ok());
            candidates.retain(|pod| Some(&pod.name) == name);
            return candidates.first().copied().ok_or(reason::NO_LEADER);
        }
        candidates.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        let rank = self.event.rank(candidates.len());
        candidates.get(rank).copied().ok_or(reason::NO_CANDIDATE)
    }

    fn intent(&self, pod: &PodFact, now: Timestamp) -> PendingIntent {
        PendingIntent {
            index: self.event.index,
            kind: self.kind.name().to_owned(),
            component: self.kind.component().to_owned(),
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            restarts: pod.restarts,
            planned_at: self.at,
            decided_at: now,
        }
    }

    fn skipped(&self, reason: &str) -> EventRecord {
        EventRecord {
            index: self.event.index,
            kind: self.kind.name().to_owned(),
            component: self.kind.component().to_owned(),
            pod: String::new(),
            uid: String::new(),
            restarts: 0,
            planned_at: self.at,
            injected_at: None,
            recovered_at: None,
            result: EventResult::Skipped,
            reason: reason.to_owned(),
        }
    }
}

/// An intent of an earlier pass, whose result nobody wrote down: done now if its pod still lives and it is not too
/// late; given up if it is; presumed done if the pod is gone, which proves nothing.
fn settle_intent(draft: &mut Draft<'_>, intent: PendingIntent) {
    let deed = deed(draft, intent.index);
    let found = Found::of(draft, &intent, &deed);
    let latest = if deed.ends_the_pod() {
        LATEST
    } else {
        RESTARTED_WITHIN
    };
    let late = draft.now.duration_since(intent.planned_at) > latest;
    if matches!(found, Found::Ended)
        && Mutant::TakesAnotherPod.is_on()
        && let Some(other) = draft.observed.pods.iter().find(|pod| pod.serves())
    {
        let (pod, uid) = (other.name.clone(), other.uid.clone());
        let version = other.version.clone();
        let intent = PendingIntent { pod, uid, ..intent };
        draft.status().chaos.pending = Some(intent.clone());
        draft.decision.effect = Effect::Inject {
            intent,
            deed,
            version,
            again: true,
        };
        return;
    }
    if let Found::Untouched { version } = &found
        && !late
        && !Mutant::CallsPendingDone.is_on()
    {
        // To crash it again might hit the container that came after: whether it did shows by itself.
        if deed.ends_the_pod() {
            draft.decision.effect = Effect::Inject {
                version: version.clone(),
                intent,
                deed,
                again: true,
            };
        }
        draft.look_at(draft.now + SignedDuration::from_secs(1));
        return;
    }
    draft.status().chaos.pending = None;
    let record = found.resolves(&intent, draft.now, reason::TOO_LATE);
    draft.announce(
        true,
        "ChaosUnproven",
        format!(
            "event {} was found pending: {:?}",
            intent.index, record.result
        ),
    );
    if record.result == EventResult::Presumed {
        recovers(draft.status(), record);
    } else if !Mutant::DropsTheIntent.is_on() {
        keep(draft, record);
    }
    draft.look_at(draft.now);
}

/// What has become of the target of an intent whose result nobody wrote down.
enum Found {
    /// It is as it was.
    Untouched { version: String },
    /// What was to end has ended.
    Ended,
    /// Its container was to end, and its pod is gone: by somebody else.
    Taken,
}

impl Found {
    fn of(draft: &Draft<'_>, intent: &PendingIntent, deed: &Deed) -> Self {
        match pod_of(draft, &intent.uid) {
            None if deed.ends_the_pod() => Self::Ended,
            None => Self::Taken,
            Some(pod) if !deed.ends_the_pod() && pod.restarts > intent.restarts => Self::Ended,
            Some(pod) => Self::Untouched {
                version: pod.version.clone(),
            },
        }
    }

    /// What is known of the intent, if it is not to be carried out any more; `why` it is given up where nothing was done.
    fn resolves(&self, intent: &PendingIntent, now: Timestamp, why: &str) -> EventRecord {
        let mut record = record_of(intent);
        match self {
            _ if Mutant::CallsPendingDone.is_on() => {
                record.result = EventResult::Injected;
                record.injected_at = Some(now);
            }
            Self::Untouched { .. } => why.clone_into(&mut record.reason),
            Self::Taken => reason::POD_GONE.clone_into(&mut record.reason),
            Self::Ended => {
                record.result = EventResult::Presumed;
                reason::UNCONFIRMED.clone_into(&mut record.reason);
                record.injected_at = Some(intent.decided_at);
            }
        }
        record
    }
}

/// Notes which components are back, and which have been away too long.
pub(super) fn recover(draft: &mut Draft<'_>) {
    for recovering in std::mem::take(&mut draft.status().chaos.recovering) {
        recover_from(draft, recovering);
    }
}

fn recover_from(draft: &mut Draft<'_>, mut recovering: Recovering) {
    let event = &mut recovering.event;
    let deed = deed(draft, event.index);
    let pod = pod_of(draft, &event.uid);
    let ended = match pod {
        None => true,
        Some(pod) => !deed.ends_the_pod() && pod.restarts > event.restarts,
    };
    if event.result == EventResult::Unproven {
        if pod.is_none() {
            reason::POD_GONE.clone_into(&mut event.reason);
            keep(draft, recovering.event);
            return;
        }
        let told = event.injected_at.unwrap_or(event.planned_at);
        if ended {
            event.result = EventResult::Injected;
            proven(draft.status());
        } else if draft.now >= told + RESTARTED_WITHIN {
            reason::NO_RESTART.clone_into(&mut event.reason);
            keep(draft, recovering.event);
            return;
        } else {
            draft.look_at(told + RESTARTED_WITHIN);
        }
    }
    if ended && draft.ready(&event.component) >= draft.desired(&event.component) {
        event.recovered_at = Some(draft.now);
        keep(draft, recovering.event);
        return;
    }
    let limit = draft.test.spec.chaos.as_ref();
    let limit = limit.map(|chaos| &chaos.guard.recovery_timeout);
    if let Some(limit) = limit.filter(|_| !recovering.overdue) {
        let since = event.injected_at.unwrap_or(event.planned_at);
        let overdue_at = since + signed(limit.duration());
        if draft.now < overdue_at {
            draft.look_at(overdue_at);
        } else {
            recovering.overdue = true;
            let (component, index) = (event.component.clone(), event.index);
            let detail = format!("not ready again within {limit} after event {index}");
            let no_pod = String::new();
            health::breach(draft, component, no_pod, breach::NOT_RECOVERED, detail);
        }
    }
    draft.status().chaos.recovering.push(recovering);
}

/// Brings what is begun to an end, because the soak ends: an event without recovery is written down as such.
pub(super) fn close(draft: &mut Draft<'_>) {
    if let Some(intent) = draft.status().chaos.pending.take() {
        let deed = deed(draft, intent.index);
        let found = Found::of(draft, &intent, &deed);
        let record = found.resolves(&intent, draft.now, reason::ENDED);
        keep(draft, record);
    }
    for recovering in std::mem::take(&mut draft.status().chaos.recovering) {
        keep(draft, recovering.event);
    }
    draft.status().chaos.next_at = None;
}

/// The status once the intent's result is known; `None` where nobody knows it, and the next pass has to find out.
pub(crate) fn resolve(
    test: &SoakTest,
    intent: &PendingIntent,
    deed: &Deed,
    answer: &Answer,
    now: Timestamp,
) -> Option<Decision> {
    let mut status: SoakTestStatus = test.status.clone().unwrap_or_default();
    let mut decision = Decision::default();
    if status.chaos.pending.as_ref() != Some(intent) {
        return None;
    }
    status.chaos.pending = None;
    let mut record = record_of(intent);
    match answer {
        Answer::Accepted => {
            record.injected_at = Some(now);
            if now.duration_since(intent.planned_at) > SignedDuration::from_secs(1) {
                reason::LATE.clone_into(&mut record.reason);
            }
            // A container that was told to crash is not yet seen to have done it.
            record.result = EventResult::Unproven;
            if deed.ends_the_pod() || Mutant::BelievesTheCrash.is_on() {
                record.result = EventResult::Injected;
                proven(&mut status);
                // The watch will tell as well: said now, it takes no write of its own.
                let (uid, restarts) = (intent.uid.clone(), intent.restarts);
                let id = IncarnationId { uid, restarts };
                decision.journal.push(Entry::Ended { id, at: now });
            }
            recovers(&mut status, record);
        }
        Answer::Gone | Answer::Refused(_) => {
            record.result = EventResult::Abandoned;
            let why = if *answer == Answer::Gone {
                reason::POD_GONE
            } else {
                reason::REFUSED
            };
            why.clone_into(&mut record.reason);
            decision.journal.push(Entry::Event(record.clone()));
            push_recent(&mut status, record);
        }
        Answer::Unknown => return None,
    }
    status.presence.seen_at = Some(now);
    decision.again = std::time::Duration::from_secs(1);
    decision.status = status;
    Some(decision)
}

/// Whether chaos brought about the end of this incarnation, or may have.
pub(super) fn ended(draft: &Draft<'_>, id: &IncarnationId) -> bool {
    let chaos = &draft.before.chaos;
    let recovering = chaos.recovering.iter().map(|one| &one.event);
    let done = recovering.chain(draft.journal.done());
    let done = done.map(|event| (event.index, &event.uid, event.restarts));
    let pending = chaos.pending.iter();
    pending
        .map(|intent| (intent.index, &intent.uid, intent.restarts))
        .chain(done)
        .filter(|(_, uid, _)| **uid == id.uid)
        .any(|(index, _, restarts)| {
            if deed(draft, index).ends_the_pod() {
                // A container that ends while its pod lives on was not ended by taking the pod.
                restarts <= id.restarts && pod_of(draft, &id.uid).is_none()
            } else {
                restarts == id.restarts
            }
        })
}

/// The pod of that uid, unless it is gone or on its way out.
fn pod_of<'p>(draft: &'p Draft<'_>, uid: &str) -> Option<&'p PodFact> {
    let mut pods = draft.observed.pods.iter();
    pods.find(|pod| pod.uid == uid && !pod.terminating)
}

/// What the event does; a deletion where its plan is not known, for then it is not done any more.
fn deed(draft: &Draft<'_>, index: u32) -> Deed {
    let plan = draft.observed.plan.as_ref();
    let deed = plan.ok().and_then(|plan| chaos::deed(plan, index));
    deed.unwrap_or(Deed::Delete {
        grace_period_seconds: 1,
    })
}

fn record_of(intent: &PendingIntent) -> EventRecord {
    EventRecord {
        index: intent.index,
        kind: intent.kind.clone(),
        component: intent.component.clone(),
        pod: intent.pod.clone(),
        uid: intent.uid.clone(),
        restarts: intent.restarts,
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
    status.chaos.recent.push(record);
    trim(status);
}

/// The event was done, and its component has to come back.
fn recovers(status: &mut SoakTestStatus, event: EventRecord) {
    let overdue = false;
    status.chaos.recovering.push(Recovering { event, overdue });
    trim(status);
}

fn trim(status: &mut SoakTestStatus) {
    let shown = RECENT.saturating_sub(status.chaos.recovering.len());
    let recent = &mut status.chaos.recent;
    recent.drain(..recent.len().saturating_sub(shown));
}

/// One more event is proven.
fn proven(status: &mut SoakTestStatus) {
    status.chaos.injected += 1;
    status.chaos.summary = summary(status.chaos.injected, status.chaos.planned);
}

fn summary(injected: u32, planned: u32) -> String {
    format!("{injected}/{planned}")
}
