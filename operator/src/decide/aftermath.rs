//! What became of an event that was begun: its result, and what nobody wrote down of it. A pending intent that is found
//! later is resolved and never forgotten. Its way back is in [`super::recovery`].

use jiff::{SignedDuration, Timestamp};
use soak_api::{EventRecord, EventResult, PendingIntent, Recovering, SoakTest, SoakTestStatus};

use super::chaos::{self, LATEST};
use super::{Announcement, Decision, Draft, Effect, signed};
use crate::chaos::Deed;
use crate::facts::PodFact;
use crate::journal::{Entry, IncarnationId};
use crate::mutant::Mutant;
use crate::reasons::{breach, chaos as reason};
use crate::workload;

/// How long after it was asked for, or was to be, a crash shows by a restart. One that comes later is not ours.
pub(super) const RESTARTED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Clocks of nodes differ, and say the end of a container in whole seconds.
const CLOCKS: SignedDuration = SignedDuration::from_secs(10);

/// Clocks of two operators differ by less.
const CLOCKS_OF_OPERATORS: SignedDuration = SignedDuration::from_secs(1);

/// How many events the status shows, with those that are not yet recovered from.
const RECENT: usize = 8;

/// What came of carrying out an intent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was accepted for the intended pod or Deployment.
    Accepted,
    /// The pod or Deployment was gone, or its name had passed to another.
    Gone,
    /// It was refused, for the reason given.
    Refused(String),
    /// Nobody knows: no answer came.
    Unknown,
}

/// The intent of an earlier pass. One whose instant is yet to come waits for it. One that this process holds is done then, or
/// given up for the guard that refuses it by now. Of another nobody wrote down the result: it is found done; or done now if
/// its target is as it was and it is not too late; given up if it is; presumed done if the pod is gone, which proves nothing.
pub(super) fn settle_intent(draft: &mut Draft<'_>, intent: PendingIntent) {
    if draft.now < intent.planned_at {
        draft.look_at(intent.planned_at);
        return;
    }
    if draft.held().is_some() {
        release(draft, &intent);
        return;
    }
    let Some(deed) = draft.deed(intent.index) else {
        return;
    };
    let found = Found::of(draft, &intent, &deed);
    let latest = match deed {
        Deed::Crash(_) => RESTARTED_WITHIN,
        _ => LATEST,
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
    let mut why = reason::TOO_LATE;
    if matches!(found, Found::Untouched) && !Mutant::CallsPendingDone.is_on() {
        // To crash it again might hit the container that came after: whether it did shows by itself.
        if !matches!(deed, Deed::Crash(_)) {
            match chaos::released(draft, &intent, true) {
                Ok(effect) if !late => draft.decision.effect = effect,
                Err(refused) => why = refused,
                Ok(_) => {}
            }
        }
        // An earlier request may still be on its way: what is refused by now is not given up before it would be too late.
        if !late {
            draft.look_at(draft.now + SignedDuration::from_secs(1));
            return;
        }
    }
    if matches!(found, Found::Unknown) {
        draft.look_at(draft.now + SignedDuration::from_secs(1));
        return;
    }
    draft.status().chaos.pending = None;
    if matches!(found, Found::Done) {
        let planned = draft.planned(&intent.component);
        let at = intent.asked_from();
        begun(draft.status(), record_of(&intent), &deed, planned, at);
        draft.look_at(draft.now);
        return;
    }
    let record = found.resolves(&intent, draft.now, why);
    draft.announce_about(
        intent.kind.clone(),
        true,
        "ChaosUnproven",
        format!(
            "event {} was found pending: {:?}",
            intent.index, record.result
        ),
    );
    if record.result == EventResult::Presumed {
        recovers(draft.status(), Recovering::from(record));
    } else if !Mutant::DropsTheIntent.is_on() {
        keep(draft, record);
    }
    draft.look_at(draft.now);
}

/// Does what was held until now, or gives it up.
fn release(draft: &mut Draft<'_>, intent: &PendingIntent) {
    match chaos::released(draft, intent, false) {
        Ok(effect) => draft.decision.effect = effect,
        Err(why) => {
            draft.status().chaos.pending = None;
            let mut record = record_of(intent);
            why.clone_into(&mut record.reason);
            let note = format!("event {} was given up: {why}", intent.index);
            draft.announce_about(why, true, "ChaosSkipped", note);
            keep(draft, record);
        }
    }
    draft.look_at(draft.now + SignedDuration::from_secs(1));
}

/// What has become of the target of an intent whose result nobody wrote down.
enum Found {
    /// It is as it was.
    Untouched,
    /// It shows that the event was done.
    Done,
    /// What was to end has ended.
    Ended,
    /// Something else came first: what was to be changed is gone, or the container ended by itself.
    Taken,
    /// It cannot be looked at.
    Unknown,
}

impl Found {
    fn of(draft: &Draft<'_>, intent: &PendingIntent, deed: &Deed) -> Self {
        if draft.held().is_some() {
            return Self::Untouched;
        }
        if draft.observed.unseen.is_some() {
            return Self::Unknown;
        }
        if deed.is_of_component() {
            let owner = draft.observed.owners.get(&intent.component);
            return match owner {
                Some(Ok(Some(owner))) if owner.uid == intent.uid => {
                    if owner.event == Some(intent.index) {
                        Self::Done
                    } else {
                        Self::Untouched
                    }
                }
                Some(Ok(_)) => Self::Taken,
                Some(Err(_)) | None => Self::Unknown,
            };
        }
        if matches!(deed, Deed::CutOff { .. }) {
            match &draft.observed.cut_off {
                Some(Ok(cut_off)) if cut_off.contains(&intent.index) => return Self::Done,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Self::Unknown,
            }
        }
        let (pod, told) = (pod_of(draft, &intent.uid), intent.asked_from());
        let crash = matches!(deed, Deed::Crash(_));
        match pod {
            // Whether it crashed before somebody else took it nobody knows any more.
            None if deed.ends_the_pod() || crash => Self::Ended,
            Some(pod) if crash && crashed(pod, intent.restarts, told) => Self::Ended,
            Some(pod) if pod.restarts == intent.restarts && !pod.stopped => Self::Untouched,
            _ => Self::Taken,
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
            Self::Untouched => why.clone_into(&mut record.reason),
            Self::Taken => reason::TARGET_GONE.clone_into(&mut record.reason),
            Self::Done => {
                record.result = EventResult::Unproven;
                why.clone_into(&mut record.reason);
                record.injected_at = Some(intent.asked_from());
            }
            Self::Ended | Self::Unknown => {
                record.result = EventResult::Presumed;
                reason::UNCONFIRMED.clone_into(&mut record.reason);
                record.injected_at = Some(intent.asked_from());
            }
        }
        record
    }
}

/// Brings what is begun to an end, because the soak ends: an event without recovery is written down as such.
pub(super) fn close(draft: &mut Draft<'_>) {
    if let Some(intent) = draft.status().chaos.pending.take() {
        let found = match draft.deed(intent.index) {
            Some(deed) => Found::of(draft, &intent, &deed),
            None => Found::Unknown,
        };
        let record = found.resolves(&intent, draft.now, reason::ENDED);
        keep(draft, record);
    }
    for recovering in std::mem::take(&mut draft.status().chaos.recovering) {
        keep(draft, recovering.event);
    }
    draft.status().chaos.next_at = None;
}

/// The status once the intent's result is known; `None` where nobody knows it, and the next pass has to find out. It was
/// `asked` for at that instant, which is no later than it happened: the answer may be read long after.
pub(crate) fn resolve(
    test: &SoakTest,
    intent: &PendingIntent,
    deed: &Deed,
    answer: &Answer,
    asked: Timestamp,
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
            if asked.duration_since(intent.planned_at) > SignedDuration::from_secs(1) {
                reason::LATE.clone_into(&mut record.reason);
            }
            let planned = workload::replicas(&test.spec.workload, &intent.component);
            begun(&mut status, record, deed, planned, asked);
            if deed.ends_the_pod() {
                // The watch will tell as well: said now, it takes no write of its own.
                let (uid, restarts) = (intent.uid.clone(), intent.restarts);
                let id = IncarnationId { uid, restarts };
                decision.journal.push(Entry::Ended { id, at: now });
            }
        }
        Answer::Gone | Answer::Refused(_) => {
            record.result = EventResult::Abandoned;
            if let Answer::Refused(why) = answer {
                reason::REFUSED.clone_into(&mut record.reason);
                decision.announcements.push(Announcement {
                    warning: true,
                    reason: "ChaosRefused",
                    about: intent.kind.clone(),
                    note: format!("event {} was refused: {why}", intent.index),
                });
            } else {
                reason::TARGET_GONE.clone_into(&mut record.reason);
            }
            decision.journal.push(Entry::Event(record.clone()));
            push_recent(&mut status, record);
        }
        Answer::Unknown => return None,
    }
    // The next pass says that an operator is there, and counts it where none was since the last did.
    decision.again = std::time::Duration::from_secs(1);
    decision.status = status;
    Some(decision)
}

/// The status once what these events have done is undone; `None` where none of them is being undone.
pub(crate) fn undone(test: &SoakTest, events: &[u32], now: Timestamp) -> Option<Decision> {
    let mut status: SoakTestStatus = test.status.clone()?;
    let recovering = status.chaos.recovering.iter_mut();
    let undone = |one: &&mut Recovering| one.undoing && events.contains(&one.event.index);
    let mut any = false;
    for one in recovering.filter(undone) {
        (one.undo_at, one.undoing) = (None, false);
        one.event.undone_at = Some(now);
        any = true;
    }
    if !any {
        return None;
    }
    Some(Decision {
        status,
        again: std::time::Duration::from_secs(1),
        ..Decision::default()
    })
}

/// The event was done at that instant. Only of a pod that goes does the API server's word prove it: of the others it is yet
/// to be seen.
fn begun(
    status: &mut SoakTestStatus,
    event: EventRecord,
    deed: &Deed,
    planned: u32,
    at: Timestamp,
) {
    let mut one = Recovering::from(event);
    one.event.injected_at = Some(at);
    one.event.result = EventResult::Unproven;
    one.undo_at = deed.lasts().map(|lasts| at + signed(lasts.duration()));
    one.goes = deed.takes(planned);
    if deed.ends_the_pod() || Mutant::BelievesTheCrash.is_on() {
        proven(status, &mut one.event);
    }
    recovers(status, one);
}

/// Whether chaos brought about the end of this incarnation, or may have.
pub(super) fn ended(draft: &Draft<'_>, id: &IncarnationId) -> bool {
    let chaos = &draft.before.chaos;
    let recovering = chaos.recovering.iter().map(|one| &one.event);
    let done = recovering.chain(draft.journal.done()).map(|event| {
        let told = event.injected_at.unwrap_or(event.planned_at);
        (event.index, &event.uid, event.restarts, told)
    });
    // What is held nobody has asked for, nor what is not due yet by whatever clock: chaos did not do it.
    let asked = |intent: &&PendingIntent| {
        !draft.observed.held && draft.now + CLOCKS_OF_OPERATORS >= intent.planned_at
    };
    let pending = chaos.pending.iter().filter(asked);
    let pod = pod_of(draft, &id.uid);
    pending
        .map(|intent| {
            (
                intent.index,
                &intent.uid,
                intent.restarts,
                intent.asked_from(),
            )
        })
        .chain(done)
        .filter(|(_, uid, ..)| **uid == id.uid)
        .any(
            |(index, _, restarts, told)| match (draft.deed(index), pod) {
                // A crash takes no pod, and taking a pod ends no container in one that lives on.
                (Some(deed), None) => deed.ends_the_pod() && restarts <= id.restarts,
                (Some(Deed::Crash(_)), Some(pod)) => {
                    restarts == id.restarts && crashed(pod, restarts, told)
                }
                _ => false,
            },
        )
}

/// Whether the container that was told to crash did so: it has ended, in time, and not for want of memory. Of a container
/// that is not the last to have ended nothing more is known than that it did.
pub(super) fn crashed(pod: &PodFact, restarts: u32, told: Timestamp) -> bool {
    match pod.last_ended() {
        Some(last) if last == restarts => {
            let of_memory = |end: &(String, i32)| end.0 == breach::OOM_KILLED;
            let in_time = |at: Timestamp| at >= told - CLOCKS && at <= told + RESTARTED_WITHIN;
            pod.ended_at.is_none_or(in_time) && !pod.last_end.as_ref().is_some_and(of_memory)
        }
        Some(last) => last > restarts,
        None => false,
    }
}

/// The pod of that uid, unless it is gone or on its way out.
pub(super) fn pod_of<'p>(draft: &'p Draft<'_>, uid: &str) -> Option<&'p PodFact> {
    let mut pods = draft.observed.pods.iter();
    pods.find(|pod| pod.uid == uid && !pod.terminating)
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
        undone_at: None,
        recovered_at: None,
        result: EventResult::Abandoned,
        reason: String::new(),
    }
}

/// Writes the event into the journal and shows it in the status.
pub(super) fn keep(draft: &mut Draft<'_>, record: EventRecord) {
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
fn recovers(status: &mut SoakTestStatus, one: Recovering) {
    status.chaos.recovering.push(one);
    trim(status);
}

fn trim(status: &mut SoakTestStatus) {
    let shown = RECENT.saturating_sub(status.chaos.recovering.len());
    let recent = &mut status.chaos.recent;
    recent.drain(..recent.len().saturating_sub(shown));
}

/// One more event is proven.
pub(super) fn proven(status: &mut SoakTestStatus, event: &mut EventRecord) {
    event.result = EventResult::Injected;
    status.chaos.injected += 1;
    status.chaos.summary = summary(status.chaos.injected, status.chaos.planned);
}

pub(super) fn summary(injected: u32, planned: u32) -> String {
    format!("{injected}/{planned}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: i64 = 1_800_000_000;

    /// A pod whose third container was told to crash.
    fn pod(change: impl FnOnce(&mut PodFact)) -> bool {
        let told = Timestamp::from_second(TOLD).expect("in range");
        let mut pod = PodFact {
            restarts: 2,
            started_at: Some(told - SignedDuration::from_mins(20)),
            last_end: Some(("Error".to_owned(), 1)),
            ended_at: Some(told - SignedDuration::from_mins(21)),
            ..PodFact::default()
        };
        change(&mut pod);
        crashed(&pod, 2, told)
    }

    fn ends(seconds_later: i64, reason: &str) -> impl FnOnce(&mut PodFact) {
        let at = Timestamp::from_second(TOLD + seconds_later).expect("in range");
        let reason = reason.to_owned();
        move |pod| {
            pod.restarts = 3;
            pod.last_end = Some((reason, 134));
            pod.ended_at = Some(at);
        }
    }

    #[test]
    fn a_crash_is_ours_if_that_very_container_ended_in_time_and_not_for_want_of_memory() {
        assert!(!pod(|_| {}), "it goes on");
        assert!(pod(ends(1, "Error")));
        assert!(pod(ends(-3, "Error")), "clocks differ");
        assert!(!pod(ends(1, "OOMKilled")));
        assert!(!pod(ends(600, "Error")), "that was something else");
        let put_off = |pod: &mut PodFact| {
            ends(2, "Error")(pod);
            (pod.restarts, pod.stopped) = (2, true);
        };
        assert!(pod(put_off), "the kubelet has not restarted it yet");
    }
}
