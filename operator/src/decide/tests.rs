//! The lifecycle under a model of cluster and clock: the operator is crashed between any two steps, pods start slowly,
//! Prometheus comes and goes, and whatever happens, the promises hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use soak_api::verdict::Outcome;
use soak_api::{
    CriterionResult, Estimate, EventRecord, EventResult, FailedFast, HealthBreach, PendingIntent,
    Phase, Recovering, SoakOutcome, SoakTest, SoakTestStatus, Unmeasured,
};

use super::draft::signed;
use super::*;
use crate::chaos::Deed;
use crate::context::planned;
use crate::decision::{Answer, Tried};
use crate::facts::{Owner, PodFact};
use crate::journal::Journal;
use crate::lease::Led;
use crate::observed::{Look, Looking, Verdict};
use crate::workload;

/// What can go wrong, in percent of the occasions.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    crash: u64,
    /// Prometheus does not answer.
    blind: u64,
    /// A pod takes very long to start.
    slow: u64,
    /// The watch has not seen yet what has changed.
    stale: u64,
}

struct World {
    random: ChaCha8Rng,
    trouble: Trouble,
    now: Timestamp,
    test: SoakTest,
    journal: Journal,
    pods: Vec<(PodFact, Timestamp)>,
    /// The pods as the watch last brought them.
    seen: Vec<PodFact>,
    /// Pods on their way out, and when they are gone.
    leaving: HashMap<String, Timestamp>,
    deployed: bool,
    born: u32,
    operator: u32,
    /// Every pod that was deleted by chaos: event, uid, whether a ready one more than the guard needs was there.
    kills: Vec<(u32, String, bool)>,
    /// What this operator has written down and not asked for.
    held: Option<PendingIntent>,
    phases: Vec<Phase>,
    largest_status: usize,
    /// When a look finds that a criterion has surely failed.
    fails_fast_at: Option<Timestamp>,
}

fn soaktest(change: impl FnOnce(&mut serde_json::Value)) -> SoakTest {
    let mut object = json!({
        "apiVersion": "soak-operator.io/v1alpha1",
        "kind": "SoakTest",
        "metadata": {"name": "model", "namespace": "soak", "uid": "7a9c", "generation": 1},
        "spec": {
            "duration": "5m", "warmUp": "30s", "settle": "20s", "deadline": "15m", "seed": 7,
            "workload": {"simulation": {"partitions": 6, "workers": {"replicas": 4}, "producers": {"replicas": 1}}},
            "chaos": {
                "interval": {"min": "10s", "max": "30s"},
                "guard": {"startAfter": "10s", "minReadyPercent": 75, "recoveryTimeout": "1m"},
                "events": [{"podKill": {"component": "worker"}}, {"podRestart": {"component": "worker"}, "weight": 2}]
            },
            "criteria": [{"name": "tasks", "growth": {"signal": "Tasks", "maxPercent": 5}}]
        }
    });
    change(&mut object);
    serde_json::from_value(object).expect("a valid SoakTest")
}

impl World {
    fn new(seed: u64, trouble: Trouble, test: SoakTest) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            trouble,
            now: Timestamp::from_second(1_800_000_000).expect("in range"),
            test,
            journal: Journal::default(),
            pods: Vec::new(),
            seen: Vec::new(),
            leaving: HashMap::new(),
            deployed: false,
            born: 0,
            operator: 1,
            kills: Vec::new(),
            held: None,
            phases: Vec::new(),
            largest_status: 0,
            fails_fast_at: None,
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.next_u64() % 100 < percent
    }

    fn between(&mut self, least: i64, most: i64) -> SignedDuration {
        let range = u64::try_from(most - least + 1).expect("a range");
        SignedDuration::from_millis(
            least + i64::try_from(self.random.next_u64() % range).expect("small"),
        )
    }

    /// The ReplicaSets: as many pods as planned, new ones for those that leave.
    fn reconcile_pods(&mut self) {
        let now = self.now;
        self.pods
            .retain(|(pod, _)| self.leaving.get(&pod.uid).is_none_or(|gone| *gone > now));
        for (pod, ready_at) in &mut self.pods {
            pod.terminating = self.leaving.contains_key(&pod.uid);
            pod.ready = now >= *ready_at;
        }
        if !self.deployed {
            return;
        }
        for component in workload::components(&self.test) {
            let alive = |pods: &[(PodFact, Timestamp)]| {
                pods.iter()
                    .filter(|(pod, _)| pod.component == component.name && !pod.terminating)
                    .count()
            };
            while alive(&self.pods) < component.replicas as usize {
                self.born += 1;
                let delay = if self.chance(self.trouble.slow) {
                    self.between(40_000, 90_000)
                } else {
                    self.between(500, 6_000)
                };
                let pod = PodFact {
                    name: format!("model-{}-{}", component.name, self.born),
                    uid: format!("uid-{}", self.born),
                    component: component.name.clone(),
                    created_at: now,
                    started_at: Some(now),
                    ..PodFact::default()
                };
                self.pods.push((pod, now + delay));
            }
        }
    }

    fn observe(&mut self) -> Observed {
        self.reconcile_pods();
        if !self.chance(self.trouble.stale) {
            self.seen = self.pods.iter().map(|(pod, _)| pod.clone()).collect();
        }
        let pending = self
            .test
            .status
            .as_ref()
            .and_then(|s| s.chaos.pending.as_ref());
        let held = pending.is_some() && pending == self.held.as_ref();
        if let Some(intent) = pending.filter(|_| !held) {
            // Read from the API server itself.
            let there = self.pods.iter().find(|(pod, _)| pod.uid == intent.uid);
            self.seen.retain(|pod| pod.uid != intent.uid);
            self.seen.extend(there.map(|(pod, _)| pod.clone()));
        }
        let judging = self
            .test
            .status
            .as_ref()
            .is_some_and(|s| s.phase == Phase::Judging);
        let blind = self.chance(self.trouble.blind);
        let passed = CriterionResult {
            name: "tasks".into(),
            outcome: Outcome::Passed,
            ..serde_json::from_value(
                json!({"name": "", "kind": "growth", "outcome": "Passed", "sentence": ""}),
            )
            .expect("a row")
        };
        let judged = judging.then(|| {
            if blind {
                Err("Prometheus is away".to_owned())
            } else {
                Ok(Verdict {
                    criteria: vec![passed],
                    ..Verdict::default()
                })
            }
        });
        Observed {
            operator: self.operator.to_string(),
            led_before: None,
            components: workload::components(&self.test),
            pods: self.seen.clone(),
            remaining: self.remaining(),
            departed: HashMap::new(),
            lost_nodes: HashSet::new(),
            journal: Ok(Arc::new(self.journal.clone())),
            plan: planned(&self.test).unwrap_or_else(|| Ok(Arc::default())),
            leader: None,
            held,
            unseen: None,
            owners: BTreeMap::new(),
            cut_off: None,
            deployed: Some(Ok(())),
            metrics: None,
            looking: Looking::Never,
            look: self.look(),
            judged,
        }
    }

    /// What the last look came to, in one pass of two.
    fn look(&mut self) -> Option<Look> {
        let soaking = |s: &SoakTestStatus| s.phase == Phase::Soaking && s.failed_fast.is_none();
        if !self.test.status.as_ref().is_some_and(soaking) || self.chance(50) {
            return None;
        }
        Some(Look {
            estimates: vec![Estimate {
                criterion: "tasks".to_owned(),
                component: "worker".to_owned(),
                estimate: 12.0,
                interval: None,
                limit: 5.0,
                unit: "%".to_owned(),
            }],
            unmeasured: vec![Unmeasured::new("loss", "no series of it is there yet.")],
            taken: 1,
            failed: self
                .fails_fast_at
                .filter(|at| self.now >= *at)
                .map(|at| FailedFast {
                    criterion: "tasks".to_owned(),
                    at,
                    sentence: "worker tasks grew".to_owned(),
                }),
        })
    }

    /// What of the workload is there, whatever the watch has seen.
    fn remaining(&self) -> Vec<String> {
        let pods = self.pods.iter().map(|(pod, _)| pod.name.clone());
        pods.chain(self.deployed.then(|| "deployments".to_owned()))
            .collect()
    }

    /// Writes as the recorder does; `false` if the operator died on the way.
    fn record(&mut self, decision: &Decision) -> bool {
        if self.chance(self.trouble.crash) {
            return false;
        }
        for entry in &decision.journal {
            self.journal.add(entry.clone());
        }
        let phase = decision.status.phase;
        if self.phases.last() != Some(&phase) {
            self.phases.push(phase);
        }
        if phase < Phase::CleaningUp {
            let size = serde_json::to_string(&decision.status)
                .expect("a status")
                .len();
            self.largest_status = self.largest_status.max(size);
        }
        self.test.status = Some(decision.status.clone());
        !self.chance(self.trouble.crash)
    }

    fn act(&mut self, effect: &Effect) -> Option<Tried> {
        match effect {
            Effect::Deploy => self.deployed = true,
            Effect::Remove => {
                self.deployed = false;
                for (pod, _) in &self.pods {
                    self.leaving.entry(pod.uid.clone()).or_insert(self.now);
                }
            }
            Effect::Hold(_) => self.held.clone_from(&self.status().chaos.pending.clone()),
            Effect::Inject {
                intent,
                deed,
                again,
                ..
            } => {
                self.held = None;
                self.reconcile_pods();
                let serving = self
                    .pods
                    .iter()
                    .filter(|(p, _)| p.component == intent.component && p.serves())
                    .count();
                let found = self.pods.iter().any(|(pod, _)| pod.uid == intent.uid);
                if !found {
                    let result = if *again {
                        Answer::Unknown
                    } else {
                        Answer::Gone
                    };
                    return Some(tried(intent, deed, result, self.now));
                }
                let gone = self.now + self.between(100, 3_000);
                self.leaving.entry(intent.uid.clone()).or_insert(gone);
                self.kills
                    .push((intent.index, intent.uid.clone(), serving > 3));
                return Some(tried(intent, deed, Answer::Accepted, self.now));
            }
            Effect::None | Effect::Drain | Effect::Undo { .. } | Effect::Restore => {}
        }
        None
    }

    /// One reconcile, perhaps cut short; says when to look again.
    fn step(&mut self) -> SignedDuration {
        let observed = self.observe();
        let decision = decide(&self.test, &observed, self.now);
        let again = signed(decision.again).max(SignedDuration::from_millis(1));
        if !self.record(&decision) {
            return self.restart();
        }
        let Some(mut tried) = self.act(&decision.effect) else {
            return again;
        };
        if self.chance(self.trouble.crash) {
            return self.restart();
        }
        self.now += SignedDuration::from_millis(20);
        (tried.asked_at, tried.answered_at) = (self.now, self.now);
        if let Some(decision) = resolve(&self.test, &tried)
            && !self.record(&decision)
        {
            return self.restart();
        }
        SignedDuration::from_millis(200)
    }

    fn restart(&mut self) -> SignedDuration {
        self.operator += 1;
        self.held = None;
        self.between(500, 20_000)
    }

    fn run(&mut self) {
        for _ in 0..20_000 {
            if self
                .test
                .status
                .as_ref()
                .is_some_and(|s| s.phase == Phase::Completed)
            {
                return;
            }
            let again = self.step();
            // Pods that become ready or go wake the operator, too.
            let next_change = self
                .pods
                .iter()
                .map(|(_, ready)| *ready)
                .chain(self.leaving.values().copied());
            let next_change = next_change.filter(|at| *at > self.now).min();
            let wake = self.now + again;
            self.now = next_change.map_or(wake, |at| at.min(wake));
        }
        panic!("the soak hangs: {:?}", self.test.status);
    }

    /// Goes on in steps of a second at most until the phase is reached.
    fn run_until(&mut self, phase: Phase) {
        while self.test.status.as_ref().is_none_or(|s| s.phase < phase) {
            let again = self.step();
            self.now += again.min(SignedDuration::from_secs(1));
        }
    }

    fn status(&self) -> &SoakTestStatus {
        self.test.status.as_ref().expect("a status")
    }
}

#[test]
fn a_soak_without_trouble_passes_through_every_phase_and_proves_every_event() {
    let mut world = World::new(1, Trouble::default(), soaktest(|_| {}));
    world.run();
    let expected = [
        Phase::Deploying,
        Phase::WarmingUp,
        Phase::Soaking,
        Phase::Settling,
        Phase::Judging,
        Phase::CleaningUp,
        Phase::Completed,
    ];
    assert_eq!(world.phases, expected);
    let status = world.status();
    assert_eq!(status.outcome, Some(SoakOutcome::Passed));
    assert_eq!(status.chaos.injected, status.chaos.planned);
    assert!(status.chaos.planned >= 8, "{}", status.chaos.planned);
    assert_eq!(world.kills.len(), status.chaos.injected as usize);
    assert!(status.breaches.is_empty(), "{:?}", status.breaches);
    assert_eq!(status.presence.absent_milliseconds, 0);
    for event in world.journal.events.values() {
        let late = event
            .injected_at
            .expect("done")
            .duration_since(event.planned_at);
        assert!(late <= SignedDuration::from_millis(20), "{event:?}");
    }
}

#[test]
fn a_criterion_that_surely_failed_ends_the_soak_before_its_time_and_chaos_with_it() {
    let mut world = World::new(5, Trouble::default(), soaktest(|_| {}));
    world.fails_fast_at = Some(world.now + SignedDuration::from_secs(120));
    world.run();
    let status = world.status();
    let (began, ended) = (
        status.times.soaking.expect("it began"),
        status.times.settling.expect("it ended"),
    );
    assert!(
        ended.duration_since(began) < SignedDuration::from_secs(150),
        "{began} to {ended}"
    );
    let early = status.failed_fast.as_ref().expect("why it ended");
    assert_eq!((early.criterion.as_str(), status.looks), ("tasks", 1));
    assert!(status.chaos.planned > 0);
    assert_eq!(status.chaos.planned as usize, world.journal.events.len());
    let later = world
        .journal
        .events
        .values()
        .filter(|event| event.planned_at > ended);
    assert_eq!(later.count(), 0, "nothing is done to a soak that has ended");
    assert!(status.estimates.is_empty(), "the verdict takes their place");
}

#[test]
fn what_a_soak_comes_to_so_far_is_no_write_of_its_own_and_is_brought_along_by_the_next() {
    let mut world = World::new(5, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    let mut observed = world.observe();
    let looked = |estimate: f64| {
        let estimate = json!({"criterion": "tasks", "estimate": estimate, "limit": 5.0});
        Look {
            estimates: vec![serde_json::from_value(estimate).expect("an estimate")],
            taken: 1,
            ..Look::default()
        }
    };
    observed.look = Some(looked(1.0));
    world.now += SignedDuration::from_millis(100);
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(
        decision.status.looks, 1,
        "one that may decide is counted at once"
    );
    world.test.status = Some(decision.status);
    observed.look = Some(looked(2.0));
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(Some(&decision.status), world.test.status.as_ref());
    assert_eq!(decision.status.estimates, looked(1.0).estimates);
    world.now += heartbeat(&world.test);
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(decision.status.estimates, looked(2.0).estimates);
}

#[test]
fn what_surely_failed_stays_failed_though_prometheus_is_gone_for_good() {
    let blind = Trouble {
        blind: 100,
        ..Trouble::default()
    };
    let mut world = World::new(5, blind, soaktest(|_| {}));
    world.fails_fast_at = Some(world.now + SignedDuration::from_secs(120));
    world.run();
    let status = world.status();
    assert_eq!(status.outcome, Some(SoakOutcome::Failed));
    assert_eq!(status.message, "Failed: tasks: worker tasks grew");
    let [row] = status.criteria.as_slice() else {
        panic!("{:?}", status.criteria);
    };
    assert_eq!(
        (row.kind.as_str(), row.outcome),
        ("growth", Outcome::Failed)
    );
}

#[test]
fn a_pod_that_somebody_else_deletes_is_a_breach() {
    let mut world = World::new(
        2,
        Trouble::default(),
        soaktest(|test| test["spec"]["chaos"] = json!(null)),
    );
    world.run_until(Phase::Soaking);
    let uid = world.pods[0].0.uid.clone();
    world.leaving.insert(uid, world.now);
    world.run();
    let breaches: Vec<_> = world
        .status()
        .breaches
        .iter()
        .map(|b| b.reason.as_str())
        .collect();
    assert_eq!(breaches, ["PodDeleted"]);
}

/// A soak without chaos in whose window somebody deletes a pod.
fn meddled_with(trouble: Trouble) -> World {
    let test = soaktest(|test| test["spec"]["chaos"] = json!(null));
    let mut world = World::new(2, trouble, test);
    world.run_until(Phase::Soaking);
    let uid = world.pods[0].0.uid.clone();
    world.leaving.insert(uid, world.now);
    world
}

#[test]
fn what_health_has_decided_is_told_while_the_soak_still_runs() {
    let mut world = meddled_with(Trouble::default());
    while world.status().breaches.is_empty() {
        world.now += SignedDuration::from_secs(1);
        world.step();
    }
    let status = world.status();
    let passed = status.conditions.iter().find(|one| one.type_ == "Passed");
    let passed = passed.expect("the condition");
    assert_eq!(
        (passed.status.as_str(), passed.reason.as_str()),
        ("False", "HealthBreached")
    );
    let told = format!("the judged window has begun; it {}", passed.message);
    assert_eq!(status.message, told);
    assert!(told.contains("; it will be Failed: "), "{told}");
    world.run_until(Phase::Settling);
    let message = &world.status().message;
    assert_eq!(
        message.matches("; it will be Failed: ").count(),
        1,
        "{message}"
    );
    assert!(
        message.starts_with("the judged window is over"),
        "{message}"
    );
    world.run();
    assert!(!world.status().message.contains("will be"));
}

#[test]
fn what_health_has_decided_stays_failed_though_prometheus_is_gone_for_good() {
    let mut world = meddled_with(Trouble {
        blind: 100,
        ..Trouble::default()
    });
    world.run();
    let status = world.status();
    assert_eq!(
        status.outcome,
        Some(SoakOutcome::Failed),
        "{}",
        status.message
    );
    let kinds: Vec<_> = status
        .criteria
        .iter()
        .map(|one| one.kind.as_str())
        .collect();
    assert_eq!(kinds, ["health"]);
}

#[test]
fn a_breach_that_decides_is_shown_however_many_prove_nothing() {
    let mut world = meddled_with(Trouble::default());
    let lost = |n| HealthBreach {
        at: world.now,
        component: "worker".to_owned(),
        pod: format!("lost-{n}"),
        reason: "NodeLost".to_owned(),
        detail: String::new(),
    };
    let lost: Vec<_> = (0..5).map(lost).collect();
    world.test.status.as_mut().expect("a status").breaches = lost;
    let foregone = world.status().foregone().map(|foregone| foregone.outcome);
    assert_eq!(foregone, Some(SoakOutcome::Inconclusive));
    world.run_until(Phase::Settling);
    let status = world.status();
    assert_eq!(status.breaches.len(), 5);
    let foregone = status.foregone().expect("a breach");
    assert_eq!(
        (foregone.outcome, foregone.breach.reason.as_str()),
        (SoakOutcome::Failed, "PodDeleted")
    );
}

/// A soak without chaos whose first pod is changed once it is being judged; the reasons of its breaches.
fn breaches_after(changes: &[fn(&mut PodFact)]) -> Vec<String> {
    let mut world = World::new(
        2,
        Trouble::default(),
        soaktest(|test| test["spec"]["chaos"] = json!(null)),
    );
    world.run_until(Phase::Deploying);
    world.step();
    world.reconcile_pods();
    // What happened while the workload came up is nobody's business.
    world.pods[0].0.restarts = 3;
    world.pods[0].0.last_end = Some(("Error".to_owned(), 1));
    world.run_until(Phase::Soaking);
    assert_eq!(world.status().breaches, []);
    for change in changes {
        change(&mut world.pods[0].0);
        world.step();
    }
    world.run();
    let breaches = world.status().breaches.iter();
    breaches.map(|breach| breach.reason.clone()).collect()
}

#[test]
fn a_container_that_ends_is_a_breach_though_nobody_has_restarted_it_yet() {
    let none: [fn(&mut PodFact); 0] = [];
    assert_eq!(breaches_after(&none), Vec::<String>::new());
    let stops = |pod: &mut PodFact| pod.stopped = true;
    assert_eq!(breaches_after(&[stops]), ["ContainerRestarted"]);
    let restarts = |pod: &mut PodFact| (pod.restarts, pod.started_at) = (4, None);
    assert_eq!(breaches_after(&[restarts]), ["ContainerRestarted"]);
}

#[test]
fn a_container_that_ran_and_ended_between_two_looks_is_a_breach() {
    let again = |pod: &mut PodFact| {
        pod.last_end = Some(("OOMKilled".to_owned(), 137));
        pod.restarts = 5;
    };
    let reasons = breaches_after(&[again]);
    assert!(reasons.contains(&"OOMKilled".to_owned()), "{reasons:?}");
}

#[test]
fn a_workload_that_never_becomes_ready_is_an_error_by_the_deadline() {
    let mut world = World::new(
        3,
        Trouble {
            slow: 0,
            ..Trouble::default()
        },
        soaktest(|_| {}),
    );
    let deadline = world.now + SignedDuration::from_mins(15);
    while world
        .test
        .status
        .as_ref()
        .is_none_or(|s| s.phase != Phase::Completed)
    {
        for (_, ready_at) in &mut world.pods {
            *ready_at = deadline + SignedDuration::from_hours(1);
        }
        let again = world.step();
        world.now += again.min(SignedDuration::from_secs(2));
        assert!(world.now <= deadline + SignedDuration::from_secs(2));
    }
    assert_eq!(world.status().outcome, Some(SoakOutcome::Error));
    assert!(
        world.status().message.contains("pods are ready"),
        "{}",
        world.status().message
    );
}

#[test]
fn a_prometheus_that_never_answers_makes_the_soak_inconclusive() {
    let mut world = World::new(
        4,
        Trouble {
            blind: 100,
            ..Trouble::default()
        },
        soaktest(|_| {}),
    );
    world.run();
    assert_eq!(world.status().outcome, Some(SoakOutcome::Inconclusive));
    assert!(
        world.status().message.contains("Prometheus is away"),
        "{}",
        world.status().message
    );
}

#[test]
fn a_torn_journal_is_inconclusive() {
    let mut world = World::new(5, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    let mut observed = world.observe();
    observed.journal = Err(crate::journal::JournalError::Torn {
        found: 1,
        expected: 9,
    });
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(decision.status.outcome, Some(SoakOutcome::Inconclusive));
}

#[test]
fn a_plan_by_rules_that_nobody_knows_any_more_is_inconclusive_and_nothing_is_hit_by_it() {
    let mut world = World::new(6, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    let kills = world.kills.len();
    world.test.status.as_mut().expect("a status").plan_version = Some(2);
    world.run();
    let status = world.status();
    assert_eq!(status.outcome, Some(SoakOutcome::Inconclusive));
    assert!(status.message.contains("version 2"), "{}", status.message);
    assert_eq!(world.kills.len(), kills);
}

#[test]
fn a_refusal_is_told_in_the_words_in_which_it_came() {
    let world = left_with_an_intent();
    let intent = world.status().chaos.pending.clone().expect("just seen");
    let answer = Answer::Refused("needs 3 healthy pods".to_owned());
    let decision = resolve(
        &world.test,
        &tried(&intent, &Deed::Evict, answer, world.now),
    );
    let decision = decision.expect("a result");
    assert_eq!(decision.status.chaos.recent[0].reason, "Refused");
    let [told] = decision.announcements.as_slice() else {
        panic!("{:?}", decision.announcements);
    };
    assert_eq!(
        (told.reason, told.note.as_str()),
        ("ChaosRefused", "event 0 was refused: needs 3 healthy pods")
    );
}

/// A soak in its window, with an intent that an operator wrote down and left behind.
fn left_with_an_intent() -> World {
    let mut world = World::new(1, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    while world.status().chaos.pending.is_none() {
        let observed = world.observe();
        let decision = decide(&world.test, &observed, world.now);
        assert!(world.record(&decision));
        world.now += SignedDuration::from_secs(1);
    }
    let intent = world.status().chaos.pending.as_ref();
    world.now = intent.expect("it is there").planned_at + SignedDuration::from_secs(3);
    world
}

fn tried(intent: &PendingIntent, deed: &Deed, answer: Answer, at: Timestamp) -> Tried {
    Tried {
        intent: intent.clone(),
        deed: deed.clone(),
        answer,
        asked_at: at,
        answered_at: at,
    }
}

/// A soak in its window whose operator holds an intent, two seconds before its instant; the intent.
fn holding_an_intent() -> (World, PendingIntent) {
    let mut world = World::new(1, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    while world.held.is_none() {
        let again = world.step();
        world.now += again.min(SignedDuration::from_secs(1));
    }
    let intent = world.held.clone().expect("it is held");
    assert!(intent.planned_at.duration_since(world.now) > SignedDuration::from_millis(500));
    (world, intent)
}

/// What is decided at the instant of an intent that is held, once something has changed.
fn at_its_instant(change: impl FnOnce(&mut World, &mut Observed)) -> Decision {
    let (mut world, intent) = holding_an_intent();
    world.now = intent.planned_at;
    let mut observed = world.observe();
    change(&mut world, &mut observed);
    decide(&world.test, &observed, world.now)
}

fn given_up(decision: &Decision) -> &str {
    assert_eq!(decision.effect, Effect::None);
    assert_eq!(decision.status.chaos.pending, None);
    let record = decision.status.chaos.recent.last().expect("a record");
    assert_eq!(record.result, EventResult::Abandoned);
    &record.reason
}

#[test]
fn an_event_is_written_down_ahead_of_its_instant_and_waits_for_it() {
    let (mut world, intent) = holding_an_intent();
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(decision.effect, Effect::None);
    assert_eq!(decision.status.chaos.pending, Some(intent.clone()));
    let left = intent.planned_at.duration_since(world.now);
    assert!(signed(decision.again) <= left, "it is not overslept");
}

#[test]
fn what_was_not_asked_for_in_time_is_given_up_and_not_presumed_though_its_pod_is_gone_by_then() {
    let (mut world, intent) = holding_an_intent();
    world.now = intent.planned_at + SignedDuration::from_secs(11);
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(given_up(&decision), "TooLate");
    world.leaving.insert(intent.uid.clone(), world.now);
    world.reconcile_pods();
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(given_up(&decision), "TooLate");
}

/// A heartbeat is due, and a pod has appeared that the journal does not know.
fn gives_reason_to_write(world: &mut World, observed: &mut Observed) {
    world.test.status.as_mut().expect("one").presence.seen_at = None;
    let stranger = PodFact {
        uid: "stranger".to_owned(),
        component: "producer".to_owned(),
        ..observed.pods[0].clone()
    };
    observed.pods.push(stranger);
}

#[test]
fn shortly_before_an_instant_nothing_is_written_that_it_would_wait_for() {
    let (mut world, intent) = holding_an_intent();
    let mut decides = |ahead: i64| {
        world.now = intent.planned_at - SignedDuration::from_millis(ahead);
        let mut observed = world.observe();
        gives_reason_to_write(&mut world, &mut observed);
        let decision = decide(&world.test, &observed, world.now);
        let writes = Some(&decision.status) != world.test.status.as_ref();
        (writes || !decision.journal.is_empty(), decision)
    };
    assert!(decides(1_500).0, "there is time to write");
    let (writes, decision) = decides(700);
    assert!(!writes && decision.effect == Effect::None);
    assert_eq!(decision.again, Duration::from_millis(700));
}

#[test]
fn on_its_instant_an_event_is_done_before_anything_else_is_written() {
    let decision = at_its_instant(gives_reason_to_write);
    assert!(matches!(
        decision.effect,
        Effect::Inject { again: false, .. }
    ));
    assert!(decision.journal.is_empty() && decision.announcements.is_empty());
    assert_eq!(decision.status.presence.seen_at, None);
}

#[test]
fn what_refuses_an_event_at_its_instant_refuses_it_however_it_was_when_it_was_written_down() {
    let suspended = at_its_instant(|world, _| world.test.spec.suspend = true);
    assert_eq!(given_up(&suspended), "Suspended");
    let protected = at_its_instant(|_, observed| {
        let worker = |pod: &&mut PodFact| pod.component == "worker";
        observed
            .pods
            .iter_mut()
            .find(worker)
            .expect("one")
            .protected = true;
    });
    assert_eq!(given_up(&protected), "Protected");
    let unready = at_its_instant(|world, observed| {
        let intent = world.held.clone().expect("it is held");
        let another = |pod: &&mut PodFact| pod.component == "worker" && pod.uid != intent.uid;
        observed.pods.iter_mut().find(another).expect("one").ready = false;
    });
    assert_eq!(given_up(&unready), "TooFewReady");
}

#[test]
fn a_pod_that_somebody_deletes_before_the_instant_of_its_event_is_not_taken_for_ours() {
    let (mut world, intent) = holding_an_intent();
    world.leaving.insert(intent.uid.clone(), world.now);
    world.run();
    let event = &world.journal.events[&intent.index];
    assert_ne!(event.result, EventResult::Injected);
    assert_ne!(event.result, EventResult::Presumed);
    let status = world.status();
    assert_eq!(status.breaches.len(), 1, "{:?}", status.breaches);
    assert_eq!(status.breaches[0].reason, "PodDeleted");
}

#[test]
fn a_soak_that_is_aborted_gives_up_what_it_holds() {
    let (mut world, intent) = holding_an_intent();
    world.test.spec.abort = true;
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    let record = decision.status.chaos.recent.last().expect("a record");
    assert_eq!(
        (record.index, record.reason.as_str()),
        (intent.index, "Ended")
    );
    assert_eq!(record.result, EventResult::Abandoned);
}

/// What is decided on an intent that an operator has left, so many seconds after its instant.
fn found_after(seconds: i64, change: impl FnOnce(&mut World, &PendingIntent)) -> Decision {
    let mut world = left_with_an_intent();
    let intent = world.status().chaos.pending.clone().expect("it is there");
    world.now = intent.planned_at + SignedDuration::from_secs(seconds);
    change(&mut world, &intent);
    world.reconcile_pods();
    let observed = world.observe();
    decide(&world.test, &observed, world.now)
}

#[test]
fn what_somebody_may_have_asked_for_is_given_up_only_when_nothing_can_come_of_it_any_more() {
    let untouched = |_: &mut World, _: &PendingIntent| {};
    let late = found_after(12, untouched);
    assert_eq!(late.effect, Effect::None, "it is too late to do it");
    assert!(late.status.chaos.pending.is_some());
    assert_eq!(given_up(&found_after(31, untouched)), "TooLate");
    let gone = found_after(20, |world, intent| {
        let (uid, now) = (intent.uid.clone(), world.now);
        world.leaving.insert(uid, now);
    });
    let [one] = gone.status.chaos.recovering.as_slice() else {
        panic!("{:?}", gone.status.chaos);
    };
    assert_eq!(one.event.result, EventResult::Presumed, "it came");
    // A user does not wait for it; but then nobody can say that it will not come.
    let aborted = found_after(12, |world, _| world.test.spec.abort = true);
    assert_eq!(aborted.status.outcome, Some(SoakOutcome::Aborted));
    let last = aborted.status.chaos.recent.last().expect("a record");
    assert_eq!(last.result, EventResult::Presumed);
}

#[test]
fn an_intent_found_when_the_soak_is_suspended_or_its_pod_protected_says_so() {
    let why = |forbid: fn(&mut World, &mut Observed)| {
        let mut world = left_with_an_intent();
        let mut observed = world.observe();
        forbid(&mut world, &mut observed);
        let decision = decide(&world.test, &observed, world.now);
        assert_eq!(decision.effect, Effect::None);
        let waits = decision.status.chaos.pending.is_some();
        assert!(waits, "an earlier request may be on its way");
        let settled = world.now + SignedDuration::from_secs(31);
        let decision = decide(&world.test, &observed, settled);
        given_up(&decision).to_owned()
    };
    let suspended = why(|world, _| world.test.spec.suspend = true);
    assert_eq!(suspended, "Suspended");
    let protected = why(|world, observed| {
        let intent = world.status().chaos.pending.clone().expect("it is there");
        let mut pods = observed.pods.iter_mut();
        let pod = pods.find(|pod| pod.uid == intent.uid).expect("it lives");
        pod.protected = true;
    });
    assert_eq!(protected, "Protected");
}

/// A soak of four workers that are scaled for a while, in its window; and the event as it goes on.
fn scaled(by: i32) -> (World, Recovering) {
    let mut world = World::new(
        3,
        Trouble::default(),
        soaktest(|test| {
            test["spec"]["chaos"]["events"] = json!([
                {"scale": {"component": "worker", "by": {"min": by, "max": by}, "for": "20s"}},
                {"podKill": {"component": "producer"}},
            ]);
            test["spec"]["chaos"]["guard"]["minReadyPercent"] = json!(0);
            test["spec"]["cleanup"] = json!({"workload": "Keep"});
        }),
    );
    world.run_until(Phase::Soaking);
    let plan = planned(&world.test).expect("a plan").expect("a plan");
    let index = plan.events().iter().position(|event| event.entry == 0);
    let event = json!({
        "index": index, "kind": "scale", "component": "worker", "pod": "model-worker", "uid": "d-0",
        "plannedAt": world.now, "injectedAt": world.now, "result": "Injected",
    });
    let event: EventRecord = serde_json::from_value(event).expect("an event");
    let one = Recovering {
        undo_at: Some(world.now),
        ..Recovering::from(event)
    };
    (world, one)
}

fn with_recovering(world: &mut World, one: Recovering) {
    let status = world.test.status.as_mut().expect("a status");
    status.chaos.recovering = vec![one];
}

#[test]
fn undoing_is_written_down_first_and_is_one_effect_with_all_that_is_undone() {
    let (mut world, one) = scaled(2);
    with_recovering(&mut world, one);
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    let one = &decision.status.chaos.recovering[0];
    assert!(one.undoing);
    assert_eq!(one.goes, 2, "as many pods go as had come");
    assert!(matches!(&decision.effect, Effect::Undo(all) if all.len() == 1));
}

#[test]
fn an_undo_that_fails_holds_up_neither_the_next_event_nor_settling() {
    let (mut world, one) = scaled(2);
    let failing = Recovering {
        undoing: true,
        goes: 2,
        overdue: true,
        ..one
    };
    with_recovering(&mut world, failing);
    world.test.spec.chaos.as_mut().expect("chaos").guard.overlap = true;
    let mut done = 0;
    while world.status().phase == Phase::Soaking {
        let observed = world.observe();
        let decision = decide(&world.test, &observed, world.now);
        done += usize::from(matches!(decision.effect, Effect::Inject { .. }));
        let goes_on = decision.status.phase == Phase::Soaking && decision.journal.is_empty();
        if matches!(decision.effect, Effect::Undo(_)) && goes_on {
            assert!(decision.again >= Duration::from_millis(10), "no hot loop");
        }
        assert!(world.record(&decision));
        if let Some(tried) = world.act(&decision.effect) {
            let decision = resolve(&world.test, &tried);
            assert!(world.record(&decision.expect("a result")));
        }
        world.now += SignedDuration::from_secs(1);
    }
    assert!(done > 0, "producers were killed meanwhile");
    assert_eq!(world.status().phase, Phase::Settling);
}

#[test]
fn a_kept_workload_is_restored_whatever_ended_the_soak() {
    for change in [
        |world: &mut World| world.test.spec.abort = true,
        |world: &mut World| {
            let status = world.test.status.as_mut().expect("a status");
            status.plan_version = Some(2);
        },
        |world: &mut World| world.now += SignedDuration::from_hours(2),
    ] {
        let (mut world, one) = scaled(2);
        with_recovering(&mut world, one);
        change(&mut world);
        let mut restored = false;
        for _ in 0..3 {
            let mut observed = world.observe();
            let owner = Owner {
                replicas: if restored { 4 } else { 6 },
                ..Owner::default()
            };
            observed.owners = [("worker".to_owned(), Ok(Some(owner)))].into();
            let decision = decide(&world.test, &observed, world.now);
            restored |= decision.effect == Effect::Restore;
            assert!(world.record(&decision));
        }
        assert!(restored);
        assert_eq!(world.status().phase, Phase::Completed);
    }
}

#[test]
fn what_is_found_done_after_it_was_given_up_is_undone_and_noted() {
    let (mut world, _) = scaled(2);
    world.run_until(Phase::Settling);
    let status = world.test.status.as_mut().expect("a status");
    status.chaos.recovering.clear();
    let mut observed = world.observe();
    let owner = Owner {
        replicas: 6,
        ..Owner::default()
    };
    observed.owners = [("worker".to_owned(), Ok(Some(owner)))].into();
    let decision = decide(&world.test, &observed, world.now);
    assert_eq!(decision.effect, Effect::Restore);
    assert_eq!(decision.status.breaches[0].reason, "DoneLate");
}

#[test]
fn pods_that_are_scaled_away_are_counted_and_one_more_is_a_breach() {
    let (mut world, one) = scaled(-2);
    let going = Recovering { goes: 2, ..one };
    with_recovering(&mut world, going);
    let observed = world.observe();
    let decision = decide(&world.test, &observed, world.now);
    assert!(world.record(&decision));
    let mut observed = world.observe();
    let workers = observed
        .pods
        .iter_mut()
        .filter(|pod| pod.component == "worker");
    let mut gone: Vec<&mut PodFact> = workers.take(3).collect();
    for pod in &mut gone {
        pod.terminating = true;
    }
    // One of them has a reason of its own, which is told, and is one of the two all the same.
    gone[0].disruption = Some("PreemptionByScheduler".to_owned());
    let decision = decide(&world.test, &observed, world.now);
    let breaches = &decision.status.breaches;
    let reasons: Vec<_> = breaches
        .iter()
        .map(|breach| breach.reason.as_str())
        .collect();
    assert_eq!(reasons.len(), 2, "{breaches:?}");
    assert!(
        reasons.contains(&"Evicted") && reasons.contains(&"PodDeleted"),
        "{breaches:?}"
    );
    assert_eq!(decision.status.chaos.recovering[0].goes, 0);
}

#[test]
fn a_thousand_soaks_that_began_together_do_not_go_on_together() {
    let pace = |number: u32| {
        let test = soaktest(|test| {
            test["metadata"]["uid"] = json!(format!("{number:08x}-5d0e-4c1b-9f43-2a7be0c1d9e8"));
            test["spec"]["duration"] = json!("6h");
        });
        heartbeat(&test).as_millis()
    };
    let paces: Vec<i128> = (0..1_000).map(pace).collect();
    assert!(paces.iter().all(|pace| (60_000..66_000).contains(pace)));
    // After an hour they are spread evenly over a minute, but for chance.
    let mut seconds = [0; 60];
    for pace in paces {
        let second = usize::try_from(60 * pace / 1_000 % 60).expect("below sixty");
        seconds[second] += 1;
    }
    let most = seconds.iter().max().expect("sixty");
    assert!(*most < 50, "{most} of 1000 in one second");
}

#[test]
fn only_the_operator_that_wrote_last_vouches_for_the_time_since() {
    let mut world = World::new(2, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    let seen = world.status().presence.seen_at.expect("it was there");
    world.operator += 1;
    world.now += SignedDuration::from_secs(100);
    let absent = |world: &mut World, since: i64, until: i64| {
        let led = Led {
            since: seen + SignedDuration::from_secs(since),
            until: seen + SignedDuration::from_secs(until),
        };
        let observed = Observed {
            led_before: Some(led),
            ..world.observe()
        };
        let decision = decide(&world.test, &observed, world.now);
        decision.status.presence.absent_milliseconds / 1_000
    };
    let away = world.now.duration_since(seen).as_secs();
    assert_eq!(
        absent(&mut world, -30, 25),
        away - 25,
        "it led on, and was there"
    );
    assert_eq!(
        absent(&mut world, 5, 25),
        away,
        "it came later, and never wrote"
    );
    assert_eq!(
        absent(&mut world, -30, 90),
        away,
        "it led on for long, and could write nothing"
    );
}

#[test]
fn abort_ends_a_soak_in_every_phase() {
    for phase in [
        Phase::Deploying,
        Phase::WarmingUp,
        Phase::Soaking,
        Phase::Settling,
    ] {
        let mut world = World::new(6, Trouble::default(), soaktest(|_| {}));
        world.run_until(phase);
        world.test.spec.abort = true;
        world.run();
        assert_eq!(
            world.status().outcome,
            Some(SoakOutcome::Aborted),
            "{phase:?}"
        );
        assert!(world.pods.is_empty(), "{phase:?}");
    }
}

#[test]
fn what_cannot_be_removed_is_said_and_tried_again_after_the_end() {
    let mut world = World::new(6, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::CleaningUp);
    let deadline = world.status().deadline_at.expect("a deadline");
    let mut decided = |after: i64, remaining: &[&str]| {
        let mut observed = world.observe();
        observed.pods.clear();
        observed.remaining = remaining.iter().map(ToString::to_string).collect();
        let now = deadline + SignedDuration::from_secs(after);
        let before = world.status().clone();
        let decision = decide(&world.test, &observed, now);
        world.test.status = Some(decision.status.clone());
        (before, decision)
    };
    let says = |decision: &Decision| {
        let conditions = decision.status.conditions.iter();
        let mut of_it = conditions.filter(|condition| condition.type_ == "CleanedUp");
        of_it
            .next()
            .map(|condition| format!("{}: {}", condition.status, condition.message))
    };
    let left = ["deployment friday-worker", "service friday-nats"];
    let still = "False: still there: deployment friday-worker, service friday-nats";

    let (_, early) = decided(-200, &left);
    assert_eq!(early.status.phase, Phase::CleaningUp);
    assert_eq!(early.effect, Effect::Remove);

    let (_, last) = decided(-2, &left);
    assert_eq!(last.status.phase, Phase::Completed);
    assert_eq!(
        (says(&last).as_deref(), &last.effect),
        (Some(still), &Effect::Remove)
    );
    let told = last.announcements.iter().map(|one| one.reason);
    assert_eq!(told.collect::<Vec<_>>(), ["Completed", "NotCleanedUp"]);

    let (before, later) = decided(58, &left);
    assert_eq!(later.status, before, "nothing to write");
    assert_eq!(later.effect, Effect::Remove);
    assert_eq!(later.again, Duration::from_secs(60));

    let (before, gone) = decided(118, &[]);
    assert_eq!(
        (says(&gone).as_deref(), &gone.effect),
        (Some("True: "), &Effect::None)
    );
    assert_eq!(gone.status.outcome, before.outcome);
    assert_eq!(gone.again, Duration::ZERO, "nobody looks again");
}

#[test]
fn a_soak_aborted_before_the_watch_has_seen_its_pods_still_leaves_none() {
    let mut world = World::new(
        6,
        Trouble {
            stale: 100,
            ..Trouble::default()
        },
        soaktest(|_| {}),
    );
    world.run_until(Phase::Deploying);
    world.reconcile_pods();
    world.test.spec.abort = true;
    world.run();
    assert_eq!(world.remaining(), Vec::<String>::new());
}

#[test]
fn a_kill_whose_record_was_lost_is_presumed_though_the_watch_still_shows_the_pod() {
    let mut world = World::new(10, Trouble::default(), soaktest(|_| {}));
    world.run_until(Phase::Soaking);
    let intent = loop {
        let observed = world.observe();
        let decision = decide(&world.test, &observed, world.now);
        world.record(&decision);
        if let Some(tried) = world.act(&decision.effect) {
            assert_eq!(tried.answer, Answer::Accepted);
            break tried.intent;
        }
        world.now += signed(decision.again).min(SignedDuration::from_secs(1));
    };
    // The operator dies here. When it is back the pod is gone, and its watch lags.
    world.operator += 1;
    world.now += SignedDuration::from_secs(4);
    world.trouble.stale = 100;
    world.step();
    world.trouble.stale = 0;
    world.run();
    let event = &world.journal.events[&intent.index];
    assert_eq!(event.result, EventResult::Presumed);
    assert_eq!(world.status().breaches, []);
}

#[test]
fn a_suspended_soak_is_not_touched_and_counts_its_events_as_skipped() {
    let mut world = World::new(
        8,
        Trouble::default(),
        soaktest(|test| test["spec"]["suspend"] = json!(true)),
    );
    world.run();
    assert!(world.kills.is_empty());
    let skipped = world
        .journal
        .events
        .values()
        .filter(|e| e.reason == "Suspended")
        .count();
    assert_eq!(skipped, world.status().chaos.planned as usize);
}

#[test]
fn a_protected_pod_keeps_chaos_away_from_its_component() {
    let mut world = World::new(9, Trouble::default(), soaktest(|_| {}));
    while world
        .test
        .status
        .as_ref()
        .is_none_or(|s| s.phase != Phase::Completed)
    {
        for (pod, _) in &mut world.pods {
            pod.protected = true;
        }
        let again = world.step();
        world.now += again.min(SignedDuration::from_secs(1));
    }
    assert!(world.kills.is_empty());
}

proptest! {

    #[test]
    fn whatever_happens_the_promises_hold(
        seed in any::<u64>(), plan_seed in 0_i64..1_000_000, crash in 0_u64..25, blind in 0_u64..60, slow in 0_u64..40,
        stale in 0_u64..40, fails_fast_after in proptest::option::of(0_i64..600),
    ) {
        let trouble = Trouble { crash, blind, slow, stale };
        let mut world = World::new(seed, trouble, soaktest(|test| test["spec"]["seed"] = json!(plan_seed)));
        world.fails_fast_at = fails_fast_after.map(|after| world.now + SignedDuration::from_secs(after));
        let deadline = world.now + SignedDuration::from_mins(15);
        world.run();
        let status = world.status().clone();

        // It ends in time, once the operator is back, and only ever goes forward.
        prop_assert!(world.now <= deadline + SignedDuration::from_secs(30), "{} after {deadline}", world.now);
        prop_assert!(world.phases.is_sorted(), "{:?}", world.phases);
        prop_assert!(status.outcome.is_some());

        prop_assert!(world.remaining().is_empty() || world.now >= deadline - SignedDuration::from_secs(3), "{:?}", world.remaining());

        // No second pod is ever touched for one event, and none that was not written down.
        let mut hit: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for (index, uid, _) in &world.kills {
            hit.entry(*index).or_default().insert(uid.clone());
        }
        for (index, uids) in &hit {
            prop_assert_eq!(uids.len(), 1, "event {}", index);
            let recorded = world.journal.events.get(index);
            prop_assert!(recorded.is_some_and(|event| uids.contains(&event.uid)), "event {} is forgotten", index);
        }

        // What counts as proven was done.
        for event in world.journal.events.values().filter(|e| e.result == EventResult::Injected) {
            prop_assert!(hit.get(&event.index).is_some_and(|uids| uids.contains(&event.uid)));
        }
        // What was due is accounted for, one way or the other.
        if status.times.judging.is_some() {
            prop_assert_eq!(world.journal.events.len(), status.chaos.planned as usize);
        }
        // Nothing that chaos did is held against the workload.
        let unplanned = status.breaches.iter().filter(|b| b.reason != "NotRecovered").count();
        prop_assert_eq!(unplanned, 0, "{:?}", status.breaches);
        // The guard of 75 % of four workers: the last three are never reduced.
        prop_assert!(world.kills.iter().all(|(_, _, spare)| *spare));
        prop_assert!(world.largest_status <= 6 * 1024 + 4 * 1024, "{} bytes", world.largest_status);
    }
}

/// A workload that was there before, ready, in the phase that the SoakTest is in at first.
fn there_before() -> World {
    let existing = json!({"existing": {"deployments": [{"name": "cart", "replicas": 3}]}});
    let mut test = soaktest(|test| {
        test["spec"]["workload"] = existing;
        test["spec"]["chaos"] = json!(null);
        test["spec"]["criteria"] =
            json!([{"name": "memory", "growth": {"signal": "Memory", "maxPercent": 5}}]);
    });
    test.status = None;
    let mut world = World::new(6, Trouble::default(), test);
    world.deployed = true;
    world.reconcile_pods();
    world.now += SignedDuration::from_secs(30);
    world
}

/// The phase that one more pass comes to, where it sees the world as changed.
fn phase_after(world: &mut World, change: impl FnOnce(&mut Observed)) -> (Phase, String) {
    let mut observed = world.observe();
    change(&mut observed);
    let decision = decide(&world.test, &observed, world.now);
    (decision.status.phase, decision.status.message)
}

#[test]
fn what_was_there_before_is_soaked_only_once_it_was_seen_to_be_as_planned() {
    let mut world = there_before();
    world.run_until(Phase::Deploying);
    let unknown = phase_after(&mut world, |observed| observed.deployed = None);
    assert_eq!(unknown.0, Phase::Deploying, "this process has not looked");
    let refused = phase_after(&mut world, |observed| {
        observed.deployed = Some(Err("they have not agreed".to_owned()));
    });
    let waits = (Phase::Deploying, "they have not agreed".to_owned());
    assert_eq!(refused, waits);
    let more = phase_after(&mut world, |observed| {
        let another = PodFact {
            uid: "another".to_owned(),
            ..observed.pods[0].clone()
        };
        observed.pods.push(another);
    });
    assert_eq!(more.0, Phase::Deploying);
    assert!(
        more.1.contains("4 cart pods, and 3 are planned"),
        "{}",
        more.1
    );
    let evicted = phase_after(&mut world, |observed| {
        let leftover = PodFact {
            uid: "leftover".to_owned(),
            over: true,
            ready: false,
            ..observed.pods[0].clone()
        };
        observed.pods.push(leftover);
    });
    assert_eq!(evicted.0, Phase::WarmingUp, "a leftover is no pod");
    assert_eq!(phase_after(&mut world, |_| {}).0, Phase::WarmingUp);
}

#[test]
fn pods_that_somebody_adds_keep_a_soak_of_what_was_there_before_from_passing() {
    let mut world = there_before();
    world.run_until(Phase::Soaking);
    let mut observed = world.observe();
    let another = PodFact {
        uid: "another".to_owned(),
        ..observed.pods[0].clone()
    };
    observed.pods.push(another);
    let status = decide(&world.test, &observed, world.now).status;
    let reasons: Vec<_> = status
        .breaches
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(reasons, ["MorePods"]);
    let foregone = status.foregone().map(|foregone| foregone.outcome);
    assert_eq!(foregone, Some(SoakOutcome::Inconclusive));
}

#[test]
fn what_was_there_before_is_neither_drained_nor_removed() {
    let mut world = there_before();
    world.run();
    let status = world.status();
    assert_eq!(
        status.outcome,
        Some(SoakOutcome::Passed),
        "{}",
        status.message
    );
    assert_eq!(status.drained_at, None);
    assert_eq!(world.pods.len(), 3);
    assert!(world.pods.iter().all(|(pod, _)| !pod.terminating));
}
