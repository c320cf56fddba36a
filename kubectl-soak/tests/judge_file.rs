//! Recordings in files, judged by the built program.

mod program;

use program::{Ended, judge};
use serde_json::{Value, json};

/// Six hours of two pods, the tasks of one component of which grow by `leak` an hour. Without noise: what is shown are
/// the same numbers however they are estimated.
fn recording(leak: f64) -> Value {
    let series = |pod: &str, component: &str, leak: f64| {
        let samples: Vec<_> = (0..1440)
            .map(|i| json!([15 * i, 1000.0 + leak * f64::from(i) / 240.0]))
            .collect();
        json!({"pod": pod, "labels": {"component": component}, "start_unix": -3600, "samples": samples})
    };
    json!({
        "signal": "tasks", "step_seconds": 15, "warmup_seconds": 600,
        "series": [
            series("worker-0", "consume", leak), series("worker-0", "fetch", 0.0),
            series("worker-1", "consume", leak), series("worker-1", "fetch", 0.0),
        ],
    })
}

fn judged(recording: &Value) -> Ended {
    judge(&["-"], recording.to_string().as_bytes())
}

#[test]
fn a_clean_soak_passes_with_0() {
    let ended = judged(&recording(0.0));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn a_leaking_soak_fails_with_1() {
    let ended = judged(&recording(24.0));
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn what_cannot_be_known_is_inconclusive_with_2() {
    let mut short = recording(24.0);
    short["series"][0]["samples"] = json!([[0, 1000], [15, 1001], [30, null]]);
    short["series"].as_array_mut().expect("series").truncate(1);
    let ended = judged(&short);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
}

#[test]
fn a_recording_without_series_is_inconclusive_and_says_what_is_missing() {
    let ended = judged(&json!({"data": {"result": []}}));
    assert_eq!(ended.code, 2);
    assert_eq!(
        ended.stderr,
        "warning: standard input has no series; it takes a list of objects, each with pod and samples\n"
    );
}

#[test]
fn a_recording_that_says_it_is_incomplete_never_passes() {
    let mut incomplete = recording(0.0);
    incomplete["gaps"] = json!(["the disk was full for an hour"]);
    let ended = judged(&incomplete);
    assert_eq!(ended.code, 2);
    assert!(ended.stdout.contains("the disk was full for an hour"));
}

#[test]
fn the_report_as_json_begins_with_the_outcome() {
    let ended = judge(
        &["-", "--output", "json"],
        recording(24.0).to_string().as_bytes(),
    );
    assert_eq!(ended.code, 1);
    assert!(
        ended.stdout.starts_with("{\n  \"outcome\": \"Failed\""),
        "{}",
        ended.stdout
    );
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["criteria"][0]["name"], "trend");
    assert_eq!(report["criteria"][0]["worstPods"][0]["name"], "worker-0");
}

#[test]
fn criteria_of_a_file_of_their_own_take_the_place_of_the_recordings() {
    let criteria = program::file(
        "criteria.yaml",
        b"- name: generous\n  growth: {signal: Tasks, maxPercent: 100}\n",
    );
    let ended = judge(
        &["-", "--criteria", &criteria],
        recording(24.0).to_string().as_bytes(),
    );
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.starts_with("Passed: generous"));
}

/// The same soak's memory: 8 MiB, and what each task of its pods takes.
fn memory(leak: f64, kib_per_task: f64) -> Value {
    let series = |pod: &str| {
        let bytes = |i: i32| 8_388_608.0 + 1024.0 * kib_per_task * leak * f64::from(i) / 240.0;
        let samples: Vec<_> = (0..1440).map(|i| json!([15 * i, bytes(i)])).collect();
        json!({"pod": pod, "start_unix": -3600, "samples": samples})
    };
    json!({
        "signal": "memory", "step_seconds": 15, "warmup_seconds": 600,
        "series": [series("worker-0"), series("worker-1")],
    })
}

fn of_both(args: &[&str]) -> Ended {
    let tasks = program::file("tasks.json", recording(24.0).to_string().as_bytes());
    let memory = program::file("memory.json", memory(24.0, 5.5).to_string().as_bytes());
    judge(&[&[tasks.as_str(), memory.as_str()], args].concat(), b"")
}

#[test]
fn tasks_and_memory_of_one_soak_are_one_report_with_what_grew_in_both() {
    let ended = of_both(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(ended.stdout);
}

#[test]
fn what_grew_in_tasks_and_bytes_is_in_the_report_as_json() {
    let ended = of_both(&["--output", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let worker = &report["footprints"][0];
    assert_eq!(worker["component"], "worker");
    assert_eq!(worker["parts"][0]["name"], "consume");
    assert_eq!(worker["parts"][0]["sharedOut"], true);
    let per_task = worker["total"]["bytesPerTask"]["estimate"].as_f64();
    assert!(per_task.is_some_and(|bytes| (bytes - 5632.0).abs() < 1.0));
    let alone = judge(
        &["-", "--output", "json"],
        recording(24.0).to_string().as_bytes(),
    );
    assert!(!alone.stdout.contains("footprints"));
}

#[test]
fn criteria_given_for_several_recordings_are_judged_each_on_the_one_that_answers() {
    let criteria = program::file(
        "both.yaml",
        b"- name: memory\n  growth: {signal: Memory, maxPercent: 100}\n- name: tasks\n  growth: {signal: Tasks, maxPercent: 100}\n",
    );
    let ended = of_both(&["--criteria", &criteria]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(
        ended.stdout.starts_with("Passed: tasks, memory are proven"),
        "{}",
        ended.stdout
    );
}

#[test]
fn one_recording_given_twice_is_refused() {
    let tasks = program::file("once.json", recording(0.0).to_string().as_bytes());
    let ended = judge(&[&tasks, &tasks], b"");
    assert_eq!(ended.code, 4);
    assert_eq!(
        ended.stderr,
        "error: once.json is given twice: name each recording once\n"
    );
}

#[test]
fn a_bad_recording_among_several_is_named() {
    let tasks = program::file("good.json", recording(0.0).to_string().as_bytes());
    let bad = program::file("bad.json", b"[]");
    let ended = judge(&[&tasks, &bad], b"");
    assert_eq!(ended.code, 4);
    assert!(
        ended
            .stderr
            .starts_with("error: failed to judge bad.json: it is a list")
    );
}

#[test]
fn each_bad_recording_is_told_its_place_its_field_and_its_fix() {
    for (content, problem) in [
        ("", "it is empty; it takes a recording in JSON"),
        (
            "{\"series\": [{\"pod\": \"w-0\",",
            "line 1 column 26: it breaks off; record or copy it again, whole",
        ),
        (
            "time,pod,tasks\n0,w-0,12\n",
            "line 1 column 2: it is not JSON: expected ident",
        ),
        (
            r#"{"series": [{"pod": "a", "samples": [[0, NaN]]}]}"#,
            "line 1 column 42: JSON has no NaN and no Infinity; a sample that was missed is null, or left out",
        ),
        (
            "[]",
            "it is a list; it takes an object that has series, each with pod and samples",
        ),
        (
            "\"soak.json\"",
            "line 1 column 11: it takes an object that has series, each with pod and samples",
        ),
        (
            r#"{"signal": "cpu"}"#,
            "line 1 column 16: signal: unknown variant `cpu`, expected one of `Tasks`, `tasks`, `Memory`, `memory`; \
             it takes \"tasks\" or \"memory\"",
        ),
        (
            r#"{"warmup_seconds": "10m"}"#,
            "line 1 column 24: warmup_seconds: invalid type: string \"10m\", expected f64; it takes a number of \
             seconds, such as 600",
        ),
        (
            "{\n \"series\": [\n  {\"samples\": [[0, 1]]}\n ]\n}",
            "line 3 column 23: series[0]: missing field `pod`; it takes a pod's name, such as \"worker-0\"",
        ),
        (
            r#"{"series": [{"pod": "a", "samples": [[0, 1], [15, "many"]]}]}"#,
            "line 1 column 56: series[0].samples[1][1]: invalid value: string \"many\", expected a number or null; \
             it takes a list of pairs of seconds and value, such as [[0, 12], [15, 12]]",
        ),
        (
            r#"{"criteria": [{"name": "a", "trend": {"signal": "Tasks", "horizon": "7d"}}]}"#,
            "line 1 column 73: criteria[0].trend.horizon: \"7d\" is not a duration: use h, m, s: 168h, not 7d",
        ),
    ] {
        let ended = judge(&["-"], content.as_bytes());
        assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{content}");
        assert_eq!(
            ended.stderr,
            format!("error: failed to judge standard input: {problem}\n")
        );
    }
}

#[test]
fn a_file_that_is_not_there_and_one_that_is_none_are_told_apart() {
    let missing = judge(&["missing.json"], b"");
    assert_eq!(missing.code, 4);
    assert_eq!(
        missing.stderr,
        "error: failed to read missing.json: No such file or directory (os error 2)\n"
    );
    let directory = judge(&["."], b"");
    assert_eq!(directory.code, 4);
    assert_eq!(
        directory.stderr,
        "error: failed to read .: it is a directory, not a file\n"
    );
}

#[test]
fn the_table_of_several_criteria_fits_a_page_of_100_columns() {
    let mut several = recording(24.0);
    several["criteria"] = json!([
        {"name": "task-growth", "growth": {"signal": "Tasks", "maxPercent": 5, "maxAbsolute": 300}},
        {"name": "tasks-stay-within-their-bounds-overnight", "trend": {"signal": "Tasks", "maxPercent": 50}},
        {"name": "memory", "growth": {"signal": "Memory", "maxAbsolute": "40Mi"}},
    ]);
    let ended = judged(&several);
    assert_eq!(ended.code, 1);
    for line in ended.stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let own_line = "\n  tasks-stay-within-their-bounds-overnight\n               worker  ";
    assert!(ended.stdout.contains(own_line), "{}", ended.stdout);
}

#[test]
fn criteria_that_cannot_be_read_are_told_what_they_take() {
    let wrong = program::file(
        "wrong.yaml",
        b"- name: tasks\n  growth: {signal: Goroutines}\n",
    );
    let ended = judge(&["-", "--criteria", &wrong], b"{}");
    assert_eq!(ended.code, 4);
    insta::assert_snapshot!(ended.stderr);
}

#[test]
fn a_limit_that_is_misspelled_or_makes_no_sense_is_no_pass() {
    for (criteria, problem) in [
        (
            json!([{"name": "a", "growth": {"signal": "Tasks", "maxPercent": 500, "maxAbsolut": 1}}]),
            "criteria[0].growth.maxAbsolut: there is no such field: did you mean maxAbsolute?",
        ),
        (
            json!([{"name": "a", "growth": {"signal": "Tasks", "maxPercent": -5}}]),
            "criteria[0].growth.maxPercent: ",
        ),
        (
            json!([
                {"name": "a", "growth": {"signal": "Tasks", "maxPercent": 5}},
                {"name": "a", "trend": {"signal": "Tasks", "maxPercent": 5}},
            ]),
            "criteria[1]",
        ),
        (
            json!([{"name": "a", "growth": {"signal": "Tasks", "maxPercent": 5}, "trend": {"signal": "Tasks"}}]),
            "criteria[0]",
        ),
    ] {
        let mut leaks = recording(24.0);
        leaks["criteria"] = criteria.clone();
        let file = program::file("criteria.json", criteria.to_string().as_bytes());
        let of_a_file = judge(
            &["-", "--criteria", &file],
            recording(24.0).to_string().as_bytes(),
        );
        for (ended, whose) in [
            (judged(&leaks), "failed to judge standard input"),
            (
                of_a_file,
                "failed to read the criteria in criteria.json: line 1",
            ),
        ] {
            assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{criteria}");
            let told = format!("error: {whose}: {problem}");
            assert!(ended.stderr.starts_with(&told), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_slip_of_the_pen_in_a_recording_is_told_and_what_others_wrote_into_it_is_passed_over() {
    let mut slip = recording(0.0);
    slip["gap"] = json!(["Prometheus was down"]);
    let ended = judged(&slip);
    assert_eq!(ended.code, 4);
    let told = "error: failed to judge standard input: there is no field gap: did you mean gaps?";
    assert!(ended.stderr.starts_with(told), "{}", ended.stderr);
    let mut foreign = recording(0.0);
    foreign["recorded_by"] = json!("somebody");
    assert_eq!(judged(&foreign).code, 0);
}

#[test]
fn no_usage_error_can_be_taken_for_an_outcome() {
    for args in [
        &[][..],
        &["--prometheus", "http://localhost:9090"],
        &["--query", "up"],
        &["a.json", "--prometheus", "http://localhost:9090"],
        &["a.json", "--output", "xml"],
        &["a.json", "b.json"],
    ] {
        let ended = judge(args, b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{args:?}");
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
    assert_eq!(judge(&["--help"], b"").code, 0);
}

#[test]
fn the_example_of_the_docs_is_a_recording() {
    let docs = include_str!("../../docs/kubectl-soak.md");
    let example = docs.split("```json\n").nth(1).expect("an example");
    let example = example.split("```").next().expect("its end");
    let ended = judge(&["-"], example.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (2, ""));
}
