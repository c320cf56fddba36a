//! What is asked of Prometheus for each kind of criterion.

use soak_api::verdict::Run;
use soak_api::{CriterionKind, Signal, SoakTest};

use super::prometheus::{Error, Prometheus};
use super::series::Observation;

/// The selector of a signal, and the label that tells its parts apart.
fn preset(signal: Signal) -> (&'static str, &'static [&'static str]) {
    match signal {
        Signal::Tasks => ("soak_sim_tasks_alive", &["component"]),
        Signal::Memory => ("process_resident_memory_bytes", &[]),
    }
}

/// The run that the criterion is judged on.
pub(super) async fn run(
    test: &SoakTest,
    kind: &CriterionKind,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Run, Error> {
    match kind {
        CriterionKind::Growth(growth) => {
            of_signal(test, growth.signal, observation, prometheus).await
        }
        CriterionKind::Trend(trend) => of_signal(test, trend.signal, observation, prometheus).await,
        CriterionKind::Delta(delta) => of_signal(test, delta.signal, observation, prometheus).await,
        CriterionKind::Increase(increase) => {
            of_counter(test, &increase.query, observation, prometheus).await
        }
        CriterionKind::Threshold(threshold) => {
            of_query(test, &threshold.query, observation, prometheus).await
        }
    }
}

/// The samples of a signal as they were scraped, from the beginning of warm-up to the end of settling.
pub(super) async fn of_signal(
    test: &SoakTest,
    signal: Signal,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Run, Error> {
    let (metric, labels) = preset(signal);
    let selector = format!("{metric}{{{}}}", observation.matchers(test));
    let step = test.spec.metrics.step.duration();
    let answer = prometheus
        .raw(&selector, observation.from, observation.settled, step)
        .await?;
    let mut run = observation.run(test);
    observation.split(answer, labels, &mut run);
    Ok(run)
}

async fn of_counter(
    test: &SoakTest,
    query: &str,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Run, Error> {
    let selector = narrowed(query, &observation.matchers(test));
    let step = test.spec.metrics.step.duration();
    let answer = prometheus
        .raw(&selector, observation.from, observation.settled, step)
        .await?;
    let mut run = observation.run(test);
    let labels: Vec<_> = answer
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
    observation.split(answer, &own, &mut run);
    Ok(run)
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
    run.gaps.extend(
        answer
            .warnings
            .iter()
            .map(|warning| format!("Prometheus warns: {warning}")),
    );
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
