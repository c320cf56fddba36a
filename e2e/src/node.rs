//! Processes on the cluster's nodes, which are containers.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// A shell on every node, open from the start: a process is to die within milliseconds, not once a `docker exec` is up.
#[derive(Clone)]
pub struct Nodes {
    shells: Arc<BTreeMap<String, Mutex<Shell>>>,
}

struct Shell {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Kills what runs in the pod's cgroups, whatever runtime and cgroup version the node has. Paths hold the pod's uid with
/// dashes or, from systemd, with underscores. The sandbox lives on, or the kubelet would make another.
const KILL: &str = r#"for p in $(grep -lsE "pod($uid|$(echo "$uid" | tr - _))" /proc/[0-9]*/cgroup); do
  p=${p#/proc/}; p=${p%/cgroup}
  read -r name < "/proc/$p/comm" 2>/dev/null && [ "$name" != pause ] && kill -9 "$p" 2>/dev/null && echo "$name"
done; echo .
"#;

impl Nodes {
    /// Opens a shell on each node.
    pub async fn open(client: &Client) -> Self {
        let nodes: Api<Node> = Api::all(client.clone());
        let names = nodes.list(&ListParams::default()).await.unwrap();
        let mut shells = BTreeMap::new();
        for node in names.iter().map(ResourceExt::name_any) {
            let mut process = Command::new("docker")
                .args(["exec", "-i", &node, "sh"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap_or_else(|error| {
                    panic!("failed to run docker: {error}: hack/e2e.sh puts it on the path")
                });
            let input = process.stdin.take().expect("stdin is piped");
            let output = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
            shells.insert(
                node,
                Mutex::new(Shell {
                    _process: process,
                    input,
                    output,
                }),
            );
        }
        Self {
            shells: Arc::new(shells),
        }
    }

    /// Sends SIGKILL to every process of the pod and returns their names; empty where none was running.
    pub async fn kill(&self, node: &str, pod_uid: &str) -> Vec<String> {
        self.run(node, &format!("uid={pod_uid}\n{KILL}")).await
    }

    /// Drops what the pod with that address sends and is sent, but by the others given, as one who enforces network policies
    /// and spares no open connection: not every cluster that the tests run on has such a one. The kubelet's probes go through,
    /// as they do everywhere; an API server on the same node does not answer. Whatever becomes of the test, the pod is connected
    /// again after two minutes.
    pub async fn cut_off(&self, node: &str, address: &str, but: &[String]) {
        let chain = chain(address);
        let mut rules = vec![format!("-N {chain}")];
        for other in but {
            rules.push(format!("-A {chain} -s {address} -d {other} -j ACCEPT"));
            rules.push(format!("-A {chain} -s {other} -d {address} -j ACCEPT"));
        }
        rules.push(format!("-A {chain} -s {address} -j DROP"));
        rules.push(format!("-A {chain} -d {address} -j DROP"));
        rules.extend(hooks(&chain).map(|hook| format!("-I {hook}")));
        let made = rules
            .iter()
            .map(|rule| format!("iptables -w 5 {rule} && echo made\n"));
        let last = format!(
            "(sleep 120; {}) > /dev/null 2>&1 &\necho .\n",
            connect(address)
        );
        let script = made.chain([last]).collect::<String>();
        let told = self.run(node, &script).await;
        assert_eq!(told.len(), rules.len(), "rules on node {node}");
    }

    /// Takes back what [`Nodes::cut_off`] did.
    pub async fn reconnect(&self, node: &str, address: &str) {
        let script = format!("{} && echo gone\necho .\n", connect(address));
        assert_eq!(self.run(node, &script).await, ["gone"], "node {node}");
    }

    /// What the script says on the node, line by line, until it says a dot.
    async fn run(&self, node: &str, script: &str) -> Vec<String> {
        let shell = self
            .shells
            .get(node)
            .unwrap_or_else(|| panic!("there is no node {node:?}"));
        let mut shell = shell.lock().await;
        shell.input.write_all(script.as_bytes()).await.unwrap();
        let mut lines = Vec::new();
        loop {
            match shell.output.next_line().await.unwrap() {
                Some(line) if line == "." => return lines,
                Some(line) => lines.push(line),
                None => panic!("the shell on node {node} ended"),
            }
        }
    }
}

/// The node that the pod runs on.
pub fn node_of(pod: &Pod) -> String {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    node.unwrap_or_else(|| panic!("{} runs nowhere", pod.name_any()))
}

fn chain(address: &str) -> String {
    format!("cut-{address}")
}

fn connect(address: &str) -> String {
    let chain = chain(address);
    let unhooked = hooks(&chain).map(|hook| format!("-D {hook}"));
    let removed = ["-F", "-X"].map(|how| format!("{how} {chain}"));
    let rules = unhooked.into_iter().chain(removed);
    let commands: Vec<_> = rules.map(|rule| format!("iptables -w 5 {rule}")).collect();
    commands.join(" && ")
}

/// What passes through the chain: whatever is on its way to or from another node or pod, and what is the API server's.
fn hooks(chain: &str) -> [String; 3] {
    [
        format!("FORWARD -j {chain}"),
        format!("INPUT -p tcp --dport 6443 -j {chain}"),
        format!("OUTPUT -p tcp --sport 6443 -j {chain}"),
    ]
}
