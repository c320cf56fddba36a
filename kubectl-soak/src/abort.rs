//! `kubectl soak abort`: ends a soak before its time.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use soak_api::{Phase, SoakTest};

use crate::cluster::{self, Cluster, explained};

/// Who changes what, for the API server's bookkeeping.
pub(crate) const FIELD_MANAGER: &str = "kubectl-soak";

/// End a soak now, with the outcome Aborted
///
/// Chaos is undone, and the workload is removed or kept as spec.cleanup says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The SoakTest's name
    #[arg(value_parser = cluster::soak_name)]
    name: String,

    #[command(flatten)]
    cluster: cluster::Args,
}

/// Says what has been done.
pub(crate) async fn run(args: &Args) -> anyhow::Result<String> {
    abort(&args.cluster.open().await?, &args.name).await
}

async fn abort(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let test = cluster.soak_test(name).await?;
    if let Some(ended) = ended(&test) {
        return Ok(ended);
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let abort = Patch::Merge(json!({"spec": {"abort": true}}));
    let tests = cluster.soak_tests();
    let patched = tests.patch(name, &params, &abort).await;
    patched.map_err(explained)?;
    Ok(format!(
        "soaktest {name} is being aborted\n  see it end:  kubectl soak describe {name}{}\n",
        cluster.flags
    ))
}

/// What there is to say where nothing is left to abort.
fn ended(test: &SoakTest) -> Option<String> {
    let status = test.status.as_ref()?;
    let name = test.name_any();
    match status.outcome {
        Some(outcome) => Some(format!("soaktest {name} has ended already: {outcome:?}\n")),
        None if status.phase == Phase::Completed => {
            Some(format!("soaktest {name} has ended already\n"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{Answer, fake};
    use crate::example::{failed, leaking, soaking};

    #[tokio::test]
    async fn a_soak_that_runs_is_told_to_end() {
        let (cluster, requests) =
            fake(vec![Answer::object(&soaking()), Answer::object(&soaking())]);
        let said = abort(&cluster, "leaking").await.expect("aborted");
        assert!(
            said.starts_with("soaktest leaking is being aborted\n"),
            "{said}"
        );
        assert!(said.contains("describe leaking -n soak\n"), "{said}");
        let requests = requests.lock().expect("no panic");
        assert!(requests[1].0.starts_with("PATCH "), "{requests:?}");
        assert_eq!(requests[1].1, json!({"spec": {"abort": true}}));
    }

    #[test]
    fn what_has_ended_is_not_aborted_any_more() {
        let said = ended(&failed()).expect("it has ended");
        assert_eq!(said, "soaktest leaking has ended already: Failed\n");
        assert_eq!(ended(&soaking()), None);
        assert_eq!(ended(&leaking()), None);
    }
}
