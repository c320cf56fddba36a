//! The lifecycle: one phase after the other, and the ends that it can come to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use soak_api::verdict::{Criterion, Outcome};
use soak_api::{
    Chart, ComponentStatus, CriterionResult, Evidence, FailedFast, Phase, Plan, SoakOutcome,
    SoakTest, SoakTestSpec, SoakTestStatus, WorkloadCleanup,
};

use super::draft::{Draft, LAST_CALL, hash, heartbeat, signed};
use super::{chaos, conditions, health, pending, recovery};
use crate::chaos::{cuts_off, is_as_scaled};
use crate::decision::Effect;
use crate::facts::Owner;
use crate::lease::Led;
use crate::mutant::Mutant;
use crate::observed::Looking;
use crate::prometheus::without_credentials;
use crate::reasons::breach;
use crate::workload;

/// How long before the deadline nobody waits for the workload to be gone any more.
const CLOSING: SignedDuration = SignedDuration::from_secs(2);

/// How often the cluster is asked again to become what was planned.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// How often it is tried after the end, and how long a clean-up may take until it is said what it waits for.
pub(crate) const CLEANS_EVERY: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn step(draft: &mut Draft<'_>) {
    if draft.test.metadata.deletion_timestamp.is_some() {
        // Everything is owned by the SoakTest and goes with it.
        return;
    }
    components(draft);
    if running(draft.before.phase) && ended_early(draft) {
        return;
    }
    match draft.before.phase {
        Phase::Pending => begin(draft),
        Phase::Deploying => deploy(draft),
        Phase::WarmingUp => warm_up(draft),
        Phase::Soaking => soak(draft),
        Phase::Settling => settle(draft),
        Phase::Judging => judged(draft),
        Phase::CleaningUp => clean_up(draft),
        Phase::Completed => goes_on_cleaning_up(draft),
    }
}

fn running(phase: Phase) -> bool {
    phase < Phase::CleaningUp && phase != Phase::Pending
}

/// Abort, the deadline, and a journal or a plan that cannot be read end a soak in any phase.
fn ended_early(draft: &mut Draft<'_>) -> bool {
    if draft.test.spec.abort {
        end(
            draft,
            SoakOutcome::Aborted,
            "Aborted: spec.abort was set".to_owned(),
        );
        return true;
    }
    let journal = draft.observed.journal.as_ref().err();
    let plan = draft.observed.plan.as_ref().err();
    let unreadable = journal.map(ToString::to_string);
    if let Some(error) = unreadable.or_else(|| plan.map(ToString::to_string)) {
        let message = format!("Inconclusive: {error}");
        end(draft, SoakOutcome::Inconclusive, message);
        return true;
    }
    let Some(deadline) = draft.before.deadline_at else {
        return false;
    };
    if draft.now < deadline - LAST_CALL || Mutant::IgnoresTheDeadline.is_on() {
        draft.look_at(deadline - LAST_CALL);
        return false;
    }
    // What surely failed has failed, whoever does not answer afterwards.
    let failed = surely_failed(draft);
    if !failed.is_empty() {
        let message = summary(Outcome::Failed, &failed);
        draft.status().criteria = failed;
        no_more_estimates(draft);
        end(draft, SoakOutcome::Failed, message);
        return true;
    }
    let why = health::going_on(&draft.before.message).to_owned();
    match draft.before.phase {
        Phase::Deploying => {
            end(
                draft,
                SoakOutcome::Error,
                format!("Error: the workload was not ready by the deadline: {why}"),
            );
        }
        phase => end(
            draft,
            SoakOutcome::Inconclusive,
            format!("Inconclusive: the deadline came while {phase:?}: {why}"),
        ),
    }
    true
}

/// What needs nothing more to be known as Failed: health, and the criterion that ended the soak before its time.
fn surely_failed(draft: &Draft<'_>) -> Vec<CriterionResult> {
    let health = crate::health::health(draft.test, &draft.journal);
    let health = Some(health).filter(|result| result.outcome == Outcome::Failed);
    let early = draft.before.failed_fast.as_ref();
    let early = early.map(|early| failed_early(early, &draft.test.spec.criteria));
    health.into_iter().chain(early).collect()
}

/// The criterion that ended the soak before its time, where nothing more could be measured of it.
fn failed_early(early: &FailedFast, criteria: &[Criterion]) -> CriterionResult {
    let kind = criteria
        .iter()
        .find(|criterion| criterion.name == early.criterion)
        .and_then(|criterion| criterion.kind().ok())
        .map_or("unknown", |kind| kind.name());
    let (name, sentence) = (&early.criterion, early.sentence.clone());
    CriterionResult::in_words(name, kind, Outcome::Failed, sentence)
}

/// Draws what has to be drawn and fixes what has to be fixed, before anything is done.
fn begin(draft: &mut Draft<'_>) {
    if draft.test.spec.workload.kind().is_none() {
        let why = "Error: spec.workload: set exactly one of simulation, existing";
        end(draft, SoakOutcome::Error, why.to_owned());
        return;
    }
    let (now, spec) = (draft.now, &draft.test.spec);
    let sum = whole(spec);
    let half_an_hour = Duration::from_secs(30 * 60);
    let deadline = spec
        .deadline
        .as_ref()
        .map_or(sum.saturating_add(half_an_hour), soak_api::Span::duration);
    // The seed of a soak without one is its uid: as good as drawn, and the same if this is decided twice.
    let seed = spec
        .seed
        .unwrap_or_else(|| drawn_seed(draft.test.metadata.uid.as_deref().unwrap_or_default()));
    let status = draft.status();
    status.seed = Some(seed);
    status.plan_version = Some(Plan::VERSION);
    status.deadline_at = now.checked_add(signed(deadline)).ok();
    status.times.deploying = Some(now);
    let message = if workload::is_own(&spec.workload) {
        "the workload is created"
    } else {
        "the workload is looked for"
    };
    enter(draft, Phase::Deploying, message);
    // Where all pods are there already nothing else brings another pass.
    draft.look_at(now + SignedDuration::from_secs(1));
    draft.decision.effect = Effect::Deploy;
}

/// Warm-up, window and settling together, however long somebody may have made them.
fn whole(spec: &SoakTestSpec) -> Duration {
    let judged = spec.duration.duration();
    let whole = spec.warm_up.duration().saturating_add(judged);
    whole.saturating_add(spec.settle.duration())
}

/// Of the uid, without the sign.
fn drawn_seed(uid: &str) -> i64 {
    i64::try_from(hash(uid) >> 11).unwrap_or(0)
}

fn deploy(draft: &mut Draft<'_>) {
    let deployed = draft.observed.deployed.clone();
    // What the soak deploys is there once its pods are; what was there before has to be as planned, agreement and all.
    let as_planned = deployed == Some(Ok(())) || workload::is_own(&draft.test.spec.workload);
    if as_planned && draft.all_ready() && !draft.too_many() {
        let now = draft.now;
        draft.status().times.warming_up = Some(now);
        health::incarnations(draft);
        enter(
            draft,
            Phase::WarmingUp,
            "the workload is ready and warms up",
        );
        return;
    }
    let problem = deployed.and_then(Result::err);
    let waiting = problem.unwrap_or_else(|| waiting_for(draft));
    draft.status().message = waiting;
    draft.decision.effect = Effect::Deploy;
    draft.look_at(draft.now + RETRY);
}

fn warm_up(draft: &mut Draft<'_>) {
    health::incarnations(draft);
    let Some(began) = draft.before.times.warming_up else {
        return;
    };
    let over = began + signed(draft.test.spec.warm_up.duration());
    if draft.now < over {
        draft.look_at(over);
        return;
    }
    if !draft.all_ready() {
        let waiting = waiting_for(draft);
        draft.status().message = waiting;
        draft.look_at(draft.now + RETRY);
        return;
    }
    let now = draft.now;
    draft.status().times.soaking = Some(now);
    chaos::start(draft);
    enter(draft, Phase::Soaking, "the judged window has begun");
}

fn soak(draft: &mut Draft<'_>) {
    absence(draft);
    let pending = draft.before.chaos.pending.as_ref();
    if let Some(intent) = pending {
        // First, for it may explain which pods have gone.
        pending::settle_intent(draft, intent.clone());
    }
    health::incarnations(draft);
    let Some(began) = draft.before.times.soaking else {
        return;
    };
    let over = began + signed(draft.test.spec.duration.duration());
    looked(draft);
    if pending.is_some() {
        // One thing at a time; but while it waits the way back from the last goes on.
        let waits = draft.decision.status.chaos.pending.is_some();
        if waits && draft.decision.effect == Effect::None {
            recovery::recover(draft);
        }
        return;
    }
    if let Some(early) = draft.decision.status.failed_fast.clone() {
        chaos::stop(draft);
        let message = format!(
            "{} has failed and ends the soak before its time: {}",
            early.criterion, early.sentence
        );
        draft.announce(true, "FailedFast", message.clone());
        settling(draft, message);
        return;
    }
    chaos::step(draft);
    if draft.now < over {
        draft.look_at(over);
        return;
    }
    let status = &draft.decision.status.chaos;
    if status.pending.is_some() || chaos::undoes_first(draft) {
        return;
    }
    if status.due < status.planned {
        // What was due while nobody was there is accounted for first.
        draft.look_at(draft.now);
        return;
    }
    let and_drains = if workload::is_own(&draft.test.spec.workload) {
        " and drains"
    } else {
        ""
    };
    let message = format!("the judged window is over, the workload recovers{and_drains}");
    settling(draft, message);
}

fn settling(draft: &mut Draft<'_>, message: impl Into<String>) {
    let now = draft.now;
    draft.status().times.settling = Some(now);
    draft.status().chaos.next_at = None;
    enter(draft, Phase::Settling, message);
}

/// Takes down what the last look came to.
fn looked(draft: &mut Draft<'_>) {
    match draft.observed.looking {
        Looking::Never => {}
        Looking::From(next) => draft.look_at(next),
        Looking::Underway => draft.look_at(draft.now + SignedDuration::from_secs(1)),
    }
    let Some(look) = draft.observed.look.clone() else {
        return;
    };
    let status = draft.status();
    status.estimates = look.estimates;
    status.unmeasured = look.unmeasured;
    status.looks = look.taken.max(status.looks);
    if status.failed_fast.is_none() {
        status.failed_fast = look.failed;
    }
}

fn settle(draft: &mut Draft<'_>) {
    absence(draft);
    health::incarnations(draft);
    recovery::recover(draft);
    let Some(began) = draft.before.times.settling else {
        return;
    };
    let over = began + signed(draft.test.spec.settle.duration());
    let recovering = draft
        .decision
        .status
        .chaos
        .recovering
        .iter()
        .any(|recovering| !recovering.overdue);
    let drains = workload::is_own(&draft.test.spec.workload);
    if drains && draft.before.drained_at.is_none() && !recovering {
        draft.decision.effect = Effect::Drain;
        draft.look_at(draft.now + RETRY);
    }
    done_late(draft);
    if draft.now < over || recovering {
        draft.look_at(over.max(draft.now + SignedDuration::from_secs(1)));
        return;
    }
    pending::close(draft);
    let now = draft.now;
    draft.status().times.judging = Some(now);
    draft.decision.effect = Effect::None;
    enter(
        draft,
        Phase::Judging,
        "the criteria are held against what was measured",
    );
}

fn judged(draft: &mut Draft<'_>) {
    match draft.observed.judged.clone() {
        Some(Ok(verdict)) => {
            let outcome = Outcome::worst(verdict.criteria.iter().map(|c| c.outcome));
            let message = summary(outcome, &verdict.criteria);
            draft.status().criteria = verdict.criteria;
            draft.status().footprints = verdict.footprints;
            no_more_estimates(draft);
            end_with(draft, outcome.into(), message, verdict.charts);
        }
        Some(Err(problem)) => {
            draft.status().message = problem;
            draft.look_at(draft.now + RETRY);
        }
        None => draft.look_at(draft.now + RETRY),
    }
}

/// The first criterion that made the outcome what it is, in its own words.
fn summary(outcome: Outcome, criteria: &[CriterionResult]) -> String {
    let decisive: Vec<_> = criteria.iter().filter(|c| c.outcome == outcome).collect();
    match (outcome, decisive.as_slice()) {
        (Outcome::Passed, all) => format!("Passed: all {} criteria are proven to hold", all.len()),
        (_, [first, rest @ ..]) => {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" (and {} more)", rest.len())
            };
            format!("{outcome:?}: {}: {}{more}", first.name, first.sentence)
        }
        (_, []) => format!("{outcome:?}: nothing was judged"),
    }
}

fn clean_up(draft: &mut Draft<'_>) {
    let (effect, left) = to_clean_up(draft);
    if left.is_empty() {
        conditions::cleaned_up(draft);
        complete(draft);
        looks_once_more(draft);
        return;
    }
    draft.decision.effect = effect;
    let still_there = still_there(&left);
    let last = waits_until(draft.test);
    if last.is_some_and(|last| draft.now >= last) {
        conditions::remains(draft, &still_there);
        complete(draft);
        let note =
            format!("the deadline is over, and {still_there}; it is tried again each minute");
        draft.announce(true, "NotCleanedUp", note);
        draft.look_at(draft.now + CLEANS_EVERY);
        return;
    }
    let began = draft.before.times.cleaning_up;
    let waits = began.is_some_and(|began| draft.now >= began + CLEANS_EVERY);
    if waits && !conditions::is_left(draft.test) {
        conditions::remains(draft, &still_there);
    }
    draft.look_at(draft.now + RETRY);
    if let Some(last) = last {
        draft.look_at(last);
    }
}

fn complete(draft: &mut Draft<'_>) {
    let now = draft.now;
    draft.status().times.completed = Some(now);
    draft.status().phase = Phase::Completed;
    let (outcome, message) = (draft.before.outcome, draft.before.message.clone());
    draft.announce(outcome != Some(SoakOutcome::Passed), "Completed", message);
}

/// A policy may cut a pod off long after it was asked for. A minute after the end it has done so, or it never will.
fn looks_once_more(draft: &mut Draft<'_>) {
    let completed = draft.decision.status.times.completed;
    let once_more = completed.map(|completed| completed + CLEANS_EVERY);
    if let Some(at) = once_more.filter(|at| *at > draft.now && cuts_off(draft.test)) {
        draft.look_at(at);
    }
}

/// The soak is over: what is left of it is removed until nothing is, and nothing else of what is written changes.
fn goes_on_cleaning_up(draft: &mut Draft<'_>) {
    let (effect, left) = to_clean_up(draft);
    if conditions::is_left(draft.test) {
        if left.is_empty() {
            conditions::cleaned_up(draft);
            draft.announce(false, "CleanedUp", "nothing of the soak is left");
            looks_once_more(draft);
            return;
        }
        draft.decision.effect = effect;
    } else {
        // All was as it is to be: what may be otherwise is no news, and what surely is can only have been done late.
        match cut_off(draft) {
            Ok(events) if events.is_empty() => {
                looks_once_more(draft);
                return;
            }
            Ok(events) => {
                conditions::remains(draft, &still_there(&events));
                draft.decision.effect = effect;
            }
            Err(_) => {}
        }
    }
    draft.look_at(draft.now + CLEANS_EVERY);
}

/// For people.
fn still_there(left: &[String]) -> String {
    format!("still there: {}", left.join(", "))
}

/// Whether the component's Deployment is to have the pods again that are planned. Once the soak is over that is so as long as it
/// has what an event has given it: whoever scales it otherwise then keeps that.
pub(crate) fn is_to_be_scaled_back(
    test: &SoakTest,
    plan: Option<&Plan>,
    component: &str,
    owner: &Owner,
) -> bool {
    let as_planned = owner.replicas == workload::replicas(test, component);
    !as_planned && (!is_over(test) || is_as_scaled(test, plan, component, owner))
}

/// Whether nothing is judged or injected any more, whatever becomes of the soak's pods.
pub(crate) fn is_over(test: &SoakTest) -> bool {
    let status = test.status.as_ref();
    status.is_some_and(|status| status.phase == Phase::Completed)
}

/// Until when what changes the cluster is waited for, so that the soak goes on to its end in time; `None` where that is past.
pub(crate) fn waits_until(test: &SoakTest) -> Option<Timestamp> {
    let status = test.status.as_ref()?;
    let deadline = status.deadline_at?;
    match status.phase {
        Phase::Completed => None,
        Phase::CleaningUp if Mutant::WaitsForTheCleanUp.is_on() => None,
        Phase::CleaningUp => Some(deadline - CLOSING),
        _ => Some(deadline - LAST_CALL),
    }
}

/// Whether the workload stays, as it was planned.
pub(crate) fn keeps(test: &SoakTest) -> bool {
    let outcome = test.status.as_ref().and_then(|status| status.outcome);
    match test.spec.cleanup.workload {
        _ if !workload::is_own(&test.spec.workload) => true,
        WorkloadCleanup::Keep => true,
        WorkloadCleanup::KeepOnFailure => outcome != Some(SoakOutcome::Passed),
        WorkloadCleanup::Delete => false,
    }
}

/// What cleans up after the soak, and what there is still to be cleaned up.
fn to_clean_up(draft: &Draft<'_>) -> (Effect, Vec<String>) {
    let cut_off = cut_off(draft).unwrap_or_else(|unknown| vec![unknown]);
    if keeps(draft.test) {
        let left = perhaps_scaled(draft).into_iter().chain(cut_off).collect();
        return (Effect::Restore, left);
    }
    let pods = (!draft.observed.pods.is_empty()).then(|| "pods".to_owned());
    let remaining = draft.observed.remaining.iter().cloned();
    let left = remaining.chain(pods).chain(cut_off).collect();
    (Effect::Remove, left)
}

/// The components that have not the pods that are planned, or perhaps not.
fn perhaps_scaled(draft: &Draft<'_>) -> Vec<String> {
    let owners = draft.observed.owners.iter();
    let unknown = owners.filter_map(|(component, owner)| {
        let error = owner.as_ref().err()?;
        Some(format!("{component}, perhaps scaled ({error})"))
    });
    let scaled = scaled(draft).into_iter();
    let scaled = scaled.map(|(component, what)| format!("{component}: {what}"));
    scaled.chain(unknown).collect()
}

/// The components that have not the pods that are planned, and how many.
fn scaled(draft: &Draft<'_>) -> Vec<(String, String)> {
    let owners = draft.observed.owners.iter();
    let scaled = owners.filter_map(|(component, owner)| {
        let owner = owner.as_ref().ok()?.as_ref()?;
        let plan = draft.observed.plan.as_deref().ok();
        let what = || {
            let planned = draft.planned(component);
            format!("{} of {planned} planned replicas", owner.replicas)
        };
        is_to_be_scaled_back(draft.test, plan, component, owner)
            .then(|| (component.clone(), what()))
    });
    scaled.collect()
}

/// The pods that are cut off, each by its event, for nobody says which component it is of; or that this is not known.
fn cut_off(draft: &Draft<'_>) -> Result<Vec<String>, String> {
    let in_words = |index| format!("a pod is cut off by event {index}");
    match &draft.observed.cut_off {
        Some(Ok(events)) => Ok(events.iter().map(in_words).collect()),
        Some(Err(error)) => Err(format!("network policies, perhaps ({error})")),
        None => Ok(Vec::new()),
    }
}

/// An event may be done long after its request was given up for lost. What that has left is undone, and noted: what was
/// measured meanwhile was not what it was taken for.
fn done_late(draft: &mut Draft<'_>) {
    let chaos = &draft.decision.status.chaos;
    if chaos.pending.is_some() || !chaos.recovering.is_empty() {
        return;
    }
    let cut_off = cut_off(draft).unwrap_or_default().into_iter();
    let cut_off = cut_off.map(|what| ("workload".to_owned(), what));
    for (component, what) in scaled(draft).into_iter().chain(cut_off) {
        health::breach(draft, component, String::new(), breach::DONE_LATE, what);
        draft.decision.effect = Effect::Restore;
        draft.look_at(draft.now + RETRY);
    }
}

/// The verdict takes their place.
fn no_more_estimates(draft: &mut Draft<'_>) {
    let status = draft.status();
    status.estimates.clear();
    status.unmeasured.clear();
}

/// Sets the outcome, once, and lets the workload be removed.
fn end(draft: &mut Draft<'_>, outcome: SoakOutcome, message: String) {
    end_with(draft, outcome, message, Vec::new());
}

fn end_with(draft: &mut Draft<'_>, outcome: SoakOutcome, message: String, charts: Vec<Chart>) {
    pending::close(draft);
    let now = draft.now;
    let status = draft.status();
    status.outcome = Some(outcome);
    status.times.cleaning_up = Some(now);
    enter(draft, Phase::CleaningUp, message);
    draft.look_at(now);
    if draft.before.times.soaking.is_some() {
        keep(draft, charts);
    }
}

/// Keeps what is known of the soak, with what was measured of it.
fn keep(draft: &mut Draft<'_>, charts: Vec<Chart>) {
    let mut test = draft.test.clone();
    (test.metadata.managed_fields, test.metadata.annotations) = (None, None);
    let mut status = draft.decision.status.clone();
    status.chaos.recent.clear();
    status.journal.tail.clear();
    test.status = Some(status);
    if let Some(prometheus) = &mut test.spec.metrics.prometheus {
        prometheus.url = without_credentials(&prometheus.url);
    }
    draft.decision.evidence = Some(Box::new(Evidence {
        version: Evidence::VERSION,
        operator: env!("CARGO_PKG_VERSION").to_owned(),
        soak_test: test,
        events: draft.journal.events.values().cloned().collect(),
        charts,
    }));
}

fn enter(draft: &mut Draft<'_>, phase: Phase, message: impl Into<String>) {
    let message = message.into();
    let reason = match phase {
        Phase::Pending => "Pending",
        Phase::Deploying => "Deploying",
        Phase::WarmingUp => "WarmingUp",
        Phase::Soaking => "Soaking",
        Phase::Settling => "Settling",
        Phase::Judging => "Judging",
        Phase::CleaningUp => "CleaningUp",
        Phase::Completed => "Completed",
    };
    draft.announce(false, reason, message.clone());
    let generation = draft.test.metadata.generation;
    let status = draft.status();
    status.phase = phase;
    status.message = message;
    status.observed_generation = generation;
    draft.look_at(draft.now);
}

/// Time in which nobody was there: since another operator process last wrote, or last renewed its Lease if it was that one
/// which wrote, or since this one last could write. Of one that led later and never wrote nobody knows what it did, and one that
/// led on for long and wrote nothing could do nothing.
fn absence(draft: &mut Draft<'_>) {
    let Some(seen) = draft.before.presence.seen_at else {
        return;
    };
    let another = draft.before.presence.operator != draft.observed.operator;
    let silent = 3 * heartbeat(draft.test);
    let since = if another {
        let wrote = |led: &Led| {
            let soon = led.until.duration_since(seen) <= silent;
            led.since <= seen && (soon || Mutant::VouchesForTheSilent.is_on())
        };
        let led = draft.observed.led_before.filter(wrote);
        led.map_or(seen, |led| led.until.max(seen))
    } else {
        seen
    };
    let gap = draft.now.duration_since(since);
    let away = another || gap > silent;
    if away && !Mutant::IgnoresAbsence.is_on() {
        draft.status().presence.absent_milliseconds +=
            i64::try_from(gap.as_millis().max(0)).unwrap_or(i64::MAX / 2);
    }
}

fn components(draft: &mut Draft<'_>) {
    if draft.before.phase >= Phase::CleaningUp {
        return;
    }
    let components = draft.observed.components.iter().map(|c| ComponentStatus {
        name: c.name.clone(),
        desired: c.replicas,
        ready: u32::try_from(draft.ready(&c.name)).unwrap_or(u32::MAX),
    });
    draft.decision.status.components = components.collect();
}

/// Which component is not ready, and what its pods say about that.
fn waiting_for(draft: &Draft<'_>) -> String {
    let components = &draft.observed.components;
    if let Some(more) = components
        .iter()
        .find(|c| draft.there(&c.name) > c.replicas as usize)
    {
        let (name, there) = (&more.name, draft.there(&more.name));
        return format!(
            "there are {there} {name} pods, and {} are planned",
            more.replicas
        );
    }
    let missing = components
        .iter()
        .find(|c| draft.ready(&c.name) < c.replicas as usize);
    let Some(component) = missing else {
        return "the workload is ready".to_owned();
    };
    let mut why = draft
        .observed
        .pods
        .iter()
        .filter(|p| p.component == component.name && !p.serves())
        .map(|pod| match (&pod.waiting, &pod.last_end) {
            (Some((reason, detail)), _) if reason != "ContainerCreating" => {
                format!(": {}: {reason} {detail}", pod.name)
            }
            (_, Some((reason, code))) => format!(": {}: {reason}, exit code {code}", pod.name),
            _ => String::new(),
        });
    let why = why.find(|why| !why.is_empty()).unwrap_or_default();
    format!(
        "{} of {} {} pods are ready{why}",
        draft.ready(&component.name),
        component.replicas,
        component.name
    )
}

/// How much of warm-up, duration and settle has gone, in percent.
pub(super) fn progress(test: &SoakTest, status: &SoakTestStatus, now: Timestamp) -> String {
    let spec = &test.spec;
    let percent = match (status.phase, status.times.warming_up) {
        (Phase::Pending | Phase::Deploying, _) | (_, None) => 0.0,
        (Phase::Judging | Phase::CleaningUp | Phase::Completed, _) => {
            return if status.times.judging.is_some() {
                "100%".to_owned()
            } else {
                status.progress.clone()
            };
        }
        (_, Some(began)) => {
            100.0 * now.duration_since(began).as_secs_f64() / whole(spec).as_secs_f64()
        }
    };
    format!("{:.0}%", percent.clamp(0.0, 99.0).floor())
}
