//! The operator's own metrics, in the conventions of Prometheus.

mod soaks;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use soak_api::SoakTest;
use soak_sim::telemetry::Process;
use tokio::runtime::Handle;

use self::soaks::Soaks;
use crate::decision::Answer;

/// All of them; clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    soaks: Soaks,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
    tasks: Gauge,
    reconciles: Histogram,
    errors: Family<Kind, Counter>,
    transitions: Family<Phase, Counter>,
    outcomes: Family<Outcome, Counter>,
    chaos: Family<ChaosLabels, Counter>,
    queries: Histogram,
    query_errors: Counter,
    leader: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChaosLabels {
    r#type: String,
    result: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process));
        let registry = all.sub_registry_with_prefix("soak_operator");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let mut metrics = Self {
            registry: Arc::default(),
            soaks: Soaks::default(),
            requests: Family::default(),
            request_seconds: seconds(),
            tasks: Gauge::default(),
            reconciles: seconds(),
            errors: Family::default(),
            transitions: Family::default(),
            outcomes: Family::default(),
            chaos: Family::default(),
            queries: seconds(),
            query_errors: Counter::default(),
            leader: Gauge::default(),
        };
        registry.register_collector(Box::new(metrics.soaks.clone()));
        registry.register(
            "api_requests",
            "Requests to the API server, by verb and code; `none` where no answer came",
            metrics.requests.clone(),
        );
        registry.register(
            "api_request_seconds",
            "How long the API server takes to answer",
            metrics.request_seconds.clone(),
        );
        registry.register(
            "tasks_alive",
            "Tasks of this process",
            metrics.tasks.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "How long reconciles take",
            metrics.reconciles.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by kind",
            metrics.errors.clone(),
        );
        registry.register(
            "phase_transitions",
            "Phases entered, by phase",
            metrics.transitions.clone(),
        );
        registry.register(
            "outcomes",
            "SoakTests ended, by outcome",
            metrics.outcomes.clone(),
        );
        registry.register(
            "chaos_events",
            "Chaos events carried out, by type and result",
            metrics.chaos.clone(),
        );
        registry.register(
            "prometheus_query_seconds",
            "How long Prometheus takes to answer",
            metrics.queries.clone(),
        );
        registry.register(
            "prometheus_query_errors",
            "Queries that Prometheus did not answer",
            metrics.query_errors.clone(),
        );
        registry.register(
            "leader",
            "Whether this process leads",
            metrics.leader.clone(),
        );
        metrics.registry = Arc::new(all);
        metrics
    }

    /// In the text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Ok(runtime) = Handle::try_current() {
            let alive = runtime.metrics().num_alive_tasks();
            self.tasks.set(i64::try_from(alive).unwrap_or(i64::MAX));
        }
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts a reconcile, and the kind of the error that it ended with.
    pub(crate) fn reconciled(&self, took: Duration, error: Option<&'static str>) {
        self.reconciles.observe(took.as_secs_f64());
        if let Some(kind) = error {
            self.errors.get_or_create(&Kind { kind }).inc();
        }
    }

    /// Shows the SoakTest as it is now, and its pods, each by its component and its name.
    pub(crate) fn shows(&self, test: &SoakTest, pods: Vec<(String, String)>) {
        self.soaks.shows(test, pods);
    }

    /// Shows the SoakTest of that uid no more.
    pub(crate) fn forgets(&self, uid: &str) {
        self.soaks.forgets(uid);
    }

    /// A request to the API server has come to an end.
    pub(crate) fn requested(&self, verb: &Method, code: Option<StatusCode>, took: Duration) {
        let labels = RequestLabels {
            verb: verb.to_string(),
            code: code.map_or_else(|| "none".to_owned(), |code| code.as_str().to_owned()),
        };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Counts the phase and the outcome that a status write brought.
    pub(crate) fn transition(&self, before: &SoakTest, after: &SoakTest) {
        let (old, new) = (before.status.as_ref(), after.status.as_ref());
        let Some(new) = new else { return };
        if old.map(|s| s.phase) != Some(new.phase) {
            self.transitions
                .get_or_create(&Phase {
                    phase: format!("{:?}", new.phase),
                })
                .inc();
        }
        if let (None, Some(outcome)) = (old.and_then(|s| s.outcome), new.outcome) {
            self.outcomes
                .get_or_create(&Outcome {
                    outcome: format!("{outcome:?}"),
                })
                .inc();
        }
    }

    pub(crate) fn chaos(&self, kind: &str, answer: &Answer) {
        let result = match answer {
            Answer::Accepted => "injected",
            Answer::Gone => "gone",
            Answer::Refused(_) => "refused",
            Answer::Unknown => "unknown",
        };
        self.chaos
            .get_or_create(&ChaosLabels {
                r#type: kind.to_owned(),
                result,
            })
            .inc();
    }

    pub(crate) fn queried(&self, took: Duration, answered: bool) {
        self.queries.observe(took.as_secs_f64());
        if !answered {
            self.query_errors.inc();
        }
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    /// The names in the table of the documentation, without their labels.
    fn documented() -> BTreeSet<String> {
        let text = include_str!("../../../docs/operations.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.filter_map(|row| row.split(['`', '{']).next());
        let metrics =
            names.filter(|name| name.starts_with("soak_operator_") || name.starts_with("process_"));
        metrics.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn every_metric_is_documented_and_everything_documented_is_there() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.reconciled(took, Some("not_leading"));
        metrics.requested(&Method::GET, None, took);
        metrics.queried(took, false);
        metrics.chaos("podKill", &Answer::Accepted);
        metrics.leads(true);
        let in_status = |status: serde_json::Value| -> SoakTest {
            let mut test = soaks::testing::soak("one", status.clone());
            test.metadata.uid = Some(status["phase"].to_string());
            test
        };
        let event = json!({
            "index": 0, "kind": "podKill", "component": "worker", "result": "Injected",
            "plannedAt": "2026-01-01T00:00:00Z", "injectedAt": "2026-01-01T00:00:00Z",
            "recoveredAt": "2026-01-01T00:00:04Z",
        });
        let running = in_status(json!({
            "phase": "Soaking", "chaos": {"recent": [event]},
            "estimates": [{"criterion": "tasks", "component": "worker", "estimate": 1.0, "limit": 5.0, "unit": "%"}],
        }));
        let over = in_status(json!({"phase": "Completed", "outcome": "Passed"}));
        let pod = ("worker".to_owned(), "one-worker-0".to_owned());
        metrics.shows(&running, vec![pod]);
        metrics.shows(&over, Vec::new());
        metrics.transition(&running, &over);
        let text = metrics.text();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let there: BTreeSet<String> = types
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                _ => name.to_owned(),
            })
            .collect();
        assert_eq!(there, documented());
    }
}
