//! Where the evidence comes from: a file, or the ConfigMap that the operator left.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use soak_api::{EVIDENCE_KEY, Evidence, Phase, SoakTestStatus};

use crate::cluster::{Cluster, explained};
use crate::input::read;

/// The evidence in a file; `-` is standard input.
pub(crate) fn file(path: &Path) -> anyhow::Result<Evidence> {
    let (name, bytes) = read(path)?;
    Evidence::decode(&bytes).map_err(|problem| {
        anyhow!(
            "failed to read evidence in {name}: {problem}; it takes what is under {EVIDENCE_KEY} in a soak's ConfigMap, \
             decoded from base64"
        )
    })
}

/// The evidence that the SoakTest names.
pub(crate) async fn cluster(name: &str, cluster: &Cluster) -> anyhow::Result<Evidence> {
    let test = cluster.soak_test(name).await?;
    let map = kept(name, test.status.as_ref())?;
    let namespace = &cluster.namespace;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    let found = maps.get_opt(map).await.map_err(explained)?;
    let Some(found) = found else {
        bail!(
            "the evidence of {name} is gone: there is no ConfigMap {map} in namespace {namespace}"
        );
    };
    let bytes = found
        .binary_data
        .and_then(|mut data| data.remove(EVIDENCE_KEY));
    let bytes =
        bytes.with_context(|| format!("ConfigMap {map} has nothing under {EVIDENCE_KEY}"))?;
    Evidence::decode(&bytes.0)
        .with_context(|| format!("failed to read the evidence in ConfigMap {map}"))
}

/// The ConfigMap that keeps the evidence, or why there is none.
fn kept<'s>(name: &str, status: Option<&'s SoakTestStatus>) -> anyhow::Result<&'s str> {
    let Some(status) = status else {
        bail!("{name} has not begun: no operator has seen it yet");
    };
    if let Some(map) = &status.evidence {
        return Ok(map);
    }
    let phase = status.phase;
    match (status.outcome, phase) {
        (None, _) => {
            let progress = if status.progress.is_empty() {
                String::new()
            } else {
                format!(" at {}", status.progress)
            };
            bail!("{name} has not ended: it is {phase:?}{progress}; a report is made at the end")
        }
        (Some(_), Phase::CleaningUp) => {
            bail!("{name} has only just ended, and its evidence is being written: try again")
        }
        (Some(outcome), _) => bail!(
            "{name} has no evidence: it ended as {outcome:?} before the judged window began, or its operator could not \
             keep it: {}",
            status.message
        ),
    }
}

#[cfg(test)]
mod tests {
    use soak_api::SoakOutcome;

    use super::*;

    fn refused(status: Option<&SoakTestStatus>) -> String {
        kept("demo", status).expect_err("no evidence").to_string()
    }

    #[test]
    fn a_soak_without_evidence_says_why() {
        assert_eq!(
            refused(None),
            "demo has not begun: no operator has seen it yet"
        );
        let mut status = SoakTestStatus {
            phase: Phase::Soaking,
            progress: "42%".to_owned(),
            ..SoakTestStatus::default()
        };
        assert_eq!(
            refused(Some(&status)),
            "demo has not ended: it is Soaking at 42%; a report is made at the end"
        );
        status.phase = Phase::Completed;
        status.outcome = Some(SoakOutcome::Error);
        status.message = "workers were never ready".to_owned();
        assert_eq!(
            refused(Some(&status)),
            "demo has no evidence: it ended as Error before the judged window began, or its operator could not keep it: \
             workers were never ready"
        );
        status.evidence = Some("demo-evidence".to_owned());
        assert_eq!(
            kept("demo", Some(&status)).expect("a name"),
            "demo-evidence"
        );
    }
}
