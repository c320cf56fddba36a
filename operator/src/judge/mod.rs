//! Judging: what Prometheus and the journal say, brought into the form that the verdict takes.

mod bounded;
mod charts;
mod evidence;
mod footprints;
mod look;
mod pods;
mod series;
mod signals;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::verdict::{self, Judgement, Outcome, SeriesGrowth};
use soak_api::{CriterionResult, FailedFast, GrowthRow, SoakTest};

use self::charts::Charts;
pub(crate) use self::evidence::PROVEN;
pub(crate) use self::look::look;
use self::series::Observation;
use self::signals::Signals;
pub(crate) use self::signals::no_counter;
use crate::aside::aside;
use crate::context::Context;
use crate::decide::heartbeat;
use crate::health::health;
use crate::journal::Journal;
use crate::observed::Verdict;

/// What Prometheus came to when it was last asked whether it answers, once; asks it again where that is due. That goes on
/// beside everything else, so that no chaos event waits for it.
pub(crate) fn probed(
    test: &SoakTest,
    ctx: &Arc<Context>,
    now: Timestamp,
) -> Option<Result<(), String>> {
    let mut answer = None;
    ctx.remember(test, |memory| answer = memory.answered.take());
    if ctx.metrics_due(test, asked_every(test), now) {
        let (test, ctx) = (test.clone(), ctx.clone());
        tokio::spawn(async move {
            let answer = probe(&test, &ctx).await;
            ctx.remember(&test, |memory| memory.answered = Some(answer));
        });
    }
    answer
}

/// How often Prometheus is asked whether it answers.
fn asked_every(test: &SoakTest) -> SignedDuration {
    heartbeat(test).max(SignedDuration::from_secs(10))
}

/// Whether Prometheus answers at all.
async fn probe(test: &SoakTest, ctx: &Context) -> Result<(), String> {
    let prometheus = ctx.prometheus(test)?;
    let answer = tokio::time::timeout(
        Duration::from_secs(5),
        prometheus.instant("vector(1)", ctx.now()),
    )
    .await;
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "Prometheus at {} does not answer within 5s",
            prometheus.url()
        )),
    }
}

/// Judges every criterion, health and evidence first. An error is worth another try: nothing is judged on it.
pub(crate) async fn judge(
    test: &SoakTest,
    journal: &Journal,
    ctx: &Context,
) -> Result<Verdict, String> {
    let _one_of_few = ctx
        .judging
        .acquire()
        .await
        .map_err(|_| "the operator is stopping".to_owned())?;
    let observation = Observation::of(test, journal, ctx.now())
        .filter(|_| {
            test.status
                .as_ref()
                .is_some_and(|s| s.times.judging.is_some())
        })
        .ok_or("the soak has no window to judge")?;
    let mut results = vec![health(test, journal)];
    let prometheus = ctx.prometheus(test)?;
    let mut signals = Signals::new(test, &observation, &prometheus);
    results.push(
        evidence::evidence(journal, &mut signals)
            .await
            .map_err(|e| e.to_string())?,
    );
    let from = observation.from.as_duration().as_secs_f64();
    let mut charts = Charts::of(test.spec.criteria.len(), from);
    for criterion in &test.spec.criteria {
        let result = match criterion.kind() {
            Ok(kind) => {
                let name = kind.name();
                let result = match signals.run(&kind).await.map_err(|e| e.to_string())? {
                    Ok(run) => {
                        charts.add(&criterion.name, &kind, &run).await;
                        let judgement = aside(move || verdict::judge(&kind, &run)).await?;
                        row(&criterion.name, name, judgement)
                    }
                    Err(why) => {
                        CriterionResult::in_words(&criterion.name, name, Outcome::Inconclusive, why)
                    }
                };
                match test.status.as_ref().and_then(|s| s.failed_fast.as_ref()) {
                    Some(early) => cut_short(result, early),
                    None => result,
                }
            }
            Err(problem) => CriterionResult::in_words(
                &criterion.name,
                "unknown",
                Outcome::Inconclusive,
                problem.to_string(),
            ),
        };
        results.push(result);
    }
    let footprints = footprints::footprints(&mut signals).await?;
    Ok(bounded::bounded(Verdict {
        criteria: results,
        footprints,
        charts: charts.into_inner(),
    }))
}

/// A criterion of a soak that another one, or it itself, ended before its time: what failed has failed, and nothing has
/// held to the end.
fn cut_short(result: CriterionResult, early: &FailedFast) -> CriterionResult {
    if result.name == early.criterion {
        return CriterionResult {
            outcome: Outcome::Failed,
            sentence: early.sentence.clone(),
            ..result
        };
    }
    let sentence = match result.outcome {
        Outcome::Failed => return result,
        Outcome::Passed => format!(
            "held until {} ended the soak before its time: {}",
            early.criterion, result.sentence
        ),
        Outcome::Inconclusive => result.sentence,
    };
    CriterionResult {
        outcome: Outcome::Inconclusive,
        sentence,
        ..result
    }
}

fn row(name: &str, kind: &str, judgement: Judgement) -> CriterionResult {
    let finite = |number: &f64| number.is_finite();
    CriterionResult {
        name: name.to_owned(),
        kind: kind.to_owned(),
        outcome: judgement.outcome,
        sentence: judgement.sentence,
        component: judgement.component,
        estimate: judgement.estimate.filter(finite),
        interval: judgement
            .interval
            .filter(|i| i.low.is_finite() && i.high.is_finite()),
        limit: Some(judgement.limit).filter(finite),
        unit: judgement.unit.to_owned(),
        samples: judgement.samples as u64,
        incarnations: u32::try_from(judgement.incarnations).unwrap_or(u32::MAX),
        worst_pods: judgement
            .worst_pods
            .into_iter()
            .filter_map(growth_row)
            .take(5)
            .collect(),
        contributions: judgement
            .contributions
            .into_iter()
            .filter_map(growth_row)
            .take(10)
            .collect(),
        per_event: judgement
            .per_event
            .into_iter()
            .filter_map(growth_row)
            .take(5)
            .collect(),
        course: judgement.course,
        reach: judgement.reach,
        excluded: judgement.excluded.into_iter().take(5).collect(),
    }
}

fn growth_row(growth: SeriesGrowth) -> Option<GrowthRow> {
    let interval = growth
        .interval
        .filter(|i| i.low.is_finite() && i.high.is_finite());
    growth.growth.is_finite().then_some(GrowthRow {
        name: growth.name,
        growth: growth.growth,
        interval,
    })
}
