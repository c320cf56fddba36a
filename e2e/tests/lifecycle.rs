//! Whole soaks, from Pending to Completed: the twins in short form, and several soaks beside each other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use soak_api::verdict::Outcome;
use soak_api::{Criterion, Phase, SoakOutcome, SoakTest, SoakTestStatus, SpanRange};
use soak_e2e::{
    JournalEvent, Namespace, PodLog, Soak, came_to, client, criterion, simulation, small,
    soak_test, span, worker_kills,
};

/// One of the twins of `examples/`, with less time for everything but what is judged.
fn twin(name: &str) -> SoakTest {
    let mut test = soak_test(&format!("examples/{name}.yaml"));
    test.spec.warm_up = span(40);
    test.spec.duration = span(180);
    test.spec.settle = span(30);
    test.spec.deadline = Some(span(420));
    let chaos = test.spec.chaos.as_mut().expect("the twins are about chaos");
    chaos.guard.start_after = span(30);
    chaos.interval = Some(SpanRange {
        min: span(25),
        max: span(30),
    });
    test
}

/// A small soak in which a worker is killed every few seconds.
fn restless(name: &str) -> SoakTest {
    let mut test = small(name);
    simulation(&mut test.spec).workers.replicas = 3;
    test.spec.warm_up = span(10);
    test.spec.duration = span(90);
    test.spec.settle = span(15);
    test.spec.chaos = Some(worker_kills(24, 26, 1));
    test
}

/// What is kept for reports is what the status says, with all that was measured.
async fn evidence_is_kept(soak: &Soak, status: &SoakTestStatus) {
    let evidence = soak.evidence(status).await;
    let said = evidence.soak_test.status.expect("a status");
    assert_eq!(
        (said.outcome, &said.criteria),
        (status.outcome, &status.criteria)
    );
    assert_eq!(evidence.events.len(), status.chaos.planned as usize);
    let of: Vec<_> = evidence.charts.iter().map(|chart| &chart.of).collect();
    assert_eq!(of, ["Tasks", "Memory", "soak_sim_messages_lost_total"]);
    for chart in &evidence.charts[..2] {
        let workers = chart.lines.iter().filter(|line| line.component == "worker");
        let replaced = 6 + status.chaos.injected as usize;
        assert_eq!(workers.count(), replaced, "a line for each incarnation");
        assert!(chart.lines.iter().all(|line| line.values.len() > 1));
    }
}

/// Every planned event was carried out, each on a pod of its own, and that pod was replaced; the journal tells the same.
async fn chaos_was_exact(soak: &Soak, status: &SoakTestStatus, pods: &PodLog, workers: usize) {
    let chaos = &status.chaos;
    assert_eq!(
        (chaos.injected, chaos.due),
        (chaos.planned, chaos.planned),
        "{:?}",
        chaos.recent
    );
    assert!(
        chaos.pending.is_none() && chaos.recovering.is_empty(),
        "left behind: {chaos:?}"
    );

    let journal = soak.journal(status).await;
    assert_eq!(
        journal.len(),
        status.journal.entries as usize,
        "the journal is torn: {journal:#?}"
    );
    let events = JournalEvent::all(&journal);
    assert_eq!(
        events.len(),
        chaos.planned as usize,
        "every event is in the journal: {journal:#?}"
    );
    let last = events.iter().rev().map(|event| event.index);
    let shown = chaos.recent.iter().rev().map(|event| event.index);
    assert!(
        !chaos.recent.is_empty() && shown.zip(last).all(|(shown, last)| shown == last),
        "the status shows the last of them: {chaos:?}"
    );
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.index as usize, index, "{events:?}");
        assert_eq!(
            (event.kind.as_str(), event.result.as_str()),
            ("podKill", "Injected"),
            "{event:?}"
        );
        let (injected, recovered) = (
            event.injected_at.expect("proven"),
            event.recovered_at.expect("recovered"),
        );
        assert!(
            event.planned_at <= injected && injected < recovered,
            "{event:?}"
        );
    }
    let hit: BTreeSet<_> = events.iter().map(|event| event.uid.clone()).collect();
    assert_eq!(hit.len(), events.len(), "no pod was hit twice: {events:?}");

    // What the API server told of the pods themselves, which is independent of what the operator says.
    let seen = pods.of(&soak.name, "worker");
    let judged_until = status.times.judging.expect("was judged");
    let killed: BTreeSet<_> = seen
        .iter()
        .filter(|(_, pod)| pod.deleted_at.is_some_and(|at| at < judged_until))
        .map(|(uid, _)| uid.clone())
        .collect();
    assert_eq!(
        killed, hit,
        "the pods that were deleted are those of the events"
    );
    assert_eq!(
        seen.len(),
        workers + hit.len(),
        "each killed worker was replaced by exactly one: {seen:#?}"
    );
    assert!(seen.values().all(|pod| pod.restarts == 0), "{seen:#?}");

    let entries = |kind: &str| {
        journal
            .iter()
            .filter(|line| line.starts_with(kind))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        entries("i worker ").len(),
        seen.len(),
        "every incarnation is in the journal: {journal:#?}"
    );
    assert_eq!(
        entries("b "),
        BTreeSet::new(),
        "nothing happened that chaos did not do"
    );
}

fn went_through_every_phase(status: &SoakTestStatus) {
    let times = &status.times;
    let times = [
        times.deploying,
        times.warming_up,
        times.soaking,
        times.settling,
        times.judging,
        times.cleaning_up,
        times.completed,
    ];
    assert!(
        times.iter().all(Option::is_some) && times.is_sorted(),
        "{times:?}"
    );
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str()))
        .collect();
    assert!(conditions.contains(&("Complete", "True")), "{conditions:?}");
    let passed = if status.outcome == Some(SoakOutcome::Passed) {
        "True"
    } else {
        "False"
    };
    assert!(conditions.contains(&("Passed", passed)), "{conditions:?}");
    assert_eq!(status.progress, "100%");
}

fn all_passed(status: &SoakTestStatus) {
    let failed: Vec<_> = status
        .criteria
        .iter()
        .filter(|c| c.outcome != Outcome::Passed)
        .collect();
    assert!(failed.is_empty(), "not every criterion passed: {failed:#?}");
    came_to(status, SoakOutcome::Passed);
    assert_eq!(criterion(status, "health").outcome, Outcome::Passed);
    assert_eq!(criterion(status, "evidence").outcome, Outcome::Passed);
    assert_eq!(status.breaches, []);
}

#[tokio::test]
async fn the_clean_twin_passes_and_loses_no_message_while_its_workers_are_killed() {
    let namespace = Namespace::new(&client().await, "clean").await;
    let pods = PodLog::follow(&namespace);
    let test = twin("clean");
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;

    all_passed(&status);
    went_through_every_phase(&status);
    assert!(status.chaos.planned >= 4, "{}", status.chaos.summary);
    chaos_was_exact(&soak, &status, &pods, 6).await;
    let loss = criterion(&status, "no-loss");
    assert_eq!(loss.estimate, Some(0.0), "{}", loss.sentence);
    let growth = criterion(&status, "task-growth");
    let interval = growth.interval.expect("an interval");
    assert!(
        interval.high <= 5.0 && growth.limit == Some(5.0) && growth.unit == "%",
        "{growth:#?}"
    );
    assert!(
        growth.samples > 300 && growth.incarnations >= 2,
        "{growth:#?}"
    );
    evidence_is_kept(&soak, &status).await;
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn the_leaking_twin_fails_by_the_tasks_that_its_workers_gather() {
    let namespace = Namespace::new(&client().await, "leaking").await;
    let pods = PodLog::follow(&namespace);
    let test = twin("leaking");
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;

    came_to(&status, SoakOutcome::Failed);
    went_through_every_phase(&status);
    chaos_was_exact(&soak, &status, &pods, 6).await;
    let growth = criterion(&status, "task-growth");
    assert_eq!(growth.outcome, Outcome::Failed, "{}", growth.sentence);
    assert_eq!(
        growth.component.as_deref(),
        Some("worker"),
        "{}",
        growth.sentence
    );
    let interval = growth.interval.expect("an interval");
    assert!(
        interval.low > 5.0,
        "the whole interval lies above the limit: {growth:#?}"
    );
    assert!(!growth.worst_pods.is_empty(), "{growth:#?}");
    assert!(
        status.message.starts_with("Failed: task-growth: "),
        "{}",
        status.message
    );
    for other in ["health", "evidence", "no-loss"] {
        let other = criterion(&status, other);
        assert_eq!(
            other.outcome,
            Outcome::Passed,
            "{}: {}",
            other.name,
            other.sentence
        );
    }
    evidence_is_kept(&soak, &status).await;
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn a_leak_ends_a_long_soak_early_where_its_criterion_fails_fast() {
    let namespace = Namespace::new(&client().await, "fail-fast").await;
    let pods = PodLog::follow(&namespace);
    let mut test = twin("leaking");
    test.spec.duration = span(19 * 60);
    test.spec.deadline = Some(span(25 * 60));
    let growth = |c: &&mut Criterion| c.name == "task-growth";
    let growth = test.spec.criteria.iter_mut().find(growth);
    growth.expect("the criterion").fail_fast = true;
    let soak = namespace.soak(&test).await;
    let status = soak.ends().await;

    came_to(&status, SoakOutcome::Failed);
    went_through_every_phase(&status);
    let early = status.failed_fast.as_ref().expect("it ended early");
    assert_eq!(early.criterion, "task-growth");
    // So early, the mean of the workers may be the surer of the two, or the survivor that took over most: which of them
    // depends on whom the first kills hit, and who had been given their work.
    assert!(
        ["grew by ", "of pod leaking-worker-"].iter().any(|whose| {
            let found = format!(" of 19m: worker tasks {whose}");
            early.sentence.starts_with("after ") && early.sentence.contains(&found)
        }),
        "{}",
        early.sentence
    );
    let (began, ended) = (status.times.soaking, status.times.settling);
    let soaked = ended
        .expect("settled")
        .duration_since(began.expect("soaked"));
    assert!(
        soaked.as_secs() < 19 * 60 / 2,
        "it soaked for {soaked:#}: {}",
        early.sentence
    );
    // Chaos ended with it, exactly: what was due by then was done, and nothing after.
    assert!(status.chaos.planned > 0, "{}", status.chaos.summary);
    chaos_was_exact(&soak, &status, &pods, 6).await;
    let growth = criterion(&status, "task-growth");
    assert_eq!(
        (growth.outcome, &growth.sentence),
        (Outcome::Failed, &early.sentence)
    );
    let loss = criterion(&status, "no-loss");
    assert_eq!(loss.outcome, Outcome::Inconclusive, "{}", loss.sentence);
    assert!(
        loss.sentence
            .starts_with("held until task-growth ended the soak before its time: "),
        "{}",
        loss.sentence
    );
    soak.workload_is_gone().await;
}

#[tokio::test]
async fn soaks_in_one_namespace_and_soaks_of_one_name_do_not_touch_each_other() {
    let client = client().await;
    let (here, there) = (
        Namespace::new(&client, "here").await,
        Namespace::new(&client, "there").await,
    );
    let (pods, pods_of_namesake) = (PodLog::follow(&here), PodLog::follow(&there));
    let mut other_seed = restless("first");
    other_seed.spec.seed = Some(8);
    let (first, second) = (
        here.soak(&restless("first")).await,
        here.soak(&restless("second")).await,
    );
    let namesake = there.soak(&other_seed).await;

    for soak in [&first, &second, &namesake] {
        soak.reaches(Phase::Soaking, Duration::from_secs(90)).await;
    }
    for (soak, pods) in [
        (&first, &pods),
        (&second, &pods),
        (&namesake, &pods_of_namesake),
    ] {
        let status = soak.ends().await;
        all_passed(&status);
        assert!(status.chaos.planned >= 3, "{}", status.chaos.summary);
        chaos_was_exact(soak, &status, pods, 3).await;
    }
    let instants = async |soak: &Soak| {
        let status = soak.now().await.status.unwrap();
        let began = status.times.soaking.unwrap();
        status
            .chaos
            .recent
            .iter()
            .map(|event| event.planned_at.duration_since(began))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        instants(&first).await,
        instants(&second).await,
        "one seed, one plan"
    );
    assert_ne!(
        instants(&first).await,
        instants(&namesake).await,
        "another seed, another plan"
    );
}
