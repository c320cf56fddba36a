//! Decides what comes next and why: pure, total, without client, clock or randomness.
//!
//! [`decide`] takes the SoakTest as it was last written, what was observed, and the instant, and answers with the
//! status to write, the entries to journal before it, and what to do once both are written. Each phase has its part of
//! the lifecycle below; what chaos and health add to it is in files of their own.

mod aftermath;
mod chaos;
mod conditions;
mod draft;
mod health;
mod lifecycle;
mod pending;
mod recovery;

use std::borrow::Cow;

use jiff::Timestamp;
use soak_api::{Phase, SoakTest, SoakTestStatus};

pub(crate) use aftermath::{resolve, undone};
pub(crate) use chaos::due;
pub(crate) use conditions::is_left;
pub(crate) use draft::{LAST_CALL, heartbeat};
pub(crate) use lifecycle::{CLEANS_EVERY, is_over, is_to_be_scaled_back, keeps, waits_until};

use self::draft::Draft;
use crate::decision::{Decision, Effect};
use crate::observed::Observed;

/// What comes next for `test`, and why.
pub(crate) fn decide(test: &SoakTest, observed: &Observed, now: Timestamp) -> Decision {
    let before = test.status.clone().unwrap_or_default();
    let journal = observed
        .journal
        .as_ref()
        .map_or_else(|_| Cow::default(), |journal| Cow::Borrowed(&**journal));
    let mut draft = Draft {
        test,
        observed,
        now,
        before: &before,
        journal,
        decision: Decision {
            status: before.clone(),
            ..Decision::default()
        },
    };
    if let Some((effect, again)) = chaos::on_the_tick(&draft) {
        draft.decision.effect = effect;
        draft.look_at(again);
        return draft.decision;
    }
    lifecycle::step(&mut draft);
    if is_over(test) {
        return draft.decision;
    }
    health::tell_what_is_foregone(&mut draft);
    conditions::update(&mut draft);
    finish(draft)
}

/// Writes are for changes: what moves by itself is brought along with them and once a heartbeat.
fn finish(mut draft: Draft<'_>) -> Decision {
    let heartbeat = heartbeat(draft.test);
    let seen = draft.before.presence.seen_at;
    let due = seen.is_none_or(|at| draft.now.duration_since(at) >= heartbeat);
    if draft.decision.status.phase != Phase::Completed {
        draft.look_at(seen.filter(|_| !due).unwrap_or(draft.now) + heartbeat);
    }
    let drafted = draft.decision.status.clone();
    moves(&mut draft.decision.status, draft.before);
    // What is not done on its instant is written down again, or it might be done on a SoakTest that is not the last any
    // more.
    let injects = matches!(draft.decision.effect, Effect::Inject { .. });
    let changed = draft.decision.status != *draft.before || !draft.decision.journal.is_empty();
    if changed || injects || (due && draft.decision.status.phase != Phase::Completed) {
        moves(&mut draft.decision.status, &drafted);
        let (now, operator) = (draft.now, draft.observed.operator.clone());
        let progress = lifecycle::progress(draft.test, &draft.decision.status, now);
        let status = draft.status();
        status.presence.seen_at = Some(now);
        status.presence.operator = operator;
        status.progress = progress;
    }
    draft.decision
}

/// Makes what moves by itself what it is in the other: how many pods are ready, and what the soak comes to so far. Progress
/// does so too, and is only known as it is written.
fn moves(status: &mut SoakTestStatus, other: &SoakTestStatus) {
    status.components.clone_from(&other.components);
    status.estimates.clone_from(&other.estimates);
    status.unmeasured.clone_from(&other.unmeasured);
}

#[cfg(test)]
mod tests;
