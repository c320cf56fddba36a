//! Health: incarnations that come and go, and what happened to them that chaos did not do.

use jiff::{SignedDuration, Timestamp};
use soak_api::{Foregone, HealthBreach};

use super::aftermath;
use super::draft::Draft;
use crate::facts::PodFact;
use crate::journal::{Entry, Incarnation, IncarnationId};
use crate::mutant::Mutant;
use crate::reasons::{breach as reason, describe};
use crate::workload;

/// How long a start waits to be written down with its pod's being ready.
const READY_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// How many breaches the status shows; the journal has all.
const SHOWN: usize = 5;

/// Where what is going on ends in a message, and what is foregone begins.
const FOREGONE: &str = "; it will be ";

/// Writes down incarnations that are new and that are gone, and every end that chaos did not bring about.
///
/// Of a component that all of an event's pods may have gone from, nothing is said before it is known whether they have.
pub(super) fn incarnations(draft: &mut Draft<'_>) {
    let open = undecided(draft);
    let living: Vec<Incarnation> = draft.journal.living().cloned().collect();
    for incarnation in living {
        if open.as_ref() == Some(&incarnation.component) {
            continue;
        }
        let uid = &incarnation.id.uid;
        let there = draft.observed.pods.iter().find(|pod| pod.uid == *uid);
        let goes_on = |pod: &PodFact| {
            let over = pod.has_ended(incarnation.id.restarts);
            !pod.terminating && !over && pod.disruption.is_none()
        };
        if there.is_some_and(goes_on) {
            continue;
        }
        let last = there.or_else(|| draft.observed.departed.get(uid)).cloned();
        let (id, at) = (incarnation.id.clone(), draft.now);
        draft.write(Entry::Ended { id, at });
        if !aftermath::ended(draft, &incarnation.id) && !goes(draft, &incarnation, last.as_ref()) {
            unplanned(draft, &incarnation, last.as_ref());
        }
    }
    let started: Vec<_> = draft
        .observed
        .pods
        .iter()
        .filter(|pod| !pod.terminating && worth_writing(pod, draft.now))
        .filter_map(incarnation)
        .filter(|incarnation| !draft.journal.incarnations.contains_key(&incarnation.id))
        .collect();
    for incarnation in started {
        draft.write(Entry::Started(incarnation));
    }
    for (incarnation, pod) in unseen(draft) {
        if open.as_ref() == Some(&incarnation.component) {
            continue;
        }
        if goes(draft, &incarnation, Some(&pod)) {
            // So that it is counted once.
            let (id, at) = (incarnation.id.clone(), draft.now);
            draft.write(Entry::Started(incarnation));
            draft.write(Entry::Ended { id, at });
        } else {
            unplanned(draft, &incarnation, Some(&pod));
        }
    }
    if !workload::is_own(&draft.test.spec.workload) {
        added(draft);
    }
}

/// Somebody else has other plans for a component: what is ready, what has recovered and what grows in all is not what it was
/// planned to be.
fn added(draft: &mut Draft<'_>) {
    for component in draft.observed.components.clone() {
        if draft.there(&component.name) > component.replicas as usize {
            let detail = format!("more than the {} that are planned", component.replicas);
            breach(
                draft,
                component.name,
                String::new(),
                reason::MORE_PODS,
                detail,
            );
        }
    }
}

/// The component of which it is not yet known whether an event has been done to all of it.
fn undecided(draft: &Draft<'_>) -> Option<String> {
    let pending = draft.decision.status.chaos.pending.as_ref();
    let intent = pending.filter(|_| !draft.observed.held)?;
    let deed = draft.deed(intent.index)?;
    deed.is_of_component().then(|| intent.component.clone())
}

/// Whether this is one of the pods that an event takes from its component without naming them: so many may go and no more.
/// One that goes for a reason of its own is one of them, too, and that reason is told all the same.
fn goes(draft: &mut Draft<'_>, incarnation: &Incarnation, last: Option<&PodFact>) -> bool {
    let out_of_memory = |pod: &PodFact| {
        let end = pod.last_end.as_ref();
        pod.has_ended(incarnation.id.restarts) && end.is_some_and(|end| end.0 == reason::OOM_KILLED)
    };
    let own_reason = last.is_some_and(|pod| pod.disruption.is_some() || out_of_memory(pod));
    let stays = last.is_some_and(|pod| {
        let mut pods = draft.observed.pods.iter();
        !pod.terminating && pod.disruption.is_none() && pods.any(|one| one.uid == pod.uid)
    });
    if stays {
        return false;
    }
    let mut recovering = draft.decision.status.chaos.recovering.iter_mut();
    let event = recovering.find(|one| one.goes > 0 && one.event.component == incarnation.component);
    match event {
        Some(event) => {
            event.goes -= 1;
            !own_reason
        }
        None => false,
    }
}

/// The containers that started and ended before their start was written down, and not by chaos.
fn unseen(draft: &Draft<'_>) -> Vec<(Incarnation, PodFact)> {
    let living = draft.observed.pods.iter();
    let living = living.filter_map(|pod| Some((pod, pod.last_ended()?)));
    let departed = draft.observed.departed.values();
    let departed = departed
        .filter(|pod| pod.started_at.is_some() || pod.last_end.is_some())
        .map(|pod| (pod, pod.restarts));
    let ids = living.chain(departed).map(|(pod, restarts)| {
        let uid = pod.uid.clone();
        (pod, IncarnationId { uid, restarts })
    });
    // Nearly all of them are in the journal, and many have departed in a long soak.
    ids.filter(|(_, id)| !draft.journal.incarnations.contains_key(id))
        .filter(|(pod, id)| came_meanwhile(draft, pod) || follows(draft, id))
        .filter(|(_, id)| !aftermath::ended(draft, id))
        .map(|(pod, id)| {
            let started_at = pod.started_at.unwrap_or(pod.created_at);
            (incarnation_of(pod, id.restarts, started_at), pod.clone())
        })
        .collect()
}

/// A start is written down together with what it leads to, being ready: of a pod that has not got there nothing is lost
/// meanwhile, see [`unseen`].
fn worth_writing(pod: &PodFact, now: Timestamp) -> bool {
    let waits = |started: Timestamp| now.duration_since(started) < READY_WITHIN;
    pod.ready || pod.started_at.is_some_and(|started| !waits(started))
}

/// Whether the pod came after the workload was first ready: what was before is nobody's business.
fn came_meanwhile(draft: &Draft<'_>, pod: &PodFact) -> bool {
    let since = draft.before.times.warming_up;
    since.is_some_and(|since| pod.created_at > since)
}

/// Whether the journal has an earlier start of the pod.
fn follows(draft: &Draft<'_>, id: &IncarnationId) -> bool {
    let first = IncarnationId {
        restarts: 0,
        ..id.clone()
    };
    let mut earlier = draft.journal.incarnations.range(first..id.clone());
    earlier.next().is_some()
}

/// The one that runs, once it does.
fn incarnation(pod: &PodFact) -> Option<Incarnation> {
    Some(incarnation_of(pod, pod.restarts, pod.started_at?))
}

fn incarnation_of(pod: &PodFact, restarts: u32, started_at: Timestamp) -> Incarnation {
    Incarnation {
        component: pod.component.clone(),
        pod: pod.name.clone(),
        id: IncarnationId {
            uid: pod.uid.clone(),
            restarts,
        },
        started_at,
    }
}

/// An end that chaos did not bring about, by what is known of it.
fn unplanned(draft: &mut Draft<'_>, incarnation: &Incarnation, last: Option<&PodFact>) {
    let end = last.and_then(|pod| pod.last_end.clone());
    let exit = end
        .as_ref()
        .map(|(reason, code)| format!("{reason}, exit code {code}"));
    let restarted = last.is_some_and(|pod| {
        let next = pod.restarts > incarnation.id.restarts;
        next || pod.has_ended(incarnation.id.restarts) && !pod.terminating
    });
    let disruption = last.and_then(|pod| pod.disruption.clone());
    let node_lost = last.is_some_and(|pod| draft.observed.lost_nodes.contains(&pod.node))
        || disruption.as_deref() == Some("DeletionByTaintManager");
    let (reason, detail) = match (disruption, end) {
        (Some(why), _) if node_lost => (reason::NODE_LOST, why),
        (Some(why), _) => (reason::EVICTED, why),
        (None, Some((why, code))) if why == reason::OOM_KILLED => {
            (reason::OOM_KILLED, format!("exit code {code}"))
        }
        (None, _) if restarted => (reason::CONTAINER_RESTARTED, exit.unwrap_or_default()),
        (None, _) => (
            reason::POD_DELETED,
            exit.unwrap_or_else(|| "deleted by somebody else".to_owned()),
        ),
    };
    breach(
        draft,
        incarnation.component.clone(),
        incarnation.pod.clone(),
        reason,
        detail,
    );
}

/// Notes something that chaos did not do, once.
pub(super) fn breach(
    draft: &mut Draft<'_>,
    component: String,
    pod: String,
    reason: &str,
    detail: String,
) {
    let breach = HealthBreach {
        at: draft.now,
        component,
        pod,
        reason: reason.to_owned(),
        detail,
    };
    if draft.journal.has_breach(&breach) || Mutant::IgnoresBreaches.is_on() {
        return;
    }
    let about = [&breach.component, &breach.pod, &breach.reason].map(String::as_str);
    draft.announce_about(about.join(" "), true, "HealthBreach", describe(&breach));
    draft.write(Entry::Breach(breach.clone()));
    let shown = &mut draft.status().breaches;
    if shown.len() < SHOWN {
        shown.push(breach);
    } else if !breach.proves_nothing() && shown.iter().all(HealthBreach::proves_nothing) {
        // Whoever looks has to see what decides.
        shown.pop();
        shown.push(breach);
    }
}

/// Adds to what is going on what the soak can no longer avoid: whoever looks at it on Friday need not wait for Monday.
pub(super) fn tell_what_is_foregone(draft: &mut Draft<'_>) {
    let status = &draft.decision.status;
    let Some(foregone) = status.foregone() else {
        return;
    };
    let (now, why) = (going_on(&status.message), foregone_in_words(&foregone));
    let message = format!("{now}; it {why}");
    draft.status().message = message;
}

/// Such as `will be Failed: worker-x: OOMKilled (exit code 137)`.
pub(super) fn foregone_in_words(foregone: &Foregone<'_>) -> String {
    format!("{}: {}", foregone.in_words(), describe(foregone.breach))
}

/// The message without what is foregone.
pub(super) fn going_on(message: &str) -> &str {
    message.split(FOREGONE).next().unwrap_or(message)
}
