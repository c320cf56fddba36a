//! A verdict that fits into the status: etcd holds it, and every watcher is sent it.

use serde::Serialize;
use soak_api::CriterionResult;
use soak_api::verdict::Outcome;

use crate::observed::Verdict;

/// What a verdict may take of the 32 KiB of a status at its end, in bytes of JSON: the rest of a status is what it had
/// while the soak ran, which is 6 KiB at most.
const MOST_BYTES: usize = 26 * 1024;

/// What is done without, one after the other, as long as the verdict is too large: what says least of a soak that did not
/// pass goes first, and no outcome, estimate or interval ever does.
const STEPS: [fn(&mut Verdict); 6] = [
    |verdict| {
        let passed = |one: &&mut CriterionResult| one.outcome == Outcome::Passed;
        for one in verdict.criteria.iter_mut().filter(passed) {
            shorten_tables(one, 0);
        }
    },
    |verdict| shorten_all(verdict, 3),
    |verdict| shorten_sentences(verdict, 400),
    |verdict| shorten_all(verdict, 0),
    |verdict| {
        for footprint in &mut verdict.footprints {
            footprint.parts.truncate(3);
        }
    },
    |verdict| shorten_sentences(verdict, 100),
];

/// The verdict without what is too much of it.
pub(super) fn bounded(mut verdict: Verdict) -> Verdict {
    for step in STEPS {
        if bytes(&verdict.criteria) + bytes(&verdict.footprints) <= MOST_BYTES {
            break;
        }
        step(&mut verdict);
    }
    verdict
}

/// The size in JSON; of what cannot be written, none.
fn bytes<T: Serialize>(what: &T) -> usize {
    serde_json::to_vec(what).map_or(0, |json| json.len())
}

fn shorten_all(verdict: &mut Verdict, rows: usize) {
    for one in &mut verdict.criteria {
        shorten_tables(one, rows);
    }
}

fn shorten_tables(one: &mut CriterionResult, rows: usize) {
    one.worst_pods.truncate(rows);
    one.contributions.truncate(rows);
    one.per_event.truncate(rows);
    one.excluded.truncate(rows);
}

/// Sentences hold queries, of which each character may be two in JSON, or six.
fn shorten_sentences(verdict: &mut Verdict, most: usize) {
    for one in &mut verdict.criteria {
        if bytes(&one.sentence) <= most {
            continue;
        }
        while bytes(&one.sentence) > most {
            one.sentence.pop();
        }
        one.sentence.push('…');
    }
}

#[cfg(test)]
mod tests {
    use soak_api::verdict::{Amount, Footprint, FootprintRow, Interval};
    use soak_api::{EventRecord, EventResult, GrowthRow, SoakTestStatus};

    use super::*;

    const INTERVAL: Interval = Interval {
        low: -1.234_567_890_123_456_7e-100,
        high: 1.234_567_890_123_456_7e-100,
    };

    fn rows(count: usize) -> Vec<GrowthRow> {
        let row = |i| GrowthRow {
            name: format!("demo-worker-7f9c8d54b-{i:0>32}"),
            growth: INTERVAL.low,
            interval: Some(INTERVAL),
        };
        (0..count).map(row).collect()
    }

    fn criterion(i: usize, outcome: Outcome, sentence: &str) -> CriterionResult {
        CriterionResult {
            name: format!("{i:0>63}"),
            sentence: sentence.to_owned(),
            component: Some("producer".to_owned()),
            estimate: Some(INTERVAL.low),
            interval: Some(INTERVAL),
            limit: Some(INTERVAL.low),
            unit: "bytes".to_owned(),
            samples: 123_456_789,
            incarnations: 12_345,
            worst_pods: rows(5),
            contributions: rows(10),
            per_event: rows(5),
            excluded: vec!["x".repeat(1_000); 5],
            ..CriterionResult::in_words("", "threshold", outcome, String::new())
        }
    }

    fn footprint(parts: usize, name: &str) -> Footprint {
        let amount = Amount {
            estimate: -123_456.0,
            interval: Some(Interval {
                low: -1.234_56e-100,
                high: 1.234_56e-100,
            }),
        };
        let row = |name: &str| FootprintRow {
            name: name.to_owned(),
            tasks: amount,
            bytes: Some(amount),
            bytes_per_task: Some(amount),
            shared_out: true,
        };
        Footprint {
            component: "producer".to_owned(),
            total: row("producer"),
            parts: vec![row(name); parts],
        }
    }

    /// The most that one SoakTest can come to: 32 criteria beside health and evidence, two components.
    fn largest(sentence: &str) -> Verdict {
        let outcomes = [Outcome::Passed, Outcome::Inconclusive, Outcome::Failed];
        let criteria = (0..34).map(|i| criterion(i, outcomes[i % 3], sentence));
        Verdict {
            criteria: criteria.collect(),
            footprints: vec![footprint(10, &"n".repeat(253)); 2],
            charts: Vec::new(),
        }
    }

    #[test]
    fn the_largest_verdict_fits_into_the_status_with_every_outcome_and_estimate() {
        for sentence in ["s".repeat(3_000), "\"".repeat(3_000), "ä".repeat(3_000)] {
            let all = largest(&sentence);
            let bounded = bounded(all.clone());
            let event = EventRecord {
                index: 100_000,
                kind: "podRestart".to_owned(),
                component: "producer".to_owned(),
                pod: "demo-producer-7f9c8d54b-x2kq7".to_owned(),
                uid: "01234567-0123-0123-0123-0123456789ab".to_owned(),
                restarts: 12,
                planned_at: "2026-07-01T06:00:00.123456789Z"
                    .parse()
                    .expect("an instant"),
                injected_at: None,
                undone_at: None,
                recovered_at: None,
                result: EventResult::Injected,
                reason: String::new(),
            };
            let mut status = SoakTestStatus {
                message: bounded.criteria[2].sentence.clone(),
                criteria: bounded.criteria.clone(),
                footprints: bounded.footprints.clone(),
                ..SoakTestStatus::default()
            };
            status.chaos.recent = vec![event; 10];
            let size = bytes(&status);
            assert!(size <= 32 * 1024, "{size}");
            assert_eq!(bounded.criteria.len(), 34);
            for (one, before) in bounded.criteria.iter().zip(&all.criteria) {
                let kept = |one: &CriterionResult| (one.outcome, one.estimate, one.interval);
                assert_eq!(kept(one), kept(before));
                assert!(!one.sentence.is_empty());
            }
            assert_eq!(bounded.footprints.len(), 2);
        }
    }

    #[test]
    fn what_passed_gives_up_its_tables_before_what_failed() {
        let outcomes = [Outcome::Passed, Outcome::Failed];
        let verdict = Verdict {
            criteria: (0..4)
                .map(|i| criterion(i, outcomes[i % 2], "it did"))
                .collect(),
            footprints: vec![footprint(10, "consume")],
            charts: Vec::new(),
        };
        let bounded = bounded(verdict.clone());
        assert!(bounded.criteria[0].worst_pods.is_empty());
        assert!(bounded.criteria[1] == verdict.criteria[1]);
        assert_eq!(bounded.footprints, verdict.footprints);
    }

    #[test]
    fn what_fits_is_left_alone() {
        let verdict = Verdict {
            criteria: vec![criterion(0, Outcome::Passed, "it did")],
            footprints: vec![footprint(10, "consume")],
            charts: Vec::new(),
        };
        assert_eq!(bounded(verdict.clone()), verdict);
    }
}
