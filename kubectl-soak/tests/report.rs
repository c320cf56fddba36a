//! Reports of soaks that are over, made by the built program from evidence in a file.

mod evidence;
mod program;

use std::path::{Path, PathBuf};

use program::{Ended, run_in, run_with};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use soak_api::Evidence;
use soak_api::verdict::Outcome;

/// `kubectl soak report` in a directory of its own, with evidence on standard input.
fn report(directory: &Path, evidence: &[u8], args: &[&str]) -> Ended {
    let args = [&["report", "--evidence", "-"], args].concat();
    run_in(directory, &args, evidence)
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("report")
        .join(name);
    // Of an earlier run.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

fn bytes(evidence: &Evidence) -> Vec<u8> {
    evidence.clone().encode(1 << 20).expect("bytes")
}

/// What is written to standard output, and nothing else said.
fn written(evidence: &Evidence, args: &[&str]) -> String {
    let ended = report(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        &bytes(evidence),
        args,
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    ended.stdout
}

/// The clean twin, of which nobody knows whether its memory grew.
fn unclear() -> Evidence {
    let mut evidence = evidence::twin(false);
    let status = evidence.soak_test.status.as_mut().expect("a status");
    let memory = &mut status.criteria[3];
    memory.outcome = Outcome::Inconclusive;
    memory.sentence = String::from("not certain either way; a soak of about 9m would decide.");
    evidence
}

fn junit(evidence: &Evidence, args: &[&str]) -> Report {
    let xml = written(evidence, &[&["-o", "junit"], args].concat());
    Report::deserialize_from_str(&xml).expect("JUnit")
}

#[test]
fn a_leaking_soak_as_markdown() {
    insta::assert_snapshot!(written(&evidence::twin(true), &["-o", "markdown"]));
}

#[test]
fn a_clean_soak_as_markdown() {
    insta::assert_snapshot!(written(&evidence::twin(false), &["-o", "markdown"]));
}

#[test]
fn a_leaking_soak_as_csv() {
    insta::assert_snapshot!(written(&evidence::twin(true), &["-o", "csv"]));
}

#[test]
fn a_leaking_soak_as_junit() {
    let version = env!("CARGO_PKG_VERSION");
    let xml = written(&evidence::twin(true), &["-o", "junit"]);
    insta::assert_snapshot!(xml.replace(&format!("value=\"{version}\""), "value=\"VERSION\""));
}

#[test]
fn junit_has_a_case_for_each_criterion_that_fails_with_its_sentence() {
    let evidence = evidence::twin(true);
    let report = junit(&evidence, &[]);
    let [suite] = report.test_suites.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((suite.tests, suite.failures, suite.errors), (5, 2, 0));
    assert_eq!(suite.name.as_str(), "soak/leaking");
    let criteria = &evidence
        .soak_test
        .status
        .as_ref()
        .expect("a status")
        .criteria;
    for (case, result) in suite.test_cases.iter().zip(criteria) {
        assert_eq!(case.name.as_str(), result.name);
        match &case.status {
            TestCaseStatus::Success { .. } => assert_eq!(result.outcome, Outcome::Passed),
            TestCaseStatus::NonSuccess { kind, message, .. } => {
                assert_eq!(
                    (*kind, result.outcome),
                    (NonSuccessKind::Failure, Outcome::Failed)
                );
                assert_eq!(
                    message.as_ref().expect("a message").as_str(),
                    result.sentence
                );
            }
            TestCaseStatus::Skipped { .. } => panic!("{} is skipped", result.name),
        }
    }
    let seed = suite
        .properties
        .iter()
        .find(|property| property.name.as_str() == "seed");
    assert_eq!(seed.expect("a seed").value.as_str(), "42");
}

#[test]
fn junit_has_no_attribute_that_the_schema_does_not_know() {
    let known = [
        ("testsuites", "name tests failures errors time"),
        ("testsuite", "name tests failures errors skipped time"),
        ("property", "name value"),
        ("testcase", "name classname"),
        ("failure", "message type"),
        ("skipped", "message type"),
    ];
    let xml = written(&unclear(), &["-o", "junit", "--inconclusive", "skipped"])
        + &written(&evidence::twin(true), &["-o", "junit"]);
    let mut seen = Vec::new();
    for tag in xml
        .split('<')
        .skip(1)
        .filter(|tag| !tag.starts_with(['?', '/']))
    {
        let tag = tag.split_once('>').expect("a whole tag").0;
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let Some((_, known)) = known.iter().find(|(of, _)| *of == name) else {
            assert_eq!((name, attributes), ("properties", ""));
            continue;
        };
        // What is between quotes is a value.
        for attribute in attributes.split('"').step_by(2) {
            let attribute = attribute.trim_matches([' ', '=', '/']);
            assert!(
                known.split(' ').any(|one| one == attribute) || attribute.is_empty(),
                "{attribute} of {name}"
            );
        }
        seen.push(name);
    }
    assert!(
        known.iter().all(|(name, _)| seen.contains(name)),
        "{seen:?}"
    );
}

#[test]
fn what_is_inconclusive_fails_unless_it_is_asked_to_be_skipped() {
    let suite = |args: &[&str]| junit(&unclear(), args).test_suites.remove(0);
    let strict = suite(&[]);
    assert_eq!((strict.tests, strict.failures), (5, 1));
    let lenient = suite(&["--inconclusive", "skipped"]);
    assert_eq!((lenient.tests, lenient.failures), (5, 0));
    let TestCaseStatus::Skipped { message, .. } = &lenient.test_cases[3].status else {
        panic!("{lenient:?}")
    };
    let message = message.as_ref().expect("a message").as_str();
    assert!(message.starts_with("not certain either way"), "{message}");
}

#[test]
fn a_soak_that_was_ended_is_an_error_however_its_criteria_stand() {
    let mut evidence = evidence::twin(false);
    let status = evidence.soak_test.status.as_mut().expect("a status");
    status.outcome = Some(soak_api::SoakOutcome::Aborted);
    status.message = "Aborted: somebody set spec.abort".to_owned();
    status.criteria.clear();
    let suite = junit(&evidence, &[]).test_suites.remove(0);
    assert_eq!((suite.tests, suite.errors), (1, 1));
    let markdown = written(&evidence, &["-o", "markdown"]);
    assert!(
        markdown.starts_with("### Soak clean: Aborted\n\nSomebody set spec.abort.\n"),
        "{markdown}"
    );
}

#[test]
fn json_is_the_evidence() {
    let evidence = evidence::twin(true);
    let json = written(&evidence, &["-o", "json"]);
    assert_eq!(
        serde_json::from_str::<Evidence>(&json).expect("evidence"),
        evidence
    );
    assert!(json.lines().count() > 100, "it is pretty");
}

#[test]
fn hostile_words_break_out_of_nothing() {
    let evidence = evidence::hostile();
    let suite = junit(&evidence, &[]).test_suites.remove(0);
    assert_eq!(suite.tests, 5);
    let markdown = written(&evidence, &["-o", "markdown"]);
    for harm in ["<script", "<img", "@all", "[a](", "\n# "] {
        assert!(!markdown.contains(harm), "{harm} in {markdown}");
    }
    let table = csv_rows(&written(&evidence, &["-o", "csv"]));
    assert_eq!(table.len(), 5);
    for cell in table.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.records().map(|row| {
        let row = row.expect("a row");
        row.iter().map(str::to_owned).collect()
    });
    rows.collect()
}

#[test]
fn what_is_no_evidence_says_what_it_takes() {
    let directory = directory("no-evidence");
    let ended = report(&directory, b"{}", &["-o", "csv"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    assert!(
        ended.stderr.contains("evidence.json.gz") && ended.stderr.contains("base64"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_is_written_where_it_is_asked_for() {
    let directory = directory("output-file");
    let evidence = bytes(&evidence::twin(true));
    let ended = report(
        &directory,
        &evidence,
        &["-o", "csv", "--output-file", "soak.csv"],
    );
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert_eq!(ended.stderr, "wrote soak.csv\n");
    let written = std::fs::read_to_string(directory.join("soak.csv")).expect("a file");
    assert!(written.starts_with("soak,namespace,criterion"), "{written}");
}

/// A page that is shown at once, on a machine whose programs are those of one folder, with what is written to `opened`.
fn shown(directory: &Path, programs: &Path, opened: &Path) -> Ended {
    let args = ["report", "--evidence", "-", "--open"];
    let variables = [("PATH", programs), ("OPENED", opened)];
    run_with(&variables, directory, &args, &bytes(&evidence::twin(true)))
}

/// The folder of a program that stands for the desktop's: it writes down what it is to open.
fn opener() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opener")
}

#[test]
fn a_page_is_shown_by_the_desktops_own_program() {
    let directory = directory("open");
    let opened = directory.join("opened");
    let ended = shown(&directory, &opener(), &opened);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (0, "wrote leaking.html\n")
    );
    let page = directory.join("leaking.html");
    let opened = std::fs::read_to_string(opened).expect("the program was run");
    assert_eq!(opened, format!("{}\n", page.display()));
}

#[test]
fn a_page_that_nothing_can_show_is_written_and_told_where_it_is() {
    let directory = directory("open-nothing");
    let page = directory.join("leaking.html");
    let fails = directory.join("no-such-folder/opened");
    for programs in [&directory, &opener()] {
        let ended = shown(&directory, programs, &fails);
        assert_eq!(ended.code, 4);
        let told = format!(
            "wrote leaking.html\nerror: no program here shows files: open {} in a browser yourself: ",
            page.display()
        );
        assert!(ended.stderr.starts_with(&told), "{}", ended.stderr);
        assert!(page.exists());
        std::fs::remove_file(&page).expect("a page");
    }
}

/// The page of a soak, as a pipe or a file gets it.
fn page(directory_name: &str, evidence: &Evidence) -> String {
    let directory = directory(directory_name);
    let ended = report(&directory, &bytes(evidence), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mut files = std::fs::read_dir(&directory).expect("a directory");
    assert!(files.next().is_none(), "nothing else is written");
    ended.stdout
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// The part of a page from one text to the next.
fn between<'p>(page: &'p str, from: &str, to: &str) -> &'p str {
    let (_, rest) = page
        .split_once(from)
        .unwrap_or_else(|| panic!("{from} in {page}"));
    rest.split_once(to)
        .unwrap_or_else(|| panic!("{to} after {from}"))
        .0
}

#[test]
fn a_page_begins_with_the_verdict_and_shows_failures_before_passes() {
    let page = page("leaking-page", &evidence::twin(true));
    let places = [
        "<title>leaking: Failed</title>",
        "<h1>Failed</h1>",
        "task-growth: worker tasks grew by 73 %",
        "<h2>Criteria</h2>",
        "<h2>Why</h2>",
        "<h3>task-growth</h3>",
        "<h3>memory-growth</h3>",
        "<h3>health</h3>",
        "<h2>What grew, in tasks and in bytes</h2>",
        "<h2>Chaos</h2>",
        "<h2>Ledger</h2>",
        "<h2>What was not measured</h2>",
        "<h2>Run it again</h2>",
    ];
    let mut rest = page.as_str();
    for place in places {
        rest = rest
            .split_once(place)
            .unwrap_or_else(|| panic!("{place} is missing, or not where it belongs"))
            .1;
    }
    let opened = |name: &str| {
        let before = page
            .split_once(&format!("<h3>{name}</h3>"))
            .expect("a criterion")
            .0;
        before
            .rsplit_once("<details")
            .expect("folded")
            .1
            .contains(" open")
    };
    assert!(opened("task-growth") && opened("memory-growth"));
    assert!(!opened("health") && !opened("no-loss"));
}

#[test]
fn each_criterion_has_its_sentence_and_its_chart() {
    let evidence = evidence::twin(true);
    let page = page("charts-page", &evidence);
    let criteria = &evidence
        .soak_test
        .status
        .as_ref()
        .expect("a status")
        .criteria;
    for (place, result) in criteria.iter().enumerate() {
        let part = between(&page, &format!("id=\"criterion-{place}\""), "</details>");
        assert!(part.contains(&result.sentence), "{part}");
        assert_eq!(
            count(part, "<svg"),
            usize::from(result.kind == "growth"),
            "{}",
            result.name
        );
        if result.kind == "increase" {
            assert!(part.contains("None of its 2 series ever left 0"), "{part}");
        }
        if result.kind == "growth" {
            for layer in ["aside", "mark", "band", "fit", "limit", "worst"] {
                assert!(
                    part.contains(&format!("class=\"{layer}\"")),
                    "{layer} of {}",
                    result.name
                );
            }
            assert_eq!(count(part, "class=\"mark\""), evidence.events.len());
            assert_eq!(count(part, "class=\"aside\""), 2, "warm-up and settling");
        }
    }
    // Each panel's lines are drawn once.
    let workers = evidence.charts[0]
        .lines
        .iter()
        .filter(|line| line.component == "worker")
        .count();
    let lines = between(&page, "id=\"lines-0\"", "</svg>");
    assert_eq!(count(lines, "class=\"line\""), workers);
    let ids = count(&page, "id=\"lines-");
    assert_eq!((ids, count(&page, "href=\"#lines-")), (4, 4));
}

#[test]
fn a_page_tells_what_was_done_left_and_lost_and_how_to_do_it_again() {
    let page = page("whole-page", &evidence::twin(true));
    for told in [
        "podKill of worker</td><td class=\"n\">6 of 6",
        "<b>1.9 tasks</b>",
        "8.2 s",
        "All 6 events",
        "soak_sim_messages_lost_total",
        "312 samples of worker while it recovered or was rebalanced",
        "seed: 42",
        "kubectl apply -f soak.yaml",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

#[test]
fn the_soak_on_the_page_can_be_applied_again() {
    let evidence = evidence::twin(true);
    let page = page("yaml-page", &evidence);
    let yaml = between(
        &page,
        "every default written out</summary><pre><code>",
        "</code>",
    );
    let yaml = yaml
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    let again: soak_api::SoakTest = serde_saphyr::from_str(&yaml).expect("a SoakTest");
    assert_eq!(again.spec, evidence.soak_test.spec);
    assert_eq!(again.status, None);
}

#[test]
fn where_all_passed_nothing_is_folded() {
    let page = page("clean-page", &evidence::twin(false));
    assert!(
        page.contains("<h1>Passed</h1><p class=\"verdict\">All 5 criteria are proven to hold.</p>")
    );
    assert_eq!(count(&page, "<details class=\"criterion passed\""), 5);
    assert!(!page.contains("<h2>What was not measured</h2>"));
    for part in page.split("<details class=\"criterion passed\"").skip(1) {
        assert!(part.split_once('>').expect("a tag").0.contains(" open"));
    }
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing_whatever_it_is_given() {
    for (name, evidence) in [
        ("safe-page", evidence::twin(true)),
        ("hostile-page", evidence::hostile()),
    ] {
        let page = page(name, &evidence);
        for tag in page.split('<').skip(1) {
            let tag = tag.split_once('>').expect("a whole tag").0;
            let name = tag
                .trim_start_matches('/')
                .split(' ')
                .next()
                .expect("a name");
            assert!(
                !["script", "img", "iframe", "object", "base", "form"].contains(&name),
                "{tag}"
            );
            // What is between quotes is a value.
            for names in tag.split('"').step_by(2) {
                let known = names
                    .split_whitespace()
                    .skip(usize::from(tag.starts_with(names)));
                for attribute in known {
                    let attribute = attribute.trim_end_matches('=');
                    assert!(attribute != "src" && !attribute.starts_with("on"), "{tag}");
                }
            }
        }
        for request in ["url(", "@import", "http:", "https:"] {
            assert!(!page.contains(request), "{request}");
        }
        assert!(page.contains("default-src 'none'"));
        // One of each, wherever a hostile word would have ended it.
        for tag in ["</style>", "</head>", "</body>", "</html>", "</main>"] {
            assert_eq!(count(&page, tag), 1, "{tag}");
        }
        for tag in [
            "div", "span", "table", "tr", "td", "details", "svg", "section", "figure", "g",
        ] {
            let begun = count(&page, &format!("<{tag} ")) + count(&page, &format!("<{tag}>"));
            assert_eq!(begun, count(&page, &format!("</{tag}>")), "{tag}");
        }
    }
}

#[test]
fn three_days_of_a_hundred_pods_fit_on_a_page_of_two_megabytes() {
    let evidence = evidence::three_days();
    let kept = evidence.clone().encode(700 << 10).expect("bytes");
    let points: usize = evidence
        .charts
        .iter()
        .flat_map(|chart| &chart.lines)
        .map(|line| line.values.len())
        .sum();
    assert!((39_000..=40_000).contains(&points), "{points}");
    assert_eq!(evidence.events.len(), 2_500);
    assert!(
        Evidence::decode(&kept).expect("evidence") == evidence,
        "nothing had to be thinned out"
    );
    let page = page("three-days-page", &evidence);
    assert_eq!(count(&page, "class=\"line\""), 7_200);
    assert!(page.len() < 2_000_000, "{}", page.len());
}

#[test]
fn what_never_recovered_and_what_was_skipped_is_seen_among_the_chaos() {
    let mut evidence = evidence::twin(true);
    evidence.events[1].recovered_at = None;
    let skipped = &mut evidence.events[4];
    skipped.result = soak_api::EventResult::Skipped;
    skipped.reason = "TooFewReady".to_owned();
    (skipped.injected_at, skipped.recovered_at) = (None, None);
    let page = page("unrecovered-page", &evidence);
    let chaos = between(&page, "<h2>Chaos</h2>", "</section>");
    assert!(
        chaos.contains("<b>1 never recovered</b>") && chaos.contains("1 Skipped (TooFewReady)"),
        "{chaos}"
    );
    assert_eq!(
        (
            count(chaos, "class=\"dot\""),
            count(chaos, "class=\"mark\"")
        ),
        (4, 1)
    );
    assert!(page.contains("<b>podKill</b>: not injected: 1 Skipped (TooFewReady)."));
    let markdown = written(&evidence, &["-o", "markdown"]);
    assert!(
        markdown.contains(
            "| podKill of worker | 5 of 6 | 6.4 s | 1 never recovered | 1 Skipped (TooFewReady) |"
        ),
        "{markdown}"
    );
}

#[test]
fn a_soak_that_was_ended_early_has_a_page_as_well() {
    let mut evidence = evidence::twin(false);
    evidence.charts.clear();
    evidence.events.clear();
    let status = evidence.soak_test.status.as_mut().expect("a status");
    (status.criteria, status.footprints) = (Vec::new(), Vec::new());
    (status.times.settling, status.times.judging) = (None, None);
    status.outcome = Some(soak_api::SoakOutcome::Aborted);
    status.message = "Aborted: the SoakTest was deleted".to_owned();
    let page = page("aborted-page", &evidence);
    assert!(page.contains("<h1>Aborted</h1><p class=\"verdict\">The SoakTest was deleted.</p>"));
    assert!(page.contains("Nothing was judged.") && page.contains("No event came due."));
}
