//! What the operator promises, checked against what really happened and not against what it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use soak_api::{
    EventRecord, EventResult, PendingIntent, Phase, SoakOutcome, SoakTest, SoakTestStatus,
};

use crate::journal::Journal;
use crate::reasons::breach;
use crate::workload;

/// What a status may be at most while the soak runs, in bytes of JSON, and at its end.
const RUNNING_BYTES: usize = 6 * 1024;
const COMPLETED_BYTES: usize = 32 * 1024;

/// How late an event may be done: ten seconds, and the time that its writes take.
const LATEST: SignedDuration = SignedDuration::from_secs(22);

/// How long after something happened the watch has told of it in any case.
const WATCHED_WITHIN: SignedDuration = SignedDuration::from_secs(12);

/// How long after it was renewed the last time a Lease may still be held, and how long it takes to take it over.
const LEASED: f64 = 20.0;

/// For how many seconds nothing may be written by an operator that is there: a heartbeat a minute, three of which are missed.
const SILENT: f64 = 200.0;

/// How many reconciles, and how many writes, a soak may take to begin, and then in an hour: chaos every ten seconds, faults
/// and retries included.
const BEGINNING: f64 = 200.0;
const HOURLY: f64 = 5_000.0;

/// And how many in each second in which no status can be written: it is tried again, at the end of a soak with its journal and
/// its evidence.
const RETRIED: f64 = 3.0;

/// What was seen of the promises so far.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) broken: Vec<String>,
    /// How many processes were killed between two awaits.
    pub(super) kills: u32,
    pub(super) reconciles: u32,
    pub(super) writes: u32,
    /// Requests while the soak was in its judged window, by what was asked of what.
    pub(super) asked: BTreeMap<String, u32>,
    /// The kinds of the events that the journal has as injected.
    pub(super) kinds: Vec<String>,
    /// How much later than planned each of them was asked for, in milliseconds.
    pub(super) late: Vec<i128>,
    /// How much later than planned pods were really cut off, in milliseconds.
    pub(super) cut_off: Vec<i128>,
    /// Whether what the outcome rests on was kept.
    pub(super) kept: bool,
    /// Each event as it was first written down.
    intended: BTreeMap<u32, PendingIntent>,
    /// What the operator really hit, see [`Blow::on`], with the event it was hit for.
    struck: BTreeMap<String, u32>,
    before: Option<Before>,
    largest: usize,
    /// When the Lease was renewed, and by whom.
    renewed: Vec<(Timestamp, String)>,
    /// When a status was written.
    written: Vec<Timestamp>,
    /// When the Lease was let go, and by whom.
    let_go: Vec<(Timestamp, String)>,
    /// What is done just now was asked for by one that has let it go since.
    was_on_its_way: bool,
    disturbances: Vec<Disturbance>,
    /// The pods that go by themselves, and when that is taken for chaos's doing, since nobody can tell.
    indistinct: Vec<(String, Timestamp, Timestamp)>,
    /// How many containers that were told to crash, and did not, ended by themselves soon after.
    crashed_by_themselves: usize,
    /// The operators that wrote down an intent, and what became of it.
    written_by: BTreeMap<u32, (String, Option<String>)>,
    /// The events that were asked for without an answer.
    unanswered: BTreeSet<u32>,
}

/// Somebody else takes a pod away, or its container ends by itself.
#[derive(Debug)]
struct Disturbance {
    at: Timestamp,
    uid: String,
    /// The pod is about to go anyway, and no more go for that.
    to_no_effect: bool,
}

#[derive(Clone, Debug)]
struct Before {
    phase: Phase,
    outcome: Option<SoakOutcome>,
    /// What it can no longer avoid.
    foregone: Option<SoakOutcome>,
    pending: Option<PendingIntent>,
}

/// What an operator asks for, by the event's index or by the uid of its pod.
pub(super) enum Asked<'a> {
    Event(u64),
    Pod(&'a str),
}

/// What is about to happen to a pod.
pub(super) struct Strike<'a> {
    pub(super) uid: &'a str,
    pub(super) blow: Blow<'a>,
    pub(super) lease: Option<&'a Value>,
    pub(super) test: Option<Arc<SoakTest>>,
    /// Ready pods of its component, with it.
    pub(super) ready: usize,
    pub(super) terminating: bool,
    pub(super) at: Timestamp,
}

/// What is done to it.
#[derive(Clone, Copy)]
pub(super) enum Blow<'a> {
    /// It is deleted or evicted; whether the request said which uid it means, and by whom.
    Pod { sure: bool, caller: &'a str },
    /// Its container ends that had been restarted so often.
    Container(u32),
    /// It is cut off; by whom.
    CutOff { caller: &'a str },
    /// All of its component: rolled out, or scaled to so many pods; by whom.
    Component {
        caller: &'a str,
        replicas: Option<u64>,
    },
}

impl Blow<'_> {
    /// What is hit: a pod, or one of its incarnations; what may be hit by many events, but by each once, with the event.
    fn on(self, uid: &str, event: u32) -> String {
        match self {
            Self::CutOff { .. } => format!("{uid} cut off by {event}"),
            Self::Component { .. } => format!("{uid} changed by {event}"),
            Self::Pod { .. } => uid.to_owned(),
            Self::Container(restarts) => format!("{uid}#{restarts}"),
        }
    }
}

impl Promises {
    pub(super) fn breaks(&mut self, promise: &str, how: impl std::fmt::Display) {
        self.broken.push(format!("{promise}: {how}"));
    }

    /// A request of the operator's about its soak, other than to keep its Lease.
    pub(super) fn asked(&mut self, what: impl FnOnce() -> String) {
        let soaking = |before: &Before| before.phase == Phase::Soaking;
        if self.before.as_ref().is_some_and(soaking) {
            *self.asked.entry(what()).or_insert(0) += 1;
        }
    }

    pub(super) fn wrote(&mut self) {
        self.writes += 1;
    }

    /// How many pods and containers were hit.
    pub(super) fn struck(&self) -> usize {
        self.struck.len()
    }

    pub(super) fn disturbed(&mut self, uid: &str, to_no_effect: bool, at: Timestamp) {
        let uid = uid.to_owned();
        self.disturbances.push(Disturbance {
            at,
            uid,
            to_no_effect,
        });
    }

    /// An operator is not told what came of the event that it asked for.
    pub(super) fn left_unanswered(&mut self, asked: Option<Asked<'_>>) {
        let event = asked.and_then(|asked| match asked {
            Asked::Event(index) => u32::try_from(index).ok(),
            Asked::Pod(uid) => self.last_meant_for(uid).map(|intent| intent.index),
        });
        self.unanswered.extend(event);
    }

    /// The last event that was written down for that pod.
    fn last_meant_for(&self, uid: &str) -> Option<&PendingIntent> {
        let mut intended = self.intended.values().rev();
        intended.find(|intent| intent.uid == uid)
    }

    pub(super) fn led(&mut self, caller: &str, holder: Option<&str>, at: Timestamp) {
        if holder.is_some() {
            self.renewed.push((at, caller.to_owned()));
        } else {
            self.let_go.push((at, caller.to_owned()));
        }
    }

    /// What comes next was asked for by that caller at that time.
    pub(super) fn comes_of(&mut self, caller: &str, asked: Timestamp) {
        let mut let_go = self.let_go.iter();
        self.was_on_its_way = let_go.any(|(at, by)| by == caller && *at >= asked);
    }

    /// A pod is hit: only one that was written down, only by the leader, only where the guard allows it.
    pub(super) fn strikes(&mut self, strike: &Strike<'_>) {
        let Strike { uid, blow, at, .. } = strike;
        let test = strike.test.as_deref();
        let status = test.and_then(|test| test.status.as_ref());
        let pending = status.and_then(|status| status.chaos.pending.as_ref());
        // The SoakTest may be deleted, or end at its user's word, between the intent and the deed.
        let ended = status.is_none_or(|status| status.outcome.is_some());
        let pending = pending.or_else(|| self.last_meant_for(uid).filter(|_| ended));
        let meant = |pending: &&PendingIntent| match blow {
            Blow::Container(restarts) => pending.restarts == *restarts,
            _ => true,
        };
        let pending = pending.filter(|pending| pending.uid == *uid).filter(meant);
        let Some(pending) = pending.cloned() else {
            self.breaks(
                "a pod is hit only if its uid was written down before",
                format!("{}, pending {pending:?}", blow.on(uid, 0)),
            );
            return;
        };
        let late = at.duration_since(pending.planned_at);
        if late > LATEST {
            let how = format!("event {} is {late:#} late", pending.index);
            self.breaks("what was missed is skipped", how);
        }
        if matches!(blow, Blow::CutOff { .. }) {
            self.cut_off.push(late.as_millis());
        }
        if matches!(blow, Blow::Pod { sure: false, .. }) {
            self.breaks("a deletion names the uid", uid);
        }
        let caller = match blow {
            Blow::Pod { caller, .. } | Blow::CutOff { caller } | Blow::Component { caller, .. } => {
                Some(*caller)
            }
            Blow::Container(_) => None,
        };
        if let Some(caller) = caller {
            self.held(caller, strike.lease, uid, *at);
        }
        if strike.terminating {
            return;
        }
        if let Some(event) = self
            .struck
            .insert(blow.on(uid, pending.index), pending.index)
        {
            self.breaks(
                "no pod is hit twice",
                format!("{uid} by {event} and {}", pending.index),
            );
        }
        let events: Vec<_> = self
            .struck
            .values()
            .filter(|event| **event == pending.index)
            .collect();
        if events.len() > 1 {
            self.breaks(
                "one pod at most for one event",
                format!("event {}", pending.index),
            );
        }
        if ended {
            return;
        }
        let guard = test.and_then(|test| test.spec.chaos.as_ref());
        let guard = guard.map(|chaos| chaos.guard.clone()).unwrap_or_default();
        let percent = usize::from(guard.min_ready_percent);
        let planned = test.map_or(0, |test| workload::replicas(test, "worker") as usize);
        if self.disturbances.is_empty() && strike.ready < planned && !guard.overlap {
            let how = format!("{} of {planned} ready before {uid}", strike.ready);
            self.breaks("no event before recovery from the last", how);
        }
        let known = self
            .disturbances
            .last()
            .is_none_or(|last| at.duration_since(last.at) > WATCHED_WITHIN);
        let left = match blow {
            Blow::Component {
                replicas: Some(replicas),
                ..
            } => strike.ready.min(usize::try_from(*replicas).unwrap_or(0)),
            _ => strike.ready - 1,
        };
        if known && left * 100 < planned * percent {
            self.breaks(
                "the guard holds",
                format!("{} of {planned} ready before {uid}", strike.ready),
            );
        }
    }

    fn held(&mut self, caller: &str, lease: Option<&Value>, what: &str, at: Timestamp) {
        let holder = lease.and_then(|lease| lease.pointer("/spec/holderIdentity"));
        let held = holder.and_then(Value::as_str) == Some(caller);
        if !held && !self.was_on_its_way {
            self.breaks(
                "only the holder of the Lease changes the cluster",
                format!("{caller} changes {what} at {at}, held by {holder:?}"),
            );
        }
    }

    /// A pod is labelled for an event that is to cut it off: only one that was written down for it, and only by the leader.
    pub(super) fn marks(
        &mut self,
        caller: &str,
        lease: Option<&Value>,
        uid: &str,
        event: Option<u64>,
        at: Timestamp,
    ) {
        self.held(caller, lease, uid, at);
        let event = event.and_then(|event| u32::try_from(event).ok());
        let intended = event.and_then(|event| self.intended.get(&event));
        if intended.is_none_or(|intended| intended.uid != uid) {
            let how = format!("{uid} for {event:?}, which is meant for {intended:?}");
            self.breaks("a pod is marked only for its own event", how);
        }
    }

    /// Something is undone: only by the leader, and only once that was written down.
    pub(super) fn undoes(
        &mut self,
        caller: &str,
        lease: Option<&Value>,
        test: Option<&SoakTest>,
        at: Timestamp,
    ) {
        self.held(caller, lease, "what is undone", at);
        let Some(status) = test.and_then(|test| test.status.as_ref()) else {
            return;
        };
        let begun = status.chaos.recovering.iter().any(|one| one.undoing);
        if !begun && status.phase < Phase::CleaningUp {
            self.breaks(
                "undoing is written down before it is done",
                format!("at {at}"),
            );
        }
    }

    /// Notes who writes down an intent, and who what became of it.
    fn handed_over(&mut self, before: Option<&Before>, now: &Before, operator: &str) {
        let index = |before: &Before| before.pending.as_ref().map(|pending| pending.index);
        let (was, is) = (before.and_then(index), index(now));
        if let Some(index) = is {
            let wrote = || (operator.to_owned(), None);
            self.written_by.entry(index).or_insert_with(wrote);
        }
        let resolved = was.filter(|_| was != is);
        if let Some((_, by)) = resolved.and_then(|index| self.written_by.get_mut(&index)) {
            *by = Some(operator.to_owned());
        }
    }

    fn is_bounded(&mut self, status: &SoakTestStatus) {
        let bytes = serde_json::to_vec(status).map_or(0, |json| json.len());
        self.largest = self.largest.max(bytes);
        let most = if status.phase >= Phase::CleaningUp {
            COMPLETED_BYTES
        } else {
            RUNNING_BYTES
        };
        if bytes > most {
            self.breaks(
                "the status is bounded",
                format!("{bytes} bytes in {:?}", status.phase),
            );
        }
    }

    /// A status is written; the answer is what is worth telling of it.
    pub(super) fn recorded(
        &mut self,
        test: &SoakTest,
        in_force: &[String],
        at: Timestamp,
    ) -> String {
        self.written.push(at);
        let status = test.status.clone().unwrap_or_default();
        self.is_bounded(&status);
        let now = Before {
            phase: status.phase,
            outcome: status.outcome,
            foregone: status.foregone().map(|foregone| foregone.outcome),
            pending: status.chaos.pending.clone(),
        };
        let before = self.before.replace(now.clone());
        self.handed_over(before.as_ref(), &now, &status.presence.operator);
        let judges = status.phase == Phase::Judging
            && before
                .as_ref()
                .is_some_and(|before| before.phase < Phase::Judging);
        let told = status.breaches.len() >= 5
            || status
                .breaches
                .iter()
                .any(|breach| breach.reason == breach::NOT_UNDONE);
        if judges && !in_force.is_empty() && !told {
            self.breaks(
                "what is to be undone is undone before it is judged",
                in_force.join(", "),
            );
        }
        let ends = before
            .as_ref()
            .is_none_or(|before| before.outcome.is_none());
        if let Some(before) = &before {
            if before.phase > now.phase {
                self.breaks(
                    "phases go forward",
                    format!("{:?} after {:?}", now.phase, before.phase),
                );
            }
            let avoided = match (before.foregone, now.outcome) {
                (Some(_), Some(SoakOutcome::Passed)) => true,
                // What cannot be read any more proves nothing.
                (Some(SoakOutcome::Failed), Some(SoakOutcome::Inconclusive)) => {
                    !status.message.contains("journal")
                }
                _ => false,
            };
            if avoided {
                let how = format!("{:?} after {:?}", now.outcome, before.foregone);
                self.breaks("what is foregone comes true", how);
            }
            if before.outcome.is_some() && before.outcome != now.outcome {
                self.breaks(
                    "the outcome is set once",
                    format!("{:?} after {:?}", now.outcome, before.outcome),
                );
            }
        }
        if let Some(pending) = &now.pending {
            let known = self
                .intended
                .entry(pending.index)
                .or_insert_with(|| pending.clone());
            if known.uid != pending.uid {
                let how = format!(
                    "event {} was for {} and is for {}",
                    pending.index, known.uid, pending.uid
                );
                self.breaks("one pod at most for one event", how);
            }
        }
        if status.deadline_at.is_some_and(|deadline| {
            at > deadline && before.is_some_and(|b| b.phase != Phase::Completed)
        }) {
            self.breaks("the deadline is met", format!("{:?} at {at}", status.phase));
        }
        if let Some(outcome) = status.outcome.filter(|_| ends) {
            return format!("{:?} {outcome:?}: {}", status.phase, status.message);
        }
        let pending = now
            .pending
            .map(|p| format!(", event {} for {}", p.index, p.uid));
        format!(
            "{:?} {}{} {}/{} journal {}",
            status.phase,
            status
                .outcome
                .map_or(String::new(), |outcome| format!("{outcome:?}")),
            pending.unwrap_or_default(),
            status.chaos.injected,
            status.chaos.due,
            status.journal.entries
        )
    }
}

fn is_within(at: Timestamp, (from, to): (Timestamp, Timestamp)) -> bool {
    from <= at && at <= to
}

/// How many seconds two stretches of time share.
pub(super) fn overlap(a: (Timestamp, Timestamp), b: (Timestamp, Timestamp)) -> f64 {
    let length: SignedDuration = a.1.min(b.1).duration_since(a.0.max(b.0));
    length.as_secs_f64().max(0.0)
}

impl Promises {
    /// Whether something else happened to the pod in the minute after.
    fn disturbed_after(&self, uid: &str, at: Timestamp) -> bool {
        let minute = (at, at + SignedDuration::from_mins(1));
        let mut disturbances = self.disturbances.iter();
        disturbances.any(|one| one.uid == uid && is_within(one.at, minute))
    }

    /// Whether nobody can know any more what became of an intent: another operator found it, or there was no answer.
    fn is_forgotten(&self, event: u32) -> bool {
        let alone = |(wrote, resolved): &(String, Option<String>)| resolved.as_ref() == Some(wrote);
        self.unanswered.contains(&event) || !self.written_by.get(&event).is_some_and(alone)
    }

    pub(super) fn events_are_resolved(&mut self, status: &SoakTestStatus, journal: &Journal) {
        if status.chaos.pending.is_some() || !status.chaos.recovering.is_empty() {
            let how = format!("{:?}", status.chaos.pending);
            self.breaks("every intent is resolved", how);
        }
        let injected = journal
            .events
            .values()
            .filter(|event| event.result == EventResult::Injected);
        self.kinds = injected.clone().map(|event| event.kind.clone()).collect();
        let late = |event: &EventRecord| {
            let at = event.injected_at.unwrap_or(event.planned_at);
            at.duration_since(event.planned_at).as_millis()
        };
        self.late = injected.map(late).collect();
        let resolved: BTreeSet<u32> = journal.events.keys().copied().collect();
        let intended: BTreeSet<u32> = self.intended.keys().copied().collect();
        let forgotten: Vec<_> = intended.difference(&resolved).copied().collect();
        if !forgotten.is_empty() {
            let how = format!("{forgotten:?}");
            self.breaks("every intent is resolved in the journal", how);
        }
        let due: BTreeSet<u32> = (0..status.chaos.due).collect();
        if !resolved.is_superset(&due) {
            let how = format!("{:?}", due.difference(&resolved));
            self.breaks("every event that was due is in the journal", how);
        }
        for (index, event) in &journal.events {
            let really = self.struck.iter().find(|(_, i)| *i == index);
            let hit = really.map(|(on, _)| on.clone());
            let caller = "";
            let blow = match event.kind.as_str() {
                "podCrash" => Blow::Container(event.restarts),
                "networkPartition" => Blow::CutOff { caller },
                "scale" | "rollout" => Blow::Component {
                    caller,
                    replicas: None,
                },
                _ => Blow::Pod {
                    sure: true,
                    caller: "",
                },
            };
            let how = format!(
                "event {index} is {:?} ({}), really hit: {hit:?}",
                event.result, event.reason
            );
            let told = event.injected_at.unwrap_or(event.planned_at);
            // A container that ends by itself, after it was told to and did not, looks just like one that did.
            let by_itself =
                matches!(blow, Blow::Container(_)) && self.disturbed_after(&event.uid, told);
            let proven = hit == Some(blow.on(&event.uid, *index)) || by_itself;
            let injected = event.result == EventResult::Injected;
            let presumed = event.result == EventResult::Presumed;
            let by_all_appearance = (
                event.uid.clone(),
                told - SignedDuration::from_secs(2),
                told + SignedDuration::from_mins(1),
            );
            if injected && by_itself && hit.is_none() {
                self.indistinct.push(by_all_appearance);
                self.crashed_by_themselves += 1;
            } else if presumed && !self.is_forgotten(*index) {
                self.breaks("only what nobody can know is presumed", how);
            } else if presumed && hit.is_none() {
                self.indistinct.push(by_all_appearance);
            } else if injected && !proven {
                self.breaks("Injected is proven", how);
            } else if hit.is_some()
                && matches!(event.result, EventResult::Skipped | EventResult::Abandoned)
            {
                self.breaks("what was done is not called skipped or given up", how);
            }
        }
    }

    /// Nobody is blamed for what chaos did.
    pub(super) fn breaches_have_causes(&mut self, status: &SoakTestStatus) {
        let ours = [breach::NOT_RECOVERED, breach::NOT_UNDONE];
        let mut others = status
            .breaches
            .iter()
            .filter(|one| !ours.contains(&one.reason.as_str()));
        if let Some(breach) = others.next().filter(|_| self.disturbances.is_empty()) {
            self.breaks("a breach of health has a cause", format!("{breach:?}"));
        }
    }

    /// For how many seconds of that window somebody led who wrote nothing for longer than whoever is there may.
    fn silent(&self, window: (Timestamp, Timestamp)) -> f64 {
        let stretches = self.written.windows(2).flat_map(|pair| {
            // They are in the order of time.
            let from = self.renewed.partition_point(|(at, _)| *at < pair[0]);
            let to = self.renewed.partition_point(|(at, _)| *at <= pair[1]);
            let terms = self.renewed[from..to].chunk_by(|a, b| a.1 == b.1);
            terms.map(|term| (term[0].0, term[term.len() - 1].0))
        });
        let seconds = stretches.map(|stretch| overlap(stretch, window));
        seconds.filter(|seconds| *seconds > SILENT).sum()
    }

    pub(super) fn passed_with_evidence(
        &mut self,
        status: &SoakTestStatus,
        (lived, unseen): (f64, f64),
        drained: bool,
    ) {
        let times = &status.times;
        let (Some(from), Some(to), Some(settled)) = (times.soaking, times.settling, times.judging)
        else {
            self.breaks("a pass has a window", "there is none");
            return;
        };
        let whole = overlap((from, settled), (from, settled));
        let silent = self.silent((from, settled));
        let pauses = self.renewed.windows(2);
        let away: f64 = pauses
            .map(|pair| {
                let pause = (pair[0].0, pair[1].0);
                let mut let_go = self.let_go.iter();
                let gone = let_go.find(|(at, _)| is_within(*at, pause));
                let gone = gone.map_or(pause.1, |(at, _)| *at);
                let most = overlap((pause.0, gone), (from, settled)) - LEASED;
                most.max(0.0) + overlap((gone, pause.1), (from, settled))
            })
            .sum();
        if away.max(silent) > 0.1 * whole + 5.0 {
            let how = format!("away for {away:.0}, silent for {silent:.0} of {whole:.0} s");
            self.breaks("no pass without an operator", how);
        }
        if unseen > 0.15 * lived {
            let how = format!("{unseen:.0} of {lived:.0} s of pods unseen");
            self.breaks("no pass without data", how);
        }
        let struck = self.struck.len() + self.crashed_by_themselves;
        if (struck as f64) < 0.8 * f64::from(status.chaos.planned) {
            let how = format!("{struck} of {}", status.chaos.planned);
            self.breaks("no pass without chaos", how);
        }
        let ours_by_all_appearance = |one: &Disturbance| {
            let mut indistinct = self.indistinct.iter();
            one.to_no_effect
                || indistinct
                    .any(|(uid, from, to)| *uid == one.uid && is_within(one.at, (*from, *to)))
        };
        let disturbed =
            |one: &&Disturbance| one.at > from && one.at < to && !ours_by_all_appearance(one);
        if let Some(one) = self.disturbances.iter().find(disturbed) {
            let promise = "no pass where pods went that chaos did not take";
            let how = format!("{} at {}", one.uid, one.at);
            self.breaks(promise, how);
        }
        if !drained {
            self.breaks("no pass without a drain", "nobody was told");
        }
    }

    /// What the cluster has to bear, in a run of so many seconds, in so many of which no status could be written.
    pub(super) fn burden(&mut self, seconds: f64, unwritten: f64) {
        let most = BEGINNING + HOURLY * seconds / 3_600.0 + RETRIED * unwritten;
        let (reconciles, writes) = (self.reconciles, self.writes);
        if f64::from(reconciles.max(writes)) > most {
            let how = format!("{reconciles} reconciles and {writes} writes in {seconds:.0} s");
            self.breaks("no hot loop", how);
        }
    }
}
