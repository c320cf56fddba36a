//! What is no reason to look again is none. The operator counts its passes over all soaks: this runs when all other tests are
//! over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use soak_api::{SOAK_TEST, SoakOutcome, SoakTest};
use soak_e2e::{Namespace, Operator, Probe, came_to, client, say, small, wait_until};

const WRITES: u32 = 20;

#[tokio::test]
async fn a_write_of_a_status_brings_no_pass_and_a_change_of_its_spec_brings_one() {
    let client = client().await;
    let operator = Operator::find(&client).await;
    let namespace = Namespace::new(&client, "quiet").await;
    // Over at once, and its pods gone: their coming and going brings passes of its own.
    let mut test = small("over");
    test.spec.abort = true;
    let soak = namespace.soak(&test).await;
    came_to(&soak.ends().await, SoakOutcome::Aborted);
    nothing_else_is_there(&client).await;

    let passes = async || -> f64 {
        let counts = operator.counts("soak_operator_reconcile_seconds_count");
        counts.await.values().sum()
    };
    let tests: Api<SoakTest> = soak.api();
    let before = passes().await;
    for write in 0..WRITES {
        let patch = Patch::Merge(json!({"status": {"message": format!("written {write}")}}));
        let params = PatchParams::default();
        tests.patch_status("over", &params, &patch).await.unwrap();
    }
    // The watch tells of everything in its order: once this has brought its pass, no other is on its way.
    soak.patch_spec(json!({"suspend": true})).await;
    let what = "a pass for the change of the spec";
    let more = wait_until(what, Duration::from_secs(30), async || {
        let more = passes().await - before;
        if more > 0.0 {
            Probe::Done(more)
        } else {
            Probe::Waiting("no pass".to_owned())
        }
    })
    .await;
    say(&format!(
        "{WRITES} writes of a status and one change of its spec: {more} passes"
    ));
    assert!((more - 1.0).abs() < 0.5, "{more} passes");
}

/// Nothing is left of the tests before, of which passes may still be on their way.
async fn nothing_else_is_there(client: &kube::Client) {
    let (tests, pods) = (
        Api::<SoakTest>::all(client.clone()),
        Api::<Pod>::all(client.clone()),
    );
    let what = "no soak but this one";
    wait_until(what, Duration::from_secs(120), async || {
        let tests = tests.list(&ListParams::default()).await.unwrap();
        let pods = pods.list(&ListParams::default().labels(SOAK_TEST)).await;
        let names: Vec<_> = tests.iter().map(ResourceExt::name_any).collect();
        match (names.len(), pods.unwrap().items.len()) {
            (1, 0) => Probe::Done(()),
            (_, pods) => Probe::Waiting(format!("{names:?} and {pods} pods")),
        }
    })
    .await;
}
