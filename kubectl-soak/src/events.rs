//! Chaos events of a running soak in words.

use jiff::{SignedDuration, Timestamp};
use soak_api::{ChaosStatus, EventRecord, EventResult, PendingIntent, Recovering};

use crate::wording::{NOTHING, length};

/// What there is to say of one event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) index: u32,
    /// When it was done, or was to be.
    pub(crate) at: Timestamp,
    pub(crate) kind: String,
    pub(crate) component: String,
    /// The pod, or the Deployment.
    pub(crate) target: String,
    /// Such as `recovered after 6.8s`.
    pub(crate) result: String,
    /// Whether all is well with it, as far as is known.
    pub(crate) good: bool,
}

/// The events that the status still holds, the last one first.
pub(crate) fn last(chaos: &ChaosStatus) -> Vec<Told> {
    let over = chaos.recent.iter().map(over);
    let recovering = chaos.recovering.iter().map(recovering);
    let pending = chaos.pending.iter().map(pending);
    let mut told: Vec<Told> = over.chain(recovering).chain(pending).collect();
    told.sort_by_key(|one| std::cmp::Reverse(one.index));
    told
}

/// How long each of the last events took to be recovered from, the last one at the end.
pub(crate) fn recovery_times(chaos: &ChaosStatus) -> Vec<SignedDuration> {
    chaos.recent.iter().filter_map(took).collect()
}

/// Recovery begins when what lasts has been undone.
fn took(event: &EventRecord) -> Option<SignedDuration> {
    let begun = event.undone_at.or(event.injected_at)?;
    Some(event.recovered_at?.duration_since(begun))
}

fn over(event: &EventRecord) -> Told {
    let took = took(event);
    let result = match (event.result, took) {
        (EventResult::Injected, Some(took)) => format!("recovered after {}", length(took)),
        (EventResult::Injected, None) => "not recovered".to_owned(),
        (result, _) if event.reason.is_empty() => format!("{result:?}"),
        (result, _) => format!("{result:?}: {}", event.reason),
    };
    Told {
        result,
        good: event.result == EventResult::Injected && took.is_some(),
        ..told(event)
    }
}

fn recovering(one: &Recovering) -> Told {
    let result = if one.overdue {
        "recovering, overdue"
    } else if one.undo_at.is_some() && one.event.undone_at.is_none() {
        "lasts"
    } else {
        "recovering"
    };
    Told {
        result: result.to_owned(),
        good: !one.overdue,
        ..told(&one.event)
    }
}

fn told(event: &EventRecord) -> Told {
    Told {
        index: event.index,
        at: event.injected_at.unwrap_or(event.planned_at),
        kind: event.kind.clone(),
        component: event.component.clone(),
        target: Some(event.pod.clone())
            .filter(|pod| !pod.is_empty())
            .unwrap_or_else(|| NOTHING.to_owned()),
        result: String::new(),
        good: true,
    }
}

fn pending(intent: &PendingIntent) -> Told {
    // Most are written down shortly before their instant.
    let ahead = intent.decided_at < intent.planned_at;
    Told {
        index: intent.index,
        at: intent.planned_at,
        kind: intent.kind.clone(),
        component: intent.component.clone(),
        target: intent.pod.clone(),
        result: if ahead {
            "is about to be done"
        } else {
            "is being done"
        }
        .to_owned(),
        good: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{at, soaking};

    #[test]
    fn the_last_event_comes_first_and_each_says_what_became_of_it() {
        let chaos = soaking().status.expect("a status").chaos;
        let told = last(&chaos);
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.index, one.result.as_str(), one.good))
            .collect();
        assert_eq!(
            told,
            [
                (2, "recovering", true),
                (1, "Skipped: NotRecovered", false),
                (0, "recovered after 6.8s", true)
            ]
        );
    }

    #[test]
    fn an_event_that_is_written_down_before_its_instant_is_not_said_to_be_under_way() {
        let mut intent = PendingIntent {
            index: 3,
            kind: "podKill".to_owned(),
            component: "worker".to_owned(),
            pod: "worker-a".to_owned(),
            uid: "a".to_owned(),
            restarts: 0,
            planned_at: at("06:04:02"),
            decided_at: at("06:04:00"),
        };
        assert_eq!(pending(&intent).result, "is about to be done");
        intent.decided_at = at("06:04:03");
        assert_eq!(pending(&intent).result, "is being done");
    }
}
