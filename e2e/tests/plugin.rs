//! The kubectl plugin against a real API server and the operator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails"
)]

use std::time::Duration;

use kube::ResourceExt;
use soak_api::{Phase, SoakOutcome, SoakTest};
use soak_e2e::{Namespace, Plugin, client, small, span};

fn yaml(test: &SoakTest) -> String {
    serde_json::to_string(test).expect("JSON, which is YAML as well")
}

/// A soak that nobody waits for.
fn long(name: &str) -> SoakTest {
    let mut test = small(name);
    test.spec.duration = span(3_600);
    test.spec.deadline = Some(span(7_200));
    test
}

#[tokio::test]
async fn a_soak_that_passes_is_run_watched_and_ends_with_0() {
    let namespace = Namespace::new(&client().await, "plugin-run").await;
    let mut test = small("passes");
    // On a machine with much else to do draining takes its time.
    test.spec.settle = span(20);
    let ended = Plugin::run(&namespace, &["run", "-f", "-"], &yaml(&test)).await;
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for part in [
        "soaktest passes created\n",
        " Soaking: ",
        " Settling: ",
        " no-loss Passed: ",
        " Passed: ",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?}: {}", ended.stdout);
    }

    // Once over it is not run again, and says how to.
    let again = Plugin::run(&namespace, &["run", "-f", "-"], &yaml(&test)).await;
    assert_eq!(again.code, 4, "{}", again.stdout);
    assert!(
        again.stderr.contains("exists and is over, Passed"),
        "{}",
        again.stderr
    );

    let listed = Plugin::run(&namespace, &["list"], "").await;
    assert!(listed.stdout.contains("Completed"), "{}", listed.stdout);
    let described = Plugin::run(&namespace, &["describe", "passes"], "").await;
    assert!(
        described.stdout.contains(": Passed (Completed)\n"),
        "{}",
        described.stdout
    );
    assert!(described.stdout.contains("no-loss"), "{}", described.stdout);
    let watched = Plugin::run(&namespace, &["watch", "passes"], "").await;
    assert_eq!(watched.code, 0, "{}{}", watched.stdout, watched.stderr);
}

#[tokio::test]
async fn a_soak_that_is_aborted_while_it_is_watched_ends_with_3() {
    let namespace = Namespace::new(&client().await, "plugin-abort").await;
    let mut test = long("ignored");
    test.metadata.name = None;
    test.metadata.generate_name = Some("nightly-".to_owned());
    let started = Plugin::run(
        &namespace,
        &["run", "--wait=false", "-f", "-"],
        &yaml(&test),
    )
    .await;
    assert_eq!(started.code, 0, "{}", started.stderr);
    let words: Vec<&str> = started.stdout.split_whitespace().collect();
    let name = words[1];
    assert!(name.starts_with("nightly-"), "{}", started.stdout);
    assert!(
        started.stdout.contains("kubectl soak watch nightly-"),
        "{}",
        started.stdout
    );

    let soak = namespace.existing(name);
    soak.reaches(Phase::Deploying, Duration::from_secs(60))
        .await;
    let watching = Plugin::start(&namespace, &["watch", name]);
    let watching = watching.says("Deploying").await;
    let aborted = Plugin::run(&namespace, &["abort", name], "").await;
    assert_eq!(aborted.code, 0, "{}", aborted.stderr);
    let watched = watching.ends().await;
    assert_eq!(watched.code, 3, "{}{}", watched.stdout, watched.stderr);
    let status = soak.ends().await;
    assert_eq!(status.outcome, Some(SoakOutcome::Aborted));
    let again = Plugin::run(&namespace, &["abort", name], "").await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stdout.contains("has ended already: Aborted"),
        "{}",
        again.stdout
    );
}

#[tokio::test]
async fn ctrl_c_leaves_the_soak_running_and_says_so() {
    let namespace = Namespace::new(&client().await, "plugin-left").await;
    let soak = namespace.soak(&long("goes-on")).await;
    let watching = Plugin::start(&namespace, &["watch", "goes-on"]);
    let left = watching.interrupted_after("Deploying").await;
    assert_eq!(left.code, 130, "{}{}", left.stdout, left.stderr);
    assert!(
        left.stderr.contains("soaktest goes-on goes on"),
        "{}",
        left.stderr
    );
    assert!(
        left.stderr.contains("kubectl soak abort goes-on"),
        "{}",
        left.stderr
    );
    let test = soak.now().await;
    assert!(!test.spec.abort && test.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_soak_that_is_deleted_while_it_is_watched_ends_with_3() {
    let namespace = Namespace::new(&client().await, "plugin-gone").await;
    let soak = namespace.soak(&long("goes")).await;
    let watching = Plugin::start(&namespace, &["watch", "goes"]);
    let watching = watching.says("Deploying").await;
    soak.delete().await;
    let ended = watching.ends().await;
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stderr.contains("was deleted before it had ended"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_field_by_field() {
    let namespace = Namespace::new(&client().await, "plugin-refused").await;
    let valid = yaml(&small("refused"));
    let wrong = valid
        .replace("\"20s\"", "\"7d\"")
        .replace("\"max\":0.0", "\"max\":-1");
    assert_ne!(valid, wrong);
    let ended = Plugin::run(&namespace, &["run", "-f", "-"], &wrong).await;
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    for line in [
        "error: the API server refuses it:\n",
        "\n  spec.duration: use h, m, s: 168h, not 7d\n",
        "\n  spec.criteria[0].increase.max: ",
    ] {
        assert!(ended.stderr.contains(line), "no {line:?}: {}", ended.stderr);
    }
    let unknown = valid.replace("\"warmUp\"", "\"wormUp\"");
    let nameless = unknown.replace("\"name\":\"refused\"", "\"generateName\":\"refused-\"");
    assert_ne!(unknown, nameless);
    for unknown in [unknown, nameless] {
        let ended = Plugin::run(&namespace, &["run", "-f", "-"], &unknown).await;
        assert_eq!(ended.code, 4, "{}", ended.stdout);
        let line = "\n  spec.wormUp: there is no such field\n";
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
    let absent = Plugin::run(&namespace, &["describe", "refused"], "").await;
    assert!(
        absent.stderr.contains("there is no SoakTest refused"),
        "{}",
        absent.stderr
    );
}

#[tokio::test]
async fn lint_finds_what_the_api_server_refuses() {
    let namespace = Namespace::new(&client().await, "plugin-lint").await;
    let valid = yaml(&small("linted"));
    for (from, to) in [
        ("\"20s\"", "\"7d\""),
        ("\"20s\"", "\"10s\""),
        ("\"3m\"", "\"10s\""),
        ("\"partitions\":6", "\"partitions\":0"),
        ("\"name\":\"no-loss\"", "\"name\":\"health\""),
        ("\"name\":\"linted\"", "\"name\":\"9-lives\""),
        (
            "\"increase\":{",
            "\"recovery\":{\"max\":\"5s\"},\"increase\":{",
        ),
    ] {
        let wrong = valid.replacen(from, to, 1);
        assert_ne!(valid, wrong, "{from}");
        let linted = Plugin::run(&namespace, &["lint", "-f", "-"], &wrong).await;
        assert_eq!(linted.code, 1, "{to}: {}{}", linted.stdout, linted.stderr);
        assert!(
            linted.stdout.contains(": error: "),
            "{to}: {}",
            linted.stdout
        );
        let run = Plugin::run(&namespace, &["run", "--wait=false", "-f", "-"], &wrong).await;
        assert_eq!(run.code, 4, "{to} was accepted: {}", run.stdout);
        // The sentence that names the fix is the same in both.
        let told = run
            .stderr
            .lines()
            .skip(1)
            .map(|line| line.rsplit(": ").next().unwrap());
        let same = told.clone().any(|fix| linted.stdout.contains(fix));
        assert!(
            same || to.contains(":0"),
            "{to}:\n{}{}",
            linted.stdout,
            run.stderr
        );
    }
    let tests: kube::Api<SoakTest> = namespace.api();
    let left = tests.list(&kube::api::ListParams::default()).await.unwrap();
    let left: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, [""; 0], "nothing that was refused is there");
}
