//! The story of one SoakTest, told again whenever something happens: observe, decide, record, act.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use soak_api::{PendingIntent, SOAK_TEST, SoakTest};

use crate::act::{Done, act};
use crate::chaos;
use crate::context::{Context, Error, Known};
use crate::decide::{CLEANS_EVERY, decide, is_left, is_over, resolve, undone, waits_until};
use crate::decision::{Decision, Effect};
use crate::observe::observe;
use crate::record::record;

/// How many SoakTests are reconciled at the same time.
const CONCURRENCY: u16 = 16;

/// How long a watch goes on until it is opened anew where it left off. One whose connection died without a word tells nothing
/// until then, and what is not told in time may fail a soak.
pub(crate) const WATCHED_FOR: Duration = Duration::from_secs(30);

/// How soon the next pass follows one that has written something down.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How long it is at least until what takes longer than its pause is tried again.
const BREATH: Duration = Duration::from_secs(1);

/// How often what is remembered of SoakTests that are gone is forgotten.
const FORGETS_EVERY: Duration = Duration::from_secs(30);

/// Takes one step of the story; the answer is how long nobody needs to look, `None` until something changes.
pub(crate) async fn reconcile(
    test: Arc<SoakTest>,
    ctx: &Arc<Context>,
) -> Result<Option<Duration>, Error> {
    let test = ctx.latest(&test);
    if is_over(&test) {
        ctx.shows(&test);
        let now = ctx.now();
        match looks_next(&test, ctx) {
            None => return Ok(None),
            Some(next) if next > now => return Ok(Some(left(next, now))),
            Some(_) => {}
        }
    }
    ctx.yields(&test);
    if let Some(decision) = untold(&test, ctx) {
        leads(ctx)?;
        record(&test, decision, ctx).await?;
        return Ok(Some(AT_ONCE));
    }
    let now = ctx.now();
    let observed = observe(&test, ctx, now).await?; // read everything once
    let decision = decide(&test, &observed, now); // pure: what next, and why
    let again = decision.again;
    if let Some(intent) = not_asked_for(&decision) {
        // Before it is written: whatever the answer is, this process has not asked for it.
        let held = Some(Known::Held(intent.index));
        ctx.remember(&test, |memory| memory.known = held);
    }
    leads(ctx)?;
    looked_for_left(&test, true, ctx);
    let persisted = record(&test, decision, ctx).await?; // the only writer of status and journal
    let written = persisted.test.clone();
    ctx.shows(&written);
    looked_for_left(&written, !again.is_zero(), ctx);
    let done = act(persisted, ctx).await?; // the only place that changes the cluster, and only what was written down
    match report(&written, done, ctx) {
        Some(decision) => {
            record(&written, decision, ctx).await?;
            Ok(Some(AT_ONCE))
        }
        None if again.is_zero() => Ok(None),
        None => {
            let status = written.status.as_ref();
            let intent = status.and_then(|status| status.chaos.pending.as_ref());
            let due = [
                intent.map(|intent| intent.planned_at),
                waits_until(&written),
            ];
            Ok(Some(pause(now..ctx.now(), again, due)))
        }
    }
}

/// How long it is from the end of a pass until the instant that its decision has named, whatever the pass took; and where it took
/// longer than that, a moment in which what does not come through can recover. Nothing that is due is later for it, not even what
/// has become due meanwhile.
fn pause(pass: Range<Timestamp>, again: Duration, due: [Option<Timestamp>; 2]) -> Duration {
    let left = |until: Timestamp| left(until, pass.end);
    let next = SignedDuration::try_from(again).ok();
    let next = next.and_then(|again| pass.start.checked_add(again).ok());
    let next = next.map_or(again, left).max(again.min(BREATH));
    let due = due.into_iter().flatten();
    let due = due.filter(|due| *due > pass.start).map(left);
    due.fold(next, Duration::min)
}

/// Remembers that it was looked for what is left of a soak, if it is over.
fn looked_for_left(test: &SoakTest, anything: bool, ctx: &Context) {
    if is_over(test) {
        let looked = (ctx.now(), anything);
        ctx.remember(test, |memory| memory.looked_for_left = Some(looked));
    }
}

/// When it is next looked for what is left of a soak that is over; `None` where nothing is. It is by each process at first, and
/// then once a minute, whatever the soak's pods do meanwhile. Of an event that is done long after it was asked for nothing is
/// written: a pod that it cuts off is found by this alone.
fn looks_next(test: &SoakTest, ctx: &Context) -> Option<Timestamp> {
    match ctx.remembered(test).looked_for_left {
        None => (is_left(test) || chaos::cuts_off(test)).then(|| ctx.now()),
        Some((at, anything)) => anything.then(|| at + CLEANS_EVERY),
    }
}

/// How long it is until then, and never nothing.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.max(Duration::from_millis(1))
}

/// A process that was stopped may have lost the Lease: what another is at is not for it to settle.
fn leads(ctx: &Context) -> Result<(), Error> {
    let may_act = ctx.leadership.may_act();
    may_act.then_some(()).ok_or(Error::NotLeading)
}

/// The intent of the decision, where nobody has asked for it so far.
fn not_asked_for(decision: &Decision) -> Option<&PendingIntent> {
    match &decision.effect {
        Effect::Hold(_) => decision.status.chaos.pending.as_ref(),
        Effect::Inject { intent, again, .. } => Some(intent).filter(|_| !again),
        _ => None,
    }
}

/// What is known of the pending intent and could not be written down when that was tried: it goes first, for by how things
/// are nobody can tell it any more.
fn untold(test: &SoakTest, ctx: &Context) -> Option<Decision> {
    let memory = ctx.remembered(test);
    resolve(test, memory.tried()?)
}

/// What was done, as it is to be written down.
fn report(test: &SoakTest, done: Done, ctx: &Context) -> Option<Decision> {
    match done {
        Done::Nothing => None,
        Done::Tried(tried) => resolve(test, &tried),
        Done::Undone(events) => undone(test, &events, ctx.now()),
        Done::Drained => {
            let mut status = test.status.clone()?;
            status.drained_at = Some(ctx.now());
            Some(Decision {
                status,
                ..Decision::default()
            })
        }
    }
}

/// Runs until the shutdown future ends.
pub(crate) async fn run(
    client: Client,
    namespace: Option<String>,
    ctx: Arc<Context>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let tests: Api<DeserializeGuard<SoakTest>> = scoped(&client, namespace.as_deref());
    let (store, writer) = reflector::store();
    let events = watcher(tests, watching()).default_backoff();
    // Who manages which field takes more room than the fields.
    let events = events.modify(|test| test.meta_mut().managed_fields = None);
    let changed = asked_anew(events.reflect(writer));
    let known = store.clone();
    let context = ctx.clone();
    let controller = Controller::for_stream(changed, store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(pods(&client, namespace.as_deref(), &ctx))
        .graceful_shutdown_on(shutdown)
        .run(guarded, after_error, ctx)
        .for_each(|_| std::future::ready(()));
    // A SoakTest that is over and deleted brings no pass of its own.
    let forgets = async {
        let mut pace = tokio::time::interval(FORGETS_EVERY);
        loop {
            pace.tick().await;
            context.keep_only(|uid| {
                let is =
                    |test: &DeserializeGuard<SoakTest>| test.meta().uid.as_deref() == Some(uid);
                known.find(is).is_some()
            });
            context.pods.keep_departed_of(|(namespace, name)| {
                let test = known.get(&ObjectRef::new(name).within(namespace));
                test.is_some_and(|test| test.0.as_ref().is_ok_and(|test| !is_over(test)))
            });
        }
    };
    tokio::select! {
        () = controller => {}
        () = forgets => {}
    }
}

fn watching() -> watcher::Config {
    let seconds = u32::try_from(WATCHED_FOR.as_secs()).unwrap_or(u32::MAX);
    watcher::Config::default().timeout(seconds)
}

/// The SoakTests of which something else is asked than before: our own status writes are no reason to look again.
fn asked_anew<K: Resource<DynamicType = ()> + 'static>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
) -> impl Stream<Item = watcher::Result<K>> {
    let applied = events.applied_objects();
    applied.predicate_filter(predicates::generation, PredicateConfig::default())
}

/// The SoakTests whose pods changed.
fn pods(
    client: &Client,
    namespace: Option<&str>,
    ctx: &Context,
) -> impl Stream<Item = ObjectRef<DeserializeGuard<SoakTest>>> + Send + 'static {
    let ours = watching().labels(SOAK_TEST);
    let events = watcher(scoped::<Pod>(client, namespace), ours).default_backoff();
    ctx.pods.clone().follow(events)
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Reconciles what can be read; says of the rest, in its status, what is wrong with it.
async fn guarded(
    test: Arc<DeserializeGuard<SoakTest>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = match &test.0 {
        Ok(test) => reconcile(Arc::new(test.clone()), &ctx)
            .await
            .map(|again| again.map_or_else(Action::await_change, Action::requeue)),
        Err(invalid) => refuse(&test, &invalid.error, &ctx).await,
    };
    ctx.metrics
        .reconciled(began.elapsed(), result.as_ref().err().map(Error::kind));
    result
}

/// An object that admission let through and that still cannot be read ends at once, with the reason.
async fn refuse(
    test: &DeserializeGuard<SoakTest>,
    problem: &str,
    ctx: &Context,
) -> Result<Action, Error> {
    let resource = ApiResource::erase::<SoakTest>(&());
    let namespace = test.meta().namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &namespace, &resource);
    let message = format!("Error: the SoakTest cannot be read: {problem}");
    let patch = json!({"status": {"phase": "Completed", "outcome": "Error", "message": message}});
    api.patch_status(
        &test.name_any(),
        &PatchParams::default(),
        &Patch::Merge(&patch),
    )
    .await
    .map_err(Error::kube("write the status"))?;
    Ok(Action::await_change())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller hands over what it has"
)]
fn after_error(test: Arc<DeserializeGuard<SoakTest>>, error: &Error, _: Arc<Context>) -> Action {
    let soaktest = test.name_any();
    match error {
        Error::NotYetListed => {}
        Error::Kube(_, cause) if matches!(&**cause, kube::Error::Api(status) if status.code == 409) =>
        {
            tracing::debug!(soaktest, %error, "the SoakTest has changed meanwhile");
        }
        _ => tracing::warn!(soaktest, %error, "the reconcile did not come through"),
    }
    Action::requeue(retry_after(error))
}

/// How long to wait before what went wrong is tried again.
pub(crate) fn retry_after(error: &Error) -> Duration {
    match error {
        Error::NotYetListed => Duration::from_millis(200),
        _ => Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectMeta, PartialObjectMeta, PartialObjectMetaExt};

    use super::*;

    /// What is reconciled of these versions of a SoakTest that the watch tells of: its generation, its uid and its resource
    /// version.
    fn reconciled(versions: &[(i64, &str, &str)]) -> Vec<String> {
        let applied = versions.iter().map(|(generation, uid, version)| {
            let metadata = ObjectMeta {
                name: Some("friday".to_owned()),
                generation: Some(*generation),
                uid: Some((*uid).to_owned()),
                resource_version: Some((*version).to_owned()),
                ..ObjectMeta::default()
            };
            let test: PartialObjectMeta<SoakTest> = metadata.into_response_partial();
            Ok(watcher::Event::Apply(test))
        });
        let anew = asked_anew(futures::stream::iter(applied));
        let versions = anew.filter_map(async |test| test.ok()?.resource_version());
        futures::executor::block_on(versions.collect())
    }

    #[test]
    fn a_write_of_the_status_brings_no_pass_and_a_change_of_the_spec_or_another_soak_does() {
        let seen = [
            (1, "first", "10"),
            (1, "first", "11"),
            (1, "first", "12"),
            (2, "first", "13"),
            (2, "first", "14"),
            (2, "second", "15"),
            (2, "second", "16"),
        ];
        assert_eq!(reconciled(&seen), ["10", "13", "15"]);
    }

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    /// The pause in milliseconds after a pass of so many, whose decision wants to look again after so many, where something is
    /// due so many after its beginning.
    fn paused(pass: i64, again: u64, due: Option<i64>) -> u128 {
        let after = |millis| START + SignedDuration::from_millis(millis);
        let again = Duration::from_millis(again);
        pause(START..after(pass), again, [due.map(after), None]).as_millis()
    }

    #[test]
    fn a_pass_is_followed_at_the_instant_that_it_has_named_however_long_it_took() {
        assert_eq!(paused(0, 5_000, None), 5_000);
        assert_eq!(paused(3_000, 5_000, None), 2_000);
        assert_eq!(paused(3_000, 1, None), 1);
    }

    #[test]
    fn what_took_longer_than_its_pause_is_tried_again_after_a_moment() {
        assert_eq!(paused(60_000, 5_000, None), 1_000);
        assert_eq!(paused(4_500, 5_000, None), 1_000);
        assert_eq!(paused(60_000, 200, None), 200);
    }

    #[test]
    fn nothing_that_is_due_waits_for_a_pause() {
        assert_eq!(paused(0, 5_000, Some(2_000)), 2_000);
        assert_eq!(paused(4_500, 5_000, Some(4_600)), 100);
        assert_eq!(paused(2_001, 2_000, Some(2_000)), 1, "due meanwhile");
        assert_eq!(paused(60_000, 5_000, Some(0)), 1_000, "it was due before");
    }
}
