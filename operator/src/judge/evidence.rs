//! Whether there is evidence enough to judge at all.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use soak_api::verdict::{Outcome, Run};
use soak_api::{CriterionResult, EventResult, SoakTest};

use super::series::{Observation, seconds};
use super::signals::{self, Signals};
use crate::journal::Journal;
use crate::mutant::Mutant;
use crate::prometheus::{Error, Prometheus};
use crate::workload;

/// The share of the window that data and an operator have to cover.
const COVERED: f64 = 0.9;

/// The share of the planned events that have to be proven.
pub(crate) const PROVEN: f64 = 0.8;

/// Whether there is enough to judge on: data, an operator, chaos, and a workload that came to rest.
pub(super) async fn evidence(
    journal: &Journal,
    signals: &mut Signals<'_>,
) -> Result<CriterionResult, Error> {
    let (test, observation, prometheus) = (signals.test, signals.observation, signals.prometheus);
    let (seen, by) = signals.seen().await?;
    let data = covered(&seen, observation);
    let mut problems = Vec::new();
    if data < COVERED && !Mutant::BelievesSilence.is_on() {
        let url = prometheus.url();
        problems.push(format!(
            "Prometheus at {url} has data ({by}) of {} of the window's pod-time, {} are needed",
            percent(data),
            percent(COVERED)
        ));
    }
    let present = presence(test, observation);
    if present < COVERED {
        problems.push(format!(
            "an operator was there for {} of the soak, {} are needed",
            percent(present),
            percent(COVERED)
        ));
    }
    let chaos = proven(test, journal);
    if let Err(problem) = &chaos {
        problems.push(problem.clone());
    }
    if let Some(problem) = undrained(test, observation, prometheus).await? {
        problems.push(problem);
    }
    let chaos = chaos.unwrap_or_default();
    Ok(if problems.is_empty() {
        let sentence = format!(
            "data cover {} of the pod-time, an operator {} of the soak; {chaos}.",
            percent(data),
            percent(present)
        );
        CriterionResult::in_words("evidence", "evidence", Outcome::Passed, sentence)
    } else {
        CriterionResult::in_words(
            "evidence",
            "evidence",
            Outcome::Inconclusive,
            format!("{}.", problems.join("; ")),
        )
    })
}

/// The share of the pods' lives inside the window in which samples stand no further apart than three steps.
fn covered(run: &Run, observation: &Observation) -> f64 {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for series in &run.series {
        times.entry(&series.pod).or_default().extend(
            series
                .samples
                .iter()
                .filter(|s| s.v.is_finite())
                .map(|s| s.t),
        );
    }
    let widest = 3.0 * run.step_seconds;
    let (mut lived, mut seen) = (0.0, 0.0);
    for (pod, start, end) in observation.lives() {
        lived += end - start;
        let mut at: Vec<_> = times
            .get(pod.as_str())
            .into_iter()
            .flatten()
            .copied()
            .filter(|t| *t >= start - widest && *t <= end + widest)
            .collect();
        at.sort_by(f64::total_cmp);
        let gaps = at.windows(2).filter(|pair| pair[1] - pair[0] <= widest);
        seen += gaps
            .map(|pair| (pair[1].min(end) - pair[0].max(start)).max(0.0))
            .sum::<f64>();
    }
    if lived > 0.0 { seen / lived } else { 0.0 }
}

fn presence(test: &SoakTest, observation: &Observation) -> f64 {
    let whole = seconds(observation.settled) - seconds(observation.window.0);
    let absent = test
        .status
        .as_ref()
        .map_or(0, |status| status.presence.absent_milliseconds) as f64
        / 1_000.0;
    if whole > 0.0 {
        (1.0 - absent / whole).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// What was injected of what was planned, or why that is too little.
fn proven(test: &SoakTest, journal: &Journal) -> Result<String, String> {
    if test.spec.chaos.is_none() {
        return Ok("no chaos was asked for".to_owned());
    }
    let planned = test
        .status
        .as_ref()
        .map_or(0, |status| status.chaos.planned);
    let injected = journal
        .events
        .values()
        .filter(|event| event.result == EventResult::Injected)
        .count();
    if planned == 0 {
        return Err("the plan holds no event for so short a window: lengthen spec.duration or shorten the interval".into());
    }
    let said = format!("{injected} of {planned} planned events were carried out and proven");
    if injected as f64 >= PROVEN * f64::from(planned) {
        return Ok(said);
    }
    let others = journal
        .events
        .values()
        .filter(|event| event.result != EventResult::Injected);
    let reasons: BTreeSet<_> = others
        .map(|event| event.reason.as_str())
        .filter(|reason| !reason.is_empty())
        .collect();
    let why = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.into_iter().collect::<Vec<_>>().join(", "))
    };
    Err(format!("only {said}{why}, {} are needed", percent(PROVEN)))
}

/// Loss is certain only once everything that was sent has been received or given up; of a workload that was there before
/// nobody knows when that is.
async fn undrained(
    test: &SoakTest,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Option<String>, Error> {
    if !workload::is_own(&test.spec.workload) {
        return Ok(None);
    }
    if test
        .status
        .as_ref()
        .is_none_or(|status| status.drained_at.is_none())
    {
        return Ok(Some(
            "the simulation could not be told to drain, so that loss is not certain".to_owned(),
        ));
    }
    let drained = signals::last_value(test, "soak_sim_drained", observation, prometheus).await?;
    Ok(match drained {
        Some(value) if value >= 1.0 => None,
        _ => Some(
            "the simulation had not drained when settling ended: lengthen spec.settle".to_owned(),
        ),
    })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).floor())
}
