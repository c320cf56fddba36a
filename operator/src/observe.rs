//! Reads everything that one decision needs, once, into one plain value.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{Api, ResourceExt};
use soak_api::{PendingIntent, Phase, Plan, PlanError, SoakTest, SoakTestStatus};
use tokio::time::Instant;

use crate::chaos::{self, Deed};
use crate::context::{Context, Error, belongs_to};
use crate::decide::{LAST_CALL, due, is_left, is_over, keeps, waits_until};
use crate::facts::{Owner, PodFact};
use crate::journal::Journal;
use crate::observed::{Looking, Observed, Verdict};
use crate::{effects, judge, leader, record, workload};

/// How long it may take to ask who leads.
const ASKED_WITHIN: Duration = Duration::from_secs(3);

/// How long the last look before the deadline may take at what is left: the status is still to be written.
const LOOKED_WITHIN: Duration = Duration::from_millis(700);

/// How long judging may take before it is begun anew.
const JUDGED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// Reads the pods from the watch, the journal from memory or the cluster, and asks Prometheus where it is time to.
pub(crate) async fn observe(
    test: &SoakTest,
    ctx: &Arc<Context>,
    now: Timestamp,
) -> Result<Observed, Error> {
    let key = (test.namespace().unwrap_or_default(), test.name_any());
    let (mut pods, mut departed) = ctx.pods.of(&key).ok_or(Error::NotYetListed)?;
    let components = workload::components(test);
    // A label is quickly copied: what is of no component of the soak is none of its pods.
    pods.retain(|pod| workload::is_of(&components, pod));
    departed.retain(|_, pod| workload::is_of(&components, pod));
    // Once all is over nothing is decided by it any more.
    let journal = if is_over(test) {
        Ok(Arc::default())
    } else {
        record::journal(test, ctx).await?
    };
    let status = test.status.clone().unwrap_or_default();
    let plan = ctx.plan(test);
    let pending = status.chaos.pending.as_ref();
    let held = pending.is_some_and(|intent| ctx.remembered(test).holds(intent));
    let mut unseen = None;
    if let Some(intent) = pending.filter(|_| !held)
        && !is_of_component(intent, test, &plan)
    {
        unseen = look_again(&mut pods, intent, test, ctx).await.err();
    }
    let judged = match (status.phase, &journal) {
        (Phase::Judging, Ok(journal)) => Some(judged(test, journal, ctx, now).await),
        _ => None,
    };
    let looking = match (status.phase, &journal) {
        // A pass that does nothing but its event has no use for it.
        (Phase::Soaking, Ok(journal)) if !held => judge::look(test, &status, journal, ctx, now),
        _ => Looking::Never,
    };
    let watched = matches!(
        status.phase,
        Phase::WarmingUp | Phase::Soaking | Phase::Settling
    );
    let metrics = (watched && !held)
        .then(|| judge::probed(test, ctx, now))
        .flatten();
    let lost_nodes = match &journal {
        Ok(journal) if status.phase < Phase::CleaningUp => {
            lost_nodes(journal, &pods, &departed, ctx).await
        }
        _ => HashSet::new(),
    };
    let leader = match &plan {
        Ok(plan) => leader(test, &status, plan, ctx, now).await,
        Err(_) => None,
    };
    let open = plan.as_deref().ok().filter(|_| !held);
    let patience = Patience::of(test, ctx.now());
    let (owners, cut_off) = traces(test, &status, open, &patience, ctx, now).await;
    let remaining = remaining(test, &status, &patience, ctx).await;
    Ok(Observed {
        operator: ctx.identity.clone(),
        led_before: ctx.leadership.led_before(),
        components,
        lost_nodes,
        pods,
        departed,
        remaining,
        journal,
        plan,
        leader,
        held,
        unseen: unseen.map(|error| error.to_string()),
        owners,
        cut_off,
        deployed: ctx.remembered(test).deployed,
        metrics,
        looking,
        look: ctx.remembered(test).look,
        judged,
    })
}

/// Whether the intent is about all of a component: then there is no pod to look at.
fn is_of_component(
    intent: &PendingIntent,
    test: &SoakTest,
    plan: &Result<Arc<Plan>, PlanError>,
) -> bool {
    let plan = plan.as_ref().ok();
    let deed = plan.and_then(|plan| chaos::deed_of(test, plan, intent.index));
    deed.is_some_and(|deed| deed.is_of_component())
}

/// Reads the pod of an intent that an earlier pass left behind from the API server itself: whether it was deleted is
/// decided by this, and the watch may not have seen it yet.
async fn look_again(
    pods: &mut Vec<PodFact>,
    intent: &PendingIntent,
    test: &SoakTest,
    ctx: &Context,
) -> Result<(), Error> {
    let api: Api<Pod> = ctx.api(test);
    let found = api
        .get_opt(&intent.pod)
        .await
        .map_err(Error::kube("look at the pod of a pending event"))?;
    pods.retain(|pod| pod.uid != intent.uid);
    let now = found.and_then(|pod| workload::pod_of(test, &pod));
    pods.extend(now.filter(|pod| pod.uid == intent.uid));
    Ok(())
}

/// How long answers are waited for that tell what is left of a soak. What does not answer before its deadline is not known.
struct Patience(Option<Instant>);

impl Patience {
    fn of(test: &SoakTest, now: Timestamp) -> Self {
        let status = test.status.as_ref();
        let cleans_up = status.is_some_and(|status| status.phase == Phase::CleaningUp);
        let last = waits_until(test).filter(|_| cleans_up);
        Self(last.map(|last| {
            let left = Duration::try_from(last.duration_since(now)).unwrap_or_default();
            Instant::now() + left.max(LOOKED_WITHIN)
        }))
    }

    async fn answer<T>(&self, asked: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
        let answer = match self.0 {
            Some(until) => tokio::time::timeout_at(until, asked).await,
            None => Ok(asked.await),
        };
        let in_time = answer.map_err(|_| "no answer in time".to_owned())?;
        in_time.map_err(|error| error.to_string())
    }
}

/// Reads what shows whether an event of those that change more than a pod is in force, while that matters: before it is
/// begun, while nobody knows whether it has been, and once all is to be as it was.
async fn traces(
    test: &SoakTest,
    status: &SoakTestStatus,
    plan: Option<&Plan>,
    patience: &Patience,
    ctx: &Context,
    now: Timestamp,
) -> (
    BTreeMap<String, Result<Option<Owner>, String>>,
    Option<Result<BTreeSet<u32>, String>>,
) {
    let pending = status.chaos.pending.as_ref();
    let open = plan.and_then(|plan| {
        let due = || due(status, plan, now).map(|event| event.index);
        let index = pending.map(|intent| intent.index).or_else(due)?;
        let event = plan.events().get(usize::try_from(index).ok()?)?;
        Some((plan.kind(event)?, chaos::deed(test, plan, event)?))
    });
    // Whatever may have been done late is found here, too.
    let settles = matches!(status.phase, Phase::Settling | Phase::CleaningUp);
    let mut components: BTreeSet<String> = BTreeSet::new();
    let mut cut_off = (settles || is_over(test)) && chaos::cuts_off(test);
    if settles || is_left(test) {
        components.extend(chaos::scaled(test).map(str::to_owned));
    }
    if let Some((kind, deed)) = open {
        if deed.is_of_component() {
            components.insert(kind.component().to_owned());
        }
        cut_off |= matches!(deed, Deed::CutOff { .. }) && pending.is_some();
    }
    let mut owners = BTreeMap::new();
    for component in components {
        let owner = patience.answer(effects::owner(test, &component, ctx)).await;
        owners.insert(component, owner);
    }
    let cut_off = if cut_off {
        Some(patience.answer(effects::cut_off(test, ctx)).await)
    } else {
        None
    };
    (owners, cut_off)
}

/// Asks who leads if the event that is due is about the leader.
async fn leader(
    test: &SoakTest,
    status: &SoakTestStatus,
    plan: &Plan,
    ctx: &Context,
    now: Timestamp,
) -> Option<Result<String, String>> {
    let due = due(status, plan, now)?;
    let kind = plan.kind(due)?;
    let leader = chaos::event(kind).leader()?;
    let asked = leader::find(leader, kind.component(), test, ctx, now);
    let answer = tokio::time::timeout(ASKED_WITHIN, asked).await;
    Some(answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
}

/// The objects of a workload that is removed and that are not gone. They are deleted in the foreground, so that while a
/// Deployment's pods live it is there itself. One that cannot be read is not known to be gone.
async fn remaining(
    test: &SoakTest,
    status: &SoakTestStatus,
    patience: &Patience,
    ctx: &Context,
) -> Vec<String> {
    let matters = status.phase == Phase::CleaningUp || is_left(test);
    if !matters || keeps(test) {
        return Vec::new();
    }
    let deployments: Api<Deployment> = ctx.api(test);
    let services: Api<Service> = ctx.api(test);
    let mut remaining = Vec::new();
    for deployment in workload::deployments(test, &ctx.images) {
        let name = deployment.name_any();
        let found = patience.answer(deployments.get_opt(&name)).await;
        remaining.extend(remains("deployment", &name, &found, test));
    }
    for service in workload::services(test) {
        let name = service.name_any();
        let found = patience.answer(services.get_opt(&name)).await;
        remaining.extend(remains("service", &name, &found, test));
    }
    remaining
}

fn remains(
    kind: &str,
    name: &str,
    found: &Result<Option<impl ResourceExt>, String>,
    test: &SoakTest,
) -> Option<String> {
    match found {
        Ok(Some(object)) => belongs_to(object, test).then(|| format!("{kind} {name}")),
        Ok(None) => None,
        Err(error) => Some(format!("{kind} {name}, perhaps ({error})")),
    }
}

/// The verdict, if it comes before the last call: Prometheus must not hold the soak beyond its deadline.
async fn judged(
    test: &SoakTest,
    journal: &Journal,
    ctx: &Context,
    now: Timestamp,
) -> Result<Verdict, String> {
    let deadline = test.status.as_ref().and_then(|status| status.deadline_at);
    let left = deadline
        .map_or(JUDGED_WITHIN, |at| at.duration_since(now) - LAST_CALL)
        .min(JUDGED_WITHIN);
    let left = left.max(SignedDuration::from_millis(1)).unsigned_abs();
    let verdict = tokio::time::timeout(left, judge::judge(test, journal, ctx));
    let url = ctx.prometheus_url(test).unwrap_or_default();
    let silence = || {
        format!(
            "Prometheus at {url} did not answer every query within {}s",
            left.as_secs()
        )
    };
    verdict.await.unwrap_or_else(|_| Err(silence()))
}

/// Of the nodes that Kubernetes took pods away from, those that are gone, not ready or closed for scheduling. Only pods
/// whose end is not yet in the journal are asked about: of the others it has been decided.
async fn lost_nodes(
    journal: &Journal,
    pods: &[PodFact],
    departed: &HashMap<String, PodFact>,
    ctx: &Context,
) -> HashSet<String> {
    let disrupted = |pod: &&PodFact| pod.disruption.is_some() && !pod.node.is_empty();
    let mut open: Vec<_> = departed.values().chain(pods).filter(disrupted).collect();
    if open.is_empty() {
        return HashSet::new();
    }
    let living: HashSet<_> = journal.living().map(|i| i.id.uid.as_str()).collect();
    open.retain(|pod| living.contains(pod.uid.as_str()));
    let names: HashSet<_> = open.into_iter().map(|pod| pod.node.clone()).collect();
    let nodes: Api<Node> = Api::all(ctx.client.clone());
    let mut lost = HashSet::new();
    for name in names {
        match nodes.get_opt(&name).await {
            Ok(Some(node)) if serves(&node) => {}
            Ok(_) => {
                lost.insert(name);
            }
            // Not allowed to look, or no answer: the pod's own reason has to do.
            Err(error) => tracing::debug!(%error, node = name, "failed to look at a node"),
        }
    }
    lost
}

fn serves(node: &Node) -> bool {
    let open = !node
        .spec
        .as_ref()
        .and_then(|s| s.unschedulable)
        .unwrap_or(false);
    let conditions = node
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    open && conditions
        .into_iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}
