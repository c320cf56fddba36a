//! Reports of soaks in a cluster: an API server that answers what it is told to, and nothing else.

mod evidence;
mod server;

use std::process::Command;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use soak_api::{EVIDENCE_KEY, SoakTest, SoakTestStatus};

/// What is in the cluster, by its path.
type Cluster = Vec<(&'static str, Value)>;

const TEST: &str = "/apis/soak-operator.io/v1alpha1/namespaces/soak/soaktests/leaking";
const MAP: &str = "/api/v1/namespaces/soak/configmaps/leaking-evidence";

/// An API server that has this and nothing else.
fn serve(cluster: Cluster) -> String {
    server::serve(move |target| {
        let path = target.split('?').next().unwrap_or_default();
        let found = cluster.iter().find(|(of, _)| *of == path);
        let missing = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "not found",
            "reason": "NotFound", "code": 404,
        });
        let (status, body) = found.map_or((404, &missing), |(_, object)| (200, object));
        (status, body.to_string())
    })
}

/// `kubectl soak report`: its exit code, and what it wrote to standard output and standard error.
fn report(name: &str, cluster: Cluster, args: &[&str]) -> (i32, String, String) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": serve(cluster)}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "soak"}}],
        "users": [{"name": "it", "user": {}}],
    });
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-soak"))
        .args(["report", "leaking", "-o", "markdown"])
        .args(args)
        .env("KUBECONFIG", path)
        // A proxy of the machine's would not find a server of the test's.
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("no signal"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The SoakTest that leaked, with its status changed.
fn test(change: impl Fn(&mut SoakTestStatus)) -> Value {
    let mut test: SoakTest = evidence::twin(true).soak_test;
    let status = test.status.as_mut().expect("a status");
    status.evidence = Some("leaking-evidence".to_owned());
    change(status);
    serde_json::to_value(test).expect("JSON")
}

fn map() -> Value {
    let bytes = evidence::twin(true).encode(1 << 20).expect("bytes");
    let map = ConfigMap {
        binary_data: Some([(EVIDENCE_KEY.to_owned(), ByteString(bytes))].into()),
        ..ConfigMap::default()
    };
    serde_json::to_value(map).expect("JSON")
}

#[test]
fn a_soak_in_the_namespace_of_the_context_is_reported_as_its_evidence_says() {
    let cluster = vec![(TEST, test(|_| ())), (MAP, map())];
    let (code, stdout, stderr) = report("context", cluster, &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("### Soak leaking: Failed\n\ntask-growth: worker tasks grew by 73 %"),
        "{stdout}"
    );
}

#[test]
fn a_soak_that_does_not_exist_is_told_with_the_namespace_that_was_looked_at() {
    let cluster = vec![(TEST, test(|_| ())), (MAP, map())];
    let (code, stdout, stderr) = report("elsewhere", cluster, &["-n", "elsewhere"]);
    assert_eq!((code, stdout.as_str()), (4, ""));
    assert_eq!(
        stderr,
        "error: there is no SoakTest leaking in namespace elsewhere: kubectl soak list -A shows all\n"
    );
}

#[test]
fn a_soak_that_goes_on_has_no_report_yet() {
    let goes_on = test(|status| {
        (status.evidence, status.outcome) = (None, None);
        status.phase = soak_api::Phase::Soaking;
        status.progress = "42%".to_owned();
    });
    let (code, _, stderr) = report("goes-on", vec![(TEST, goes_on)], &[]);
    assert_eq!(code, 4);
    assert_eq!(
        stderr,
        "error: leaking has not ended: it is Soaking at 42%; a report is made at the end\n"
    );
}

#[test]
fn evidence_that_is_gone_or_empty_is_told_by_its_name() {
    let (code, _, stderr) = report("gone", vec![(TEST, test(|_| ()))], &[]);
    assert_eq!(code, 4);
    assert_eq!(
        stderr,
        "error: the evidence of leaking is gone: there is no ConfigMap leaking-evidence in namespace soak\n"
    );
    let empty = serde_json::to_value(ConfigMap::default()).expect("JSON");
    let (code, _, stderr) = report("empty", vec![(TEST, test(|_| ())), (MAP, empty)], &[]);
    assert_eq!(code, 4);
    assert_eq!(
        stderr,
        "error: ConfigMap leaking-evidence has nothing under evidence.json.gz\n"
    );
}
