//! Commands that need no cluster, and what the others say where there is none.

mod program;

use program::{Ended, file, run};

const LEAKING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/leaking.yaml");

fn ran(args: &[&str]) -> Ended {
    run(args, b"")
}

#[test]
fn a_plan_is_the_same_every_time_and_another_with_another_seed() {
    let first = ran(&["plan", "-f", LEAKING]);
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    assert!(
        first
            .stdout
            .starts_with("leaking: 6 events in 5m with seed 42\n"),
        "{}",
        first.stdout
    );
    assert_eq!(first.stdout, ran(&["plan", "-f", LEAKING]).stdout);
    let another = ran(&["plan", "-f", LEAKING, "--seed", "43"]);
    assert_eq!(another.code, 0);
    assert_ne!(first.stdout, another.stdout);
}

#[test]
fn a_plan_comes_from_standard_input_as_well_and_takes_every_soak_of_it() {
    let leaking = std::fs::read_to_string(LEAKING).expect("an example");
    let both = format!(
        "{leaking}---\nkind: Namespace\n---\n{}",
        leaking.replace("name: leaking", "name: twin")
    );
    let ended = run(&["plan", "-f", "-"], both.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("leaking: "), "{}", ended.stdout);
    assert!(ended.stdout.contains("\n\ntwin: "), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_planned_is_an_error_that_names_the_line() {
    for (yaml, problem) in [
        (
            "kind: SoakTest\nmetadata: {name: a}\nspec:\n  duration: 7d\n",
            "error: a cluster would refuse this:\n  standard input:1:1: error: apiVersion: it is missing",
        ),
        ("a: [\n", "error: failed to read standard input: line "),
        (
            "kind: Namespace\n",
            "error: failed to read standard input: there is no SoakTest in it",
        ),
    ] {
        let ended = run(&["plan", "-f", "-"], yaml.as_bytes());
        assert_eq!(ended.code, 4);
        assert!(ended.stderr.starts_with(problem), "{}", ended.stderr);
    }
    assert_eq!(ran(&["plan", "-f", "no-such-file"]).code, 4);
}

#[test]
fn no_plan_is_shown_of_what_a_cluster_would_refuse() {
    let leaking = std::fs::read_to_string(LEAKING).expect("an example");
    let misspelled = leaking.replace("  chaos:", "  chaoss:");
    let ended = run(&["plan", "-f", "-"], misspelled.as_bytes());
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    let told = "spec.chaoss: there is no such field: did you mean chaos?";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn a_list_as_kubectl_writes_it_is_planned_item_by_item() {
    let leaking = std::fs::read_to_string(LEAKING).expect("an example");
    let item = leaking.lines().filter(|line| !line.starts_with('#'));
    let item: Vec<_> = item.map(|line| format!("  {line}\n")).collect();
    let list = format!("kind: List\nitems:\n-\n{}", item.concat());
    let ended = run(&["plan", "-f", "-"], list.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.starts_with("leaking: 6 events"),
        "{}",
        ended.stdout
    );
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = ran(&["completion", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell}");
        assert!(ended.stdout.contains("describe"), "{shell}");
    }
    assert_eq!(ran(&["completion", "tcsh"]).code, 4);
}

#[test]
fn kubectl_is_told_what_may_follow() {
    let script = ran(&["completion", "kubectl"]).stdout;
    assert!(script.starts_with("#!/bin/sh\n"), "{script}");
    let told = |words: &[&str]| ran(&[&["__complete", "--"], words].concat()).stdout;
    assert_eq!(told(&["wa"]), "watch\n:4\n");
    assert_eq!(told(&["report", "leaking", "-o", "j"]), "junit\njson\n:4\n");
    assert_eq!(told(&["lint", "-f", ""]), ":0\n");
    // Nobody answers there, and nothing is said of it.
    let nowhere = ran(&["__complete", "--", "watch", "--kubeconfig", "/nowhere", ""]);
    assert_eq!(
        (nowhere.stdout.as_str(), nowhere.stderr.as_str()),
        (":4\n", "")
    );
}

#[test]
fn the_version_is_that_of_the_program() {
    let ended = ran(&["version"]);
    assert_eq!(ended.code, 0);
    let first = concat!("kubectl soak ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(ended.stdout.starts_with(first), "{}", ended.stdout);
}

/// What each command that asks a cluster says, led to it by these flags.
fn every_command_says(flags: &[&str], problem: &str) {
    for command in [
        &["list"][..],
        &["describe", "a"],
        &["watch", "a"],
        &["run", "-f", LEAKING],
        &["abort", "a"],
        &["report", "a"],
    ] {
        let ended = ran(&[command, flags].concat());
        assert_eq!(
            (ended.code, ended.stderr),
            (4, format!("error: {problem}\n"))
        );
    }
}

/// A kubeconfig whose only context, `it`, leads to where nobody listens.
const NOBODY: &str = "
current-context: it
clusters: [{name: it, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
users: [{name: it, user: {}}]
";

#[test]
fn a_kubeconfig_that_leads_to_no_cluster_is_told_with_what_to_do_about_it() {
    let nobody = file("nobody.kubeconfig", NOBODY.as_bytes());
    let empty = file("empty.kubeconfig", b"");
    let torn = file("torn.kubeconfig", b"clusters: [");
    for (flags, problem) in [
        (
            &["--kubeconfig", "no-such-file"][..],
            "there is no kubeconfig no-such-file: name one with --kubeconfig or KUBECONFIG",
        ),
        (
            &["--kubeconfig", &empty],
            "the kubeconfig empty.kubeconfig has no current context: give --context, or choose one with kubectl config \
             use-context",
        ),
        (
            &["--kubeconfig", &nobody, "--context", "other"],
            "the kubeconfig nobody.kubeconfig has no context other: kubectl config get-contexts lists its contexts",
        ),
        (
            &["--kubeconfig", &torn],
            "failed to use the kubeconfig torn.kubeconfig: failed to parse kubeconfig YAML: line 1 column 11: unclosed \
             bracket '['",
        ),
    ] {
        let problem = format!("failed to find out which cluster to talk to: {problem}");
        every_command_says(flags, &problem);
    }
}

#[test]
fn an_api_server_that_does_not_answer_is_told_with_what_to_look_at() {
    let nobody = file("unreachable.kubeconfig", NOBODY.as_bytes());
    every_command_says(
        &["--kubeconfig", &nobody],
        "failed to reach the API server: Connection refused (os error 111): is it up, and is this the right context? \
         kubectl cluster-info asks it too",
    );
}
