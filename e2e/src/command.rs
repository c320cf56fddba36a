//! The programs that users type, run as they would run them.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The root of the repository that the tests are run in. Clones share what is compiled, so that it is not known before.
pub fn repository() -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let root = here.ancestors().find(|path| path.join("crds").is_dir());
    root.expect("tests are run inside the repository")
        .to_owned()
}

/// What `kubectl` with these arguments writes to stdout; what it writes to stderr if it fails.
pub async fn kubectl(arguments: &[&str]) -> Result<String, String> {
    run("kubectl", arguments, "").await
}

/// The same with something to read on stdin, for `-f -`.
pub async fn kubectl_with_input(arguments: &[&str], input: &str) -> Result<String, String> {
    run("kubectl", arguments, input).await
}

/// What the pod shows at its `/metrics`, through the API server.
pub async fn pod_metrics(namespace: &str, pod: &str) -> Result<String, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/metrics");
    kubectl(&["get", "--raw", &path]).await
}

/// What `helm` with these arguments writes to stdout; what it writes to stderr if it fails.
pub async fn helm(arguments: &[&str]) -> Result<String, String> {
    run("helm", arguments, "").await
}

/// What `docker` with these arguments writes to stdout; what it writes to stderr if it fails.
pub async fn docker(arguments: &[&str]) -> Result<String, String> {
    run("docker", arguments, "").await
}

/// `kubectl` for where nothing can be awaited: while a test is torn down.
pub(crate) fn kubectl_now(arguments: &[&str]) -> String {
    match std::process::Command::new("kubectl")
        .args(arguments)
        .output()
    {
        Ok(output) => text(&output.stdout) + &text(&output.stderr),
        Err(error) => format!("failed to run kubectl: {error}"),
    }
}

async fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("failed to run {program}: {error}: hack/e2e.sh puts it on the path")
        });
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A program that does not read its input may be gone by now.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().await.unwrap();
    if status.success() {
        Ok(text(&stdout))
    } else {
        Err(text(&stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
