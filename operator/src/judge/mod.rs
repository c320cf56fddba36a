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

use jiff::Timestamp;
use soak_api::verdict::{self, Criterion, Footprint, Judgement, Outcome, SeriesGrowth};
use soak_api::{Chart, CriterionResult, FailedFast, GrowthRow, SoakTest};

use self::charts::Charts;
pub(crate) use self::evidence::PROVEN;
#[cfg(test)]
pub(crate) use self::look::Look;
pub(crate) use self::look::{Looking, look};
use self::series::Observation;
use self::signals::Signals;
pub(crate) use self::signals::no_counter;
use crate::context::Context;
use crate::journal::Journal;
use crate::prometheus::Prometheus;

/// What a soak came to, as the status holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Health and evidence first.
    pub(crate) criteria: Vec<CriterionResult>,
    /// What grew in tasks and in bytes, where the criteria are about both.
    pub(crate) footprints: Vec<Footprint>,
    /// What it was judged on.
    pub(crate) charts: Vec<Chart>,
}

/// What Prometheus came to when it was last asked whether it answers, once; asks it again where that is due. That goes on
/// beside everything else, so that no chaos event waits for it.
pub(crate) fn probed(
    test: &SoakTest,
    ctx: &Arc<Context>,
    now: Timestamp,
) -> Option<Result<(), String>> {
    let mut answer = None;
    ctx.remember(test, |memory| answer = memory.answered.take());
    if ctx.metrics_due(test, now) {
        let (test, ctx) = (test.clone(), ctx.clone());
        tokio::spawn(async move {
            let answer = probe(&test, &ctx).await;
            ctx.remember(&test, |memory| memory.answered = Some(answer));
        });
    }
    answer
}

/// Whether Prometheus answers at all.
async fn probe(test: &SoakTest, ctx: &Context) -> Result<(), String> {
    let prometheus = open(test, ctx)?;
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
    let mut results = vec![evidence::health(test, journal)];
    let prometheus = open(test, ctx)?;
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
                    Err(why) => worded(&criterion.name, name, Outcome::Inconclusive, why),
                };
                match test.status.as_ref().and_then(|s| s.failed_fast.as_ref()) {
                    Some(early) => cut_short(result, early),
                    None => result,
                }
            }
            Err(problem) => worded(
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

/// The criterion that ended the soak before its time, where nothing more could be measured of it.
pub(crate) fn failed_early(early: &FailedFast, criteria: &[Criterion]) -> CriterionResult {
    let kind = criteria
        .iter()
        .find(|criterion| criterion.name == early.criterion)
        .and_then(|criterion| criterion.kind().ok())
        .map_or("unknown", |kind| kind.name());
    let (name, sentence) = (&early.criterion, early.sentence.clone());
    worded(name, kind, Outcome::Failed, sentence)
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

/// Works something out where it keeps nobody waiting: all soaks share the threads that answer the cluster.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("the judge did not come to an end: {error}"))
}

/// Where the SoakTest's Prometheus is; `None` where neither it nor the operator names one.
pub(crate) fn url_of(test: &SoakTest, ctx: &Context) -> Option<String> {
    let named = test
        .spec
        .metrics
        .prometheus
        .as_ref()
        .map(|prometheus| prometheus.url.clone());
    named.or_else(|| ctx.prometheus.clone())
}

/// The SoakTest's Prometheus; nothing is asked yet.
pub(crate) fn open(test: &SoakTest, ctx: &Context) -> Result<Prometheus, String> {
    let url = url_of(test, ctx).ok_or(
        "there is no Prometheus to ask: set spec.metrics.prometheus.url, or give the operator one (PROMETHEUS_URL)",
    )?;
    let prometheus = ctx
        .outside
        .prometheus(&url)
        .map_err(|error| error.to_string())?;
    Ok(prometheus.counted_in(ctx.metrics.clone()))
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

/// A row of plain words.
fn worded(name: &str, kind: &str, outcome: Outcome, sentence: String) -> CriterionResult {
    CriterionResult {
        name: name.to_owned(),
        kind: kind.to_owned(),
        outcome,
        sentence,
        component: None,
        estimate: None,
        interval: None,
        limit: None,
        unit: String::new(),
        samples: 0,
        incarnations: 0,
        worst_pods: Vec::new(),
        contributions: Vec::new(),
        per_event: Vec::new(),
        course: None,
        reach: None,
        excluded: Vec::new(),
    }
}
