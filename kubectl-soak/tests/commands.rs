//! Commands that need no cluster, and what the others say where there is none.

mod program;

use program::{Ended, run};

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
            "error: failed to read standard input: line 4: spec.duration: \"7d\" is not a duration",
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
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = ran(&["completion", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell}");
        assert!(ended.stdout.contains("describe"), "{shell}");
    }
    assert_eq!(ran(&["completion", "tcsh"]).code, 4);
}

#[test]
fn the_version_is_that_of_the_program() {
    let ended = ran(&["version"]);
    assert_eq!(ended.code, 0);
    let first = concat!("kubectl soak ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(ended.stdout.starts_with(first), "{}", ended.stdout);
}

#[test]
fn without_a_cluster_the_error_says_so() {
    for command in [
        &["list"][..],
        &["describe", "a"],
        &["watch", "a"],
        &["run", "-f", LEAKING],
        &["abort", "a"],
    ] {
        let args = [command, &["--kubeconfig", "no-such-file"]].concat();
        let ended = ran(&args);
        assert_eq!(ended.code, 4, "{}", ended.stdout);
        let problem = "error: failed to find out which cluster to talk to: ";
        assert!(ended.stderr.starts_with(problem), "{}", ended.stderr);
    }
}
