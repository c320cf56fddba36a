//! `kubectl soak plan`: the chaos that a SoakTest would bring, event by event.

use std::path::PathBuf;

use anyhow::{Context, bail};
use kube::ResourceExt;
use soak_api::{ChaosKind, Leader, SoakTest};
use soak_operator::rehearsal::{Does, Foreseen, foresee};
use soak_verdict::wording::{count, seconds};

use crate::wording::{COLUMNS, aligned, offset, ordinal, wrapped};
use crate::{document, lint};

/// Show the chaos that a SoakTest would bring, event by event
///
/// The same seed gives the same instants, kinds and ranks. Which pod has a rank is known only when the event is due.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The SoakTest in YAML or JSON, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,

    /// Another seed than the file's
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
}

/// The schedules of all SoakTests of the file.
pub(crate) fn run(args: &Args) -> anyhow::Result<String> {
    let file = document::read(&args.filename)?;
    let documents = file.documents()?;
    let refused = lint::refused(&file.name, &documents)?;
    if !refused.is_empty() {
        bail!("a cluster would refuse this:\n  {}", refused.join("\n  "));
    }
    let tests = document::soak_tests(&file.name, &documents)?;
    let plans = tests.iter().map(|test| schedule(test, args.seed));
    Ok(plans.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

fn schedule(test: &SoakTest, seed: Option<i64>) -> anyhow::Result<String> {
    let name = test.name_any();
    if test.spec.chaos.is_none() {
        return Ok(format!("{name}: no chaos, spec.chaos is left out\n"));
    }
    let Some(seed) = seed.or(test.spec.seed) else {
        bail!(
            "{name} has no spec.seed: one will be drawn when it begins, and status.seed says which; --seed shows the plan of any"
        );
    };
    let events = foresee(test, seed).with_context(|| format!("failed to plan {name}"))?;
    Ok(written(test, &name, seed, &events))
}

fn written(test: &SoakTest, name: &str, seed: i64, events: &[Foreseen]) -> String {
    let window = seconds(test.spec.duration.duration().as_secs_f64());
    let count = match events.len() {
        0 => "no event".to_owned(),
        events => count(events, "event"),
    };
    let mut lines = vec![format!("{name}: {count} in {window} with seed {seed}")];
    if events.is_empty() {
        return lines.concat() + "\n";
    }
    lines.push(String::new());
    let header = ["EVENT", "AT", "KIND", "COMPONENT", "WHAT IT DOES"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(events.iter().map(|event| {
        vec![
            event.index.to_string(),
            offset(event.at),
            event.kind.name().to_owned(),
            event.kind.component().to_owned(),
            what(event),
        ]
    }));
    lines.extend(aligned(&rows, 2));
    lines.push(String::new());
    for (refrains, why) in [
        (
            test.spec.suspend,
            "spec.suspend is set: nothing of this happens until it is false.",
        ),
        (
            test.spec.chaos.as_ref().is_some_and(|chaos| chaos.dry_run),
            "spec.chaos.dryRun is set: nothing of this is done, and the soak cannot pass.",
        ),
    ] {
        if refrains {
            lines.extend(wrapped(why, 2, COLUMNS));
        }
    }
    let remark = "AT counts from the start of the judged window. Ranks are by age, the oldest first, of the pods that \
                  are ready by then; what is given here is for all of them being ready.";
    lines.extend(wrapped(remark, 2, COLUMNS));
    lines.join("\n") + "\n"
}

fn what(event: &Foreseen) -> String {
    let replicas = event.replicas;
    let pods = if replicas == 1 { "pod" } else { "pods" };
    let whom = match event.does {
        Does::Hits(rank) => format!("hits the {} of {replicas} {pods}", ordinal(rank + 1)),
        Does::HitsTheLeaderOf(_) => "hits the leader".to_owned(),
        Does::ScalesTo(to) => format!("scales from {replicas} to {to} pods"),
        Does::ReplacesAll => format!("replaces all {replicas} {pods}"),
        Does::IsRefused => {
            return format!(
                "nothing: guard.minReadyPercent never allows it with {replicas} {pods}"
            );
        }
    };
    format!("{whom}{}", how(&event.kind))
}

/// What the kind's own fields add.
fn how(kind: &ChaosKind) -> String {
    match kind {
        ChaosKind::PodRestart(restart) => format!(", which has {} to stop", restart.grace_period),
        ChaosKind::LeaderKill(kill) => match &kill.leader {
            Leader {
                lease: Some(name), ..
            } => format!(", the holder of the Lease {name}"),
            Leader {
                label: Some(label), ..
            } => format!(", the pod with {label}"),
            Leader { query, .. } => {
                format!(", as {} says", query.as_deref().unwrap_or_default())
            }
        },
        ChaosKind::Scale(scale) => format!(" for {}", scale.lasts),
        ChaosKind::NetworkPartition(partition) => format!(" for {}", partition.lasts),
        ChaosKind::PodKill(_)
        | ChaosKind::PodCrash(_)
        | ChaosKind::Evict(_)
        | ChaosKind::Rollout(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{leaking, soak_test};

    #[test]
    fn a_plan_tells_instant_kind_and_rank_of_each_event() {
        insta::assert_snapshot!(schedule(&leaking(), None).expect("a plan"));
    }

    #[test]
    fn each_kind_of_event_says_what_it_does() {
        let test = soak_test(
            "
spec:
  duration: 10m
  seed: 7
  workload:
    simulation: {partitions: 6, workers: {replicas: 4}, producers: {replicas: 1}}
  chaos:
    interval: {min: 30s, max: 40s}
    events:
      - {podRestart: {component: worker}, maxEvents: 1}
      - {podCrash: {component: worker}, maxEvents: 1}
      - {leaderKill: {component: worker}, maxEvents: 1}
      - {leaderKill: {component: worker, leader: {lease: boss}}, maxEvents: 1}
      - {leaderKill: {component: worker, leader: {label: role=leader}}, maxEvents: 1}
      - {evict: {component: worker}, maxEvents: 1}
      - {scale: {component: worker, by: {min: -2, max: 3}}, maxEvents: 1}
      - {rollout: {component: worker}, maxEvents: 1}
      - {networkPartition: {component: worker, for: 15s}, maxEvents: 1}
      - {podKill: {component: producer}, every: 3m}
  criteria: [{name: tasks, growth: {signal: Tasks, maxPercent: 5}}]
",
        );
        insta::assert_snapshot!(schedule(&test, None).expect("a plan"));
    }

    #[test]
    fn another_seed_gives_another_plan() {
        let plan = |seed| schedule(&leaking(), seed).expect("a plan");
        assert_ne!(plan(Some(1)), plan(None));
        assert_eq!(plan(Some(42)), plan(None));
    }

    #[test]
    fn without_a_seed_it_says_that_one_will_be_drawn() {
        let mut test = leaking();
        test.spec.seed = None;
        let problem = schedule(&test, None).expect_err("no seed").to_string();
        assert!(problem.contains("one will be drawn"), "{problem}");
        assert!(schedule(&test, Some(3)).is_ok());
    }

    #[test]
    fn what_keeps_the_events_from_being_done_is_said() {
        let mut test = leaking();
        let plan = schedule(&test, None).expect("a plan");
        assert!(!plan.contains("nothing of this"), "{plan}");
        test.spec.suspend = true;
        let plan = schedule(&test, None).expect("a plan");
        assert!(
            plan.contains("spec.suspend is set: nothing of this happens"),
            "{plan}"
        );
        test.spec.chaos.as_mut().expect("chaos").dry_run = true;
        let plan = schedule(&test, None).expect("a plan");
        assert!(
            plan.contains("spec.chaos.dryRun is set: nothing of this is done"),
            "{plan}"
        );
    }

    #[test]
    fn without_chaos_there_is_nothing_to_plan() {
        let mut test = leaking();
        test.spec.chaos = None;
        let said = schedule(&test, None).expect("nothing");
        assert_eq!(said, "leaking: no chaos, spec.chaos is left out\n");
    }
}
