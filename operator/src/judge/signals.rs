//! What is asked of Prometheus for each kind of criterion.

use std::collections::BTreeSet;
use std::sync::Arc;

use soak_api::verdict::{Run, Source};
use soak_api::{CriterionKind, Signal, SoakTest};

use super::series::Observation;
use crate::prometheus::{Answer, Error, Prometheus};

/// The selector of a signal, and the label that tells its parts apart.
fn preset(signal: Signal) -> (&'static str, &'static [&'static str]) {
    match signal {
        Signal::Tasks => ("soak_sim_tasks_alive", &["component"]),
        Signal::Memory => ("process_resident_memory_bytes", &[]),
    }
}

/// What Prometheus has on one soak; each signal is asked for once, however many criteria are about it.
pub(super) struct Signals<'a> {
    pub(super) test: &'a SoakTest,
    pub(super) observation: &'a Observation,
    pub(super) prometheus: &'a Prometheus,
    known: Vec<(Signal, Arc<Run>)>,
}

impl<'a> Signals<'a> {
    pub(super) fn new(
        test: &'a SoakTest,
        observation: &'a Observation,
        prometheus: &'a Prometheus,
    ) -> Self {
        Self {
            test,
            observation,
            prometheus,
            known: Vec::new(),
        }
    }

    /// The run that the criterion is judged on.
    pub(super) async fn run(&mut self, kind: &CriterionKind) -> Result<Arc<Run>, Error> {
        let Self {
            test,
            observation,
            prometheus,
            ..
        } = *self;
        match kind.source() {
            Source::Signal(signal) => self.of(signal).await,
            Source::Counter(query) => of_counter(test, query, observation, prometheus)
                .await
                .map(Arc::new),
            Source::Query(query) => of_query(test, query, observation, prometheus)
                .await
                .map(Arc::new),
            Source::Events => Ok(Arc::new(observation.run(test))),
        }
    }

    /// The samples of a signal as they were scraped, from the beginning of warm-up to the end of settling.
    pub(super) async fn of(&mut self, signal: Signal) -> Result<Arc<Run>, Error> {
        if let Some((_, run)) = self.known.iter().find(|(known, _)| *known == signal) {
            return Ok(run.clone());
        }
        let (metric, labels) = preset(signal);
        let selector = format!("{metric}{{{}}}", self.observation.matchers(self.test));
        let answer = scraped(self.test, &selector, self.observation, self.prometheus).await?;
        let mut run = self.observation.run(self.test);
        self.observation.split(answer, labels, &mut run);
        let run = Arc::new(run);
        self.known.push((signal, run.clone()));
        Ok(run)
    }
}

async fn of_counter(
    test: &SoakTest,
    query: &str,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Run, Error> {
    let selector = narrowed(query, &observation.matchers(test));
    let answer = scraped(test, &selector, observation, prometheus).await?;
    let labels: BTreeSet<String> = answer
        .series
        .iter()
        .flat_map(|series| series.labels.keys().cloned())
        .collect();
    let target = [
        "__name__",
        "namespace",
        "pod",
        "container",
        "instance",
        "job",
    ];
    let own: Vec<_> = labels
        .iter()
        .map(String::as_str)
        .filter(|label| !target.contains(label))
        .collect();
    let mut run = observation.run(test);
    observation.split(answer, &own, &mut run);
    Ok(run)
}

/// The samples of a plain selector over the whole soak.
async fn scraped(
    test: &SoakTest,
    selector: &str,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Answer, Error> {
    let step = test.spec.metrics.step.duration();
    prometheus
        .raw(selector, observation.from, observation.settled, step)
        .await
}

/// A user's expression at every step of the window; its series belong to no pod in particular.
async fn of_query(
    test: &SoakTest,
    query: &str,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Run, Error> {
    let (from, to) = observation.window;
    let answer = prometheus
        .range(query, from, to, test.spec.metrics.step.duration())
        .await?;
    let mut run = observation.run(test);
    run.gaps.extend(answer.doubts());
    run.series = answer
        .series
        .into_iter()
        .map(|series| soak_api::verdict::IncarnationSeries {
            component: String::new(),
            pod: series.labels.get("pod").cloned().unwrap_or_default(),
            incarnation: 1,
            started_at: run.window.start,
            ended_at: None,
            labels: series.labels,
            samples: series.samples,
        })
        .collect();
    Ok(run)
}

/// The last value of a simulation's gauge over its pods, `None` without one.
pub(super) async fn last_value(
    test: &SoakTest,
    metric: &str,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Option<f64>, Error> {
    let selector = format!("{metric}{{{}}}", observation.matchers(test));
    let answer = prometheus
        .instant(
            &format!("max(last_over_time({selector}[1m]))"),
            observation.settled,
        )
        .await?;
    Ok(answer
        .series
        .first()
        .and_then(|series| series.samples.last())
        .map(|sample| sample.v))
}

/// The selector with more matchers; what is no plain selector is left to Prometheus to refuse.
fn narrowed(selector: &str, matchers: &str) -> String {
    match selector
        .trim()
        .strip_suffix('}')
        .and_then(|open| open.split_once('{'))
    {
        Some((name, own)) => {
            let own = own.trim().trim_end_matches(',');
            let comma = if own.is_empty() { "" } else { "," };
            format!("{}{{{own}{comma}{matchers}}}", name.trim())
        }
        None => format!("{}{{{matchers}}}", selector.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_narrowed_with_and_without_matchers_of_its_own() {
        assert_eq!(narrowed("lost_total", "pod=\"a\""), "lost_total{pod=\"a\"}");
        assert_eq!(
            narrowed("lost_total{}", "pod=\"a\""),
            "lost_total{pod=\"a\"}"
        );
        assert_eq!(
            narrowed(" lost_total{ x=\"}\", } ", "pod=\"a\""),
            "lost_total{x=\"}\",pod=\"a\"}"
        );
    }
}
