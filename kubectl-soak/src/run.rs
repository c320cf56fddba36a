//! `kubectl soak run`: applies a SoakTest, and watches it until it has ended.

use std::path::PathBuf;

use anyhow::{Context, bail};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use soak_api::{Phase, SoakTest};

use crate::abort::FIELD_MANAGER;
use crate::cluster::{self, Cluster};
use crate::document::{self, File};
use crate::refused::refused;
use crate::watch::{End, goes_on, watch};

/// Apply a SoakTest, and watch it until it has ended
///
/// The exit code tells the outcome. Leaving it, with q or Ctrl-C, leaves the soak running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The SoakTest in YAML or JSON, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,

    /// Whether to watch it until it has ended
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,

    #[command(flatten)]
    cluster: cluster::Args,
}

/// How it ended; `None` where nobody waited for that.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Option<End>> {
    let file = document::read(&args.filename)?;
    let object = only_soak_test(&file)?;
    let cluster = args
        .cluster
        .open_for(object["metadata"]["namespace"].as_str())
        .await?;
    let Applied { name, done } = apply(&cluster, &object).await?;
    crate::print(&format!("soaktest {name} {done}\n"))?;
    if args.wait {
        return watch(&cluster, &name).await.map(Some);
    }
    crate::print(&format!("{}\n", goes_on(&cluster, &name)))?;
    Ok(None)
}

/// The file's SoakTest as it is written, so that the API server sees what we do not know of.
fn only_soak_test(file: &File) -> anyhow::Result<Value> {
    let name = &file.name;
    match file.documents()?.as_slice() {
        [one] if document::is_soak_test(one) => Ok(one.to_json()),
        [_] | [] => bail!("failed to read {name}: there is no SoakTest in it"),
        several => bail!(
            "failed to read {name}: it has {} objects, and run takes one SoakTest: apply the others with kubectl",
            several.len()
        ),
    }
}

/// What applying came to.
#[derive(Debug, PartialEq)]
struct Applied {
    name: String,
    done: &'static str,
}

/// Creates it, or finds it running as it is written.
async fn apply(cluster: &Cluster, object: &Value) -> anyhow::Result<Applied> {
    let metadata = &object["metadata"];
    let Some(name) = metadata["name"].as_str() else {
        if metadata["generateName"].as_str().is_none() {
            bail!(
                "the SoakTest has no name: set metadata.name, or metadata.generateName for a new one each time"
            );
        }
        let name = create(cluster, object).await?;
        return Ok(Applied {
            name,
            done: "created",
        });
    };
    let tests = cluster.soak_tests();
    let existing = tests.get_opt(name).await.map_err(cluster::explained)?;
    if let Some(problem) = existing
        .as_ref()
        .and_then(|test| over(test, &cluster.flags))
    {
        bail!(problem);
    }
    let params = PatchParams::apply(FIELD_MANAGER).validation_strict();
    let object: DynamicObject =
        serde_json::from_value(object.clone()).context("failed to read the SoakTest")?;
    let applied = tests.patch(name, &params, &Patch::Apply(&object)).await;
    applied.map_err(refused)?;
    let done = if existing.is_some() {
        "runs already"
    } else {
        "created"
    };
    Ok(Applied {
        name: name.to_owned(),
        done,
    })
}

/// Applying needs a name, so one that is to be given by the API server is created.
async fn create(cluster: &Cluster, object: &Value) -> anyhow::Result<String> {
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let path = SoakTest::url_path(&(), Some(&cluster.namespace));
    let mut request = Request::new(path).create(&params, serde_json::to_vec(object)?)?;
    // Unknown fields would be dropped silently.
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = strict.parse()?;
    let created: SoakTest = cluster.client.request(request).await.map_err(refused)?;
    Ok(created.name_any())
}

/// Why one of that name, which exists, does not run again.
fn over(test: &SoakTest, flags: &str) -> Option<String> {
    let name = test.name_any();
    if test.metadata.deletion_timestamp.is_some() {
        return Some(format!(
            "soaktest {name} is being deleted: wait until it is gone, or give yours another name"
        ));
    }
    let status = test.status.as_ref()?;
    let outcome = status
        .outcome
        .map(|outcome| format!(", {outcome:?}"))
        .unwrap_or_default();
    (status.phase == Phase::Completed || status.outcome.is_some()).then(|| {
        format!(
            "soaktest {name} exists and is over{outcome}; a SoakTest runs once\n  \
             see it:     kubectl soak describe {name}{flags}\n  \
             run again:  kubectl delete soaktest {name}{flags}, or metadata.generateName instead of a name"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::{Answer, fake};
    use crate::example::{failed, leaking, soaking};

    fn object(test: &SoakTest) -> Value {
        serde_json::to_value(test).expect("JSON")
    }

    #[tokio::test]
    async fn what_does_not_exist_is_applied_as_it_is_written() {
        let mut written = object(&leaking());
        written["spec"]["newField"] = "of a newer API".into();
        let (cluster, requests) = fake(vec![Answer::not_found(), Answer::object(&leaking())]);
        let applied = apply(&cluster, &written).await.expect("applied");
        assert_eq!(
            (applied.name.as_str(), applied.done),
            ("leaking", "created")
        );
        let requests = requests.lock().expect("no panic");
        let (call, body) = &requests[1];
        assert_eq!(
            call,
            "PATCH /apis/soak-operator.io/v1alpha1/namespaces/soak/soaktests/leaking?&fieldManager=kubectl-soak&fieldValidation=Strict"
        );
        assert_eq!(body["spec"]["newField"], "of a newer API");
    }

    #[tokio::test]
    async fn what_is_over_is_not_run_again_and_says_how_to() {
        let (cluster, requests) = fake(vec![Answer::object(&failed())]);
        let problem = apply(&cluster, &object(&leaking()))
            .await
            .expect_err("over")
            .to_string();
        assert!(problem.contains("is over, Failed"), "{problem}");
        assert!(
            problem.contains("kubectl delete soaktest leaking -n soak"),
            "{problem}"
        );
        assert_eq!(
            requests.lock().expect("no panic").len(),
            1,
            "nothing was changed"
        );
    }

    #[tokio::test]
    async fn what_runs_already_is_found_running() {
        let (cluster, _) = fake(vec![Answer::object(&soaking()), Answer::object(&soaking())]);
        let applied = apply(&cluster, &object(&leaking())).await.expect("found");
        assert_eq!(applied.done, "runs already");
    }

    #[tokio::test]
    async fn a_name_that_the_server_is_to_give_is_created_and_never_silently_cut() {
        let mut written = object(&leaking());
        written["metadata"] = serde_json::json!({"generateName": "nightly-"});
        let mut created = leaking();
        created.metadata.name = Some("nightly-x7k2p".to_owned());
        let (cluster, requests) = fake(vec![Answer::object(&created)]);
        let applied = apply(&cluster, &written).await.expect("created");
        assert_eq!(applied.name, "nightly-x7k2p");
        let (call, _) = &requests.lock().expect("no panic")[0];
        assert!(
            call.starts_with("POST /apis/soak-operator.io/v1alpha1/namespaces/soak/soaktests?"),
            "{call}"
        );
        assert!(call.contains("fieldValidation=Strict"), "{call}");
    }

    #[tokio::test]
    async fn what_has_no_name_is_refused() {
        let (cluster, _) = fake(Vec::new());
        let nameless = serde_json::json!({"kind": "SoakTest", "metadata": {}});
        assert!(apply(&cluster, &nameless).await.is_err());
    }

    #[test]
    fn a_file_holds_one_soak_test_and_nothing_else() {
        let read = |text: &str| {
            let file = File {
                name: "a.yaml".to_owned(),
                text: text.to_owned(),
            };
            only_soak_test(&file).map_err(|error| error.to_string())
        };
        assert!(read("kind: SoakTest\n").is_ok());
        for (text, problem) in [
            ("kind: Namespace\n", "no SoakTest"),
            ("", "no SoakTest"),
            ("kind: SoakTest\n---\nkind: Namespace\n", "it has 2 objects"),
            ("a: [\n", "line "),
        ] {
            let told = read(text).expect_err(text);
            assert!(
                told.starts_with("failed to read a.yaml: ") && told.contains(problem),
                "{told}"
            );
        }
    }
}
