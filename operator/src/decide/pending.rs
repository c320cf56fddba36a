//! What becomes of an intent that is written down: done on its instant, given up, or found by a later pass, which resolves it
//! and never forgets it.

use jiff::{SignedDuration, Timestamp};
use soak_api::{EventRecord, EventResult, PendingIntent, Recovering};

use super::aftermath::{RESTARTED_WITHIN, begun, crashed, keep, pod_of, record_of, recovers};
use super::chaos;
use super::draft::Draft;
use crate::chaos::{Deed, LATEST};
use crate::decision::Effect;
use crate::mutant::Mutant;
use crate::reasons::chaos as reason;

/// How long after it was asked for something may still be done, though nobody waits for the answer any more.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(20);

/// How soon what was not done is tried again, and how often it is looked at once it is too late for that.
const SOON: SignedDuration = SignedDuration::from_secs(1);
const PACE: SignedDuration = SignedDuration::from_secs(5);

/// The intent of an earlier pass. One whose instant is yet to come waits for it. One that this process holds is done then, or
/// given up for the guard that refuses it by now. Of another nobody wrote down the result: it is found done; or done now if
/// its target is as it was and it is not too late; given up if it is, and if nothing can come of an earlier request any more;
/// presumed done if the pod is gone, which proves nothing.
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
    let age = draft.now.duration_since(intent.planned_at);
    let may_come = may_come(draft, &intent, &deed);
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
                Ok(effect) if age <= LATEST => draft.decision.effect = effect,
                Err(refused) => why = refused,
                Ok(_) => {}
            }
        }
        if may_come {
            draft.look_at(draft.now + if age <= LATEST { SOON } else { PACE });
            return;
        }
    }
    // No policy minds what its pod has become.
    if matches!((&found, &deed), (Found::Taken, Deed::CutOff { .. })) && may_come {
        draft.look_at(draft.now + PACE);
        return;
    }
    if matches!(found, Found::Unknown) {
        draft.look_at(draft.now + SOON);
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

/// How long after its instant nothing can come any more of an intent that somebody may have asked for.
fn settled_after(deed: &Deed) -> SignedDuration {
    match deed {
        Deed::Crash(_) => RESTARTED_WITHIN,
        _ if Mutant::GivesUpTooSoon.is_on() => LATEST,
        _ => LATEST + ON_ITS_WAY,
    }
}

/// Does what was held until now, or gives it up.
fn release(draft: &mut Draft<'_>, intent: &PendingIntent) {
    let late = draft.now.duration_since(intent.planned_at) > LATEST;
    let released = match chaos::released(draft, intent, false) {
        _ if late => Err(reason::TOO_LATE),
        released => released,
    };
    match released {
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
    draft.look_at(draft.now + SOON);
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

/// Whether somebody may have asked for the intent a moment ago, so that it may yet be done.
fn may_come(draft: &Draft<'_>, intent: &PendingIntent, deed: &Deed) -> bool {
    let from = draft.now.duration_since(intent.planned_at);
    let asked = draft.held().is_none() && !from.is_negative();
    asked && from <= settled_after(deed)
}

/// Brings what is begun to an end, because the soak ends: an event without recovery is written down as such.
pub(super) fn close(draft: &mut Draft<'_>) {
    if let Some(intent) = draft.status().chaos.pending.take() {
        let found = match draft.deed(intent.index) {
            Some(deed) => match Found::of(draft, &intent, &deed) {
                found if !may_come(draft, &intent, &deed) => found,
                Found::Untouched => Found::Unknown,
                // No policy minds what its pod has become.
                Found::Taken if matches!(deed, Deed::CutOff { .. }) => Found::Unknown,
                found => found,
            },
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
