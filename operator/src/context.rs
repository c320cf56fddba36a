//! What every reconcile works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource, ResourceExt};
use soak_api::{PendingIntent, Plan, PlanError, SoakTest, SoakTestStatus};
use tokio::sync::Semaphore;

use crate::chaos::LATEST;
use crate::clock::Clock;
use crate::decision::{Answer, Tried};
use crate::facts::PodFacts;
use crate::journal::Journal;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::mutant::Mutant;
use crate::observed::{Look, Looking};
use crate::outside::Outside;
use crate::prometheus::Prometheus;
use crate::workload::{self, Images};

/// How many SoakTests are judged at the same time: judging holds samples in memory.
const JUDGED_AT_ONCE: usize = 2;

/// Shared by all reconciles.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// This process: pod and start, so that a restarted operator knows itself as another.
    pub(crate) identity: String,
    pub(crate) images: Images,
    /// The Prometheus of SoakTests that name none.
    pub(crate) prometheus: Option<String>,
    pub(crate) pods: PodFacts,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) leadership: Leadership,
    pub(crate) judging: Semaphore,
    pub(crate) clock: Clock,
    pub(crate) outside: Outside,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one SoakTest between reconciles. But for [`Known`] it is nothing that could not be read again.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    /// The SoakTest as last written, until the watch has caught up.
    pub(crate) written: Option<Arc<SoakTest>>,
    /// Whether a later write came to an error, which may have been done.
    pub(crate) unsure: bool,
    pub(crate) journal: Option<Arc<Journal>>,
    /// Whether the workload was there as planned when that was last looked at, or why not; `None` before that.
    pub(crate) deployed: Option<Result<(), String>>,
    /// When that was.
    pub(crate) applied_at: Option<Timestamp>,
    /// When it was last looked for what is left of a soak that is over, and whether anything may be.
    pub(crate) looked_for_left: Option<(Timestamp, bool)>,
    /// What is not written down yet of the pending intent.
    pub(crate) known: Option<Known>,
    /// Whether a look goes on, when the last one was begun, and what the last that came to something came to.
    pub(crate) looking: Looking,
    pub(crate) looked_at: Option<Timestamp>,
    pub(crate) look: Option<Look>,
    /// What chaos is to do, once the seed is known.
    plan: Option<Result<Arc<Plan>, PlanError>>,
    asked_at: Option<Timestamp>,
    /// What Prometheus answered since it was last looked at.
    pub(crate) answered: Option<Result<(), String>>,
}

/// What this process alone knows of an intent. Where it is nothing, and where another process finds the intent, it has to be
/// found out.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// The event of that index is not done: this process has decided on it, and nobody has asked for it yet, whatever became
    /// of the writes that were to tell.
    Held(u32),
    /// What came of it, which could not be written down so far.
    Tried(Box<Tried>),
}

impl Known {
    /// Whether what is known is that it was done, which stays true.
    fn is_done(&self) -> bool {
        matches!(self, Self::Tried(tried) if tried.answer == Answer::Accepted)
    }
}

/// Why a reconcile did not come through; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the first list of pods is not in yet")]
    NotYetListed,
    #[error("this operator does not lead, or not for long enough to act")]
    NotLeading,
    #[error("the API server did not answer in time")]
    Unanswered,
    #[error("failed to {0}: {1}")]
    Kube(&'static str, #[source] Box<kube::Error>),
}

impl Memory {
    fn yields(&mut self, status: &SoakTestStatus, identity: &str) {
        if status.chaos.pending.is_some() && status.presence.operator != identity {
            self.known.take_if(|known| !known.is_done());
        }
    }

    /// Whether nobody has asked for this intent yet.
    pub(crate) fn holds(&self, intent: &PendingIntent) -> bool {
        matches!(&self.known, Some(Known::Held(index)) if *index == intent.index)
    }

    /// What came of the intent that was last carried out.
    pub(crate) fn tried(&self) -> Option<&Tried> {
        match &self.known {
            Some(Known::Tried(tried)) => Some(tried),
            Some(Known::Held(_)) | None => None,
        }
    }

    /// Whether the workload was applied later than that.
    pub(crate) fn applied_since(&self, at: Timestamp) -> bool {
        self.applied_at.is_some_and(|applied| applied > at)
    }
}

impl Error {
    /// Names what failed, for `map_err`.
    pub(crate) fn kube(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |error| Self::Kube(what, Box::new(error))
    }

    /// For a metric: few values.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NotYetListed => "not_yet_listed",
            Self::NotLeading => "not_leading",
            Self::Unanswered => "unanswered",
            Self::Kube(..) => "kube",
        }
    }
}

impl Context {
    #[expect(clippy::too_many_arguments, reason = "called once, by main")]
    pub(crate) fn new(
        client: Client,
        identity: String,
        images: Images,
        prometheus: Option<String>,
        pods: PodFacts,
        recorder: Recorder,
        metrics: Metrics,
        leadership: Leadership,
        clock: Clock,
        outside: Outside,
    ) -> Self {
        let judging = Semaphore::new(JUDGED_AT_ONCE);
        let memory = Mutex::default();
        Self {
            client,
            identity,
            images,
            prometheus,
            pods,
            recorder,
            metrics,
            leadership,
            judging,
            clock,
            outside,
            memory,
        }
    }

    /// The instant.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the instant of the intent has not been missed, and this operator leads.
    pub(crate) fn in_time(&self, intent: &PendingIntent) -> bool {
        let late = self.now().duration_since(intent.planned_at) > LATEST;
        self.leadership.may_act() && (!late || Mutant::MakesUpForMissed.is_on())
    }

    /// Where the SoakTest's Prometheus is; `None` where neither it nor the operator names one.
    pub(crate) fn prometheus_url(&self, test: &SoakTest) -> Option<String> {
        let named = test
            .spec
            .metrics
            .prometheus
            .as_ref()
            .map(|prometheus| prometheus.url.clone());
        named.or_else(|| self.prometheus.clone())
    }

    /// The SoakTest's Prometheus; nothing is asked yet.
    pub(crate) fn prometheus(&self, test: &SoakTest) -> Result<Prometheus, String> {
        let url = self.prometheus_url(test).ok_or(
            "there is no Prometheus to ask: set spec.metrics.prometheus.url, or give the operator one (PROMETHEUS_URL)",
        )?;
        let prometheus = self
            .outside
            .prometheus(&url)
            .map_err(|error| error.to_string())?;
        Ok(prometheus.counted_in(self.metrics.clone()))
    }

    /// The objects of a kind in the SoakTest's namespace.
    pub(crate) fn api<K>(&self, test: &SoakTest) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &test.namespace().unwrap_or_default())
    }

    /// The SoakTest as it was last written by us, if that is newer than what the watch has brought.
    pub(crate) fn latest(&self, seen: &Arc<SoakTest>) -> Arc<SoakTest> {
        let written = self.remembered(seen).written;
        written
            .filter(|written| version(written) > version(seen) && same(written, seen))
            .unwrap_or_else(|| seen.clone())
    }

    pub(crate) fn remembered(&self, test: &SoakTest) -> Memory {
        self.memory().get(&key(test)).cloned().unwrap_or_default()
    }

    /// Forgets what is known not to be done where another operator has had the intent in hand meanwhile, and may have done it.
    pub(crate) fn yields(&self, test: &SoakTest) {
        if let Some(status) = &test.status {
            self.remember(test, |memory| memory.yields(status, &self.identity));
        }
    }

    pub(crate) fn remember(&self, test: &SoakTest, change: impl FnOnce(&mut Memory)) {
        change(self.memory().entry(key(test)).or_default());
    }

    /// What chaos is to do; empty without chaos, or before there is a seed.
    pub(crate) fn plan(&self, test: &SoakTest) -> Result<Arc<Plan>, PlanError> {
        if let Some(plan) = self.remembered(test).plan {
            return plan;
        }
        let Some(plan) = planned(test) else {
            return Ok(Arc::default());
        };
        self.remember(test, |memory| memory.plan = Some(plan.clone()));
        plan
    }

    /// Shows the SoakTest in the metrics until it is forgotten.
    pub(crate) fn shows(&self, test: &SoakTest) {
        let key = (test.namespace().unwrap_or_default(), test.name_any());
        let components = workload::components(test);
        let pods = self
            .pods
            .names(&key, |pod| workload::is_of(&components, pod));
        self.remember(test, |_| self.metrics.shows(test, pods));
    }

    /// Forgets SoakTests that are gone.
    pub(crate) fn keep_only(&self, alive: impl Fn(&str) -> bool) {
        self.memory().retain(|uid, _| {
            let stays = alive(uid);
            if !stays {
                self.metrics.forgets(uid);
            }
            stays
        });
    }

    /// Whether it is time to ask Prometheus whether it answers; remembers that it was.
    pub(crate) fn metrics_due(
        &self,
        test: &SoakTest,
        every: SignedDuration,
        now: Timestamp,
    ) -> bool {
        let mut memory = self.memory();
        let memory = memory.entry(key(test)).or_default();
        let due = memory
            .asked_at
            .is_none_or(|asked| now.duration_since(asked) >= every);
        if due {
            memory.asked_at = Some(now);
        }
        due
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What chaos is to do, by the seed and the rules that the status fixed; `None` without chaos, or before there is a seed.
pub(crate) fn planned(test: &SoakTest) -> Option<Result<Arc<Plan>, PlanError>> {
    let (chaos, status) = (test.spec.chaos.as_ref()?, test.status.as_ref()?);
    let version = status.plan_version.unwrap_or(Plan::VERSION);
    let plan = Plan::new(status.seed?, version, chaos, test.spec.duration.duration());
    Some(plan.map(Arc::new))
}

/// Whether the object belongs to this SoakTest and not to another, earlier or later, of the same name.
pub(crate) fn belongs_to(object: &impl ResourceExt, test: &SoakTest) -> bool {
    object
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == test.uid().as_ref())
}

fn key(test: &SoakTest) -> String {
    test.uid().unwrap_or_default()
}

/// Resource versions are opaque, but those of one object grow in every API server there is; where one does not parse,
/// the watch is believed.
fn version(test: &SoakTest) -> u64 {
    test.resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

fn same(written: &SoakTest, seen: &SoakTest) -> bool {
    written.uid() == seen.uid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Deed;

    fn intent() -> PendingIntent {
        let now = Timestamp::UNIX_EPOCH;
        PendingIntent {
            index: 4,
            kind: "podKill".to_owned(),
            component: "worker".to_owned(),
            pod: "worker-1".to_owned(),
            uid: "first".to_owned(),
            restarts: 0,
            planned_at: now,
            decided_at: now,
        }
    }

    /// Whether the intent is still known to be as it was, once the status says who had it in hand last.
    fn stays(known: Known, operator: &str) -> bool {
        let mut status = SoakTestStatus::default();
        status.chaos.pending = Some(intent());
        operator.clone_into(&mut status.presence.operator);
        let mut memory = Memory {
            known: Some(known),
            ..Memory::default()
        };
        memory.yields(&status, "this");
        memory.known.is_some()
    }

    fn tried(answer: Answer) -> Known {
        Known::Tried(Box::new(Tried {
            intent: intent(),
            deed: Deed::Evict,
            answer,
            asked_at: Timestamp::UNIX_EPOCH,
            answered_at: Timestamp::UNIX_EPOCH,
        }))
    }

    #[test]
    fn what_is_known_not_to_be_done_holds_until_another_operator_has_had_it_in_hand() {
        assert!(stays(Known::Held(4), "this"));
        assert!(!stays(Known::Held(4), "another"));
        assert!(stays(tried(Answer::Gone), "this"));
        assert!(!stays(tried(Answer::Gone), "another"));
        assert!(stays(tried(Answer::Accepted), "another"), "it was done");
    }
}
