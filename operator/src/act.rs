//! The only place that changes the cluster, and only by what was written down.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join, join_all, join3};
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use soak_api::{CrashEndpoint, PendingIntent, SoakTest};

use crate::chaos::{self, Deed};
use crate::context::{Context, Error, Known};
use crate::decide::waits_until;
use crate::decision::{Answer, Effect, Tried, Undoing};
use crate::effects::{self, Refusal, answered, remove_owned, within};
use crate::mutant::Mutant;
use crate::record::Persisted;
use crate::workload;

/// Who fields that we apply belong to.
const FIELD_MANAGER: &str = "soak-operator";

/// What was done, as far as it has to be written down in turn.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// Nothing that needs a record.
    Nothing,
    /// An intent was carried out, or was not.
    Tried(Box<Tried>),
    /// The workload knows that it is to drain.
    Drained,
    /// What the events of these indices had done is undone.
    Undone(Vec<u32>),
}

/// Does what was written down, if this operator leads for long enough to have it done.
pub(crate) async fn act(persisted: Persisted<Effect>, ctx: &Context) -> Result<Done, Error> {
    let test = persisted.test.clone();
    let effect = persisted.into_inner();
    if effect != Effect::None && !ctx.leadership.may_act() {
        return Err(Error::NotLeading);
    }
    match effect {
        Effect::None => Ok(Done::Nothing),
        Effect::Hold(deed) => {
            make_ready(&test, &deed, ctx).await;
            Ok(Done::Nothing)
        }
        // Pods that come up bring many passes, of which each wants the workload to be there.
        Effect::Deploy if ctx.remembered(&test).applied_since(ctx.now() - APPLIED_FOR) => {
            Ok(Done::Nothing)
        }
        Effect::Deploy => {
            let deployed = match in_time(&test, deploy(&test, ctx), ctx).await {
                Ok(None) => Ok(()),
                Ok(Some(problem)) => Err(problem),
                Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = &deployed {
                let soaktest = test.name_any();
                tracing::warn!(soaktest, problem, "the workload is not there");
            }
            ctx.remember(&test, |memory| {
                memory.deployed = Some(deployed);
                memory.applied_at = Some(ctx.now());
            });
            Ok(Done::Nothing)
        }
        Effect::Inject {
            intent,
            deed,
            version,
            again,
        } => inject(&test, intent, deed, version, again, ctx).await,
        Effect::Drain => Ok(drain(&test, ctx).await),
        Effect::Undo(all) => Box::pin(undo(&test, &all, ctx)).await,
        Effect::Restore => cleaned(&test, restore(&test, ctx), ctx).await,
        Effect::Remove => cleaned(&test, remove(&test, ctx), ctx).await,
    }
}

/// What this comes to, as long as the deadline allows.
async fn in_time<T>(
    test: &SoakTest,
    asked: impl Future<Output = Result<T, Error>>,
    ctx: &Context,
) -> Result<T, Error> {
    let asked = Box::pin(asked);
    let Some(until) = waits_until(test) else {
        return asked.await;
    };
    let left = Duration::try_from(until.duration_since(ctx.now())).unwrap_or_default();
    let answer = tokio::time::timeout(left, asked).await;
    answer.unwrap_or(Err(Error::Unanswered))
}

/// How long nobody needs to apply the workload anew.
const APPLIED_FOR: SignedDuration = SignedDuration::from_secs(4);

/// How often a deletion is tried anew because the pod has changed since it was looked at.
const TRIES: u32 = 3;

/// Carries out the intent on its pod and on no other.
async fn inject(
    test: &SoakTest,
    intent: PendingIntent,
    deed: Deed,
    mut version: String,
    again: bool,
    ctx: &Context,
) -> Result<Done, Error> {
    let pods: Api<Pod> = ctx.api(test);
    let knows = |known| ctx.remember(test, |memory| memory.known = known);
    let not_done = Some(Known::Held(intent.index)).filter(|_| !again);
    let (mut answer, mut asked_at) = (Answer::Unknown, ctx.now());
    for _ in 0..TRIES {
        asked_at = ctx.now();
        // A process that was stopped in between does nothing more: the next pass finds out what became of it.
        if !ctx.in_time(&intent) {
            return Ok(Done::Nothing);
        }
        // Until there is an answer nobody knows whether it is done.
        knows(None);
        let came = match &deed {
            Deed::Delete {
                grace_period_seconds,
            } => {
                let grace = Some(*grace_period_seconds);
                let params = only(&intent, version, grace);
                let deleted = pods.delete(&intent.pod, &params);
                told(within(deleted).await, test, &pods, &intent).await
            }
            Deed::Evict => {
                let evicted = evict(&pods, &intent, only(&intent, version, None));
                told(within(evicted).await, test, &pods, &intent).await
            }
            Deed::Crash(endpoint) => crash(test, &pods, &intent, endpoint, ctx).await,
            Deed::CutOff { .. } => changed_by(Box::pin(cut_off(test, &intent, ctx))).await,
            Deed::Scale { replicas, .. } => {
                changed_by(Box::pin(effects::scale(test, &intent, *replicas, ctx))).await
            }
            Deed::Rollout => changed_by(Box::pin(effects::roll_out(test, &intent, ctx))).await,
        };
        match came {
            Came::To(told) => {
                answer = told;
                break;
            }
            Came::ToNothing { fresh } => {
                knows(not_done.clone());
                // The next pass goes on with it, if that is in time.
                let Some(fresh) = fresh else { break };
                version = fresh;
            }
        }
    }
    if again && answer != Answer::Accepted {
        // What is refused now may have been accepted before, and be on its way.
        answer = Answer::Unknown;
    }
    ctx.metrics.chaos(&intent.kind, &answer);
    let tried = Tried {
        intent,
        deed,
        answer,
        asked_at,
        answered_at: ctx.now(),
    };
    if tried.answer != Answer::Unknown && !Mutant::ForgetsTheAnswer.is_on() {
        knows(Some(Known::Tried(Box::new(tried.clone()))));
    }
    Ok(Done::Tried(Box::new(tried)))
}

/// This very pod, as it was when it was looked at. The uid is a precondition that the API server checks. The resource
/// version is another, for it accepts the deletion of a pod that somebody else has deleted a moment ago, and that would
/// count as ours.
fn only(
    intent: &PendingIntent,
    version: String,
    grace_period_seconds: Option<u32>,
) -> DeleteParams {
    DeleteParams {
        grace_period_seconds,
        preconditions: Some(Preconditions {
            uid: Some(intent.uid.clone()).filter(|_| !Mutant::DropsTheUid.is_on()),
            resource_version: Some(version).filter(|_| !Mutant::TakesOverDeletions.is_on()),
        }),
        ..DeleteParams::default()
    }
}

/// By hand: `Api::evict` of kube 5 writes `delete_options`, which the API server does not know, so that the preconditions
/// would be lost without a word.
async fn evict(pods: &Api<Pod>, intent: &PendingIntent, only: DeleteParams) -> kube::Result<()> {
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": intent.pod},
        "deleteOptions": only,
    });
    let params = PostParams::default();
    let answer: kube::Result<Value> = pods
        .create_subresource("eviction", &intent.pod, &params, &body)
        .await;
    answer.map(|_| ())
}

/// What one try came to.
enum Came {
    To(Answer),
    /// Nothing was done, and it may be tried again: at once, where the pod has changed and lives, and this is its resource
    /// version by now.
    ToNothing {
        fresh: Option<String>,
    },
}

/// What the answer means.
async fn told<T>(
    answer: Option<kube::Result<T>>,
    test: &SoakTest,
    pods: &Api<Pod>,
    intent: &PendingIntent,
) -> Came {
    match answer {
        Some(Ok(_)) => Came::To(Answer::Accepted),
        Some(Err(error)) if has_code(&error, 409) => changed(test, pods, intent).await,
        Some(Err(error)) => failed(&error),
        None => Came::To(Answer::Unknown),
    }
}

/// What an error other than a conflict says of what was asked for.
fn failed(error: &kube::Error) -> Came {
    match refused(error) {
        Some(answer) => Came::To(answer),
        // The API server had too much to do to begin with it.
        None if has_code(error, 429) => Came::ToNothing { fresh: None },
        None => {
            tracing::warn!(%error, "nobody knows whether the event was done");
            Came::To(Answer::Unknown)
        }
    }
}

/// What an error of what comes before says.
fn not_ready(error: &kube::Error) -> Came {
    refused(error).map_or(Came::ToNothing { fresh: None }, Came::To)
}

/// What an error says that is the last word.
fn refused(error: &kube::Error) -> Option<Answer> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Some(Answer::Gone),
        kube::Error::Api(status) if matches!(status.code, 403 | 422) || over_budget(status) => {
            Some(Answer::Refused(status.message.clone()))
        }
        _ => None,
    }
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// What came of changing an object, and whether another try may be made because somebody else changed it meanwhile: each
/// looks at it anew, so that the version is not asked for.
async fn changed_by(change: impl Future<Output = Result<(), Refusal>>) -> Came {
    match change.await {
        Ok(()) => Came::To(Answer::Accepted),
        Err(Refusal::Gone) => Came::To(Answer::Gone),
        Err(Refusal::Because(why)) => Came::To(Answer::Refused(why)),
        Err(Refusal::NotNow) => Came::ToNothing { fresh: None },
        Err(Refusal::NotReady(error) | Refusal::Failed(error)) if has_code(&error, 409) => {
            let fresh = Some(String::new());
            Came::ToNothing { fresh }
        }
        Err(Refusal::NotReady(error)) => not_ready(&error),
        Err(Refusal::Failed(error)) => failed(&error),
        Err(Refusal::Unanswered) => Came::To(Answer::Unknown),
    }
}

/// A pod is marked first and looked at last. What was there when it was marked ahead is known for sure, so that what may have
/// come in the two seconds since is looked up at once.
async fn cut_off(test: &SoakTest, intent: &PendingIntent, ctx: &Context) -> Result<(), Refusal> {
    let meant = |pod: &Pod| is_meant(test, pod, intent);
    let ready = Box::pin(async {
        let pod = effects::to_cut(test, intent, meant, &effects::at_once(), ctx).await?;
        if !effects::is_marked(test, intent, &pod) {
            effects::mark(test, intent, &pod, ctx).await?;
            effects::to_cut(test, intent, meant, &ListParams::default(), ctx).await?;
        }
        Ok(())
    });
    effects::before(ready).await?;
    effects::cut(test, intent, ctx).await
}

/// Does ahead of its instant what of a held event does nothing by itself, so that little is left to wait for. What comes to
/// nothing here is done, or refused, at the instant.
async fn make_ready(test: &SoakTest, deed: &Deed, ctx: &Context) {
    let status = test.status.as_ref();
    let held = status.and_then(|status| status.chaos.pending.as_ref());
    let (Deed::CutOff { .. }, Some(intent)) = (deed, held) else {
        return;
    };
    let marked = async {
        let meant = |pod: &Pod| is_meant(test, pod, intent);
        let pod = effects::to_cut(test, intent, meant, &ListParams::default(), ctx).await?;
        effects::mark(test, intent, &pod, ctx).await
    };
    let left = intent.planned_at.duration_since(ctx.now());
    let left = Duration::try_from(left).unwrap_or_default();
    if !matches!(
        tokio::time::timeout(left, Box::pin(marked)).await,
        Ok(Ok(()))
    ) {
        let soaktest = test.name_any();
        tracing::debug!(
            soaktest,
            intent.index,
            "what an event needs is left to its instant"
        );
    }
}

/// Undoes events, each whatever becomes of the others. Done again it changes nothing.
async fn undo(test: &SoakTest, all: &[Undoing], ctx: &Context) -> Result<Done, Error> {
    let mut done = Vec::new();
    for Undoing {
        index,
        component,
        deed,
    } in all
    {
        let undone = match deed {
            Deed::CutOff { .. } => {
                let undone = answered(effects::reconnect(test, *index, ctx));
                in_time(test, undone, ctx).await
            }
            Deed::Scale { .. } => {
                let undone = answered(effects::scale_back(test, component, ctx));
                in_time(test, undone, ctx).await
            }
            Deed::Delete { .. } | Deed::Evict | Deed::Crash(_) | Deed::Rollout => Ok(()),
        };
        match undone {
            Ok(()) => done.push(*index),
            Err(Error::NotLeading) => return Err(Error::NotLeading),
            Err(error) => {
                let soaktest = test.name_any();
                tracing::warn!(soaktest, index, %error, "an event could not be undone");
            }
        }
    }
    Ok(Done::Undone(done))
}

/// What does not come through is no reason not to go on: whether all is gone is looked at, and it is tried again.
async fn cleaned(
    test: &SoakTest,
    cleaning: impl Future<Output = Result<(), Error>>,
    ctx: &Context,
) -> Result<Done, Error> {
    match in_time(test, cleaning, ctx).await {
        Ok(()) => {}
        Err(Error::NotLeading) => return Err(Error::NotLeading),
        Err(error) => {
            let soaktest = test.name_any();
            tracing::warn!(soaktest, %error, "not all is cleaned up");
        }
    }
    Ok(Done::Nothing)
}

/// All of them at once, each whatever becomes of the others; the first error.
async fn each(
    asked: impl IntoIterator<Item = impl Future<Output = Result<(), Error>>>,
) -> Result<(), Error> {
    let all = join_all(asked.into_iter().map(answered)).await;
    all.into_iter().collect()
}

/// Undoes all that is left of events.
async fn restore(test: &SoakTest, ctx: &Context) -> Result<(), Error> {
    let (scaled, cut_off) = join(scale_back(test, ctx), reconnect_all(test, ctx)).await;
    scaled.and(cut_off)
}

async fn scale_back(test: &SoakTest, ctx: &Context) -> Result<(), Error> {
    let components: BTreeSet<_> = chaos::scaled(test).collect();
    each(
        components
            .into_iter()
            .map(|component| effects::scale_back(test, component, ctx)),
    )
    .await
}

/// Takes away what is left of events that cut pods off.
async fn reconnect_all(test: &SoakTest, ctx: &Context) -> Result<(), Error> {
    if !chaos::cuts_off(test) {
        return Ok(());
    }
    let events = within(effects::cut_off(test, ctx)).await;
    let events = events.ok_or(Error::Unanswered)?;
    let events = events.map_err(Error::kube("look for network policies"))?;
    let events = events.into_iter();
    each(events.map(|index| effects::reconnect(test, index, ctx))).await
}

/// Whether a disruption budget keeps the pod; the API server answers with the same code when it has too much to do.
fn over_budget(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 429
        && causes
            .into_iter()
            .any(|cause| cause.reason == "DisruptionBudget")
}

/// Asks the process to crash, if the container is still the one that was meant. Its address is read anew, for it may have
/// passed to another pod; and the pod itself refuses what is not meant for it.
async fn crash(
    test: &SoakTest,
    pods: &Api<Pod>,
    intent: &PendingIntent,
    endpoint: &CrashEndpoint,
    ctx: &Context,
) -> Came {
    let pod = match within(pods.get_opt(&intent.pod)).await {
        Some(Ok(Some(pod))) => pod,
        Some(Ok(None)) => return Came::To(Answer::Gone),
        Some(Err(error)) => return not_ready(&error),
        None => return Came::ToNothing { fresh: None },
    };
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    match address {
        Some(_) if !ctx.in_time(intent) => Came::ToNothing { fresh: None },
        Some(address) if is_meant(test, &pod, intent) => {
            Came::To(ctx.outside.crash(&address, &intent.pod, endpoint).await)
        }
        _ => Came::To(Answer::Gone),
    }
}

/// Whether the pod is still what was chosen: that very container, which serves and which nobody has protected, of a pod that
/// is still of the soak and of the component.
fn is_meant(test: &SoakTest, pod: &Pod, intent: &PendingIntent) -> bool {
    workload::pod_of(test, pod).is_some_and(|fact| {
        let same = fact.uid == intent.uid
            && fact.restarts == intent.restarts
            && fact.component == intent.component;
        same && fact.serves() && !fact.protected
    })
}

/// What has become of a pod that is not as it was when it was looked at.
async fn changed(test: &SoakTest, pods: &Api<Pod>, intent: &PendingIntent) -> Came {
    let Some(Ok(found)) = within(pods.get_opt(&intent.pod)).await else {
        return Came::ToNothing { fresh: None };
    };
    let same = found.filter(|pod| pod.uid().as_ref() == Some(&intent.uid));
    match same {
        Some(pod) if is_meant(test, &pod, intent) => {
            let fresh = pod.resource_version();
            Came::ToNothing { fresh }
        }
        Some(pod) if pod.metadata.deletion_timestamp.is_none() => {
            let why = "the pod is not what it was when it was chosen";
            Came::To(Answer::Refused(why.to_owned()))
        }
        _ => Came::To(Answer::Gone),
    }
}

/// Makes the workload what it is planned to be; what keeps one that was there before from being that.
async fn deploy(test: &SoakTest, ctx: &Context) -> Result<Option<String>, Error> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let services: Api<Service> = ctx.api(test);
    let deployments: Api<Deployment> = ctx.api(test);
    for service in workload::services(test) {
        services
            .patch(&service.name_any(), &params, &Patch::Apply(&service))
            .await
            .map_err(Error::kube("apply a Service of the workload"))?;
    }
    for deployment in workload::deployments(test, &ctx.images) {
        deployments
            .patch(&deployment.name_any(), &params, &Patch::Apply(&deployment))
            .await
            .map_err(Error::kube("apply a Deployment of the workload"))?;
    }
    if Mutant::ChangesWhatIsThere.is_on() && !workload::is_own(&test.spec.workload) {
        let (params, patch) = (PatchParams::default(), json!({"spec": {"replicas": 9}}));
        for component in workload::components(test) {
            deployments
                .patch(&component.deployment, &params, &Patch::Merge(&patch))
                .await
                .map_err(Error::kube("change a Deployment"))?;
        }
    }
    workload::problem(test, &deployments)
        .await
        .map_err(Error::kube("look at a Deployment of the workload"))
}

async fn drain(test: &SoakTest, ctx: &Context) -> Done {
    match within(ctx.outside.drain(test)).await {
        Some(Ok(())) => Done::Drained,
        Some(Err(error)) => {
            tracing::warn!(
                soaktest = test.name_any(),
                error,
                "the workload could not be told to drain"
            );
            Done::Nothing
        }
        None => {
            tracing::warn!(
                soaktest = test.name_any(),
                "the workload did not answer when told to drain"
            );
            Done::Nothing
        }
    }
}

/// Deletes what the SoakTest owns, except its journal; what is gone already is gone. In the foreground: a Deployment goes
/// after its pods, so that its absence proves theirs.
async fn remove(test: &SoakTest, ctx: &Context) -> Result<(), Error> {
    let deployments: Api<Deployment> = ctx.api(test);
    let services: Api<Service> = ctx.api(test);
    let last = DeleteParams::foreground();
    let deploys = workload::deployments(test, &ctx.images);
    let serves = workload::services(test);
    let deploys = deploys.iter().map(async |one| {
        let name = one.name_any();
        remove_owned(test, &deployments, &name, &last, ctx).await
    });
    let serves = serves.iter().map(async |one| {
        let name = one.name_any();
        remove_owned(test, &services, &name, &last, ctx).await
    });
    let removed = join3(each(deploys), each(serves), reconnect_all(test, ctx)).await;
    let removed = removed.0.and(removed.1).and(removed.2);
    if removed.is_err() {
        // What stays for now is as it was planned.
        scale_back(test, ctx).await?;
    }
    removed
}
