//! Health as a criterion: what the journal says of the workload.

use soak_api::verdict::Outcome;
use soak_api::{CriterionResult, EventResult, HealthBreach, SoakTest};

use crate::journal::Journal;
use crate::reasons::describe;

/// Nothing may happen to the workload that chaos did not do; a node that was lost, an event that was done after it had been
/// given up, or pods that were added, prove nothing either way.
pub(crate) fn health(test: &SoakTest, journal: &Journal) -> CriterionResult {
    let breaches = journal.breaches.iter();
    let (lost, own): (Vec<_>, Vec<_>) = breaches.partition(|one| one.proves_nothing());
    let listed = |breaches: &[&HealthBreach]| {
        let first: Vec<_> = breaches
            .iter()
            .take(3)
            .map(|breach| describe(breach))
            .collect();
        let more = breaches.len().saturating_sub(3);
        if more > 0 {
            format!("{} and {more} more", first.join("; "))
        } else {
            first.join("; ")
        }
    };
    let (outcome, sentence) = if !own.is_empty() {
        (
            Outcome::Failed,
            format!("chaos did not do this: {}.", listed(&own)),
        )
    } else if !lost.is_empty() {
        (
            Outcome::Inconclusive,
            format!(
                "a node went away, an event was done after it had been given up, or pods were added, which says nothing about the workload: {}.",
                listed(&lost)
            ),
        )
    } else {
        (Outcome::Passed, healthy(test, journal))
    };
    CriterionResult::in_words("health", "health", outcome, sentence)
}

fn healthy(test: &SoakTest, journal: &Journal) -> String {
    let injected: Vec<_> = journal
        .events
        .values()
        .filter(|e| e.result == EventResult::Injected)
        .collect();
    let slowest = injected
        .iter()
        .filter_map(|event| {
            Some(
                event
                    .recovered_at?
                    .duration_since(event.undone_at.or(event.injected_at)?),
            )
        })
        .max();
    let nothing = "no pod restarted, ran out of memory, was evicted or was deleted but by chaos";
    let limit = test
        .spec
        .chaos
        .as_ref()
        .map(|chaos| chaos.guard.recovery_timeout.to_string())
        .unwrap_or_default();
    match slowest {
        Some(slowest) => format!(
            "{nothing}; after each of {} events all pods were ready again, the slowest after {:.1}s (limit {limit}).",
            injected.len(),
            slowest.as_secs_f64()
        ),
        None => format!("{nothing}."),
    }
}
