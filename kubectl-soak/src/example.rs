//! Soaks for the tests of what is shown of them.

use jiff::Timestamp;
use serde_json::{Value, json};
use soak_api::SoakTest;

/// An instant of the day on which the examples run.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-07-01T{time}Z")
        .parse()
        .expect("a time of day")
}

/// A SoakTest of this much YAML, named `test`.
pub(crate) fn soak_test(yaml: &str) -> SoakTest {
    let mut test: Value = serde_saphyr::from_str(yaml).expect("YAML");
    let fields = test.as_object_mut().expect("an object");
    let of = |key: &str, value: Value| (key.to_owned(), value);
    let missing = [
        of("apiVersion", json!("soak-operator.io/v1alpha1")),
        of("kind", json!("SoakTest")),
        of("metadata", json!({"name": "test"})),
    ];
    for (key, value) in missing {
        fields.entry(key).or_insert(value);
    }
    test["metadata"]["namespace"] = json!("soak");
    test["metadata"]["creationTimestamp"] = json!("2026-07-01T06:00:00Z");
    serde_json::from_value(test).expect("a SoakTest")
}

/// Just created.
pub(crate) fn leaking() -> SoakTest {
    soak_test(include_str!("../../examples/leaking.yaml"))
}

fn with_status(status: &str) -> SoakTest {
    let status: Value = serde_saphyr::from_str(status).expect("YAML");
    let status = serde_json::from_value(status).expect("a status");
    SoakTest {
        status: Some(status),
        ..leaking()
    }
}

/// Two minutes into its window, at 06:04:00.
pub(crate) fn soaking() -> SoakTest {
    with_status(SOAKING)
}

/// Over.
pub(crate) fn failed() -> SoakTest {
    with_status(FAILED)
}

const SOAKING: &str = "
phase: Soaking
message: 'the judged window has begun; it will be Failed: leaking-worker-d: OOMKilled (exit code 137)'
progress: 48%
seed: 42
planVersion: 1
times:
  deploying: 2026-07-01T06:00:05Z
  warmingUp: 2026-07-01T06:00:30Z
  soaking: 2026-07-01T06:02:00Z
deadlineAt: 2026-07-01T06:20:05Z
components:
  - {name: nats, desired: 1, ready: 1}
  - {name: auditor, desired: 1, ready: 1}
  - {name: producer, desired: 2, ready: 2}
  - {name: worker, desired: 6, ready: 5}
chaos:
  summary: 2/6
  planned: 6
  due: 3
  injected: 2
  nextAt: 2026-07-01T06:04:50Z
  recovering:
    - event:
        {index: 2, kind: podKill, component: worker, pod: leaking-worker-c, uid: c, result: Injected,
        plannedAt: 2026-07-01T06:03:57Z, injectedAt: 2026-07-01T06:03:57.2Z}
  recent:
    - {index: 0, kind: podKill, component: worker, pod: leaking-worker-a, uid: a, result: Injected,
      plannedAt: 2026-07-01T06:03:10Z, injectedAt: 2026-07-01T06:03:10.1Z, recoveredAt: 2026-07-01T06:03:16.9Z}
    - {index: 1, kind: podKill, component: worker, result: Skipped, reason: NotRecovered,
      plannedAt: 2026-07-01T06:03:41Z}
breaches:
  - {at: 2026-07-01T06:03:30Z, component: worker, pod: leaking-worker-d, reason: OOMKilled, detail: exit code 137}
estimates:
  - {criterion: task-growth, component: worker, estimate: 31.5, interval: {low: 12, high: 51.3}, limit: 5, unit: '%'}
  - {criterion: memory-growth, component: worker, estimate: 2306867.2, interval: {low: 524288, high: 4089446.4},
    limit: 4194304, unit: bytes}
  - {criterion: no-loss, estimate: 0, interval: {low: 0, high: 0}, limit: 0}
unmeasured:
  - {criterion: back-to-base, why: delta is judged at the end.}
conditions:
  - {type: WorkloadReady, status: 'False', reason: PodsMissing, message: 5 of 6 worker pods are ready,
    lastTransitionTime: '2026-07-01T06:03:57Z'}
  - {type: MetricsAvailable, status: 'True', reason: PrometheusAnswers, message: '',
    lastTransitionTime: '2026-07-01T06:01:00Z'}
";

const FAILED: &str = "
phase: Completed
outcome: Failed
message: 'Failed: task-growth: worker tasks grew by 73 % over 5m (interval 63 % to 84 %), limit 5 %. (and 1 more)'
progress: 100%
seed: 42
planVersion: 1
times:
  deploying: 2026-07-01T06:00:05Z
  warmingUp: 2026-07-01T06:00:30Z
  soaking: 2026-07-01T06:02:00Z
  settling: 2026-07-01T06:07:00Z
  judging: 2026-07-01T06:07:45Z
  cleaningUp: 2026-07-01T06:07:50Z
  completed: 2026-07-01T06:08:10Z
deadlineAt: 2026-07-01T06:20:05Z
chaos: {summary: 6/6, planned: 6, due: 6, injected: 6}
criteria:
  - {name: health, kind: health, outcome: Passed, samples: 0, incarnations: 0,
    sentence: 'no pod restarted, ran out of memory, was evicted or was deleted but by chaos.'}
  - {name: evidence, kind: evidence, outcome: Passed, samples: 0, incarnations: 0,
    sentence: 'data cover 98 % of the pod-time, an operator 100 % of the soak; 6 of 6 planned events were carried out and proven.'}
  - name: task-growth
    kind: growth
    outcome: Failed
    component: worker
    estimate: 73.4
    interval: {low: 62.9, high: 83.8}
    limit: 5
    unit: '%'
    samples: 2200
    incarnations: 12
    sentence: 'worker tasks grew by 73 % over 5m (interval 63 % to 84 %), limit 5 %: most of it in consume.'
    worstPods: [{name: leaking-worker-b, growth: 31, interval: {low: 28, high: 34}}]
    contributions: [{name: consume, growth: 88, interval: {low: 80, high: 96}}]
    perEvent: [{name: podKill, growth: 1.9, interval: {low: 1.5, high: 2.3}}]
    course: Growing
  - {name: no-loss, kind: increase, outcome: Passed, estimate: 0, interval: {low: 0, high: 0}, limit: 0, unit: '',
    samples: 500, incarnations: 12,
    sentence: 'soak_sim_messages_lost_total counted 0 from the end of warm-up to the end of settling, limit 0.'}
";
