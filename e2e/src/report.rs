//! What a failed test shows of the cluster.

use std::fmt::Write;

use crate::command::kubectl_now;

/// How many of the operator's last lines are searched for those about a namespace, and how many of these are shown.
const SEARCHED: &str = "--tail=5000";
const SHOWN: usize = 60;

/// Everything that tells why a soak in this namespace did not do what it should have.
pub(crate) fn report(namespace: &str) -> String {
    let ask = |arguments: &[&str]| {
        let text = kubectl_now(&[&["-n", namespace], arguments].concat());
        format!("\n$ kubectl {}\n{text}", arguments.join(" "))
    };
    let events = [
        "get",
        "events",
        "--sort-by=.lastTimestamp",
        "--field-selector=type!=Normal",
    ];
    [
        ask(&["get", "pods", "-o", "wide"]),
        ask(&["get", "soaktests", "-o", "yaml"]),
        ask(&events),
        pods_logs(namespace),
        operators_logs(namespace),
    ]
    .concat()
}

/// The last words of every pod, and of its container before where that ended.
fn pods_logs(namespace: &str) -> String {
    let mut text = String::new();
    for (_, pod) in pods(&["-n", namespace]) {
        let logs = ["logs", "-n", namespace, &pod, "--tail=10"];
        let _ = write!(text, "\nlogs of {pod}:\n{}", kubectl_now(&logs));
        let before = kubectl_now(&[&logs[..], &["--previous"]].concat());
        if !before.contains("previous terminated container") {
            let _ = write!(text, "\nlogs of {pod} before its restart:\n{before}");
        }
    }
    text
}

/// What the operators said about the namespace.
fn operators_logs(namespace: &str) -> String {
    let labels = "app.kubernetes.io/name=soak-operator,app.kubernetes.io/component=operator";
    let mut text = String::new();
    for (place, pod) in pods(&["-A", "-l", labels]) {
        let logs = kubectl_now(&["logs", "-n", &place, &pod, SEARCHED]);
        let lines: Vec<_> = logs
            .lines()
            .filter(|line| line.contains(namespace))
            .collect();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        let _ = write!(
            text,
            "\nlogs of {pod} about {namespace}:\n{}\n",
            last.join("\n")
        );
    }
    text
}

/// Namespaces and names of the pods that `kubectl get pods` finds with these arguments.
fn pods(which: &[&str]) -> Vec<(String, String)> {
    let each = r#"jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}"#;
    let text = kubectl_now(&[&["get", "pods", "-o", each], which].concat());
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .collect()
}
