//! Every leak of the simulation in turn, at the demo's size: the operator fails it and names the component, and the clean
//! twin passes. `make leak-modes` prints the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::fmt::Write as _;

use futures::future::join_all;
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{Criterion, CriterionResult, LeakMode, SoakOutcome, SoakTest, SoakTestStatus};
use soak_e2e::{Namespace, Soak, client, criterion, say, simulation, soak_test, span};

/// How many soaks of ten pods run at once.
const AT_ONCE: usize = 4;

/// A leak, and what has to find it.
struct Case {
    mode: LeakMode,
    /// The pace of one that goes by the clock: three minutes are short.
    every: Option<u64>,
    /// The criterion that fails, in which component, and the part that the sentence names.
    found_by: Option<(&'static str, &'static str, &'static str)>,
}

fn cases() -> Vec<Case> {
    let case = |mode, every, criterion, component, part| Case {
        mode,
        every,
        found_by: Some((criterion, component, part)),
    };
    let (tasks, memory) = ("task-growth", "memory-growth");
    vec![
        Case {
            mode: LeakMode::None,
            every: None,
            found_by: None,
        },
        case(LeakMode::OrphanedPullLoop, None, tasks, "worker", "consume"),
        case(
            LeakMode::UnguardedStart,
            None,
            tasks,
            "worker",
            "assignment",
        ),
        case(
            LeakMode::ConsumeLoopPerRestart,
            None,
            tasks,
            "worker",
            "consume",
        ),
        case(
            LeakMode::MonitorPerProcessEvent,
            None,
            tasks,
            "worker",
            "election",
        ),
        case(
            LeakMode::OrphanedConsumers,
            None,
            "consumer-growth",
            "worker",
            "",
        ),
        case(LeakMode::KeptBuffers, None, memory, "worker", ""),
        case(LeakMode::ProducerTicker, None, tasks, "producer", "publish"),
        case(LeakMode::PiledTimers, Some(100), memory, "worker", ""),
        case(LeakMode::SlowDrip, Some(10_000), tasks, "worker", "claim"),
    ]
}

fn soak_of(case: &Case) -> SoakTest {
    let mut test = soak_test("examples/clean.yaml");
    test.metadata.name = Some(case.mode.to_string().to_lowercase());
    let spec = &mut test.spec;
    spec.warm_up = span(40);
    spec.duration = span(240);
    spec.settle = span(40);
    let leak = match case.every {
        Some(every) => json!({"mode": case.mode, "every": format!("{every}ms")}),
        None => json!({"mode": case.mode}),
    };
    simulation(spec).leak = serde_json::from_value(leak).expect("a leak");
    let of_nats = json!({"name": "consumer-growth", "growth": {"query": "soak_sim_jetstream_consumers", "maxPercent": 5}});
    let of_nats: Criterion = serde_json::from_value(of_nats).expect("a criterion");
    spec.criteria.push(of_nats);
    test
}

/// What did not come out as it should, if anything.
fn problem(case: &Case, status: &SoakTestStatus) -> Option<String> {
    let Some((name, component, part)) = case.found_by else {
        let passed = status.outcome == Some(SoakOutcome::Passed);
        return (!passed).then(|| status.message.clone());
    };
    let found = criterion(status, name);
    let named = found.component.as_deref() == Some(component);
    let failed = status.outcome == Some(SoakOutcome::Failed) && found.outcome == Outcome::Failed;
    let told = part.is_empty()
        || found
            .contributions
            .iter()
            .any(|row| row.name.contains(part));
    (!(failed && named && told)).then(|| format!("{}: {}", found.name, found.sentence))
}

fn row(case: &Case, status: &SoakTestStatus) -> String {
    let failed = |one: &&CriterionResult| one.outcome == Outcome::Failed;
    let mut by = String::new();
    for one in status.criteria.iter().filter(failed) {
        let component = one.component.as_deref().unwrap_or("-");
        let estimate = one.estimate.unwrap_or(f64::NAN);
        let _ = write!(
            by,
            "  {} of {component} {estimate:.1} {}",
            one.name, one.unit
        );
    }
    let outcome = status
        .outcome
        .map_or_else(String::new, |outcome| format!("{outcome:?}"));
    format!("{:<24}{outcome:<14}{by}", case.mode.to_string())
}

#[tokio::test]
async fn every_leak_is_failed_by_its_component_and_the_clean_twin_passes() {
    let namespace = Namespace::new(&client().await, "leak-modes").await;
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for batch in cases().chunks(AT_ONCE) {
        let begun = join_all(batch.iter().map(|case| {
            let test = soak_of(case);
            let namespace = &namespace;
            async move { namespace.soak(&test).await }
        }));
        let soaks: Vec<Soak> = begun.await;
        for (case, soak) in batch.iter().zip(&soaks) {
            let status = soak.ends().await;
            say(&row(case, &status));
            rows.push(row(case, &status));
            problems.extend(problem(case, &status).map(|what| format!("{}: {what}", case.mode)));
            soak.workload_is_gone().await;
        }
    }
    say(&format!("leak modes:\n  {}", rows.join("\n  ")));
    assert!(problems.is_empty(), "{problems:#?}");
}
