//! What the API server refuses, with what words, and what it fills in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use soak_api::SoakTest;
use soak_e2e::{Namespace, client, documents, kubectl, kubectl_with_input, repository};

/// A `SoakTest` that sets everything that the cases below change, so that each of them is one replacement.
const VALID: &str = "
apiVersion: soak-operator.io/v1alpha1
kind: SoakTest
metadata:
  name: valid
spec:
  duration: 10m
  warmUp: 1m
  settle: 30s
  deadline: 30m
  seed: 42
  workload:
    simulation:
      partitions: 6
      messageRate: 1
      workers: {replicas: 2, processingDelay: {min: 10ms, max: 50ms}}
      producers: {replicas: 1}
      leak: {mode: None}
  chaos:
    interval: {min: 30s, max: 45s}
    guard: {minReadyPercent: 50, startAfter: 1m, recoveryTimeout: 5m}
    events:
      - {podKill: {component: worker}, weight: 3}
      - {podRestart: {component: producer, gracePeriod: 10s}}
  metrics:
    prometheus: {url: 'http://prometheus.monitoring:9090'}
    step: 15s
  criteria:
    - {name: tasks, growth: {signal: Tasks, maxPercent: 5, maxAbsolute: 300}}
    - {name: trend, trend: {signal: Memory, horizon: 24h, maxPercent: 5, window: 5m}}
    - {name: loss, increase: {query: soak_sim_messages_lost_total, max: 0, durable: true}}
    - {name: latency, threshold: {query: up, max: 0.1, over: p99}}
    - {name: base, delta: {signal: Tasks, within: 5}}
  cleanup: {workload: Delete}
";

/// `VALID` with one text replaced, which must be there once.
fn with(from: &str, to: &str) -> String {
    assert_eq!(
        VALID.matches(from).count(),
        1,
        "{from:?} is not in the YAML exactly once"
    );
    VALID.replace(from, to)
}

/// What the API server would make of the YAML, or its message.
async fn admit(yaml: &str) -> Result<Value, String> {
    let document = documents(yaml).remove(0);
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("soak-operator.io", "v1alpha1", "SoakTest"),
        "soaktests",
    );
    let tests: Api<DynamicObject> = Api::namespaced_with(client().await, "default", &kind);
    let object = serde_json::from_value(document).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match tests.create(&dry_run, &object).await {
        Ok(object) => Ok(serde_json::to_value(object).unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("failed to ask the API server: {error}"),
    }
}

/// The YAML is refused, and the message has the path of the field and the sentence that says how to mend it.
async fn refused(yaml: &str, path: &str, sentence: &str) {
    match admit(yaml).await {
        Ok(_) => panic!("was accepted instead of refused with {path}: {sentence}\n{yaml}"),
        Err(message) => {
            assert!(message.contains(path), "does not name {path}: {message}");
            assert!(
                message.contains(sentence),
                "does not say {sentence:?}: {message}"
            );
        }
    }
}

/// The YAML is accepted, and stored as it should be.
async fn accepted(yaml: &str) -> Value {
    admit(yaml)
        .await
        .unwrap_or_else(|message| panic!("was refused: {message}\n{yaml}"))
}

const NOT_DAYS: &str = "use h, m, s: 168h, not 7d";

#[tokio::test]
async fn the_yaml_that_all_cases_start_from_is_accepted() {
    accepted(VALID).await;
}

#[tokio::test]
async fn a_duration_in_days_is_refused() {
    refused(
        &with("duration: 10m", "duration: 7d"),
        "spec.duration: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("warmUp: 1m", "warmUp: 1d"),
        "spec.warmUp: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("settle: 30s", "settle: 30"),
        "spec.settle: Invalid value",
        "must be of type string",
    )
    .await;
    refused(
        &with("settle: 30s", "settle: soon"),
        "spec.settle: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("deadline: 30m", "deadline: 1.5h"),
        "spec.deadline: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("step: 15s", "step: -15s"),
        "spec.metrics.step: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("min: 30s", "min: ''"),
        "spec.chaos.interval.min: Invalid value",
        NOT_DAYS,
    )
    .await;
    refused(
        &with("startAfter: 1m", "startAfter: 1d"),
        "spec.chaos.guard.startAfter: Invalid value",
        NOT_DAYS,
    )
    .await;
}

#[tokio::test]
async fn a_bad_duration_is_the_only_thing_complained_about() {
    let message = admit(&with("duration: 10m", "duration: 7d"))
        .await
        .expect_err("7d is no duration");
    assert!(
        !message.contains("type conversion") && !message.contains("20 steps"),
        "{message}"
    );
}

#[tokio::test]
async fn a_duration_of_zero_is_refused() {
    let sentence = "must be longer than 0s";
    refused(
        &with("duration: 10m", "duration: 0s"),
        "spec.duration: Invalid value",
        sentence,
    )
    .await;
    refused(
        &with("step: 15s", "step: 0s"),
        "spec.metrics.step: Invalid value",
        sentence,
    )
    .await;
    let overdue_at_once = with("recoveryTimeout: 5m", "recoveryTimeout: 0s");
    refused(
        &overdue_at_once,
        "spec.chaos.guard.recoveryTimeout: Invalid value",
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_duration_of_less_than_twenty_steps_is_refused() {
    let sentence = "spec.duration is shorter than 20 steps of spec.metrics.step, too short to judge anything: \
                    lengthen the duration or shorten the step";
    refused(
        &with("step: 15s", "step: 31s"),
        "spec: Invalid value",
        sentence,
    )
    .await;
    accepted(&with("step: 15s", "step: 30s")).await;
}

#[tokio::test]
async fn a_deadline_that_comes_before_the_end_is_refused() {
    let sentence = "spec.deadline must be longer than warmUp + duration + settle: leave it out for their sum and 30m";
    refused(
        &with("deadline: 30m", "deadline: 11m30s"),
        "spec: Invalid value",
        sentence,
    )
    .await;
    accepted(&with("deadline: 30m", "deadline: 11m31s")).await;
}

#[tokio::test]
async fn a_negative_seed_is_refused() {
    refused(
        &with("seed: 42", "seed: -1"),
        "spec.seed",
        "should be greater than or equal to 0",
    )
    .await;
}

const ONE_KIND: &str = "set exactly one of podKill, podRestart, podCrash, leaderKill, evict, scale, rollout, networkPartition in each event";

#[tokio::test]
async fn two_kinds_in_one_event_are_refused() {
    let two = with(
        "{podKill: {component: worker}, weight: 3}",
        "{podKill: {component: worker}, podRestart: {component: worker}}",
    );
    refused(&two, "spec.chaos.events[0]: Invalid value", ONE_KIND).await;
}

#[tokio::test]
async fn an_event_of_no_kind_is_refused() {
    let none = with("{podKill: {component: worker}, weight: 3}", "{weight: 3}");
    refused(&none, "spec.chaos.events[0]: Invalid value", ONE_KIND).await;
}

#[tokio::test]
async fn a_scale_that_changes_nothing_or_the_producers_is_refused_and_so_is_an_endless_one() {
    let kill = "{podKill: {component: worker}, weight: 3}";
    for (scale, why) in [
        (
            "{component: worker, by: {min: 0, max: 0}}",
            "from 0 to 0 changes nothing",
        ),
        (
            "{component: worker, by: {min: 2, max: 1}}",
            "min must not be larger than max",
        ),
        (
            "{component: producer, by: {min: 1, max: 1}}",
            "scale changes worker only",
        ),
        (
            "{component: worker, by: {min: 1, max: 1}, for: 48h}",
            "for must be from 1s to 24h",
        ),
    ] {
        let yaml = with(kill, &format!("{{scale: {scale}}}"));
        refused(&yaml, "spec.chaos.events[0].scale", why).await;
    }
    let yaml = with(kill, "{networkPartition: {component: worker, for: 0s}}");
    refused(
        &yaml,
        "spec.chaos.events[0].networkPartition.for",
        "must be",
    )
    .await;
}

#[tokio::test]
async fn chaos_without_events_is_refused() {
    let yaml = VALID
        .replace("      - {podKill: {component: worker}, weight: 3}\n", "")
        .replace(
            "    events:\n      - {podRestart: {component: producer, gracePeriod: 10s}}\n",
            "    events: []\n",
        );
    refused(
        &yaml,
        "spec.chaos.events: Invalid value",
        "should have at least 1 items",
    )
    .await;
}

#[tokio::test]
async fn a_component_that_does_not_exist_is_refused() {
    let sentence =
        "spec.chaos.events: component must be worker or producer, the components of the simulation";
    refused(
        &with(
            "podKill: {component: worker}",
            "podKill: {component: coordinator}",
        ),
        "spec: Invalid value",
        sentence,
    )
    .await;
    refused(
        &with(
            "podRestart: {component: producer",
            "podRestart: {component: nats",
        ),
        "spec: Invalid value",
        sentence,
    )
    .await;
}

/// A `SoakTest` of what is there, that all cases about it start from.
const EXISTING: &str = "
apiVersion: soak-operator.io/v1alpha1
kind: SoakTest
metadata:
  name: valid
spec:
  duration: 10m
  workload:
    existing:
      deployments:
        - {name: cart, replicas: 3}
        - {name: cart-worker, replicas: 6}
  chaos:
    interval: {min: 30s, max: 45s}
    events:
      - podKill: {component: cart}
      - leaderKill: {component: cart-worker, leader: {lease: cart-worker}}
  criteria:
    - {name: goroutines, growth: {query: go_goroutines, maxPercent: 5}}
";

#[tokio::test]
async fn a_workload_that_is_there_is_accepted_and_moves_work_for_half_a_minute() {
    let spec = accepted(EXISTING).await["spec"].clone();
    let existing = json!({
        "deployments": [{"name": "cart", "replicas": 3}, {"name": "cart-worker", "replicas": 6}],
        "cooldown": "30s",
    });
    assert_eq!(spec["workload"], json!({"existing": existing}));
}

#[tokio::test]
async fn what_does_not_go_with_a_workload_that_is_there_is_refused_with_what_does() {
    for (from, to, path, sentence) in [
        (
            "podKill: {component: cart}",
            "podKill: {component: worker}",
            "spec: Invalid value",
            "component must be the name of one of spec.workload.existing.deployments",
        ),
        (
            "podKill: {component: cart}",
            "scale: {component: cart, by: {min: 1, max: 1}, for: 1m}",
            "spec: Invalid value",
            "scale and rollout would change a Deployment that is not the soak's own",
        ),
        (
            "podKill: {component: cart}",
            "rollout: {component: cart}",
            "spec: Invalid value",
            "scale and rollout would change a Deployment that is not the soak's own",
        ),
        (
            ", leader: {lease: cart-worker}",
            "",
            "spec: Invalid value",
            "leaderKill.leader is known by a metric of the simulation where left out: set its lease, label or query",
        ),
        (
            "query: go_goroutines",
            "signal: Tasks",
            "spec: Invalid value",
            "signal Tasks is a metric of the simulation: set query to one of your own",
        ),
        (
            "{name: cart, replicas: 3}",
            "{name: cart-worker, replicas: 3}",
            "spec.workload.existing.deployments[1]: Duplicate value",
            "cart-worker",
        ),
        (
            "{name: cart, replicas: 3}",
            "{name: Cart, replicas: 3}",
            "spec.workload.existing.deployments[0].name: Invalid value",
            "use the name of a Deployment",
        ),
        (
            "{name: cart, replicas: 3}",
            "{name: cart, replicas: 0}",
            "spec.workload.existing.deployments[0].replicas: Invalid value",
            "should be greater than or equal to 1",
        ),
        (
            "    existing:\n",
            "    simulation: {partitions: 6, workers: {replicas: 2}, producers: {replicas: 1}}\n    existing:\n",
            "spec.workload: Invalid value",
            "set exactly one of simulation, existing",
        ),
    ] {
        assert_eq!(EXISTING.matches(from).count(), 1, "{from}");
        refused(&EXISTING.replace(from, to), path, sentence).await;
    }
}

#[tokio::test]
async fn an_event_with_a_cadence_of_its_own_has_no_weight_and_lasts_a_second_at_least() {
    let event = |every: &str| with("weight: 3", every);
    let spec = accepted(&event("every: 1m, maxEvents: 5, minAge: 30s")).await["spec"].clone();
    assert_eq!(
        spec["chaos"]["events"][0],
        json!({"podKill": {"component": "worker"}, "every": "1m", "maxEvents": 5, "minAge": "30s"})
    );
    refused(
        &event("weight: 3, every: 1m"),
        "spec.chaos.events[0]: Invalid value",
        "an event with every keeps a cadence of its own and is not drawn: leave weight out",
    )
    .await;
    refused(
        &event("every: 10ms"),
        "spec.chaos.events[0].every: Invalid value",
        "every must be at least 1s",
    )
    .await;
}

#[tokio::test]
async fn an_interval_is_there_for_events_that_are_drawn_and_for_no_others() {
    let path = "spec.chaos: Invalid value";
    let interval = "    interval: {min: 30s, max: 45s}\n";
    let sentence = "spec.chaos.interval is the pause between events that are drawn";
    refused(&with(interval, ""), path, sentence).await;
    let cadences = with("weight: 3", "every: 1m").replace("10s}}", "10s}, every: 2m}");
    refused(&cadences, path, sentence).await;
    accepted(&cadences.replace(interval, "")).await;
}

#[tokio::test]
async fn a_leader_is_known_in_exactly_one_way() {
    let event = |leader: &str| {
        let kill = format!("leaderKill: {{component: worker{leader}}}");
        with("podKill: {component: worker}", &kill)
    };
    let spec = accepted(&event("")).await["spec"].clone();
    assert_eq!(
        spec["chaos"]["events"][0]["leaderKill"],
        json!({"component": "worker", "leader": {"query": "soak_sim_leader"}})
    );
    accepted(&event(", leader: {lease: chief}")).await;
    accepted(&event(", leader: {label: role=leader}")).await;
    let path = "spec.chaos.events[0].leaderKill.leader";
    let sentence = "set exactly one of lease, label, query";
    refused(&event(", leader: {}"), path, sentence).await;
    refused(&event(", leader: {lease: a, query: b}"), path, sentence).await;
    refused(
        &event(", leader: {label: leader}"),
        path,
        "use key=value, such as role=leader",
    )
    .await;
}

#[tokio::test]
async fn a_crash_is_asked_for_at_a_port_and_a_path() {
    let event = |endpoint: &str| {
        let crash = format!("podCrash: {{component: worker{endpoint}}}");
        with("podKill: {component: worker}", &crash)
    };
    let spec = accepted(&event(", endpoint: {port: 9000}")).await["spec"].clone();
    assert_eq!(
        spec["chaos"]["events"][0]["podCrash"],
        json!({"component": "worker", "endpoint": {"port": 9000, "path": "/debug/crash"}})
    );
    let path = "spec.chaos.events[0].podCrash.endpoint";
    refused(
        &event(", endpoint: {path: 'crash?now'}"),
        path,
        "path begins with / and has letters",
    )
    .await;
    refused(
        &event(", endpoint: {port: 0}"),
        path,
        "greater than or equal to 1",
    )
    .await;
}

#[tokio::test]
async fn a_grace_period_of_zero_is_refused() {
    let path = "spec.chaos.events[1].podRestart.gracePeriod: Invalid value";
    let sentence = "gracePeriod must be from 1s to 1h";
    refused(&with("gracePeriod: 10s", "gracePeriod: 0s"), path, sentence).await;
    refused(
        &with("gracePeriod: 10s", "gracePeriod: 61m"),
        path,
        sentence,
    )
    .await;
}

#[tokio::test]
async fn an_event_of_weight_zero_is_refused() {
    let path = "spec.chaos.events[0].weight";
    refused(
        &with("weight: 3", "weight: 0"),
        path,
        "should be greater than or equal to 1",
    )
    .await;
}

#[tokio::test]
async fn chaos_that_would_begin_after_the_end_is_refused() {
    let sentence = "spec.chaos.guard.startAfter must be shorter than spec.duration, or no chaos would ever happen";
    refused(
        &with("startAfter: 1m", "startAfter: 10m"),
        "spec: Invalid value",
        sentence,
    )
    .await;
}

#[tokio::test]
async fn an_interval_upside_down_is_refused() {
    let path = "spec.chaos.interval: Invalid value";
    refused(
        &with("{min: 30s, max: 45s}", "{min: 45s, max: 30s}"),
        path,
        "min must not be longer than max",
    )
    .await;
    let sentence = "spec.chaos.interval.min must be at least 1s";
    refused(
        &with("{min: 30s, max: 45s}", "{min: 999ms, max: 45s}"),
        path,
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_processing_delay_upside_down_is_refused() {
    let path = "spec.workload.simulation.workers.processingDelay: Invalid value";
    refused(
        &with("{min: 10ms, max: 50ms}", "{min: 50ms, max: 10ms}"),
        path,
        "min must not be longer than max",
    )
    .await;
}

#[tokio::test]
async fn a_percentage_above_a_hundred_is_refused() {
    let path = "spec.chaos.guard.minReadyPercent";
    refused(
        &with("minReadyPercent: 50", "minReadyPercent: 101"),
        path,
        "should be less than or equal to 100",
    )
    .await;
}

#[tokio::test]
async fn a_criterion_of_no_kind_or_of_two_is_refused() {
    let sentence =
        "set exactly one of growth, trend, increase, threshold, delta, recovery in each criterion";
    let path = "spec.criteria[4]: Invalid value";
    let base = "{name: base, delta: {signal: Tasks, within: 5}}";
    refused(&with(base, "{name: base}"), path, sentence).await;
    let two =
        "{name: base, delta: {signal: Tasks, within: 5}, growth: {signal: Tasks, maxPercent: 5}}";
    refused(&with(base, two), path, sentence).await;
}

#[tokio::test]
async fn a_delta_that_fails_fast_is_refused_and_the_others_may() {
    let base = "{name: base, delta: {signal: Tasks, within: 5}}";
    refused(
        &with(base, "{name: base, failFast: true, delta: {signal: Tasks, within: 5}}"),
        "spec.criteria[4]: Invalid value",
        "delta is about the end of the soak and cannot fail fast: leave failFast out of this criterion",
    )
    .await;
    for kind in [
        "growth: {signal: Tasks, maxPercent: 5}",
        "trend: {signal: Tasks}",
        "increase: {query: lost_total, max: 0}",
        "threshold: {query: latency_seconds, max: 1}",
        "recovery: {max: 15s, percentile: 95}",
    ] {
        let yaml = with(base, &format!("{{name: base, failFast: true, {kind}}}"));
        let said = admit(&yaml).await;
        assert!(said.is_ok(), "{kind}: {said:?}");
    }
}

#[tokio::test]
async fn a_recovery_without_chaos_is_refused() {
    let base = "{name: base, delta: {signal: Tasks, within: 5}}";
    let recovery = with(base, "{name: quick, recovery: {max: 15s, percentile: 95}}");
    admit(&recovery).await.unwrap();
    let (before, rest) = recovery.split_once("  chaos:\n").unwrap();
    let (_, after) = rest.split_once("  metrics:").unwrap();
    refused(
        &format!("{before}  metrics:{after}"),
        "spec: Invalid value",
        "set spec.chaos, or leave recovery out",
    )
    .await;
}

#[tokio::test]
async fn a_recovery_percentile_beyond_100_is_refused() {
    let base = "{name: base, delta: {signal: Tasks, within: 5}}";
    refused(
        &with(base, "{name: quick, recovery: {max: 15s, percentile: 101}}"),
        "spec.criteria[4].recovery.percentile",
        "should be less than or equal to 100",
    )
    .await;
}

#[tokio::test]
async fn no_criteria_are_refused() {
    let (before, rest) = VALID.split_once("  criteria:\n").unwrap();
    let (_, after) = rest.split_once("  cleanup:").unwrap();
    let empty = format!("{before}  criteria: []\n  cleanup:{after}");
    refused(
        &empty,
        "spec.criteria: Invalid value",
        "should have at least 1 items",
    )
    .await;
    let none = format!("{before}  cleanup:{after}");
    refused(&none, "spec.criteria", "Required value").await;
}

#[tokio::test]
async fn two_criteria_of_one_name_are_refused() {
    refused(
        &with("name: trend,", "name: tasks,"),
        "spec.criteria[1]",
        "Duplicate value",
    )
    .await;
}

#[tokio::test]
async fn the_names_of_what_is_always_judged_are_refused() {
    let sentence =
        "spec.criteria: health and evidence are always judged: give the criterion another name";
    refused(
        &with("name: tasks", "name: health"),
        "spec: Invalid value",
        sentence,
    )
    .await;
    refused(
        &with("name: tasks", "name: evidence"),
        "spec: Invalid value",
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_criterion_name_with_capitals_is_refused() {
    refused(
        &with("name: tasks", "name: Tasks"),
        "spec.criteria[0].name",
        "should match",
    )
    .await;
}

#[tokio::test]
async fn growth_without_a_limit_is_refused() {
    let yaml = with("maxPercent: 5, maxAbsolute: 300", "");
    let sentence = "growth needs a limit: set maxPercent, maxAbsolute or both";
    refused(&yaml, "spec.criteria[0].growth: Invalid value", sentence).await;
}

#[tokio::test]
async fn a_signal_that_does_not_exist_is_refused() {
    let yaml = with("delta: {signal: Tasks", "delta: {signal: Goroutines");
    refused(
        &yaml,
        "spec.criteria[4].delta.signal",
        "supported values: \"Tasks\", \"Memory\"",
    )
    .await;
}

#[tokio::test]
async fn a_query_takes_the_place_of_a_signal() {
    for (signal, query) in [
        ("growth: {signal: Tasks,", "growth: {query: go_goroutines,"),
        (
            "trend: {signal: Memory,",
            "trend: {query: 'sum by (pod) (go_threads)',",
        ),
        ("delta: {signal: Tasks,", "delta: {query: process_open_fds,"),
    ] {
        accepted(&with(signal, query)).await;
        accepted(&with(signal, &format!("{signal} query: null,"))).await;
    }
}

#[tokio::test]
async fn a_criterion_that_measures_nothing_or_two_things_is_refused() {
    for (place, kind, signal) in [
        (0, "growth", "growth: {signal: Tasks,"),
        (1, "trend", "trend: {signal: Memory,"),
        (4, "delta", "delta: {signal: Tasks,"),
    ] {
        let path = format!("spec.criteria[{place}].{kind}: Invalid value");
        let sentence =
            format!("{kind} needs exactly one thing to measure: set either signal or query");
        let neither = format!("{kind}: {{");
        refused(&with(signal, &neither), &path, &sentence).await;
        let both = format!("{signal} query: go_goroutines,");
        refused(&with(signal, &both), &path, &sentence).await;
    }
}

#[tokio::test]
async fn a_query_that_is_empty_or_too_long_is_refused() {
    for (place, kind, signal) in [
        (0, "growth", "growth: {signal: Tasks,"),
        (1, "trend", "trend: {signal: Memory,"),
        (4, "delta", "delta: {signal: Tasks,"),
    ] {
        let path = format!("spec.criteria[{place}].{kind}.query");
        let empty = format!("{kind}: {{query: '',");
        refused(&with(signal, &empty), &path, "should be at least 1 chars").await;
        let of = |length| format!("{kind}: {{query: {},", "a".repeat(length));
        refused(&with(signal, &of(1025)), &path, "Too long").await;
        accepted(&with(signal, &of(1024))).await;
    }
}

#[tokio::test]
async fn a_threshold_with_two_bounds_or_none_is_refused() {
    let path = "spec.criteria[3].threshold: Invalid value";
    let sentence = "threshold needs exactly one bound: set either max or min";
    refused(
        &with("max: 0.1, over: p99", "max: 0.1, min: 0, over: p99"),
        path,
        sentence,
    )
    .await;
    refused(&with("max: 0.1, over: p99", "over: p99"), path, sentence).await;
}

#[tokio::test]
async fn a_percentile_that_does_not_exist_is_refused() {
    refused(
        &with("over: p99", "over: p100"),
        "spec.criteria[3].threshold.over",
        "should match",
    )
    .await;
}

#[tokio::test]
async fn a_quantity_that_is_negative_or_none_is_refused() {
    let sentence = "use a number that is not negative, such as 300 or 40Mi";
    let path = "spec.criteria[0].growth.maxAbsolute: Invalid value";
    refused(&with("maxAbsolute: 300", "maxAbsolute: -1"), path, sentence).await;
    refused(
        &with("maxAbsolute: 300", "maxAbsolute: -1Mi"),
        path,
        sentence,
    )
    .await;
    refused(
        &with("maxAbsolute: 300", "maxAbsolute: 40MiB"),
        path,
        sentence,
    )
    .await;
    refused(
        &with("within: 5", "within: some"),
        "spec.criteria[4].delta.within: Invalid value",
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_trend_over_more_than_the_soak_is_refused() {
    let sentence = "spec.criteria: trend.window must not be longer than spec.duration";
    refused(
        &with("window: 5m", "window: 11m"),
        "spec: Invalid value",
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_prometheus_without_an_address_is_refused() {
    let sentence =
        "use the address of a Prometheus server, such as http://prometheus.monitoring:9090";
    let path = "spec.metrics.prometheus.url: Invalid value";
    for url in [
        "prometheus:9090",
        "ftp://prometheus:9090",
        "http://",
        "not an address",
        "",
    ] {
        refused(
            &with("http://prometheus.monitoring:9090", url),
            path,
            sentence,
        )
        .await;
    }
}

#[tokio::test]
async fn a_name_that_is_too_long_or_starts_with_a_digit_is_refused() {
    let sentence = "metadata.name prefixes the workload's names: use at most 40 lower case letters, digits and \
                    dashes, starting with a letter";
    refused(
        &with("name: valid", &format!("name: {}", "a".repeat(41))),
        "Invalid value",
        sentence,
    )
    .await;
    refused(
        &with("name: valid", "name: 6h-soak"),
        "Invalid value",
        sentence,
    )
    .await;
    refused(
        &with("name: valid", "name: soak.v2"),
        "Invalid value",
        sentence,
    )
    .await;
    accepted(&with("name: valid", &format!("name: {}", "a".repeat(40)))).await;
}

#[tokio::test]
async fn a_workload_of_nothing_is_refused() {
    let path = "spec.workload.simulation.";
    let sentence = "should be greater than or equal to 1";
    refused(
        &with("partitions: 6", "partitions: 0"),
        &format!("{path}partitions"),
        sentence,
    )
    .await;
    refused(
        &with("workers: {replicas: 2", "workers: {replicas: 0"),
        &format!("{path}workers.replicas"),
        sentence,
    )
    .await;
    refused(
        &with("producers: {replicas: 1}", "producers: {replicas: 0}"),
        &format!("{path}producers"),
        sentence,
    )
    .await;
}

#[tokio::test]
async fn a_message_rate_of_nothing_is_refused() {
    let path = "spec.workload.simulation.messageRate";
    // An API server holds whole numbers against the whole part of a minimum, so that 0 takes a rule of its own.
    for rate in ["0", "0.0", "0.009", "-1"] {
        refused(
            &with("messageRate: 1", &format!("messageRate: {rate}")),
            path,
            "0.01",
        )
        .await;
    }
    accepted(&with("messageRate: 1", "messageRate: 0.01")).await;
}

#[tokio::test]
async fn extremes_are_for_exponential_weights_and_within_what_can_be_published() {
    let more = |more: &str| with("messageRate: 1", &format!("messageRate: 1\n      {more}"));
    let path = "spec.workload.simulation.weights";
    for weights in [
        "weights: {extremeWeight: 10}",
        "weights: {distribution: Uniform, extremeSharePercent: 5}",
    ] {
        let sentence = "are about distribution: Exponential: set it, or leave them out";
        refused(&more(weights), path, sentence).await;
    }
    for (weights, sentence) in [
        ("extremeSharePercent: 100.5", "must be from 0 to 100"),
        ("extremeSharePercent: -1", "must be from 0 to 100"),
        ("extremeWeight: 0.5", "must be from 1 to 1000"),
        ("extremeWeight: 1001", "must be from 1 to 1000"),
    ] {
        let weights = format!("weights: {{distribution: Exponential, {weights}}}");
        refused(&more(&weights), path, sentence).await;
    }
    let exponential =
        "weights: {distribution: Exponential, extremeSharePercent: 5, extremeWeight: 1000}";
    accepted(&more(exponential)).await;
    for too_much in [
        "messageRate: 1.1\n      weights: {distribution: Exponential, extremeWeight: 1000}",
        "messageRate: 11\n      weights: {distribution: Exponential}",
    ] {
        refused(
            &with("messageRate: 1", too_much),
            "spec.workload.simulation",
            "messageRate times weights.extremeWeight",
        )
        .await;
    }
    accepted(&with("messageRate: 1", "messageRate: 1000")).await;
}

#[tokio::test]
async fn a_strategy_a_distribution_or_a_size_that_does_not_exist_is_refused() {
    let more = |more: &str| with("messageRate: 1", &format!("messageRate: 1\n      {more}"));
    for (field, path, sentence) in [
        (
            "assignment: Random",
            "assignment",
            "supported values: \"ConsistentHash\", \"WeightedConsistentHash\", \"RoundRobin\"",
        ),
        (
            "weights: {distribution: Normal}",
            "weights.distribution",
            "supported values: \"Uniform\", \"Exponential\"",
        ),
        ("payloadBytes: 63", "payloadBytes", "64"),
        ("payloadBytes: 65537", "payloadBytes", "65536"),
    ] {
        let path = format!("spec.workload.simulation.{path}");
        refused(&more(field), &path, sentence).await;
    }
    for field in ["assignment: RoundRobin", "payloadBytes: 64"] {
        accepted(&more(field)).await;
    }
}

#[tokio::test]
async fn a_leak_that_does_not_exist_is_refused() {
    let yaml = with("leak: {mode: None}", "leak: {mode: Slow}");
    refused(
        &yaml,
        "spec.workload.simulation.leak.mode",
        "supported values: \"None\", \"OrphanedPullLoop\", \"UnguardedStart\", \"ConsumeLoopPerRestart\", \"MonitorPerProcessEvent\", \"OrphanedConsumers\", \"KeptBuffers\", \"ProducerTicker\", \"PiledTimers\", \"SlowDrip\"",
    )
    .await;
}

#[tokio::test]
async fn a_pace_is_for_the_leaks_that_go_by_the_clock() {
    let leak = |leak: &str| with("leak: {mode: None}", &format!("leak: {leak}"));
    let path = "spec.workload.simulation.leak";
    let sentence = "leave it out, this one goes by what happens";
    for unpaced in [
        "{every: 10s}",
        "{mode: None, every: 10s}",
        "{mode: KeptBuffers, every: 10s}",
    ] {
        refused(&leak(unpaced), path, sentence).await;
    }
    let every = "spec.workload.simulation.leak.every";
    refused(
        &leak("{mode: SlowDrip, every: 9ms}"),
        every,
        "every must be at least 10ms",
    )
    .await;
    refused(
        &leak("{mode: SlowDrip, every: 1d}"),
        every,
        "use h, m, s: 168h, not 7d",
    )
    .await;
    for mode in ["ProducerTicker", "PiledTimers", "SlowDrip"] {
        accepted(&leak(&format!("{{mode: {mode}, every: 10ms}}"))).await;
        accepted(&leak(&format!("{{mode: {mode}}}"))).await;
    }
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let minimal = std::fs::read_to_string(repository().join("examples/minimal.yaml")).unwrap();
    let spec = accepted(&minimal).await["spec"].clone();
    assert_eq!(
        spec,
        json!({
            "duration": "30m",
            "warmUp": "600s",
            "settle": "120s",
            "workload": {"simulation": {
                "partitions": 12,
                "messageRate": 1,
                "weights": {"distribution": "Uniform"},
                "assignment": "ConsistentHash",
                "workers": {"replicas": 3, "processingDelay": {"min": "10ms", "max": "50ms"}},
                "producers": {"replicas": 2},
                "leak": {"mode": "None"},
            }},
            "metrics": {"step": "15s"},
            "criteria": [{"name": "task-growth", "growth": {"signal": "Tasks", "maxPercent": 5}}],
            "cleanup": {"workload": "Delete"},
            "suspend": false,
            "abort": false,
        })
    );
}

#[tokio::test]
async fn what_is_left_out_of_chaos_and_criteria_is_filled_in() {
    let yaml = "
apiVersion: soak-operator.io/v1alpha1
kind: SoakTest
metadata: {name: defaults}
spec:
  duration: 30m
  workload: {simulation: {partitions: 1, workers: {replicas: 1}, producers: {replicas: 1}}}
  chaos:
    interval: {min: 1m, max: 2m}
    events: [{podRestart: {component: worker}}]
  criteria:
    - {name: trend, trend: {signal: Tasks}}
    - {name: loss, increase: {query: lost_total}}
";
    let spec = accepted(yaml).await["spec"].clone();
    assert_eq!(
        spec["chaos"]["guard"],
        json!({"minReadyPercent": 50, "startAfter": "60s", "recoveryTimeout": "300s"})
    );
    assert_eq!(
        spec["chaos"]["events"],
        json!([{"podRestart": {"component": "worker", "gracePeriod": "10s"}}])
    );
    assert_eq!(
        spec["criteria"],
        json!([
            {"name": "trend", "trend": {"signal": "Tasks", "horizon": "86400s", "maxPercent": 5}},
            {"name": "loss", "increase": {"query": "lost_total", "max": 0, "durable": false}},
        ])
    );
}

#[tokio::test]
async fn what_the_api_server_accepts_the_operator_can_read() {
    let stored = accepted(VALID).await;
    let (written, stored) = (documents(VALID).remove(0), stored);
    let read = |value: Value| {
        serde_json::from_value::<SoakTest>(value)
            .expect("a SoakTest")
            .spec
    };
    assert_eq!(read(stored), read(written));
}

#[tokio::test]
async fn a_null_is_as_good_as_nothing() {
    for field in ["deadline: 30m", "seed: 42"] {
        let (name, _) = field.split_once(':').unwrap();
        let spec = accepted(&with(field, &format!("{name}: null"))).await["spec"].clone();
        assert!(spec[name].is_null(), "{name} is {}", spec[name]);
    }
    let event = "{podKill: {component: worker}, podRestart: null, weight: 3}";
    accepted(&with("{podKill: {component: worker}, weight: 3}", event)).await;
    let (before, rest) = VALID.split_once("  chaos:\n").unwrap();
    let (_, after) = rest.split_once("  metrics:").unwrap();
    accepted(&format!("{before}  chaos: null\n  metrics:{after}")).await;
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused_in_strict_mode() {
    let create = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    for (from, to, name) in [
        ("warmUp: 1m", "warmup: 1m", "spec.warmup"),
        (
            "minReadyPercent: 50",
            "minReadyPercent: 50, overlaps: true",
            "spec.chaos.guard.overlaps",
        ),
        (
            "name: base,",
            "name: base, failfast: true,",
            "spec.criteria[4].failfast",
        ),
    ] {
        let said = kubectl_with_input(&create, &with(from, to))
            .await
            .expect_err("an unknown field");
        assert!(
            said.contains(&format!("unknown field \"{name}\"")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_crd_can_be_applied_by_plain_kubectl() {
    for file in std::fs::read_dir(repository().join("crds")).unwrap() {
        let path = file.unwrap().path();
        let size = path.metadata().unwrap().len();
        assert!(
            size < 200_000,
            "{} has {size} bytes; kubectl apply stores it twice, in 256 KiB",
            path.display()
        );
    }
    // Client-side apply, with its annotation that holds the whole object, but without changing what is installed.
    let applied = kubectl(&["apply", "--dry-run=server", "-f", "crds/"]).await;
    assert!(applied.is_ok(), "{applied:?}");
}

#[tokio::test]
async fn kubectl_shows_phase_outcome_progress_and_chaos() {
    let namespace = Namespace::new(&client().await, "columns").await;
    let create = ["create", "-n", &namespace.name, "-f", "-"];
    kubectl_with_input(&create, &with("cleanup:", "abort: true\n  cleanup:"))
        .await
        .unwrap();
    for word in ["soaktests", "soaktest", "soak"] {
        let said = kubectl(&["get", word, "-n", &namespace.name])
            .await
            .unwrap();
        let columns: Vec<_> = said.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(
            columns,
            ["NAME", "PHASE", "OUTCOME", "PROGRESS", "CHAOS", "AGE"]
        );
    }
    let all = kubectl(&["get", "all", "-n", &namespace.name, "-o", "name"])
        .await
        .unwrap();
    assert!(all.contains("soaktest.soak-operator.io/valid"), "{all}");
}

#[tokio::test]
async fn every_field_is_explained() {
    let said = kubectl(&["explain", "soaktests.spec", "--recursive"])
        .await
        .unwrap();
    assert!(said.contains("minReadyPercent"), "{said}");
    let crd = crd().await;
    let mut silent = Vec::new();
    undocumented(
        &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        "",
        &mut silent,
    );
    assert_eq!(silent, Vec::<String>::new());
}

/// The paths of fields without a description.
fn undocumented(schema: &Value, path: &str, silent: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        // What every object has is explained by Kubernetes.
        let built_in = [".apiVersion", ".kind", ".metadata"].contains(&path.as_str());
        if !built_in
            && field["description"].as_str().is_none_or(str::is_empty)
            && ![".spec", ".status"].contains(&path.as_str())
        {
            silent.push(path.clone());
        }
        undocumented(field, &path, silent);
        undocumented(&field["items"], &format!("{path}[]"), silent);
    }
}

async fn crd() -> Value {
    let said = kubectl(&["get", "crd", "soaktests.soak-operator.io", "-o", "json"])
        .await
        .unwrap();
    serde_json::from_str(&said).unwrap()
}

/// Another value for each field of the spec. A field that is not here, and has no rule, makes the test fail.
fn changed(field: &str) -> Value {
    match field {
        "duration" => json!("11m"),
        "warmUp" => json!("2m"),
        "settle" => json!("31s"),
        "deadline" => json!("31m"),
        "seed" => json!(43),
        "workload" => json!({"simulation": {"partitions": 7}}),
        "chaos" => json!({"guard": {"minReadyPercent": 51}}),
        "metrics" => json!({"step": "14s"}),
        "criteria" => json!([{"name": "other", "growth": {"signal": "Tasks", "maxPercent": 5}}]),
        "cleanup" => json!({"workload": "Keep"}),
        "suspend" => json!(true),
        "abort" => json!(false),
        other => panic!(
            "spec.{other} is new: add a rule to SoakTestSpec that keeps it as it is, and a change here"
        ),
    }
}

/// A merge patch that the API server would take, or its message.
async fn patched(tests: &Api<SoakTest>, spec: Value) -> Result<(), String> {
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    match tests
        .patch("valid", &dry_run, &Patch::Merge(json!({"spec": spec})))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => panic!("failed to ask the API server: {error}"),
    }
}

fn fixed(field: &str) -> String {
    format!(
        "spec.{field} is fixed once the SoakTest exists, only abort and suspend may change: delete it and create another"
    )
}

#[tokio::test]
async fn nothing_but_abort_and_suspend_can_be_changed_afterwards() {
    let namespace = Namespace::new(&client().await, "immutable").await;
    let create = ["create", "-n", &namespace.name, "-f", "-"];
    // Aborted from the start, so that no workload comes of it.
    kubectl_with_input(&create, &with("cleanup:", "abort: true\n  cleanup:"))
        .await
        .unwrap();
    let tests: Api<SoakTest> = namespace.api();

    let crd = crd().await;
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let fields: Vec<_> = spec["properties"].as_object().unwrap().keys().collect();
    assert!(fields.len() >= 12, "{fields:?}");
    for field in fields {
        let answer = patched(&tests, json!({ field: changed(field) })).await;
        match field.as_str() {
            "abort" | "suspend" => assert_eq!(answer, Ok(()), "spec.{field} may change"),
            _ => {
                let message = answer.expect_err(field);
                assert!(message.contains(&fixed(field)), "spec.{field}: {message}");
            }
        }
    }
    for field in ["deadline", "seed", "chaos"] {
        let message = patched(&tests, json!({ field: null }))
            .await
            .expect_err(field);
        assert!(
            message.contains(&fixed(field)),
            "spec.{field} taken away: {message}"
        );
    }
    assert_eq!(
        patched(&tests, json!({"duration": "10m"})).await,
        Ok(()),
        "the same value again is no change"
    );
}

#[tokio::test]
async fn what_was_left_out_cannot_be_added_afterwards() {
    let namespace = Namespace::new(&client().await, "immutable").await;
    let bare = "
apiVersion: soak-operator.io/v1alpha1
kind: SoakTest
metadata: {name: valid}
spec:
  abort: true
  duration: 10m
  workload: {simulation: {partitions: 1, workers: {replicas: 1}, producers: {replicas: 1}}}
  criteria: [{name: tasks, growth: {signal: Tasks, maxPercent: 5}}]
";
    kubectl_with_input(&["create", "-n", &namespace.name, "-f", "-"], bare)
        .await
        .unwrap();
    let tests: Api<SoakTest> = namespace.api();
    let chaos = json!({"interval": {"min": "30s", "max": "45s"}, "events": [{"podKill": {"component": "worker"}}]});
    for (field, value) in [
        ("deadline", json!("1h")),
        ("seed", json!(1)),
        ("chaos", chaos),
    ] {
        let message = patched(&tests, json!({ field: value }))
            .await
            .expect_err(field);
        assert!(
            message.contains(&fixed(field)),
            "spec.{field} added: {message}"
        );
    }
}
