//! What is asked of Prometheus for each kind of criterion.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use soak_api::verdict::{Measured, Run, Selector, Source};
use soak_api::{CriterionKind, Signal, SoakTest};

use super::pods::Asked;
use super::series::Observation;
use crate::prometheus::{Answer, Error, Prometheus};
use crate::workload;

/// The selector of a signal, and the label that tells its parts apart.
fn preset(signal: Signal) -> (&'static str, &'static [&'static str]) {
    match signal {
        Signal::Tasks => ("soak_sim_tasks_alive", &["component"]),
        Signal::Memory => ("process_resident_memory_bytes", &[]),
    }
}

/// The series that Prometheus itself writes of each target: 1 where a scrape went well, else 0.
const SCRAPED: &str = "up";

/// What a criterion is judged on, or one sentence that says why nothing can be.
pub(super) type Usable = Result<Arc<Run>, String>;

/// What Prometheus has on one soak; what is measured in pods is asked for once, however many criteria are about it.
pub(super) struct Signals<'a> {
    pub(super) test: &'a SoakTest,
    pub(super) observation: &'a Observation,
    pub(super) prometheus: &'a Prometheus,
    known: Vec<(Measured, Usable)>,
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
    pub(super) async fn run(&mut self, kind: &CriterionKind) -> Result<Usable, Error> {
        let Self {
            test,
            observation,
            prometheus,
            ..
        } = *self;
        let run = match kind.source() {
            Source::Pods(of) => {
                let usable = self.of(of).await?;
                return match kind.per() {
                    Some(per) => self.with_load(usable, per).await,
                    None => Ok(usable),
                };
            }
            Source::Counter(query) => match Selector::of(query) {
                Some(selector) => {
                    let counted = of_counter(test, query, selector, observation, prometheus);
                    answered(counted.await)?.flatten()
                }
                None => Err(no_counter(query)),
            },
            Source::Query(query) => answered(of_query(test, query, observation, prometheus).await)?,
            Source::Events => Ok(observation.run(test)),
        };
        Ok(run.map(Arc::new))
    }

    /// What is measured in pods, from the beginning of warm-up to the end of settling: samples as they were scraped, or
    /// values at every step where it is no plain selector.
    pub(super) async fn of(&mut self, of: &Measured) -> Result<Usable, Error> {
        if let Some((_, run)) = self.known.iter().find(|(known, _)| known == of) {
            return Ok(run.clone());
        }
        let usable = match of {
            // Pods of others may have several processes, each with a memory of its own.
            Measured::Signal(signal) if !workload::is_own(&self.test.spec.workload) => {
                answered(self.of_pods(preset(*signal).0).await)?.flatten()
            }
            Measured::Signal(signal) => Ok(self.of_signal(*signal).await?),
            Measured::Query(query) => answered(self.of_pods(query).await)?.flatten(),
        };
        let usable = usable.map(Arc::new);
        self.known.push((of.clone(), usable.clone()));
        Ok(usable)
    }

    /// What is measured in pods together with their load; of those components only that have a load.
    async fn with_load(&mut self, usable: Usable, per: &str) -> Result<Usable, Error> {
        let load = self.of(&Measured::Query(per.to_owned())).await?;
        Ok(match (usable, load) {
            (Ok(run), Ok(load)) => Ok(Arc::new(loaded(&run, &load))),
            (Err(why), _) | (_, Err(why)) => Err(why),
        })
    }

    async fn of_signal(&self, signal: Signal) -> Result<Run, Error> {
        let (metric, labels) = preset(signal);
        let selector = format!("{metric}{{{}}}", self.observation.matchers(self.test));
        let answer = scraped(self.test, &selector, self.observation, self.prometheus).await?;
        let mut run = self.observation.run(self.test);
        self.observation.split(answer, labels, &mut run);
        Ok(run)
    }

    /// When the pods were scraped, and the metric that tells: of pods that are not the soak's own nothing is known but that
    /// Prometheus notes each scrape.
    pub(super) async fn seen(&mut self) -> Result<(Arc<Run>, &'static str), Error> {
        if workload::is_own(&self.test.spec.workload) {
            let (metric, _) = preset(Signal::Memory);
            let memory = self.of(&Measured::Signal(Signal::Memory)).await?;
            let nothing = |_| Arc::new(self.observation.run(self.test));
            return Ok((memory.unwrap_or_else(nothing), metric));
        }
        let (test, observation) = (self.test, self.observation);
        let selector = format!("{SCRAPED}{{{}}}", observation.matchers(test));
        let mut answer = scraped(test, &selector, observation, self.prometheus).await?;
        for series in &mut answer.series {
            series.samples.retain(|sample| sample.v > 0.0);
        }
        let mut run = observation.run(test);
        observation.split(answer, &[], &mut run);
        Ok((Arc::new(run), SCRAPED))
    }

    async fn of_pods(&self, query: &str) -> Result<Result<Run, String>, Error> {
        let (test, observation) = (self.test, self.observation);
        let answer = if let Some(selector) = Selector::of(query) {
            let selector = selector.narrowed(&observation.matchers(test));
            scraped(test, &selector, observation, self.prometheus).await?
        } else {
            let step = test.spec.metrics.step.duration();
            let (from, to) = (observation.from, observation.settled);
            self.prometheus.range(query, from, to, step).await?
        };
        let asked = Asked {
            query,
            url: self.prometheus.url(),
            namespace: &test.namespace().unwrap_or_default(),
        };
        Ok(asked.run(answer, observation, test))
    }
}

/// A query that is itself at fault leaves its own criterion without an answer; every other error is worth another try.
fn answered<T>(answer: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error @ Error::BadQuery { .. }) => Ok(Err(format!("{error}."))),
        Err(error) => Err(error),
    }
}

/// What is said of a query that is to be a counter and is an expression.
pub(crate) fn no_counter(query: &str) -> String {
    format!(
        "`{query}` is no plain selector of a counter: leave nothing but its name and matchers, such as `soak_sim_messages_lost_total`."
    )
}

fn loaded(run: &Run, load: &Run) -> Run {
    let mut run = run.clone();
    let known = |name: &str| load.components.iter().any(|one| one.name == name);
    run.components.retain(|component| known(&component.name));
    run.load.clone_from(&load.series);
    for (own, others) in [
        (&mut run.gaps, &load.gaps),
        (&mut run.left_out, &load.left_out),
    ] {
        let new: Vec<_> = others
            .iter()
            .filter(|one| !own.contains(one))
            .cloned()
            .collect();
        own.extend(new);
    }
    run
}

/// The labels of a target that every Prometheus gives its series.
const OF_TARGET: [&str; 6] = [
    "__name__",
    "namespace",
    "pod",
    "container",
    "instance",
    "job",
];

async fn of_counter(
    test: &SoakTest,
    query: &str,
    selector: Selector<'_>,
    observation: &Observation,
    prometheus: &Prometheus,
) -> Result<Result<Run, String>, Error> {
    let selector = selector.narrowed(&observation.matchers(test));
    let mut answer = scraped(test, &selector, observation, prometheus).await?;
    answer.series = observation.without_neighbours(answer.series);
    let asked = Asked {
        query,
        url: prometheus.url(),
        namespace: &test.namespace().unwrap_or_default(),
    };
    if let Err(problem) = asked.distinct(&answer.series, &OF_TARGET) {
        return Ok(Err(problem));
    }
    let labels: BTreeSet<String> = answer
        .series
        .iter()
        .flat_map(|series| series.labels.keys().cloned())
        .collect();
    let own: Vec<_> = labels
        .iter()
        .map(String::as_str)
        .filter(|label| !OF_TARGET.contains(label))
        .collect();
    let mut run = observation.run(test);
    observation.split(answer, &own, &mut run);
    Ok(Ok(run))
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soak_api::verdict::{self, Outcome};

    use super::*;
    use crate::judge::testing::{PRODUCER, WORKERS, observation, series, serve, test};

    fn of_query(query: &str) -> Measured {
        Measured::Query(query.to_owned())
    }

    #[tokio::test]
    async fn a_query_is_narrowed_and_asked_once_however_many_criteria_are_about_it() {
        let (prometheus, asked) = serve(|_| vec![series(&[("pod", WORKERS[0])], 1.0)]).await;
        let test = test();
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        let of = of_query("go_goroutines{a=\"b\"}");
        let first = signals.of(&of).await.expect("an answer").expect("a run");
        let seen = asked.lock().expect("no panic").clone();
        // How many series there are, then their samples.
        assert_eq!(seen.len(), 2, "{seen:?}");
        for (path, query) in &seen {
            assert_eq!(path, "/api/v1/query");
            assert!(
                query.contains("go_goroutines%7Ba%3D%22b%22%2Cnamespace%3D%22soak%22%2Cpod%3D%7E"),
                "{query}"
            );
        }
        let second = signals.of(&of).await.expect("an answer").expect("a run");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(asked.lock().expect("no panic").len(), 2);
    }

    #[tokio::test]
    async fn an_expression_is_evaluated_as_it_is_and_its_problem_is_found_once() {
        let (prometheus, asked) = serve(|_| vec![series(&[], 1.0)]).await;
        let test = test();
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        for _ in 0..2 {
            let usable = signals.of(&of_query("sum(up)")).await.expect("an answer");
            let problem = usable.expect_err("no pod label");
            assert!(problem.contains("`sum(up)` yields series without a pod label"));
        }
        let seen = asked.lock().expect("no panic").clone();
        let wanted = ("/api/v1/query_range".to_owned(), "sum%28up%29".to_owned());
        assert_eq!(seen, [wanted]);
    }

    #[tokio::test]
    async fn load_is_asked_for_once_and_components_without_it_are_told_and_not_judged() {
        let (prometheus, asked) = serve(|query| {
            let workers = WORKERS.map(|pod| series(&[("pod", pod)], 12.0));
            if query.contains("partitions_owned") {
                return workers.to_vec();
            }
            [&workers[..], &[series(&[("pod", PRODUCER)], 3.0)]].concat()
        })
        .await;
        let test = test();
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        let growth = |per: &str| {
            let growth = json!({"name": "a", "growth": {"query": "go_goroutines", "per": per, "maxPercent": 5}});
            let criterion: soak_api::Criterion =
                serde_json::from_value(growth).expect("a criterion");
            criterion.kind().expect("a kind")
        };
        for _ in 0..2 {
            let run = signals.run(&growth("partitions_owned")).await;
            let run = run.expect("an answer").expect("a run");
            assert_eq!(run.load.len(), 2);
            assert_eq!(run.series.len(), 3);
            let judged: Vec<&str> = run.components.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(judged, ["worker"]);
            assert_eq!(
                run.left_out,
                ["producer, which has no series of `partitions_owned`"]
            );
            let judgement = verdict::judge(&growth("partitions_owned"), &run);
            assert_eq!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
        }
        assert_eq!(asked.lock().expect("no panic").len(), 4);
    }

    #[tokio::test]
    async fn load_that_nobody_has_is_named_and_never_a_pass() {
        let (prometheus, _) = serve(|query| match query {
            query if query.contains("partitions_owned") => Vec::new(),
            _ => vec![series(&[("pod", WORKERS[0])], 12.0)],
        })
        .await;
        let test = test();
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        let growth = json!({"name": "a", "growth": {"signal": "Tasks", "per": "partitions_owned", "maxPercent": 5}});
        let criterion: soak_api::Criterion = serde_json::from_value(growth).expect("a criterion");
        let usable = signals.run(&criterion.kind().expect("a kind")).await;
        let problem = usable.expect("an answer").expect_err("no load");
        assert!(
            problem.contains("no series of `partitions_owned`"),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn a_counter_that_is_no_selector_is_told_so_before_anybody_is_asked() {
        let (prometheus, asked) = serve(|_| Vec::new()).await;
        let test = test();
        let observation = observation(&test);
        let mut signals = Signals::new(&test, &observation, &prometheus);
        let increase = json!({"name": "loss", "increase": {"query": "sum(lost_total)"}});
        let criterion: soak_api::Criterion = serde_json::from_value(increase).expect("a criterion");
        let usable = signals.run(&criterion.kind().expect("a kind")).await;
        let problem = usable.expect("no need to ask").expect_err("no selector");
        assert!(problem.contains("`sum(lost_total)` is no plain selector"));
        assert!(asked.lock().expect("no panic").is_empty());
    }
}
