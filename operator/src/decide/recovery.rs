//! The way back from an event: what proves it, what undoes it, and when its component is whole again.

use jiff::{SignedDuration, Timestamp};
use soak_api::{EventResult, Phase, Recovering};

use super::aftermath::{RESTARTED_WITHIN, crashed, keep, pod_of, proven};
use super::draft::{Draft, signed};
use super::health;
use crate::chaos::Deed;
use crate::decision::{Effect, Undoing};
use crate::mutant::Mutant;
use crate::reasons::{breach, chaos as reason};

/// After this long a pod that is not wanted any more has gone, and the watch has told of it, even where it lags.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(15);

/// Notes which events are proven, undoes what has lasted long enough, and notes which components are back, and which have
/// been away too long.
pub(super) fn recover(draft: &mut Draft<'_>) {
    for one in std::mem::take(&mut draft.status().chaos.recovering) {
        recover_from(draft, one);
    }
}

fn recover_from(draft: &mut Draft<'_>, mut one: Recovering) {
    let Some(deed) = draft.deed(one.event.index) else {
        keep(draft, one.event);
        return;
    };
    if one.event.result == EventResult::Unproven {
        match proof(draft, &one, &deed) {
            Proof::Seen => proven(draft.status(), &mut one.event),
            Proof::Never(why) => {
                why.clone_into(&mut one.event.reason);
                keep(draft, one.event);
                return;
            }
            Proof::NotYet(until) => draft.look_at(until),
            Proof::Open => {}
        }
    }
    if one.undo_at.is_some() {
        undo(draft, &mut one, deed);
    } else if is_back(draft, &one, &deed) {
        one.event.recovered_at = Some(draft.now);
        keep(draft, one.event);
        return;
    } else {
        let since = one.event.undone_at.or(one.event.injected_at);
        let since = since.unwrap_or(one.event.planned_at);
        overdue(
            draft,
            &mut one,
            since,
            breach::NOT_RECOVERED,
            "not ready again",
        );
    }
    draft.status().chaos.recovering.push(one);
}

/// Whether what the event does is seen to happen.
enum Proof {
    Seen,
    /// It can come until then.
    NotYet(Timestamp),
    /// It can come for as long as the event lasts.
    Open,
    /// It cannot come any more, and there is nothing to come back from.
    Never(&'static str),
}

fn proof(draft: &mut Draft<'_>, one: &Recovering, deed: &Deed) -> Proof {
    let event = &one.event;
    let lasts = one.undo_at.is_some() && !one.undoing;
    let pod = pod_of(draft, &event.uid);
    let seen = match deed {
        Deed::Delete { .. } | Deed::Evict => true,
        Deed::Crash(_) => {
            let told = event.injected_at.unwrap_or(event.planned_at);
            return match pod {
                None => Proof::Never(reason::TARGET_GONE),
                Some(pod) if crashed(pod, event.restarts, told) => Proof::Seen,
                Some(_) if draft.now >= told + RESTARTED_WITHIN => Proof::Never(reason::NO_RESTART),
                Some(_) => Proof::NotYet(told + RESTARTED_WITHIN),
            };
        }
        Deed::CutOff { .. } => lasts && pod.is_some_and(|pod| !pod.ready),
        Deed::Scale { replicas, .. } => lasts && has(draft, &event.component, *replicas as usize),
        Deed::Rollout => is_back(draft, one, deed),
    };
    if seen { Proof::Seen } else { Proof::Open }
}

/// Undoes the event once it has lasted long enough, or the soak ends. That is written down before it is done, with how many
/// pods may go by it.
fn undo(draft: &mut Draft<'_>, one: &mut Recovering, deed: Deed) {
    let Some(at) = one.undo_at else { return };
    let status = &draft.decision.status;
    let ends = status.phase >= Phase::Settling || status.failed_fast.is_some();
    let due = draft.now >= at || ends || one.undoing;
    if due && Mutant::ForgetsToUndo.is_on() {
        one.undo_at = None;
        return;
    }
    if !due {
        draft.look_at(at.max(draft.now + SignedDuration::from_secs(1)));
        return;
    }
    let component = one.event.component.clone();
    if !one.undoing {
        one.goes += deed.takes_undone(draft.planned(&component));
        if one.event.result == EventResult::Unproven {
            let why = match deed {
                Deed::Scale { .. } => reason::NOT_REACHED,
                _ => reason::NOT_CUT_OFF,
            };
            why.clone_into(&mut one.event.reason);
        }
    }
    let taken_over = draft.before.presence.operator != draft.observed.operator;
    if !one.undoing || taken_over {
        // From here on it is to be done; where it cannot be, that is counted from here.
        one.undo_at = Some(draft.now);
    }
    one.undoing = true;
    overdue(
        draft,
        one,
        one.undo_at.unwrap_or(at),
        breach::NOT_UNDONE,
        "not undone",
    );
    let undoing = Undoing {
        index: one.event.index,
        component,
        deed,
    };
    match &mut draft.decision.effect {
        Effect::Undo(all) => all.push(undoing),
        effect => *effect = Effect::Undo(vec![undoing]),
    }
    draft.look_at(draft.now + SignedDuration::from_secs(1));
}

/// Whether the event's component is whole again.
fn is_back(draft: &mut Draft<'_>, one: &Recovering, deed: &Deed) -> bool {
    let event = &one.event;
    let planned = draft.desired(&event.component);
    let ready = draft.ready(&event.component) >= planned;
    let ended = match deed {
        Deed::Delete { .. } | Deed::Evict => pod_of(draft, &event.uid).is_none(),
        Deed::Crash(_) => {
            let pod = pod_of(draft, &event.uid);
            pod.is_none_or(|pod| pod.restarts > event.restarts)
        }
        Deed::CutOff { .. } => true,
        Deed::Scale { .. } => {
            // Pods that came and were scaled away again may not have been seen at all, or not yet.
            let told = event.undone_at.unwrap_or(draft.now) + TOLD_WITHIN;
            let all_gone = one.goes == 0 || draft.now >= told;
            if !all_gone {
                draft.look_at(told);
            }
            all_gone && has(draft, &event.component, planned)
        }
        Deed::Rollout => one.goes == 0 && has(draft, &event.component, planned),
    };
    ready && ended
}

/// Whether the component has exactly so many pods, all of them ready.
fn has(draft: &Draft<'_>, component: &str, count: usize) -> bool {
    draft.there(component) == count && draft.ready(component) == count
}

/// Counts what has taken longer than the recovery timeout as a breach of health, once.
fn overdue(
    draft: &mut Draft<'_>,
    one: &mut Recovering,
    since: Timestamp,
    reason: &'static str,
    what: &str,
) {
    let chaos = draft.test.spec.chaos.as_ref();
    let limit = chaos.map(|chaos| &chaos.guard.recovery_timeout);
    let Some(limit) = limit.filter(|_| !one.overdue) else {
        return;
    };
    let at = since + signed(limit.duration());
    if draft.now < at {
        draft.look_at(at);
        return;
    }
    one.overdue = true;
    let (component, index) = (one.event.component.clone(), one.event.index);
    let detail = format!("{what} within {limit} after event {index}");
    health::breach(draft, component, String::new(), reason, detail);
}
