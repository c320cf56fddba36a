//! The only place that changes the cluster, and only by what was written down.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use soak_api::{PendingIntent, SoakTest};

use crate::context::{Context, Error, belongs_to};
use crate::decide::{Effect, KillResult};
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
    Kill(PendingIntent, KillResult),
    /// The workload knows that it is to drain.
    Drained,
}

/// Does what was written down, if this operator leads for long enough to have it done.
pub(crate) async fn act(persisted: Persisted<Effect>, ctx: &Context) -> Result<Done, Error> {
    let test = persisted.test.clone();
    let effect = persisted.into_inner();
    let leads = ctx.leadership.may_act() || Mutant::IgnoresTheLease.is_on();
    if effect != Effect::None && !leads {
        return Err(Error::NotLeading);
    }
    match effect {
        Effect::None => Ok(Done::Nothing),
        Effect::Deploy => {
            let problem = deploy(&test, ctx)
                .await
                .err()
                .map(|error| error.to_string());
            if let Some(problem) = &problem {
                tracing::warn!(
                    soaktest = test.name_any(),
                    problem,
                    "the workload could not be created"
                );
            }
            ctx.remember(&test, |memory| memory.undeployable = problem);
            Ok(Done::Nothing)
        }
        Effect::Kill {
            intent,
            version,
            again,
        } => kill(&test, intent, version, again, ctx).await,
        Effect::Drain => Ok(drain(&test, ctx).await),
        Effect::Remove => remove(&test, ctx).await.map(|()| Done::Nothing),
    }
}

/// How often a deletion is tried anew because the pod has changed since it was looked at.
const TRIES: u32 = 3;

/// Deletes the pod of the intent and no other: the uid is a precondition that the API server checks. The resource version
/// is another, for it accepts the deletion of a pod that somebody else has deleted a moment ago, and that would count as
/// ours.
async fn kill(
    test: &SoakTest,
    intent: PendingIntent,
    mut version: String,
    again: bool,
    ctx: &Context,
) -> Result<Done, Error> {
    let pods: Api<Pod> = ctx.api(test);
    let mut result = KillResult::Unknown;
    for _ in 0..TRIES {
        let (once, changed) = delete(&pods, &intent, version, again).await;
        result = once;
        match changed {
            Some(fresh) => version = fresh,
            None => break,
        }
    }
    ctx.metrics.chaos(&intent.kind, &result);
    Ok(Done::Kill(intent, result))
}

/// One try, and the pod's resource version if it has changed and lives, so that nothing was done and another try may be
/// made.
async fn delete(
    pods: &Api<Pod>,
    intent: &PendingIntent,
    version: String,
    again: bool,
) -> (KillResult, Option<String>) {
    let params = DeleteParams {
        grace_period_seconds: Some(intent.grace_period_seconds),
        preconditions: Some(Preconditions {
            uid: Some(intent.uid.clone()).filter(|_| !Mutant::DropsTheUid.is_on()),
            resource_version: Some(version).filter(|_| !Mutant::TakesOverDeletions.is_on()),
        }),
        ..DeleteParams::default()
    };
    let answer =
        tokio::time::timeout(Duration::from_secs(5), pods.delete(&intent.pod, &params)).await;
    let result = match answer {
        Ok(Ok(_)) => KillResult::Accepted,
        // Gone, perhaps by the earlier try: the next pass finds it gone and presumes that.
        Ok(Err(kube::Error::Api(status))) if again && status.code == 404 => KillResult::Unknown,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => KillResult::Gone,
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            return changed(pods, intent, again).await;
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 || status.code == 422 => {
            KillResult::Refused(status.message)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, pod = intent.pod, "nobody knows whether the pod was deleted");
            KillResult::Unknown
        }
        Err(_) => KillResult::Unknown,
    };
    (result, None)
}

/// What has become of a pod that is not as it was when it was looked at.
async fn changed(
    pods: &Api<Pod>,
    intent: &PendingIntent,
    again: bool,
) -> (KillResult, Option<String>) {
    let look = tokio::time::timeout(Duration::from_secs(5), pods.get_opt(&intent.pod)).await;
    let Ok(Ok(found)) = look else {
        return (KillResult::Unknown, None);
    };
    let same = found.filter(|pod| pod.uid().as_ref() == Some(&intent.uid));
    match same {
        Some(pod) if pod.metadata.deletion_timestamp.is_none() => {
            (KillResult::Unknown, pod.resource_version())
        }
        _ if again => (KillResult::Unknown, None),
        _ => (KillResult::Gone, None),
    }
}

async fn deploy(test: &SoakTest, ctx: &Context) -> Result<(), Error> {
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
    Ok(())
}

async fn drain(test: &SoakTest, ctx: &Context) -> Done {
    match tokio::time::timeout(Duration::from_secs(5), ctx.outside.drain(test)).await {
        Ok(Ok(())) => Done::Drained,
        Ok(Err(error)) => {
            tracing::warn!(
                soaktest = test.name_any(),
                error,
                "the workload could not be told to drain"
            );
            Done::Nothing
        }
        Err(_) => {
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
    for deployment in workload::deployments(test, &ctx.images) {
        remove_owned(test, &deployments, &deployment.name_any()).await?;
    }
    for service in workload::services(test) {
        remove_owned(test, &services, &service.name_any()).await?;
    }
    Ok(())
}

/// Deletes the object of that name if it is the SoakTest's, and no other of that name that comes after it.
async fn remove_owned<K>(test: &SoakTest, api: &Api<K>, name: &str) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let Some(object) = api
        .get_opt(name)
        .await
        .map_err(Error::kube("look at the workload"))?
    else {
        return Ok(());
    };
    if !belongs_to(&object, test) {
        return Ok(());
    }
    let same = Preconditions {
        uid: object.uid(),
        resource_version: None,
    };
    match api
        .delete(name, &DeleteParams::foreground().preconditions(same))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other
            .map(|_| ())
            .map_err(Error::kube("remove the workload")),
    }
}
