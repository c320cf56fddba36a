//! The operator killed right after each thing it writes down, and the outcome still right.
//!
//! Kills are real: SIGKILL to the process, on the node. A container's first restart is immediate and later ones are put
//! off more and more, so after each kill the pod is replaced in an orderly way as soon as the restarted operator leads.
//! Nothing else may need the operator meanwhile: this runs when all other tests are over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use soak_api::verdict::Outcome;
use soak_api::{Phase, SoakOutcome, SoakTest, SoakTestStatus};
use soak_e2e::{
    JournalEvent, Namespace, Nodes, Operator, PodLog, PodRecord, came_to, client, criterion,
    node_of, say, simulation, small, span, worker_kills,
};

/// Something that the operator wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Transition {
    /// It entered the phase.
    Entered(Phase),
    /// It meant to carry out the event.
    Intended(u32),
    /// It knew what had become of the event.
    Resolved(u32),
    /// The component was back after the event.
    Recovered(u32),
}

use Transition::{Entered, Intended, Recovered, Resolved};

/// What was written down between two versions of the status.
fn transitions(before: &SoakTestStatus, after: &SoakTestStatus) -> Vec<Transition> {
    let mut seen = Vec::new();
    let (was, is) = (&before.chaos, &after.chaos);
    if was.pending.is_none() {
        seen.extend(is.pending.iter().map(|intent| Intended(intent.index)));
    }
    if is.pending.is_none() {
        seen.extend(was.pending.iter().map(|intent| Resolved(intent.index)));
    }
    if is.recovering.is_empty() {
        seen.extend(
            was.recovering
                .iter()
                .map(|recovering| Recovered(recovering.event.index)),
        );
    }
    if before.phase != after.phase {
        seen.push(Entered(after.phase));
    }
    seen
}

/// Few enough that the operator is there for nine tenths of the soak, and far enough apart that its pod is replaced
/// between two of them. An event whose intent alone was written down may end as Presumed, which is no proof.
fn wanted(transition: Transition) -> bool {
    match transition {
        Entered(_) => true,
        Resolved(index) => index == 2,
        Recovered(index) => index == 5,
        Intended(index) => index == 9,
    }
}

fn test() -> SoakTest {
    let mut test = small("unshaken");
    let spec = &mut test.spec;
    simulation(spec).workers.replicas = 3;
    // Long enough to have the operator replaced that is killed as this begins: one that is killed while it is replaced leaves
    // its Lease to run out, and that would be time in which nobody was there.
    spec.warm_up = span(60);
    spec.duration = span(240);
    spec.settle = span(30);
    spec.deadline = Some(span(540));
    spec.chaos = Some(worker_kills(18, 19, 10));
    test
}

/// Kills the operator, and has a fresh one in its place soon after.
struct Killer {
    operator: Operator,
    nodes: Nodes,
    /// The pod that leads, where it has not been killed yet.
    fresh: Option<(String, String)>,
    replacing: Option<LocalBoxFuture<'static, (String, String)>>,
    kills: Vec<Transition>,
}

impl Killer {
    async fn new() -> Self {
        let client = client().await;
        let operator = Operator::find(&client).await;
        let nodes = Nodes::open(&client).await;
        let fresh = Some(replace(operator.clone()).await);
        Self {
            operator,
            nodes,
            fresh,
            replacing: None,
            kills: Vec::new(),
        }
    }

    /// Kills the operator if it is fresh; a phase is worth killing one that is not, and the longer wait after it.
    async fn strike(&mut self, transition: Transition) {
        let mut targets: Vec<_> = self.fresh.take().into_iter().collect();
        if targets.is_empty() {
            if !matches!(transition, Entered(_)) {
                say(&format!(
                    "{transition:?}: let pass, the operator is being replaced"
                ));
                return;
            }
            let pods = self.operator.pods().await;
            let place = |pod: &k8s_openapi::api::core::v1::Pod| {
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone())?;
                Some((node, pod.uid()?))
            };
            targets.extend(pods.iter().filter_map(place));
        }
        let mut killed = Vec::new();
        for (node, uid) in targets {
            killed.extend(self.nodes.kill(&node, &uid).await);
        }
        if killed.is_empty() {
            say(&format!("{transition:?}: nothing ran that could be killed"));
        } else {
            say(&format!("{transition:?}: killed {}", killed.join(", ")));
            self.kills.push(transition);
        }
        // Whatever was being put in place has been killed with the rest. From judging on nobody counts how long the
        // operator is away, and the next kill must find one that runs, not one that is being replaced.
        if !matches!(transition, Entered(Phase::Judging | Phase::CleaningUp)) {
            self.replacing = Some(replace(self.operator.clone()).boxed_local());
        }
    }

    /// Waits until the operator that was killed last is back and has been replaced; for ever where none was.
    async fn replaced(&mut self) {
        match self.replacing.as_mut() {
            Some(replacing) => {
                let fresh = replacing.await;
                self.replacing = None;
                self.fresh = Some(fresh);
            }
            None => std::future::pending().await,
        }
    }
}

/// Lets the operator come back by itself first, which is what the kill is about, and then replaces its pod.
async fn replace(operator: Operator) -> (String, String) {
    operator
        .leads(Timestamp::now(), Duration::from_secs(90))
        .await;
    let pod = operator.replace().await;
    (node_of(&pod), pod.uid().unwrap())
}

#[tokio::test]
async fn killed_after_each_transition_it_repeats_nothing_forgets_nothing_and_still_judges_right() {
    let client = client().await;
    let namespace = Namespace::new(&client, "operator-kill").await;
    let pods = PodLog::follow(&namespace);
    let mut killer = Killer::new().await;
    let soak = namespace.soak(&test()).await;
    let mut versions = soak.versions();
    let mut status = SoakTestStatus::default();
    let run = async {
        while status.phase != Phase::Completed {
            tokio::select! {
                version = versions.next() => {
                    let after = version.expect("a watch does not end").status.unwrap_or_default();
                    let seen = transitions(&status, &after);
                    status = after;
                    if let Some(transition) = seen.into_iter().rev().find(|t| wanted(*t)) {
                        killer.strike(transition).await;
                    }
                }
                () = killer.replaced() => {}
            }
        }
    };
    let limit = Duration::from_secs(540);
    assert!(
        tokio::time::timeout(limit, run).await.is_ok(),
        "not Completed in {limit:?}: {status:#?}"
    );
    // The kill at Completed, too, has to leave everything as it is.
    killer.replaced().await;
    let status = soak.now().await.status.unwrap();
    say(&format!(
        "killed {} times: {:?}",
        killer.kills.len(),
        killer.kills
    ));

    every_kind_of_transition_was_struck(&killer.kills);

    came_to(&status, SoakOutcome::Passed);
    assert!(
        status.criteria.iter().all(|c| c.outcome == Outcome::Passed),
        "{:#?}",
        status.criteria
    );
    assert_eq!(criterion(&status, "no-loss").estimate, Some(0.0));
    assert_eq!(
        status.breaches,
        [],
        "no kill of ours was taken for somebody else's"
    );

    let journal = soak.journal(&status).await;
    assert_eq!(
        journal.len(),
        status.journal.entries as usize,
        "the journal is torn: {journal:#?}"
    );
    each_event_was_carried_out_once(&status, &journal, &pods.of(&soak.name, "worker"));
}

fn every_kind_of_transition_was_struck(kills: &[Transition]) {
    let phases = [
        Phase::Deploying,
        Phase::WarmingUp,
        Phase::Soaking,
        Phase::Settling,
        Phase::Judging,
        Phase::CleaningUp,
        Phase::Completed,
    ];
    let missed: Vec<_> = phases
        .iter()
        .filter(|phase| !kills.contains(&Entered(**phase)))
        .collect();
    assert!(missed.is_empty(), "never killed on entering {missed:?}");
    let count = |which: fn(&Transition) -> bool| kills.iter().filter(|t| which(t)).count();
    assert!(count(|t| matches!(t, Intended(_))) >= 1, "{kills:?}");
    assert!(count(|t| matches!(t, Resolved(_))) >= 1, "{kills:?}");
    assert!(count(|t| matches!(t, Recovered(_))) >= 1, "{kills:?}");
}

/// One deletion an event, on a pod of its own, by what the API server told of the pods.
fn each_event_was_carried_out_once(
    status: &SoakTestStatus,
    journal: &[String],
    workers: &BTreeMap<String, PodRecord>,
) {
    let chaos = &status.chaos;
    assert!(
        chaos.planned >= 11 && chaos.due == chaos.planned,
        "{chaos:?}"
    );
    let events = JournalEvent::all(journal);
    let mut indices: Vec<u32> = events.iter().map(|event| event.index).collect();
    indices.sort_unstable();
    assert_eq!(
        indices,
        (0..chaos.planned).collect::<Vec<_>>(),
        "every event is in the journal once: {journal:#?}"
    );
    let hit = events.iter().filter(|event| event.hit());
    let hit: Vec<_> = hit.map(|event| event.uid.clone()).collect();
    let distinct: BTreeSet<_> = hit.iter().cloned().collect();
    assert_eq!(
        distinct.len(),
        hit.len(),
        "no pod was hit twice: {journal:#?}"
    );
    let judged_from = status.times.judging.expect("was judged");
    let deleted: BTreeSet<_> = workers
        .iter()
        .filter(|(_, pod)| pod.deleted_at.is_some_and(|at| at < judged_from))
        .map(|(uid, _)| uid.clone())
        .collect();
    assert_eq!(
        deleted, distinct,
        "one deletion an event, and no other: {journal:#?}"
    );
    assert_eq!(
        workers.len(),
        3 + deleted.len(),
        "each was replaced by exactly one: {workers:#?}"
    );
}
