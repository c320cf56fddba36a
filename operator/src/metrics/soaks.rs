//! The SoakTests that there are, each with a few series of its own: how many there are is bounded by how many people keep.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use soak_api::{EventRecord, EventResult, Phase, SoakOutcome, SoakTest, SoakTestStatus};

/// What is shown of one SoakTest.
#[derive(Clone, Debug, PartialEq)]
struct Soak {
    namespace: String,
    name: String,
    phase: Phase,
    outcome: Option<SoakOutcome>,
    injected: u32,
    due: u32,
    planned: u32,
    /// The last event that was carried out, by kind.
    last_event: Option<(String, Timestamp)>,
    /// How long the last component took that came back.
    last_recovery: Option<f64>,
    estimates: Vec<Shown>,
    /// Its pods, each by its component and its name.
    pods: Vec<(String, String)>,
}

/// What a criterion measured so far.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    criterion: String,
    unit: String,
    /// Low, estimate, high and limit, as far as there are any.
    values: Vec<(&'static str, f64)>,
}

impl Soak {
    fn of(test: &SoakTest, pods: Vec<(String, String)>) -> Self {
        let none = SoakTestStatus::default();
        let status = test.status.as_ref().unwrap_or(&none);
        let chaos = &status.chaos;
        let recovering = chaos.recovering.iter().map(|one| &one.event);
        let done: Vec<&EventRecord> = chaos
            .recent
            .iter()
            .chain(recovering)
            .filter(|event| event.result == EventResult::Injected)
            .collect();
        let last_event = done
            .iter()
            .filter_map(|event| Some((event.kind.clone(), event.injected_at?)))
            .max_by_key(|(_, at)| *at);
        let recovery = |event: &&EventRecord| {
            let since = event.undone_at.or(event.injected_at)?;
            let back = event.recovered_at?;
            Some((back, back.duration_since(since).as_secs_f64()))
        };
        let last_recovery = done.iter().filter_map(recovery).max_by_key(|(at, _)| *at);
        let estimates = status.estimates.iter().map(|one| {
            let (low, high) = one.interval.map_or((None, None), |interval| {
                (Some(interval.low), Some(interval.high))
            });
            let all = [
                ("low", low),
                ("estimate", Some(one.estimate)),
                ("high", high),
                ("limit", Some(one.limit)),
            ];
            let known = all
                .into_iter()
                .filter_map(|(bound, value)| Some((bound, value?)));
            Shown {
                criterion: one.criterion.clone(),
                unit: one.unit.clone(),
                values: known.filter(|(_, value)| value.is_finite()).collect(),
            }
        });
        Self {
            namespace: test.namespace().unwrap_or_default(),
            name: test.name_any(),
            phase: status.phase,
            outcome: status.outcome,
            injected: chaos.injected,
            due: chaos.due,
            planned: chaos.planned,
            last_event,
            last_recovery: last_recovery.map(|(_, seconds)| seconds),
            estimates: estimates.collect(),
            pods,
        }
    }
}

/// All of them, by uid; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Soaks(Arc<Mutex<BTreeMap<String, Soak>>>);

impl Soaks {
    pub(super) fn shows(&self, test: &SoakTest, pods: Vec<(String, String)>) {
        let uid = test.uid().unwrap_or_default();
        self.all().insert(uid, Soak::of(test, pods));
    }

    pub(super) fn forgets(&self, uid: &str) {
        self.all().remove(uid);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Soak>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Soaks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let all = self.all().clone();
        let mut gauge = |name, help, series: Vec<(Vec<(&str, String)>, f64)>| {
            if series.is_empty() {
                return Ok(());
            }
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in series {
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        let mut phases: BTreeMap<Phase, u32> = BTreeMap::new();
        for soak in all.values() {
            *phases.entry(soak.phase).or_default() += 1;
        }
        let phases = phases
            .into_iter()
            .map(|(phase, count)| (vec![("phase", format!("{phase:?}"))], f64::from(count)));
        gauge(
            "soaks",
            "SoakTests that there are, by phase",
            phases.collect(),
        )?;
        let named = |soak: &Soak| {
            vec![
                // Not `namespace`: that is where the operator is, to whoever scrapes it.
                ("soaktest_namespace", soak.namespace.clone()),
                ("soaktest", soak.name.clone()),
            ]
        };
        let with = |soak: &Soak, name, value: String| {
            let mut labels = named(soak);
            labels.push((name, value));
            labels
        };
        let outcomes = all.values().filter_map(|soak| {
            let outcome = format!("{:?}", soak.outcome?);
            Some((with(soak, "outcome", outcome), 1.0))
        });
        let help = "1 with the outcome of a SoakTest that has one";
        gauge("soaktest_outcome", help, outcomes.collect())?;

        let running: Vec<_> = all
            .values()
            .filter(|soak| soak.phase < Phase::CleaningUp)
            .collect();
        let events = running.iter().flat_map(|soak| {
            let counts = [
                ("planned", soak.planned),
                ("due", soak.due),
                ("injected", soak.injected),
            ];
            counts.map(|(which, count)| (with(soak, "events", which.to_owned()), f64::from(count)))
        });
        let help = "Chaos events of a running SoakTest: planned, due so far, and injected";
        gauge("soaktest_chaos", help, events.collect())?;
        let last = running.iter().filter_map(|soak| {
            let (kind, at) = soak.last_event.clone()?;
            let seconds = at.as_duration().as_secs_f64();
            Some((with(soak, "type", kind), seconds))
        });
        let help =
            "When the last chaos event of a running SoakTest was carried out, since the epoch";
        gauge(
            "soaktest_last_chaos_timestamp_seconds",
            help,
            last.collect(),
        )?;
        let back = running
            .iter()
            .filter_map(|soak| Some((named(soak), soak.last_recovery?)));
        let help = "How long the last component of a running SoakTest took that came back";
        gauge("soaktest_last_recovery_seconds", help, back.collect())?;
        let estimates = running.iter().flat_map(|soak| {
            soak.estimates.iter().flat_map(|one| {
                one.values.iter().map(|(bound, value)| {
                    let mut labels = with(soak, "criterion", one.criterion.clone());
                    labels.push(("unit", one.unit.clone()));
                    labels.push(("bound", (*bound).to_owned()));
                    (labels, *value)
                })
            })
        });
        let help =
            "What a criterion of a running SoakTest measured so far: estimate, low, high, limit";
        gauge("soaktest_estimate", help, estimates.collect())?;
        let pods = running.iter().flat_map(|soak| {
            soak.pods.iter().map(|(component, pod)| {
                let mut labels = with(soak, "component", component.clone());
                // Not `pod`, for the same reason as above.
                labels.push(("soaktest_pod", pod.clone()));
                (labels, 1.0)
            })
        });
        let help = "1 for each pod that a running SoakTest is about, to join its own metrics with";
        gauge("soaktest_pod", help, pods.collect())
    }
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::{Value, json};
    use soak_api::SoakTest;

    /// A SoakTest of that name and uid, with that status.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is written where it is used"
    )]
    pub(in crate::metrics) fn soak(name: &str, status: Value) -> SoakTest {
        let test = json!({
            "apiVersion": "soak-operator.io/v1alpha1", "kind": "SoakTest",
            "metadata": {"name": name, "namespace": "soak", "uid": name},
            "spec": {
                "duration": "1h",
                "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 2}, "producers": {"replicas": 1}}},
                "criteria": [{"name": "tasks", "growth": {"signal": "Tasks", "maxPercent": 5}}],
            },
            "status": status,
        });
        serde_json::from_value(test).expect("a SoakTest")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::testing::soak;
    use super::*;

    fn text(soaks: &Soaks) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(soaks.clone()));
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        text
    }

    #[test]
    fn soaks_are_counted_by_phase_until_they_are_gone() {
        let soaks = Soaks::default();
        soaks.shows(&soak("one", json!({"phase": "Soaking"})), Vec::new());
        soaks.shows(&soak("two", json!({"phase": "Soaking"})), Vec::new());
        let over = json!({"phase": "Completed", "outcome": "Failed"});
        soaks.shows(&soak("two", over), Vec::new());
        let told = text(&soaks);
        assert!(told.contains("soaks{phase=\"Soaking\"} 1"), "{told}");
        assert!(told.contains("soaks{phase=\"Completed\"} 1"), "{told}");
        let outcome =
            "soaktest_outcome{soaktest_namespace=\"soak\",soaktest=\"two\",outcome=\"Failed\"} 1";
        assert!(told.contains(outcome), "{told}");
        soaks.forgets("two");
        assert!(!text(&soaks).contains("two"));
    }

    #[test]
    fn a_running_soak_shows_its_chaos_its_estimates_and_its_pods_and_one_that_is_over_does_not() {
        let event = |second: u32, back: u32| {
            json!({
                "index": second, "kind": "podKill", "component": "worker", "result": "Injected",
                "plannedAt": format!("2026-01-01T00:00:{second:02}Z"),
                "injectedAt": format!("2026-01-01T00:00:{second:02}Z"),
                "recoveredAt": format!("2026-01-01T00:00:{back:02}Z"),
            })
        };
        let status = |phase: &str| {
            json!({
                "phase": phase,
                "chaos": {"planned": 9, "due": 2, "injected": 2, "recent": [event(1, 4), event(20, 27)]},
                "estimates": [{
                    "criterion": "tasks", "component": "worker", "estimate": 2.5,
                    "interval": {"low": 1.0, "high": 4.0}, "limit": 5.0, "unit": "%",
                }],
            })
        };
        let soaks = Soaks::default();
        let pods = || vec![("worker".to_owned(), "one-worker-0".to_owned())];
        soaks.shows(&soak("one", status("Soaking")), pods());
        let told = text(&soaks);
        let labels = "soaktest_namespace=\"soak\",soaktest=\"one\"";
        for line in [
            format!("soaktest_chaos{{{labels},events=\"injected\"}} 2"),
            format!(
                "soaktest_last_chaos_timestamp_seconds{{{labels},type=\"podKill\"}} 1767225620"
            ),
            format!("soaktest_last_recovery_seconds{{{labels}}} 7"),
            format!(
                "soaktest_pod{{{labels},component=\"worker\",soaktest_pod=\"one-worker-0\"}} 1"
            ),
            format!(
                "soaktest_estimate{{{labels},criterion=\"tasks\",unit=\"%\",bound=\"high\"}} 4"
            ),
        ] {
            assert!(told.contains(&line), "{line} in {told}");
        }
        soaks.shows(&soak("one", status("Completed")), pods());
        let told = text(&soaks);
        assert!(!told.contains("soaktest_"), "{told}");
    }
}
