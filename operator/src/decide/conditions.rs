//! Conditions for `kubectl wait`, derived from the rest of the decision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use soak_api::{ChaosStatus, EventResult, Phase, SoakOutcome, SoakTest};

use super::draft::Draft;
use super::health;
use crate::mutant::Mutant;
use crate::reasons::condition as type_;

/// A condition's status, reason and message.
struct Answer(bool, &'static str, String);

pub(super) fn update(draft: &mut Draft<'_>) {
    let answers = [
        (type_::WORKLOAD_READY, workload_ready(draft)),
        (type_::METRICS_AVAILABLE, metrics_available(draft)),
        (type_::CHAOS_HEALTHY, chaos_healthy(draft)),
        (type_::COMPLETE, Some(complete(draft))),
        (type_::PASSED, passed(draft)),
    ];
    for (type_, answer) in answers {
        if let Some(Answer(status, reason, message)) = answer {
            set(draft, type_, status, reason, &message);
        }
    }
}

fn workload_ready(draft: &Draft<'_>) -> Option<Answer> {
    let status = &draft.decision.status;
    Some(match status.phase {
        Phase::Pending | Phase::Deploying => Answer(false, "Deploying", status.message.clone()),
        Phase::CleaningUp | Phase::Completed => return None,
        _ if draft.all_ready() => Answer(true, "AllPodsReady", String::new()),
        // That pods go and come while chaos is at it is no news; that they stay away is.
        _ if recovers(&status.chaos) => return None,
        _ => Answer(
            false,
            "PodsNotReady",
            "not every planned pod is ready".to_owned(),
        ),
    })
}

/// Whether the workload is on its way back from an event, and in time.
fn recovers(chaos: &ChaosStatus) -> bool {
    let begun = chaos.pending.is_some() || !chaos.recovering.is_empty();
    begun && chaos.recovering.iter().all(|one| !one.overdue)
}

fn metrics_available(draft: &Draft<'_>) -> Option<Answer> {
    let judging = draft
        .observed
        .judged
        .as_ref()
        .map(|judged| judged.as_ref().map(|_| ()));
    let probe = draft.observed.metrics.as_ref().map(Result::as_ref);
    match judging.or(probe.map(|p| p.map(|&()| ()))) {
        Some(Ok(())) => Some(Answer(true, "PrometheusAnswers", String::new())),
        Some(Err(problem)) => Some(Answer(false, "PrometheusUnavailable", problem.clone())),
        None => None,
    }
}

fn chaos_healthy(draft: &Draft<'_>) -> Option<Answer> {
    let chaos = &draft.decision.status.chaos;
    if draft.decision.status.phase < Phase::Soaking {
        return None;
    }
    let Some(last) = chaos.recent.last() else {
        return Some(Answer(true, "NoEventYet", String::new()));
    };
    Some(match last.result {
        EventResult::Injected if last.recovered_at.is_some() => {
            Answer(true, "Recovered", String::new())
        }
        EventResult::Injected => Answer(
            false,
            "NotRecovered",
            format!("event {} was not recovered from", last.index),
        ),
        _ => Answer(
            false,
            "EventNotProven",
            format!("event {}: {:?}: {}", last.index, last.result, last.reason),
        ),
    })
}

/// Notes that the cluster is as it is to be after the soak.
pub(super) fn cleaned_up(draft: &mut Draft<'_>) {
    set(draft, type_::CLEANED_UP, true, "CleanedUp", "");
}

/// Notes what of the soak is left in the cluster.
pub(super) fn remains(draft: &mut Draft<'_>, what: &str) {
    set(draft, type_::CLEANED_UP, false, "Remaining", what);
}

/// Whether the soak is said to have left something in the cluster.
pub(crate) fn is_left(test: &SoakTest) -> bool {
    if Mutant::ForgetsWhatIsLeft.is_on() {
        return false;
    }
    let conditions = test.status.iter().flat_map(|status| &status.conditions);
    let mut of_it = conditions.filter(|condition| condition.type_ == type_::CLEANED_UP);
    of_it.any(|condition| condition.status == "False")
}

fn complete(draft: &Draft<'_>) -> Answer {
    let status = &draft.decision.status;
    let done = status.phase == Phase::Completed;
    let message = if done {
        status.message.clone()
    } else {
        String::new()
    };
    Answer(done, if done { "Completed" } else { "Running" }, message)
}

fn passed(draft: &Draft<'_>) -> Option<Answer> {
    let status = &draft.decision.status;
    if let Some(foregone) = status.foregone() {
        // It cannot pass any more: that is known before the end.
        let why = health::foregone_in_words(&foregone);
        return Some(Answer(false, "HealthBreached", why));
    }
    if status.phase != Phase::Completed {
        return None;
    }
    let (passed, reason) = match status.outcome {
        Some(SoakOutcome::Passed) => (true, "Passed"),
        Some(SoakOutcome::Failed) => (false, "Failed"),
        Some(SoakOutcome::Inconclusive) | None => (false, "Inconclusive"),
        Some(SoakOutcome::Aborted) => (false, "Aborted"),
        Some(SoakOutcome::Error) => (false, "Error"),
    };
    Some(Answer(passed, reason, status.message.clone()))
}

fn set(draft: &mut Draft<'_>, type_: &str, status: bool, reason: &str, message: &str) {
    let status = if status { "True" } else { "False" };
    let (now, generation) = (Time(draft.now), draft.test.metadata.generation);
    let conditions = &mut draft.decision.status.conditions;
    let message: String = message.chars().take(1_024).collect();
    if let Some(known) = conditions.iter_mut().find(|c| c.type_ == type_) {
        if known.status != status {
            known.last_transition_time = now;
        }
        (known.status, known.reason, known.message) =
            (status.to_owned(), reason.to_owned(), message);
        return;
    }
    conditions.push(Condition {
        last_transition_time: now,
        message,
        observed_generation: generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    });
}
