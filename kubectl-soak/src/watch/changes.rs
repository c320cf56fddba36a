//! What is different between two versions of a soak, a sentence each.

use jiff::Timestamp;
use soak_api::{SoakTest, SoakTestStatus, Unmeasured};

use crate::events;
use crate::wording::{NOTHING, interval, measure};

/// Conditions whose change is news by itself; the others follow from what is told anyway.
const NEWS: [&str; 3] = ["MetricsAvailable", "ChaosHealthy", "CleanedUp"];

/// A difference.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// When it came to be, where that may be long ago: it is seen only now.
    pub(super) at: Option<Timestamp>,
    pub(super) text: String,
}

impl From<String> for Change {
    fn from(text: String) -> Self {
        Self { at: None, text }
    }
}

/// What has changed since `before`, and all that is worth telling where there was nothing before.
pub(super) fn between(before: Option<&SoakTest>, after: &SoakTest) -> Vec<Change> {
    let status = |test: Option<&SoakTest>| test.and_then(|test| test.status.clone());
    let before = status(before).map(Some).unwrap_or_default();
    let Some(after) = status(Some(after)) else {
        return vec!["Pending: no operator has seen it yet".to_owned().into()];
    };
    let first = before.is_none();
    let before = before.unwrap_or_default();
    let mut changes: Vec<Change> = Vec::new();
    // The outcome is told at the end, with its reasons.
    if after.outcome.is_none()
        && (first || before.phase != after.phase || before.message != after.message)
    {
        let message = Some(&after.message).filter(|message| !message.is_empty());
        let message = message.map(|message| format!(": {message}"));
        changes.push(format!("{:?}{}", after.phase, message.unwrap_or_default()).into());
    }
    changes.extend(components(&before, &after).map(Change::from));
    let mut dated = chaos(&before, &after);
    dated.extend(breaches(&before, &after));
    if first {
        dated.sort_by_key(|change| change.at);
    } else {
        for change in &mut dated {
            change.at = None;
        }
    }
    changes.extend(dated);
    let news = [
        conditions(&before, &after),
        estimates(&before, &after),
        unmeasured(&before, &after),
        outcome(&before, &after),
    ];
    changes.extend(news.concat().into_iter().map(Change::from));
    changes
}

fn components(before: &SoakTestStatus, after: &SoakTestStatus) -> Option<String> {
    if before.components == after.components || after.components.is_empty() {
        return None;
    }
    let ready = after.components.iter();
    let ready = ready.map(|one| format!("{} {}/{}", one.name, one.ready, one.desired));
    Some(format!("ready: {}", ready.collect::<Vec<_>>().join(", ")))
}

fn chaos(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<Change> {
    let known = events::last(&before.chaos);
    let mut told = events::last(&after.chaos);
    told.reverse();
    let new = told.into_iter().filter(|one| !known.contains(one));
    new.map(|one| {
        let target = Some(one.target).filter(|target| target != NOTHING);
        let target = target
            .map(|target| format!(" {target}"))
            .unwrap_or_default();
        let text = format!(
            "event {}, {} of {}{target}: {}",
            one.index, one.kind, one.component, one.result
        );
        Change {
            at: Some(one.at),
            text,
        }
    })
    .collect()
}

fn breaches(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<Change> {
    let new = after.breaches.iter();
    let new = new.filter(|breach| !before.breaches.contains(breach));
    new.map(|breach| {
        let parts = [&breach.component, &breach.pod, &breach.detail];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let parts: Vec<&str> = parts.map(String::as_str).collect();
        Change {
            at: Some(breach.at),
            text: format!("not by chaos: {} of {}", breach.reason, parts.join(", ")),
        }
    })
    .collect()
}

fn conditions(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<String> {
    let known = |kind: &str, status: &str| {
        let mut conditions = before.conditions.iter();
        conditions.any(|one| one.type_ == kind && one.status == status)
    };
    let new = after.conditions.iter();
    let new =
        new.filter(|one| NEWS.contains(&one.type_.as_str()) && !known(&one.type_, &one.status));
    new.map(|one| {
        let why = [&one.reason, &one.message];
        let why: Vec<&str> = why
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(String::as_str)
            .collect();
        format!("{} is {}: {}", one.type_, one.status, why.join(", "))
    })
    .collect()
}

fn estimates(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<String> {
    let new = after.estimates.iter();
    let new = new.filter(|estimate| !before.estimates.contains(estimate));
    new.map(|one| {
        let component = Some(&one.component).filter(|name| !name.is_empty());
        let component = component
            .map(|name| format!(" of {name}"))
            .unwrap_or_default();
        let interval = match one.interval {
            Some(_) => format!(" ({})", interval(one.interval, &one.unit)),
            None => String::new(),
        };
        let limit = measure(one.limit, &one.unit);
        let estimate = measure(one.estimate, &one.unit);
        format!(
            "so far: {}{component} {estimate}{interval}, limit {limit}",
            one.criterion
        )
    })
    .collect()
}

fn unmeasured(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<String> {
    // How many there are by now is no news; that there is something else to mend is.
    let plain = |why: &str| why.replace(|c: char| c.is_ascii_digit(), "");
    let known = |one: &Unmeasured| {
        let mut known = before.unmeasured.iter();
        known.any(|old| old.criterion == one.criterion && plain(&old.why) == plain(&one.why))
    };
    let new = after.unmeasured.iter().filter(|one| !known(one));
    new.map(|one| format!("not measured so far: {}: {}", one.criterion, one.why))
        .collect()
}

fn outcome(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<String> {
    let Some(outcome) = after
        .outcome
        .filter(|outcome| before.outcome != Some(*outcome))
    else {
        return Vec::new();
    };
    let criteria = after.criteria.iter();
    let criteria = criteria.map(|one| format!("{} {:?}: {}", one.name, one.outcome, one.sentence));
    // The message begins with the outcome.
    let message = Some(after.message.clone()).filter(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| format!("{outcome:?}"));
    criteria.chain(std::iter::once(message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{failed, leaking, soaking};

    fn told(before: Option<&SoakTest>, after: &SoakTest) -> String {
        let texts = between(before, after).into_iter().map(|change| change.text);
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_seen_first_is_told_in_full() {
        insta::assert_snapshot!(told(None, &soaking()));
        assert_eq!(
            told(None, &leaking()),
            "Pending: no operator has seen it yet"
        );
    }

    #[test]
    fn nothing_is_told_twice() {
        assert_eq!(told(Some(&soaking()), &soaking()), "");
        let mut heartbeat = soaking();
        let status = heartbeat.status.as_mut().expect("a status");
        status.progress = "49%".to_owned();
        status.presence.seen_at = Some(crate::example::at("06:05:00"));
        assert_eq!(told(Some(&soaking()), &heartbeat), "");
    }

    #[test]
    fn a_change_is_told_alone() {
        let mut after = soaking();
        let status = after.status.as_mut().expect("a status");
        let mut event = status.chaos.recovering.remove(0).event;
        event.recovered_at = Some(crate::example::at("06:04:02"));
        status.chaos.recent.push(event);
        status.components[3].ready = 6;
        status.estimates[0].estimate = 40.0;
        insta::assert_snapshot!(told(Some(&soaking()), &after));
    }

    #[test]
    fn what_cannot_be_measured_is_told_again_only_where_there_is_another_reason() {
        let mut after = soaking();
        let status = after.status.as_mut().expect("a status");
        status.unmeasured[0].why = "3 incarnations lived long enough, 4 are needed.".to_owned();
        let counted = told(Some(&soaking()), &after);
        assert!(counted.contains("3 incarnations"), "{counted}");
        let before = after.clone();
        let status = after.status.as_mut().expect("a status");
        status.unmeasured[0].why = "2 incarnations lived long enough, 4 are needed.".to_owned();
        assert_eq!(told(Some(&before), &after), "");
    }

    #[test]
    fn the_end_is_told_with_its_reasons() {
        insta::assert_snapshot!(told(Some(&soaking()), &failed()));
    }
}
