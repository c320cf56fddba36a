//! What events leave in the cluster beside pods that go: Deployments that are changed, and policies that cut pods off. Each
//! carries the event's index, so that it shows whether the event was done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ParseExpressionError, Selector, SelectorExt};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use soak_api::{EVENT, PendingIntent, SOAK_TEST, SoakTest};

use crate::context::{Context, Error, belongs_to};
use crate::decide::is_to_be_scaled_back;
use crate::facts::Owner;
use crate::mutant::Mutant;
use crate::workload;

/// Why nothing was done.
pub(crate) enum Refusal {
    /// What was to be changed is gone, or another has its name.
    Gone,
    /// It must not be done.
    Because(String),
    /// It is too late, or this operator does not lead any more: nothing was asked for.
    NotNow,
    /// What comes before it went wrong, so that it was not asked for.
    NotReady(kube::Error),
    /// It was asked for, and this is the answer.
    Failed(kube::Error),
    /// It was asked for, and there was no answer.
    Unanswered,
}

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer of the API server, or none in time.
pub(crate) async fn within<T>(asked: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, asked).await.ok()
}

/// All that comes before an event and does nothing by itself.
pub(crate) async fn before<T>(
    steps: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    within(steps).await.unwrap_or(Err(Refusal::NotNow))
}

/// What an event does, if that is in time.
async fn done<T>(
    intent: &PendingIntent,
    ctx: &Context,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, Refusal> {
    still(intent, ctx)?;
    match within(asked).await {
        Some(answer) => answer.map_err(Refusal::Failed),
        None => Err(Refusal::Unanswered),
    }
}

/// The Deployment of the component; `None` where it is gone, or not the soak's.
pub(crate) async fn owner(
    test: &SoakTest,
    component: &str,
    ctx: &Context,
) -> kube::Result<Option<Owner>> {
    let found = deployment(test, component, ctx).await?;
    Ok(found.as_ref().map(Owner::of))
}

async fn deployment(
    test: &SoakTest,
    component: &str,
    ctx: &Context,
) -> kube::Result<Option<Deployment>> {
    let deployments: Api<Deployment> = ctx.api(test);
    let Some(name) = workload::own_deployment(test, component) else {
        return Ok(None);
    };
    let found = deployments.get_opt(&name).await?;
    Ok(found.filter(|found| belongs_to(found, test)))
}

/// Gives the component's Deployment so many pods, unless an autoscaler would take that back.
pub(crate) async fn scale(
    test: &SoakTest,
    intent: &PendingIntent,
    replicas: u32,
    ctx: &Context,
) -> Result<(), Refusal> {
    let found = before(async {
        unscaled(test, intent, ctx).await?;
        to_change(test, intent, ctx).await
    });
    change(
        test,
        intent,
        found.await?,
        json!({"replicas": replicas}),
        ctx,
    )
    .await
}

/// Refused where an autoscaler scales what the intent is about.
async fn unscaled(test: &SoakTest, intent: &PendingIntent, ctx: &Context) -> Result<(), Refusal> {
    let autoscalers: Api<HorizontalPodAutoscaler> = ctx.api(test);
    let all = autoscalers.list(&at_once()).await;
    let all = all.map_err(Refusal::NotReady)?;
    let targets = |one: &&HorizontalPodAutoscaler| {
        let target = one.spec.as_ref().map(|spec| &spec.scale_target_ref);
        target.is_some_and(|target| target.kind == "Deployment" && target.name == intent.pod)
    };
    if let Some(one) = all.iter().find(targets) {
        let (name, of) = (one.name_any(), &intent.pod);
        let why = format!("the HorizontalPodAutoscaler {name} scales {of}");
        return Err(Refusal::Because(why));
    }
    Ok(())
}

/// Lets the component's Deployment replace all of its pods.
pub(crate) async fn roll_out(
    test: &SoakTest,
    intent: &PendingIntent,
    ctx: &Context,
) -> Result<(), Refusal> {
    let template = json!({"metadata": {"annotations": {EVENT: intent.index.to_string()}}});
    let found = before(to_change(test, intent, ctx)).await?;
    change(test, intent, found, json!({"template": template}), ctx).await
}

/// The very Deployment that was meant, as it is now.
async fn to_change(
    test: &SoakTest,
    intent: &PendingIntent,
    ctx: &Context,
) -> Result<Deployment, Refusal> {
    let found = deployment(test, &intent.component, ctx).await;
    let found = found.map_err(Refusal::NotReady)?;
    let found = found.filter(|found| found.uid().as_ref() == Some(&intent.uid));
    found.ok_or(Refusal::Gone)
}

/// Changes the Deployment as it was found, and once: who comes again finds the event's index on it.
async fn change(
    test: &SoakTest,
    intent: &PendingIntent,
    found: Deployment,
    spec: serde_json::Value,
    ctx: &Context,
) -> Result<(), Refusal> {
    if Owner::of(&found).event == Some(intent.index) {
        return Ok(());
    }
    let patch = json!({
        "metadata": {
            "uid": intent.uid,
            "resourceVersion": found.resource_version(),
            "annotations": {EVENT: intent.index.to_string()},
        },
        "spec": spec,
    });
    let deployments: Api<Deployment> = ctx.api(test);
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let changed = deployments.patch(&intent.pod, &params, &patch);
    done(intent, ctx, changed).await.map(|_| ())
}

/// Gives the component's Deployment the pods that are planned. One that is gone has none to take back.
pub(crate) async fn scale_back(
    test: &SoakTest,
    component: &str,
    ctx: &Context,
) -> Result<(), Error> {
    let what = "scale a component back";
    let found = deployment(test, component, ctx).await;
    let Some(found) = found.map_err(Error::kube(what))? else {
        return Ok(());
    };
    let plan = ctx.plan(test).ok();
    if !is_to_be_scaled_back(test, plan.as_deref(), component, &Owner::of(&found)) {
        return Ok(());
    }
    let planned = workload::replicas(test, component);
    let patch = json!({
        "metadata": {"uid": found.uid(), "resourceVersion": found.resource_version()},
        "spec": {"replicas": planned},
    });
    let deployments: Api<Deployment> = ctx.api(test);
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    leads(ctx)?;
    deployments
        .patch(&found.name_any(), &params, &patch)
        .await
        .map_err(Error::kube(what))?;
    Ok(())
}

/// All there are, from the API server's own cache, which lags by milliseconds. A list as of now waits for that cache to catch
/// up, which takes up to 100 ms: too long at an event's instant.
pub(crate) fn at_once() -> ListParams {
    ListParams::default().match_any()
}

/// The pod as it is now, if it is `meant`; refused where another of the policies `listed` selects it, for policies add up: what
/// that one allows would stay open.
pub(crate) async fn to_cut(
    test: &SoakTest,
    intent: &PendingIntent,
    meant: impl Fn(&Pod) -> bool,
    listed: &ListParams,
    ctx: &Context,
) -> Result<Pod, Refusal> {
    let (pods, policies): (Api<Pod>, Api<NetworkPolicy>) = (ctx.api(test), ctx.api(test));
    let read = tokio::try_join!(pods.get_opt(&intent.pod), policies.list(listed));
    let (pod, policies) = read.map_err(Refusal::NotReady)?;
    let pod = pod.filter(meant).ok_or(Refusal::Gone)?;
    let name = policy_name(test, intent.index);
    let ours = |policy: &NetworkPolicy| policy.name_any() == name && belongs_to(policy, test);
    let mut others = policies.iter().filter(|policy| !ours(policy));
    match others.find(|policy| selects(policy, &pod).unwrap_or(true)) {
        Some(other) if !(Mutant::LooksOnlyAhead.is_on() && is_marked(test, intent, &pod)) => {
            let (pod, name) = (&intent.pod, other.name_any());
            let why = format!("the NetworkPolicy {name} selects {pod}, too");
            Err(Refusal::Because(why))
        }
        _ => Ok(pod),
    }
}

/// Labels the very pod, which alone does nothing.
pub(crate) async fn mark(
    test: &SoakTest,
    intent: &PendingIntent,
    pod: &Pod,
    ctx: &Context,
) -> Result<(), Refusal> {
    let pods: Api<Pod> = ctx.api(test);
    let label = json!({
        "metadata": {
            "uid": intent.uid,
            "resourceVersion": pod.resource_version(),
            "labels": {EVENT: mark_of(test, intent.index)},
        },
    });
    let (params, label) = (PatchParams::default(), Patch::Merge(&label));
    still(intent, ctx)?;
    let marked = pods.patch(&intent.pod, &params, &label).await;
    marked.map(|_| ()).map_err(Refusal::NotReady)
}

pub(crate) fn is_marked(test: &SoakTest, intent: &PendingIntent, pod: &Pod) -> bool {
    pod.labels().get(EVENT) == Some(&mark_of(test, intent.index))
}

/// Cuts the marked pod off, by a policy that selects its mark: where there is that policy, the pod is cut off.
pub(crate) async fn cut(
    test: &SoakTest,
    intent: &PendingIntent,
    ctx: &Context,
) -> Result<(), Refusal> {
    let policies: Api<NetworkPolicy> = ctx.api(test);
    let scrapes = ctx.prometheus_url(test).and_then(|url| namespace_of(&url));
    let policy = policy(test, intent.index, scrapes);
    let params = PostParams::default();
    match done(intent, ctx, policies.create(&params, &policy)).await {
        Err(Refusal::Failed(kube::Error::Api(status))) if status.reason == "AlreadyExists" => {
            let name = policy.name_any();
            // Whose it is tells whether an earlier request has done it.
            let Some(Ok(there)) = within(policies.get_opt(&name)).await else {
                return Err(Refusal::Unanswered);
            };
            if there.is_some_and(|there| belongs_to(&there, test)) {
                return Ok(());
            }
            let why = format!("there is a NetworkPolicy {name} that is not the soak's");
            Err(Refusal::Because(why))
        }
        other => other.map(|_| ()),
    }
}

/// The events by which pods are cut off.
pub(crate) async fn cut_off(test: &SoakTest, ctx: &Context) -> kube::Result<BTreeSet<u32>> {
    let policies: Api<NetworkPolicy> = ctx.api(test);
    let ours = ListParams::default().labels(&format!("{SOAK_TEST}={},{EVENT}", test.name_any()));
    let all = policies.list(&ours).await?;
    let own = all.iter().filter(|policy| belongs_to(*policy, test));
    let events = own.filter_map(|policy| policy.labels().get(EVENT)?.parse().ok());
    Ok(events.collect())
}

/// Takes the policy of the event away, if it is there.
pub(crate) async fn reconnect(test: &SoakTest, index: u32, ctx: &Context) -> Result<(), Error> {
    let policies: Api<NetworkPolicy> = ctx.api(test);
    let (name, last) = (policy_name(test, index), DeleteParams::default());
    remove_owned(test, &policies, &name, &last, ctx).await
}

/// Deletes the object of that name if it is the SoakTest's, and no other of that name that comes after it.
pub(crate) async fn remove_owned<K>(
    test: &SoakTest,
    api: &Api<K>,
    name: &str,
    params: &DeleteParams,
    ctx: &Context,
) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let what = "remove what belongs to a soak";
    let found = api.get_opt(name).await.map_err(Error::kube(what))?;
    let Some(object) = found.filter(|object| belongs_to(object, test)) else {
        return Ok(());
    };
    let same = Preconditions {
        uid: object.uid(),
        resource_version: None,
    };
    leads(ctx)?;
    match api.delete(name, &params.clone().preconditions(same)).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other.map(|_| ()).map_err(Error::kube(what)),
    }
}

/// What undoes or removes something, or the error that there was no answer in time: what comes next has its turn.
pub(crate) async fn answered(asked: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    within(asked).await.unwrap_or(Err(Error::Unanswered))
}

/// Whether this operator may still do what was meant: it may have been stopped since it looked.
fn still(intent: &PendingIntent, ctx: &Context) -> Result<(), Refusal> {
    let now = ctx.in_time(intent);
    now.then_some(()).ok_or(Refusal::NotNow)
}

fn leads(ctx: &Context) -> Result<(), Error> {
    let leads = ctx.leadership.may_act();
    leads.then_some(()).ok_or(Error::NotLeading)
}

fn policy_name(test: &SoakTest, index: u32) -> String {
    format!("{}-partition-{index}", test.name_any())
}

/// What the pod that an event cuts off is labelled with. A pod may outlive its soak with that label, and the next soak of the
/// same name is another.
fn mark_of(test: &SoakTest, index: u32) -> String {
    format!("{}-{index}", test.uid().unwrap_or_default())
}

/// Lets nothing in or out but who scrapes, from that namespace, or from any where it is not known.
fn policy(test: &SoakTest, index: u32, namespace: Option<String>) -> NetworkPolicy {
    let labels = |event: String| -> BTreeMap<String, String> {
        let own = (SOAK_TEST.to_owned(), test.name_any());
        [own, (EVENT.to_owned(), event)].into()
    };
    let labels_of = |labels| LabelSelector {
        match_labels: labels,
        match_expressions: None,
    };
    let name = |namespace| [("kubernetes.io/metadata.name".to_owned(), namespace)].into();
    let scrapes = NetworkPolicyPeer {
        namespace_selector: Some(labels_of(namespace.map(name))),
        ..NetworkPolicyPeer::default()
    };
    let mut policy = NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels_of(Some(labels(mark_of(test, index))))),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![scrapes]),
                ports: None,
            }]),
            egress: None,
        }),
        ..NetworkPolicy::default()
    };
    policy.metadata.name = Some(policy_name(test, index));
    policy.metadata.labels = Some(labels(index.to_string()));
    policy.metadata.owner_references = test.controller_owner_ref(&()).map(|owner| vec![owner]);
    policy
}

/// The namespace of the Service that a URL names; `None` where it is not one of the cluster's, and any may be where
/// Prometheus scrapes from.
fn namespace_of(url: &str) -> Option<String> {
    let authority = url.split("://").nth(1)?.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    if host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let mut names = host.split('.');
    names.next().filter(|service| !service.is_empty())?;
    let namespace = names.next().filter(|namespace| !namespace.is_empty())?;
    let in_cluster = matches!(names.next(), None | Some("svc"));
    in_cluster.then(|| namespace.to_owned())
}

/// Whether the policy is about the pod; an error where its selector cannot be understood.
fn selects(policy: &NetworkPolicy, pod: &Pod) -> Result<bool, ParseExpressionError> {
    let spec = policy.spec.as_ref();
    let selector = spec.and_then(|spec| spec.pod_selector.clone());
    let selector: Selector = selector.unwrap_or_default().try_into()?;
    Ok(selector.matches(pod.labels()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_of_a_service_is_known_by_its_url() {
        let known = [
            "http://prometheus.monitoring:9090",
            "http://prometheus.monitoring.svc:9090/prefix",
            "https://user:secret@prometheus.monitoring.svc.cluster.local",
        ];
        for url in known {
            assert_eq!(namespace_of(url).as_deref(), Some("monitoring"), "{url}");
        }
        for url in [
            "http://prometheus:9090",
            "http://10.0.0.1:9090",
            "https://prometheus.example.com",
            "nothing",
        ] {
            assert_eq!(namespace_of(url), None, "{url}");
        }
    }

    #[test]
    fn a_pod_that_an_earlier_soak_of_the_same_name_had_cut_off_is_not_cut_off_by_the_next() {
        let test = |uid: &str| -> SoakTest {
            let test = json!({
                "apiVersion": "soak-operator.io/v1alpha1",
                "kind": "SoakTest",
                "metadata": {"name": "friday", "namespace": "shop", "uid": uid},
                "spec": {
                    "duration": "10m",
                    "workload": {"existing": {"deployments": [{"name": "cart", "replicas": 3}]}},
                    "criteria": [{"name": "memory", "growth": {"signal": "Memory", "maxPercent": 5}}]
                }
            });
            serde_json::from_value(test).expect("a SoakTest")
        };
        let (earlier, later) = (test("7a9c"), test("55d1"));
        let mut pod = Pod::default();
        let cut_off = [
            (SOAK_TEST.to_owned(), "friday".to_owned()),
            (EVENT.to_owned(), mark_of(&earlier, 3)),
        ];
        pod.metadata.labels = Some(cut_off.into());
        let selects = |test: &SoakTest, index| selects(&policy(test, index, None), &pod).ok();
        assert_eq!(selects(&earlier, 3), Some(true));
        assert_eq!(selects(&earlier, 13), Some(false));
        assert_eq!(selects(&later, 3), Some(false));
    }

    #[test]
    fn a_policy_that_selects_everything_or_the_pods_labels_selects_the_pod() {
        let mut pod = Pod::default();
        pod.metadata.labels = Some([("app".to_owned(), "shop".to_owned())].into());
        let policy = |selector: serde_json::Value| -> NetworkPolicy {
            serde_json::from_value(json!({"spec": {"podSelector": selector}})).expect("a policy")
        };
        for selector in [
            json!({}),
            json!({"matchLabels": {"app": "shop"}}),
            json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["shop", "bank"]}]}),
            json!({"matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]}),
        ] {
            assert_eq!(
                selects(&policy(selector.clone()), &pod).ok(),
                Some(true),
                "{selector}"
            );
        }
        for selector in [
            json!({"matchLabels": {"app": "bank"}}),
            json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["shop"]}]}),
        ] {
            assert_eq!(
                selects(&policy(selector.clone()), &pod).ok(),
                Some(false),
                "{selector}"
            );
        }
    }
}
