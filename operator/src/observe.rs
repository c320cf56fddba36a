//! Reads everything that one decision needs, once, into one plain value.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt};
use soak_api::{CriterionResult, Phase, SoakTest};

use crate::context::{Context, Error};
use crate::decide::LAST_CALL;
use crate::facts::PodFact;
use crate::journal::{Journal, JournalError};
use crate::{judge, record, workload};

/// How long judging may take before it is begun anew.
const JUDGED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// What the operator sees of one SoakTest at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// The operator process that looks.
    pub(crate) operator: String,
    /// When the leader before this process was last known to lead.
    pub(crate) vacant_from: Option<Timestamp>,
    /// The workload as it is planned.
    pub(crate) components: Vec<workload::Component>,
    /// Its pods as they are.
    pub(crate) pods: Vec<PodFact>,
    /// The last facts of pods that are gone, by uid.
    pub(crate) departed: HashMap<String, PodFact>,
    /// Nodes that are lost or drained, as far as a pod has gone with them.
    pub(crate) lost_nodes: HashSet<String>,
    /// The journal as it is written.
    pub(crate) journal: Result<Arc<Journal>, JournalError>,
    /// Why the workload could not be created when that was last tried.
    pub(crate) undeployable: Option<String>,
    /// Whether Prometheus answers; `None` where it was not asked this time.
    pub(crate) metrics: Option<Result<(), String>>,
    /// The verdict; `None` outside of judging.
    pub(crate) judged: Option<Result<Vec<CriterionResult>, String>>,
}

/// Reads the pods from the watch, the journal from memory or the cluster, and asks Prometheus where it is time to.
pub(crate) async fn observe(
    test: &SoakTest,
    ctx: &Context,
    now: Timestamp,
) -> Result<Observed, Error> {
    let key = (test.namespace().unwrap_or_default(), test.name_any());
    let (pods, departed) = ctx.pods.of(&key).ok_or(Error::NotYetListed)?;
    let journal = record::journal(test, ctx).await?;
    let status = test.status.clone().unwrap_or_default();
    let judged = match (status.phase, &journal) {
        (Phase::Judging, Ok(journal)) => Some(judged(test, journal, ctx, now).await),
        _ => None,
    };
    let asked = matches!(
        status.phase,
        Phase::WarmingUp | Phase::Soaking | Phase::Settling
    );
    let metrics = if asked && ctx.metrics_due(test, now) {
        Some(judge::probe(test, ctx).await)
    } else {
        None
    };
    let lost_nodes = match &journal {
        Ok(journal) => lost_nodes(journal, &pods, &departed, ctx).await,
        Err(_) => HashSet::new(),
    };
    Ok(Observed {
        operator: ctx.identity.clone(),
        vacant_from: ctx.leadership.vacant_from(),
        components: workload::components(&test.spec.workload),
        lost_nodes,
        pods,
        departed,
        journal,
        undeployable: ctx.remembered(test).undeployable,
        metrics,
        judged,
    })
}

/// The verdict, if it comes before the last call: Prometheus must not hold the soak beyond its deadline.
async fn judged(
    test: &SoakTest,
    journal: &Journal,
    ctx: &Context,
    now: Timestamp,
) -> Result<Vec<CriterionResult>, String> {
    let deadline = test.status.as_ref().and_then(|status| status.deadline_at);
    let left = deadline
        .map_or(JUDGED_WITHIN, |at| at.duration_since(now) - LAST_CALL)
        .min(JUDGED_WITHIN);
    let left = left.max(SignedDuration::from_millis(1)).unsigned_abs();
    let verdict = tokio::time::timeout(left, judge::judge(test, journal, ctx));
    let url = judge::url_of(test, ctx).unwrap_or_default();
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
