//! Broken SoakTests in files, and what `kubectl soak lint` says of each.

mod program;

use std::path::{Path, PathBuf};

use program::{Ended, run};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The YAML files of a directory, by name.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory(name)).expect("a directory");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

fn lint(path: &Path) -> Ended {
    run(&["lint", "-f", path.to_str().expect("UTF-8")], b"")
}

#[test]
fn each_broken_file_is_told_its_line_its_field_and_its_fix() {
    let files = files("tests/lint");
    assert!(files.len() >= 20, "{} files", files.len());
    for path in files {
        let ended = lint(&path);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (1, ""),
            "{}",
            path.display()
        );
        let name = path.file_stem().expect("a name").to_string_lossy();
        let directory = format!("{}/", directory("tests/lint").display());
        let said = ended.stdout.replace(&directory, "");
        for line in said.lines() {
            let mut parts = line.splitn(5, ':');
            assert_eq!(parts.next(), Some(&*format!("{name}.yaml")), "{line}");
            let place = [parts.next(), parts.next()].map(|part| part?.parse::<u32>().ok());
            assert!(place.iter().all(Option::is_some), "no place: {line}");
        }
        insta::assert_snapshot!(&*name, said);
    }
}

#[test]
fn what_is_right_has_nothing_wrong() {
    let good = [files("tests/lint/good"), files("../examples")].concat();
    assert!(good.len() >= 6, "{good:?}");
    for path in good {
        let ended = lint(&path);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (0, ""),
            "{}",
            ended.stdout
        );
        let nothing = format!("{}: 1 SoakTest, nothing wrong\n", path.display());
        assert_eq!(ended.stdout, nothing);
    }
}

#[test]
fn several_files_and_standard_input_are_linted_at_once() {
    let good = directory("tests/lint/good/plain.yaml");
    let bad = std::fs::read(directory("tests/lint/enum.yaml")).expect("a file");
    let ended = run(&["lint", "-f", good.to_str().expect("UTF-8"), "-"], &bad);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stdout.contains("1 SoakTest, nothing wrong\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("\nstandard input:"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_is_wrong_with_one_file_hides_nothing_of_the_others() {
    let wrong = directory("tests/lint/enum.yaml");
    let args = [
        "lint",
        "-f",
        wrong.to_str().expect("UTF-8"),
        "no-such-file",
        "-",
    ];
    let ended = run(&args, b"apiVersion: v1\nkind: Namespace\n");
    assert_eq!(ended.code, 4);
    assert!(ended.stdout.contains("enum.yaml:"), "{}", ended.stdout);
    let other = "\nstandard input: no SoakTest\n";
    assert!(ended.stdout.ends_with(other), "{}", ended.stdout);
    let unread = "error: failed to read no-such-file";
    assert!(ended.stderr.starts_with(unread), "{}", ended.stderr);
}

#[test]
fn where_there_is_nothing_to_lint_that_is_an_error() {
    for (args, stdin, problem) in [
        (
            &["lint", "-f", "no-such-file"][..],
            "",
            "failed to read no-such-file",
        ),
        (
            &["lint", "-f", "-"],
            "apiVersion: v1\nkind: Namespace\n",
            "there is no SoakTest in standard input",
        ),
        (&["lint"], "", "--filename"),
    ] {
        let ended = run(args, stdin.as_bytes());
        assert_eq!(ended.code, 4, "{}", ended.stdout);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}

#[test]
fn a_query_that_prometheus_would_refuse_hides_no_plan() {
    let path = directory("tests/lint/query-syntax.yaml");
    let ended = run(&["plan", "-f", path.to_str().expect("UTF-8")], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}
