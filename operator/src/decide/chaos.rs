//! Chaos: what is due, whether a guard refuses it, and whom it hits.
//!
//! One event takes four requests: its intent, [`AHEAD`] of its instant, the deed at that instant, its result, and its
//! recovery. What becomes of an intent is in [`super::pending`], and of an event that is begun in [`super::aftermath`].

use jiff::{SignedDuration, Timestamp};
use soak_api::{
    Chaos, ChaosEvent, ChaosKind, EventRecord, EventResult, PendingIntent, Phase, Plan,
    PlannedEvent, Recovering, SoakTestStatus,
};

use super::aftermath::{keep, summary};
use super::draft::{Draft, LAST_CALL, signed};
use super::recovery::recover;
use crate::chaos::{self, Deed, LATEST, MOST_AT_ONCE};
use crate::decision::Effect;
use crate::facts::{Owner, PodFact};
use crate::mutant::Mutant;
use crate::reasons::chaos as reason;

/// How long before its instant an event is written down, so that it is on time however long writing takes.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// How long before its instant nothing else is written: a write that is under way at the instant is waited for.
const QUIET: SignedDuration = SignedDuration::from_secs(1);

/// Counts the plan as the window begins.
pub(super) fn start(draft: &mut Draft<'_>) {
    let Ok(plan) = draft.observed.plan.clone() else {
        return;
    };
    let began = draft.now;
    let status = &mut draft.decision.status.chaos;
    status.planned = u32::try_from(plan.events().len()).unwrap_or(u32::MAX);
    status.next_at = plan.events().first().map(|event| began + signed(event.at));
    status.summary = summary(status.injected, status.planned);
}

/// Looks after what is begun and begins what is due, one event a pass.
pub(super) fn step(draft: &mut Draft<'_>) {
    recover(draft);
    if undoes_first(draft) {
        return;
    }
    let Ok(plan) = draft.observed.plan.clone() else {
        return;
    };
    let next = next(&draft.decision.status, &plan);
    draft.status().chaos.next_at = next.map(|(_, at)| at);
    let Some((event, at)) = next else { return };
    if draft.now < at - AHEAD {
        draft.look_at(at - AHEAD);
        return;
    }
    let Some(due) = Due::of(draft, &plan, event) else {
        return;
    };
    let chosen = due.chosen(draft, &plan, None);
    let (early, dry_run) = (draft.now < at, due.chaos.dry_run);
    if early && (chosen.is_err() || dry_run || Mutant::ForgetsTheIntent.is_on()) {
        // What refuses it now may be over by then.
        draft.look_at(at);
        return;
    }
    draft.status().chaos.due += 1;
    draft.status().chaos.next_at = self::next(&draft.decision.status, &plan).map(|(_, at)| at);
    match chosen {
        Ok((_, target)) if dry_run => {
            let record = EventRecord {
                pod: target.name,
                uid: target.uid,
                restarts: target.restarts,
                ..due.skipped(reason::DRY_RUN)
            };
            keep(draft, record);
            draft.look_at(draft.now);
        }
        Ok((deed, target)) if early => {
            let intent = due.intent(target, draft.now);
            draft.status().chaos.pending = Some(intent);
            draft.decision.effect = Effect::Hold(deed);
            draft.look_at(at);
        }
        Ok((deed, target)) => {
            let version = target.version.clone();
            let intent = due.intent(target, draft.now);
            if !Mutant::ForgetsTheIntent.is_on() {
                draft.status().chaos.pending = Some(intent.clone());
            }
            draft.decision.effect = Effect::Inject {
                intent,
                deed,
                version,
                again: false,
            };
            // Where no answer comes, it may still be in time.
            draft.look_at(draft.now + SignedDuration::from_secs(1));
        }
        Err(reason) => {
            let why = match &draft.observed.leader {
                Some(Err(why)) if reason == reason::NO_LEADER => format!(": {why}"),
                _ => String::new(),
            };
            let note = format!("event {} was skipped: {reason}{why}", event.index);
            draft.announce_about(reason, true, "ChaosSkipped", note);
            keep(draft, due.skipped(reason));
            draft.look_at(draft.now);
        }
    }
}

/// What is to be done now for the intent: its deed, where all that was asked of its target when it was chosen still holds, or
/// the guard that refuses it by now. It may have been done already where it is done `again`.
pub(super) fn released(
    draft: &Draft<'_>,
    intent: &PendingIntent,
    again: bool,
) -> Result<Effect, &'static str> {
    let plan = draft.observed.plan.as_ref().map_err(|_| reason::ENDED)?;
    let event = plan.events().get(intent.index as usize);
    let due = event.and_then(|event| Due::of(draft, plan, event));
    let due = due.ok_or(reason::ENDED)?;
    let (deed, target) = due.chosen(draft, plan, Some(intent))?;
    Ok(Effect::Inject {
        intent: intent.clone(),
        deed,
        version: target.version,
        again,
    })
}

/// What a pass does that is about nothing but an event's instant, and when to look again: the deed where the instant has come,
/// nothing shortly before it. Whatever else there is to write down waits, or the event would wait for it.
pub(super) fn on_the_tick(draft: &Draft<'_>) -> Option<(Effect, Timestamp)> {
    let intent = draft.held()?;
    let late = draft.now.duration_since(intent.planned_at);
    let near = -QUIET <= late && late < SignedDuration::from_secs(1);
    let goes_on = draft.before.phase == Phase::Soaking && !draft.test.spec.abort;
    let there = draft.test.metadata.deletion_timestamp.is_none();
    let in_time = |deadline| draft.now < deadline - LAST_CALL;
    let goes_on = goes_on && draft.before.deadline_at.is_none_or(in_time);
    if !(near && goes_on && there && draft.observed.journal.is_ok()) {
        return None;
    }
    if late.is_negative() {
        return Some((Effect::None, intent.planned_at));
    }
    let deed = released(draft, intent, false).ok()?;
    Some((deed, draft.now + SignedDuration::from_secs(1)))
}

/// Whether something is undone for the first time, which goes before anything else. Where that fails it is tried again, and
/// nothing waits for it.
pub(super) fn undoes_first(draft: &Draft<'_>) -> bool {
    let tried = |index: &u32| {
        let mut before = draft.before.chaos.recovering.iter();
        before.any(|one| one.event.index == *index && one.undoing)
    };
    match &draft.decision.effect {
        Effect::Undo(undone) => !undone.iter().all(|one| tried(&one.index)),
        _ => false,
    }
}

/// The event that comes next, and when.
fn next<'p>(status: &SoakTestStatus, plan: &'p Plan) -> Option<(&'p PlannedEvent, Timestamp)> {
    let began = status.times.soaking?;
    let event = plan.events().get(status.chaos.due as usize)?;
    Some((event, began + signed(event.at)))
}

/// The event whose instant has come, or is about to, and of which nothing has been decided yet.
pub(crate) fn due<'p>(
    status: &SoakTestStatus,
    plan: &'p Plan,
    now: Timestamp,
) -> Option<&'p PlannedEvent> {
    let open = status.phase == Phase::Soaking && status.chaos.pending.is_none();
    let (event, at) = next(status, plan).filter(|_| open)?;
    (at - AHEAD <= now).then_some(event)
}

/// Begins nothing more, since the soak ends before its time. What was planned for later is planned no longer.
pub(super) fn stop(draft: &mut Draft<'_>) {
    recover(draft);
    let status = &mut draft.decision.status.chaos;
    status.planned = status.due;
    status.summary = summary(status.injected, status.planned);
}

/// Whom an event hits: a pod, or the Deployment of its component.
struct Target {
    name: String,
    uid: String,
    restarts: u32,
    version: String,
}

impl From<&PodFact> for Target {
    fn from(pod: &PodFact) -> Self {
        Self {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            restarts: pod.restarts,
            version: pod.version.clone(),
        }
    }
}

impl From<&Owner> for Target {
    fn from(owner: &Owner) -> Self {
        Self {
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            restarts: 0,
            version: String::new(),
        }
    }
}

impl From<&PendingIntent> for Target {
    fn from(intent: &PendingIntent) -> Self {
        Self {
            name: intent.pod.clone(),
            uid: intent.uid.clone(),
            restarts: intent.restarts,
            version: String::new(),
        }
    }
}

/// An event whose instant has come, or is about to.
struct Due<'a> {
    event: &'a PlannedEvent,
    kind: &'a ChaosKind,
    chaos: &'a Chaos,
    entry: Option<&'a ChaosEvent>,
    at: Timestamp,
    window_end: Timestamp,
}

impl<'a> Due<'a> {
    /// The planned event; `None` where the soak has no such event, or no window.
    fn of(draft: &Draft<'a>, plan: &'a Plan, event: &'a PlannedEvent) -> Option<Self> {
        let (test, began) = (draft.test, draft.before.times.soaking?);
        let chaos = test.spec.chaos.as_ref()?;
        Some(Self {
            event,
            kind: plan.kind(event)?,
            chaos,
            entry: chaos.events.get(event.entry),
            at: began + signed(event.at),
            window_end: began + signed(test.spec.duration.duration()),
        })
    }

    /// What is done and to whom, or the guard that refuses it; of one that is written down, whether that is still to be hit.
    fn chosen(
        &self,
        draft: &Draft<'_>,
        plan: &Plan,
        written: Option<&PendingIntent>,
    ) -> Result<(Deed, Target), &'static str> {
        let deed = chaos::deed(draft.test, plan, self.event).ok_or(reason::TOO_FEW_READY)?;
        let target = self.target(draft, &deed, written)?;
        Ok((deed, target))
    }

    /// Whom the event hits, or the guard that refuses it.
    fn target(
        &self,
        draft: &Draft<'_>,
        deed: &Deed,
        written: Option<&PendingIntent>,
    ) -> Result<Target, &'static str> {
        if draft.test.spec.suspend {
            return Err(reason::SUSPENDED);
        }
        // How late one may be that is written down, others say.
        let late = draft.now.duration_since(self.at) > LATEST;
        let missed = late && written.is_none();
        if missed && !Mutant::MakesUpForMissed.is_on() || draft.now >= self.window_end {
            return Err(reason::MISSED);
        }
        let guard = &self.chaos.guard;
        let recovering = &draft.decision.status.chaos.recovering;
        let most = if guard.overlap { MOST_AT_ONCE } else { 1 };
        if recovering.len() >= most && !Mutant::IgnoresRecovery.is_on() {
            return Err(reason::NOT_RECOVERED);
        }
        let component = self.kind.component();
        let alone = |one: &Recovering| {
            let theirs = draft.deed(one.event.index);
            let other = || theirs.is_some_and(|theirs| theirs.goes_alone());
            one.event.component == component && (deed.goes_alone() || other())
        };
        if recovering.iter().any(alone) {
            return Err(reason::NOT_RECOVERED);
        }
        let pods = || {
            let pods = draft.observed.pods.iter();
            pods.filter(|pod| pod.component == component)
        };
        if pods().any(|pod| pod.protected) {
            return Err(reason::PROTECTED);
        }
        // The watch may still show a pod ready that was hit a moment ago.
        let hit = |pod: &PodFact| recovering.iter().any(|one| one.event.uid == pod.uid);
        let serving: Vec<_> = pods().filter(|pod| pod.serves() && !hit(pod)).collect();
        let least = self.entry.and_then(|entry| entry.min_age.as_ref());
        let least = least.map_or(SignedDuration::ZERO, |age| signed(age.duration()));
        // A container that was restarted is as young as a new pod.
        let old = |pod: &PodFact| {
            let born = pod.started_at.unwrap_or(pod.created_at);
            draft.now.duration_since(born) >= least
        };
        if deed.is_of_component() {
            return self.owner(draft, &serving, old, written);
        }
        if serving.is_empty() {
            return Err(reason::NO_CANDIDATE);
        }
        let least_ready = chaos::least_ready(guard, draft.planned(component));
        let too_few = serving.len() - 1 < least_ready as usize;
        if too_few && !Mutant::IgnoresTheGuard.is_on() {
            return Err(reason::TOO_FEW_READY);
        }
        let mut candidates = serving;
        candidates.retain(|pod| old(pod));
        if candidates.is_empty() {
            return Err(reason::TOO_YOUNG);
        }
        if let Some(intent) = written {
            let same = |pod: &&PodFact| pod.uid == intent.uid && pod.restarts == intent.restarts;
            let found = candidates.into_iter().find(same);
            return found.map(Target::from).ok_or(reason::TARGET_GONE);
        }
        if chaos::event(self.kind).leader().is_some() {
            let leader = draft.observed.leader.as_ref();
            let name = leader.and_then(|leader| leader.as_ref().ok());
            candidates.retain(|pod| Some(&pod.name) == name);
            let first = candidates.first().copied();
            return first.map(Target::from).ok_or(reason::NO_LEADER);
        }
        candidates.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        let rank = self.event.rank(candidates.len());
        let chosen = candidates.get(rank).copied();
        chosen.map(Target::from).ok_or(reason::NO_CANDIDATE)
    }

    /// The Deployment of the component, if that is whole and old enough.
    fn owner(
        &self,
        draft: &Draft<'_>,
        serving: &[&PodFact],
        old: impl Fn(&PodFact) -> bool,
        written: Option<&PendingIntent>,
    ) -> Result<Target, &'static str> {
        let component = self.kind.component();
        let planned = draft.desired(component);
        let whole = serving.len() == planned && draft.there(component) == planned;
        if !whole && !Mutant::IgnoresTheGuard.is_on() {
            return Err(reason::TOO_FEW_READY);
        }
        if !serving.iter().all(|pod| old(pod)) {
            return Err(reason::TOO_YOUNG);
        }
        if let Some(intent) = written {
            // The Deployment itself is looked at when it is changed.
            return Ok(Target::from(intent));
        }
        let owner = draft.observed.owners.get(component);
        let owner = owner.and_then(|owner| owner.as_ref().ok()?.as_ref());
        owner.map(Target::from).ok_or(reason::NO_CANDIDATE)
    }

    fn intent(&self, target: Target, now: Timestamp) -> PendingIntent {
        PendingIntent {
            index: self.event.index,
            kind: self.kind.name().to_owned(),
            component: self.kind.component().to_owned(),
            pod: target.name,
            uid: target.uid,
            restarts: target.restarts,
            planned_at: self.at,
            decided_at: now,
        }
    }

    fn skipped(&self, reason: &str) -> EventRecord {
        EventRecord {
            index: self.event.index,
            kind: self.kind.name().to_owned(),
            component: self.kind.component().to_owned(),
            pod: String::new(),
            uid: String::new(),
            restarts: 0,
            planned_at: self.at,
            injected_at: None,
            undone_at: None,
            recovered_at: None,
            result: EventResult::Skipped,
            reason: reason.to_owned(),
        }
    }
}
