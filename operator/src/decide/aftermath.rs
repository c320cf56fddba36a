//! What became of an event that was begun: its result and its record. Its way back is in [`super::recovery`].

use jiff::{SignedDuration, Timestamp};
use soak_api::{EventRecord, EventResult, PendingIntent, Recovering, SoakTest, SoakTestStatus};

use super::draft::{Draft, signed};
use crate::chaos::Deed;
use crate::decision::{Announcement, Answer, Decision, Tried};
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

/// The status once the intent's result is known; `None` where nobody knows it, and the next pass has to find out.
pub(crate) fn resolve(test: &SoakTest, tried: &Tried) -> Option<Decision> {
    let Tried {
        intent,
        deed,
        answer,
        asked_at,
        answered_at,
    } = tried;
    let mut status: SoakTestStatus = test.status.clone().unwrap_or_default();
    let mut decision = Decision::default();
    if status.chaos.pending.as_ref() != Some(intent) {
        return None;
    }
    status.chaos.pending = None;
    let mut record = record_of(intent);
    match answer {
        Answer::Accepted => {
            if asked_at.duration_since(intent.planned_at) > SignedDuration::from_secs(1) {
                reason::LATE.clone_into(&mut record.reason);
            }
            let planned = workload::replicas(test, &intent.component);
            begun(&mut status, record, deed, planned, *asked_at);
            if deed.ends_the_pod() {
                // The watch will tell as well: said now, it takes no write of its own.
                let (uid, restarts) = (intent.uid.clone(), intent.restarts);
                let id = IncarnationId { uid, restarts };
                let at = *answered_at;
                decision.journal.push(Entry::Ended { id, at });
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
pub(super) fn begun(
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

pub(super) fn record_of(intent: &PendingIntent) -> EventRecord {
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
pub(super) fn recovers(status: &mut SoakTestStatus, one: Recovering) {
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
