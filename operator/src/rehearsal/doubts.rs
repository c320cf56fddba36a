//! Why a soak could not pass even if nothing went wrong.

use std::collections::BTreeMap;

use soak_api::verdict::{self, CriterionKind, Outcome, Selector, Source};
use soak_api::{Criterion, SoakTest};

use super::best_case::BestCase;
use super::{Foreseen, foresee};
use crate::judge::{PROVEN, no_counter};
use crate::reasons::chaos as reason;

/// A reason why a soak could not pass, or why a part of it would do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The field that it is about, such as `spec.criteria[2]`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub sentence: String,
}

/// Of a seed that will be drawn, only what holds for each of these is told.
const SEEDS: [i64; 3] = [1, 2, 3];

/// Any level will do: it never moves.
const LEVEL: f64 = 100.0;

/// All of them, in the order of the fields; none where the soak could pass.
///
/// The soak is rehearsed with its own plan and its own judges, and with pods that never grow and are back at once: what is
/// not Passed then never is. Criteria about a query that belongs to no pod are not rehearsed, since nobody knows how many
/// series it has; nor are those about the pods of a soak so large that judging takes minutes.
pub fn doubts(test: &SoakTest) -> Vec<Doubt> {
    let seeds = test
        .spec
        .seed
        .map_or_else(|| SEEDS.to_vec(), |seed| vec![seed]);
    let mut rehearsals = seeds.into_iter().map(|seed| rehearsed(test, seed));
    let mut doubts = rehearsals.next().unwrap_or_default();
    for others in rehearsals {
        doubts.retain(|doubt| others.iter().any(|other| other.field == doubt.field));
    }
    doubts
}

fn rehearsed(test: &SoakTest, seed: i64) -> Vec<Doubt> {
    let events = match foresee(test, seed) {
        Ok(events) => events,
        Err(problem) => return vec![Doubt::of("spec.chaos", problem.to_string())],
    };
    let case = BestCase::of(test, &events);
    let mut doubts = about_chaos(test, &events, &case);
    let criteria = test.spec.criteria.iter().enumerate();
    doubts.extend(criteria.filter_map(|(index, criterion)| {
        let sentence = about_criterion(test, criterion, &case)?;
        Some(Doubt::of(format!("spec.criteria[{index}]"), sentence))
    }));
    doubts
}

fn about_chaos(test: &SoakTest, events: &[Foreseen], case: &BestCase) -> Vec<Doubt> {
    let Some(chaos) = &test.spec.chaos else {
        return Vec::new();
    };
    let mut doubts = Vec::new();
    if chaos.dry_run {
        let sentence = "a dry run proves nothing and cannot pass: leave dryRun out of a soak that is to be judged";
        doubts.push(Doubt::of("spec.chaos.dryRun", sentence));
    }
    if events.is_empty() {
        let sentence = "the plan holds no event for so short a window: lengthen spec.duration, or shorten interval, every \
                        or guard.startAfter";
        doubts.push(Doubt::of("spec.chaos", sentence));
        return doubts;
    }
    for (entry, _) in chaos.events.iter().enumerate() {
        let planned = events.iter().filter(|event| event.entry == entry).count();
        let refused = refusals(case, |one| one == entry);
        let sentence = if planned == 0 {
            "this event is never due: lengthen spec.duration, or give it a shorter every, more weight, or another seed"
                .to_owned()
        } else if refused.values().sum::<usize>() == planned {
            format!("this event would never be done: {}", mended(&refused))
        } else {
            continue;
        };
        doubts.push(Doubt::of(format!("spec.chaos.events[{entry}]"), sentence));
    }
    if doubts.is_empty() && (case.done.len() as f64) < PROVEN * events.len() as f64 {
        let sentence = format!(
            "only {} of {} planned events could be done, and {:.0} % are needed: {}",
            case.done.len(),
            events.len(),
            100.0 * PROVEN,
            mended(&refusals(case, |_| true)),
        );
        doubts.push(Doubt::of("spec.chaos", sentence));
    }
    doubts
}

/// How often each reason refused an event of these entries.
fn refusals(case: &BestCase, of: impl Fn(usize) -> bool) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, why) in case.refused.iter().filter(|(entry, _)| of(*entry)) {
        *counts.entry(*why).or_insert(0) += 1;
    }
    counts
}

fn mended(refused: &BTreeMap<&'static str, usize>) -> String {
    let reasons = refused.keys().map(|why| match *why {
        reason::TOO_FEW_READY => {
            "too few pods would be left ready: lower guard.minReadyPercent, or plan more replicas"
        }
        reason::TOO_YOUNG => "no pod would be old enough: shorten minAge, or lengthen the interval",
        reason::NOT_RECOVERED => {
            "the event before it would still last: shorten its for, or lengthen the interval"
        }
        other => other,
    });
    reasons.collect::<Vec<_>>().join("; ")
}

fn about_criterion(test: &SoakTest, criterion: &Criterion, case: &BestCase) -> Option<String> {
    // A criterion of no kind was told already.
    let kind = at_any_load(criterion.kind().ok()?);
    let run = match kind.source() {
        Source::Counter(query) if Selector::of(query).is_none() => return Some(no_counter(query)),
        Source::Pods(_) | Source::Counter(_) if case.is_too_large(test) => return None,
        Source::Pods(_) => case.run(test, Some(LEVEL)),
        Source::Counter(_) => case.run(test, Some(0.0)),
        Source::Events => case.run(test, None),
        Source::Query(_) => return None,
    };
    let judgement = verdict::judge(&kind, &run);
    (judgement.outcome != Outcome::Passed).then(|| {
        format!(
            "it could not pass even if nothing grew and nothing failed: {}",
            judgement.sentence
        )
    })
}

/// How the load would move nobody knows.
fn at_any_load(mut kind: CriterionKind) -> CriterionKind {
    match &mut kind {
        CriterionKind::Growth(_, growth) => growth.per = None,
        CriterionKind::Trend(_, trend) => trend.per = None,
        CriterionKind::Increase(_)
        | CriterionKind::Threshold(_)
        | CriterionKind::Delta(..)
        | CriterionKind::Recovery(_) => {}
    }
    kind
}

impl Doubt {
    fn of(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            sentence: sentence.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six workers and two producers, whose workers are killed every 30 to 45 seconds for an hour.
    const SOUND: &str = "
apiVersion: soak-operator.io/v1alpha1
kind: SoakTest
metadata: {name: sound}
spec:
  duration: 1h
  warmUp: 1m
  seed: 42
  workload:
    simulation: {partitions: 6, workers: {replicas: 6}, producers: {replicas: 2}}
  chaos:
    interval: {min: 30s, max: 45s}
    events: [{podKill: {component: worker}}]
  criteria:
    - {name: tasks, growth: {signal: Tasks, maxPercent: 5}}
    - {name: trend, trend: {signal: Memory}}
    - {name: loss, increase: {query: lost_total}}
    - {name: base, delta: {signal: Tasks, within: 5}}
    - {name: recovery, recovery: {max: 15s}}
";

    /// What is doubted of [`SOUND`] with one text replaced.
    fn doubted(from: &str, to: &str) -> Vec<(String, String)> {
        assert_eq!(SOUND.matches(from).count(), 1, "{from}");
        let yaml = SOUND.replace(from, to);
        let test: SoakTest = serde_saphyr::from_str(&yaml).expect("a SoakTest");
        let doubts = doubts(&test).into_iter();
        doubts.map(|doubt| (doubt.field, doubt.sentence)).collect()
    }

    #[track_caller]
    fn doubts_only(from: &str, to: &str, field: &str, words: &str) {
        let doubts = doubted(from, to);
        assert!(
            doubts.len() == 1 && doubts[0].0 == field && doubts[0].1.contains(words),
            "{doubts:#?}"
        );
    }

    #[test]
    fn a_sound_soak_leaves_no_doubt() {
        assert_eq!(doubted("seed: 42", "seed: 42"), []);
        assert_eq!(doubted("  seed: 42\n", ""), []);
    }

    #[test]
    fn a_plan_that_nobody_could_follow_is_doubted() {
        let doubts = doubted("duration: 1h", "duration: 20000h");
        assert_eq!(doubts.len(), 1);
        assert!(doubts[0].1.contains("more than 86400 events"), "{doubts:?}");
    }

    #[test]
    fn chaos_that_never_comes_is_doubted() {
        let late =
            "events: [{podKill: {component: worker}}, {podKill: {component: worker}, every: 2h}]";
        doubts_only(
            "events: [{podKill: {component: worker}}]",
            late,
            "spec.chaos.events[1]",
            "never due",
        );
        let none = doubted("{min: 30s, max: 45s}", "{min: 2h, max: 3h}");
        assert_eq!(none[0].0, "spec.chaos", "{none:?}");
        assert!(none[0].1.contains("no event"), "{none:?}");
    }

    #[test]
    fn chaos_that_a_guard_never_allows_is_doubted() {
        let all = "{min: 30s, max: 45s}\n    guard: {minReadyPercent: 100}";
        let doubts = doubted("{min: 30s, max: 45s}", all);
        assert_eq!(doubts[0].0, "spec.chaos.events[0]", "{doubts:?}");
        assert!(doubts[0].1.contains("minReadyPercent"), "{doubts:?}");
    }

    #[test]
    fn chaos_that_mostly_finds_the_last_event_still_there_is_doubted() {
        let long = "events: [{networkPartition: {component: worker, for: 2m}}]";
        let doubts = doubted("events: [{podKill: {component: worker}}]", long);
        assert_eq!(doubts[0].0, "spec.chaos", "{doubts:?}");
        assert!(doubts[0].1.contains("80 % are needed"), "{doubts:?}");
        assert!(doubts[0].1.contains("shorten its for"), "{doubts:?}");
    }

    #[test]
    fn pods_that_are_killed_before_they_are_warm_cannot_be_judged() {
        let yaml = SOUND.replace("{min: 30s, max: 45s}", "{min: 2s, max: 3s}");
        let yaml = yaml.replace("warmUp: 1m", "warmUp: 10m");
        let test: SoakTest = serde_saphyr::from_str(&yaml).expect("a SoakTest");
        let doubts = doubts(&test);
        assert_eq!(doubts[0].field, "spec.criteria[0]", "{doubts:?}");
        assert!(
            doubts[0].sentence.contains("incarnations of worker"),
            "{doubts:?}"
        );
    }

    #[test]
    fn too_few_events_to_prove_a_percentile_are_doubted() {
        doubts_only(
            "duration: 1h",
            "duration: 20m",
            "spec.criteria[4]",
            "72 events",
        );
    }

    #[test]
    fn a_counter_that_is_an_expression_is_doubted() {
        doubts_only(
            "lost_total",
            "sum(lost_total)",
            "spec.criteria[2]",
            "no plain selector",
        );
    }

    #[test]
    fn a_single_pod_that_is_never_restarted_is_too_little_to_judge_growth_on() {
        doubts_only(
            "producers: {replicas: 2}",
            "producers: {replicas: 1}",
            "spec.criteria[0]",
            "1 incarnation of producer",
        );
    }

    #[test]
    fn a_dry_run_is_doubted() {
        let dry = "{min: 30s, max: 45s}\n    dryRun: true";
        doubts_only(
            "{min: 30s, max: 45s}",
            dry,
            "spec.chaos.dryRun",
            "proves nothing",
        );
    }
}
