//! Who leads a component: by a Lease, a label, or a query of Prometheus.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use soak_api::{COMPONENT, Leader, SOAK_TEST, SoakTest};

use crate::context::Context;

/// The name of the pod that leads, or why it is not known.
pub(crate) async fn find(
    leader: &Leader,
    component: &str,
    test: &SoakTest,
    ctx: &Context,
    now: Timestamp,
) -> Result<String, String> {
    if let Some(name) = &leader.lease {
        by_lease(name, test, ctx).await
    } else if let Some(label) = &leader.label {
        by_label(label, component, test, ctx).await
    } else if let Some(query) = &leader.query {
        by_query(query, component, test, ctx, now).await
    } else {
        Err("no way to know the leader is set".to_owned())
    }
}

/// Holders are named after their pod, client-go's with an underscore and something unique behind.
async fn by_lease(name: &str, test: &SoakTest, ctx: &Context) -> Result<String, String> {
    let leases: Api<Lease> = ctx.api(test);
    let lease = leases.get_opt(name).await.map_err(|e| e.to_string())?;
    let spec = lease.and_then(|lease| lease.spec).unwrap_or_default();
    let lasts = i64::from(spec.lease_duration_seconds.unwrap_or(0));
    let renewed = spec.renew_time.map(|at| at.0);
    let over = |at: Timestamp| lasts > 0 && at + SignedDuration::from_secs(lasts) < ctx.now();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let holder = holder
        .filter(|_| !renewed.is_some_and(over))
        .ok_or_else(|| format!("nobody holds the Lease {name}"))?;
    let pod = holder.split('_').next().unwrap_or_default();
    Ok(pod.to_owned())
}

async fn by_label(
    label: &str,
    component: &str,
    test: &SoakTest,
    ctx: &Context,
) -> Result<String, String> {
    let pods: Api<Pod> = ctx.api(test);
    let of_component = format!(
        "{SOAK_TEST}={},{COMPONENT}={component},{label}",
        test.name_any()
    );
    let params = ListParams::default().labels(&of_component);
    let found = pods.list(&params).await.map_err(|e| e.to_string())?.items;
    let living = found
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    only(living.map(ResourceExt::name_any), label)
}

/// Of what the query yields, only the component's own pods count: others may have a leader, too.
async fn by_query(
    query: &str,
    component: &str,
    test: &SoakTest,
    ctx: &Context,
    now: Timestamp,
) -> Result<String, String> {
    let prometheus = ctx.prometheus(test)?;
    let key = (test.namespace().unwrap_or_default(), test.name_any());
    let (pods, _) = ctx.pods.of(&key).unwrap_or_default();
    let ours = |name: &str| {
        let mut of_component = pods.iter().filter(|pod| pod.component == component);
        of_component.any(|pod| pod.name == name)
    };
    let answer = prometheus.instant(query, now).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let leads = answer.series.iter().filter(|series| {
        let last = series.samples.last();
        last.is_some_and(|sample| sample.v > 0.0)
    });
    let names = leads.filter_map(|series| series.labels.get("pod").cloned());
    only(names.filter(|name| ours(name)), query)
}

/// The only one, or why there is none.
fn only(found: impl Iterator<Item = String>, by: &str) -> Result<String, String> {
    let mut found = found.collect::<BTreeSet<_>>().into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("no pod leads by {by}")),
        (Some(one), Some(other)) => Err(format!("{one} and {other} both lead by {by}")),
    }
}
