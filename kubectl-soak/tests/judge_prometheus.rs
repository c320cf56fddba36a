//! What Prometheus has recorded, judged by the built program.

mod program;
mod server;

use std::collections::BTreeMap;
use std::net::TcpListener;

use program::{Ended, judge};
use serde_json::{Value, json};

/// The soak: six hours of 2026-07-01.
const START: i64 = 1_782_885_600;
const END: i64 = START + 6 * 3_600;

const SELECTOR: &str = "soak_sim_tasks_alive{namespace=\"soak\"}";

/// A query as it came in.
struct Asked {
    path: String,
    parameters: BTreeMap<String, String>,
}

impl Asked {
    fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> f64 {
        self.parameter(name).parse().expect("a number")
    }
}

/// A Prometheus that answers with a status and a body.
fn serve(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> String {
    server::serve(move |target| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
        answer(&Asked {
            path: path.to_owned(),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), unescaped(value)))
                .collect(),
        })
    })
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| std::str::from_utf8(&after[..2]).expect("hex"));
        if let Some(hex) = escaped {
            bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
            rest = &after[2..];
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("text")
}

/// A pod as Prometheus scrapes it every 15 s, some milliseconds after the full one.
struct Scraped {
    labels: Value,
    from: i64,
    to: i64,
    level: f64,
    leak_per_hour: f64,
    /// How far it goes up and down.
    wave: f64,
    rough: f64,
}

impl Scraped {
    fn value(&self, t: f64) -> String {
        let hours = (t - self.from as f64) / 3_600.0;
        let noise = self.rough * ((t / 15.0).floor() * 37.0 % 11.0);
        let wave = self.wave * (t / 1_800.0).sin();
        format!(
            "{:.0}",
            self.level + self.leak_per_hour * hours + wave + noise
        )
    }

    /// The samples at instants in a stretch, its left edge left out, as Prometheus 3 has it.
    fn between(&self, from: f64, to: f64, offset: f64) -> Value {
        let instants = (self.from / 15..self.to / 15).map(|i| 15.0 * i as f64 + offset);
        let inside = instants.filter(|t| *t > from && *t <= to);
        let values: Vec<Value> = inside.map(|t| json!([t, self.value(t)])).collect();
        json!({"metric": self.labels, "values": values})
    }
}

/// Two workers, one of them a pod that came back under its name after three hours.
fn workers(leak_per_hour: f64) -> Vec<Scraped> {
    let pod = |pod: &str, instance: &str, from, to| Scraped {
        labels: json!({
            "__name__": "soak_sim_tasks_alive", "component": "consume", "instance": instance,
            "job": "soak", "namespace": "soak", "pod": pod,
        }),
        from,
        to,
        level: 1000.0,
        leak_per_hour,
        wave: 0.0,
        rough: 1.0,
    };
    let half = i64::midpoint(START, END);
    vec![
        pod("worker-0", "10.244.1.7:9090", START - 7_200, END),
        pod("worker-1", "10.244.2.5:9090", START - 7_200, half),
        pod("worker-1", "10.244.2.9:9090", half + 30, END),
    ]
}

fn success(result_type: &str, result: &Value) -> (u16, String) {
    let data = json!({"resultType": result_type, "result": result});
    (200, json!({"status": "success", "data": data}).to_string())
}

/// Answers the queries of a plain selector and of one expression as Prometheus does.
fn prometheus(pods: Vec<Scraped>) -> impl Fn(&Asked) -> (u16, String) {
    move |asked| {
        let query = asked.parameter("query");
        let matrix = |from, to, offset| {
            let series = pods.iter().map(|pod| pod.between(from, to, offset));
            let series: Vec<Value> = series.filter(|s| s["values"] != json!([])).collect();
            success("matrix", &json!(series))
        };
        if asked.path == "/api/v1/query_range" {
            assert_eq!(query, "sum by (pod, instance) (soak_sim_tasks_alive)");
            return matrix(asked.number("start") - 0.001, asked.number("end"), 0.0);
        }
        assert_eq!(asked.path, "/api/v1/query");
        let time = asked.number("time");
        if query.starts_with("count(last_over_time(") {
            // As many as make it ask for the whole in parts.
            return success("vector", &json!([{"metric": {}, "value": [time, "1000"]}]));
        }
        let range = query.strip_prefix(SELECTOR).expect("the selector");
        let range = range.strip_prefix('[').and_then(|r| r.strip_suffix("ms]"));
        let milliseconds: f64 = range.expect("a range").parse().expect("a number");
        matrix(time - milliseconds / 1_000.0, time, 0.125)
    }
}

fn judged(url: &str, query: &str, more: &[&str]) -> Ended {
    let (start, end) = (START.to_string(), END.to_string());
    let mut args = vec!["--prometheus", url, "--query", query];
    args.extend(["--start", &start, "--end", &end]);
    args.extend(more);
    judge(&args, b"")
}

#[test]
fn a_steady_soak_passes() {
    let ended = judged(&serve(prometheus(workers(0.0))), SELECTOR, &[]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (0, ""),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_leak_that_a_restart_hides_fails() {
    let ended = judged(&serve(prometheus(workers(20.0))), SELECTOR, &[]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (1, ""),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("worker-1 (start 2)"),
        "{}",
        ended.stdout
    );
}

/// Answers what [`prometheus`] does about tasks, and everything else about the partitions that each pod owns.
fn with_partitions(partitions: Vec<Scraped>) -> impl Fn(&Asked) -> (u16, String) {
    let mut tasks = workers(20.0);
    for pod in &mut tasks {
        pod.wave = 30.0;
    }
    let tasks = prometheus(tasks);
    let partitions = prometheus(partitions);
    move |asked| {
        if !asked.parameter("query").contains("partitions_owned") {
            return tasks(asked);
        }
        let mut parameters = asked.parameters.clone();
        if let Some(query) = parameters.get_mut("query") {
            *query = query.replace("partitions_owned", SELECTOR);
        }
        let path = asked.path.clone();
        partitions(&Asked { path, parameters })
    }
}

#[test]
fn growth_that_load_explains_passes_at_equal_load_and_not_without_it() {
    let partitions = || {
        let mut pods = workers(20.0);
        for pod in &mut pods {
            (pod.level, pod.wave, pod.rough) = (100.0, 30.0, 0.0);
        }
        pods
    };
    let url = serve(with_partitions(partitions()));
    let alone = judged(&url, SELECTOR, &[]);
    assert_ne!(alone.code, 0, "{}", alone.stdout);
    let ended = judged(&url, SELECTOR, &["--per", "partitions_owned"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (0, ""),
        "{}",
        ended.stdout
    );
    let sentence = ended
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        sentence.contains("at equal partitions_owned (interval"),
        "{sentence}"
    );
    let criteria = program::file(
        "per.yaml",
        b"- name: tasks\n  growth: {signal: Tasks, maxPercent: 5}\n",
    );
    let more = [
        "--per",
        "partitions_owned",
        "--signal",
        "tasks",
        "--criteria",
        &criteria,
    ];
    let ended = judged(&url, SELECTOR, &more);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
}

#[test]
fn load_that_prometheus_does_not_have_is_never_a_pass() {
    let url = serve(with_partitions(Vec::new()));
    let ended = judged(&url, SELECTOR, &["--per", "partitions_owned"]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("no series of partitions_owned was found"),
        "{}",
        ended.stdout
    );
}

#[test]
fn an_expression_is_evaluated_at_every_step() {
    let url = serve(prometheus(workers(20.0)));
    let query = "sum by (pod, instance) (soak_sim_tasks_alive)";
    let ended = judged(&url, query, &["--step", "1m"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (1, ""),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_warning_is_told_and_never_lets_it_pass() {
    let whole = prometheus(workers(0.0));
    let url = serve(move |asked| {
        let (status, body) = whole(asked);
        let mut body: Value = serde_json::from_str(&body).expect("JSON");
        body["warnings"] = json!(["store 10.0.0.1:10901: context deadline exceeded"]);
        (status, body.to_string())
    });
    let ended = judged(&url, SELECTOR, &[]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    let warning = "Prometheus warns: store 10.0.0.1:10901: context deadline exceeded";
    assert_eq!(ended.stderr, format!("warning: {warning}\n"));
    assert!(
        ended.stdout.contains("The data may be incomplete"),
        "{}",
        ended.stdout
    );
}

#[test]
fn half_of_the_time_asked_about_is_not_enough_to_pass() {
    let mut pods = workers(0.0);
    pods.truncate(1);
    pods[0].to = i64::midpoint(START, END);
    let ended = judged(&serve(prometheus(pods)), SELECTOR, &[]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(
        ended.stderr.contains("samples in 50 % of the time"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_empty_answer_is_inconclusive() {
    let url = serve(|_| success("vector", &json!([])));
    let ended = judged(&url, SELECTOR, &[]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert_eq!(
        ended.stderr,
        "warning: Prometheus has no samples from 2026-07-01T06:00:00Z to 2026-07-01T12:00:00Z: look at --query, \
         --start and --end\n"
    );
}

#[test]
fn an_error_answer_is_an_error_with_what_prometheus_says() {
    let url = serve(|_| {
        let body = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis"}"#;
        (400, body.to_owned())
    });
    let ended = judged(&url, "sum(", &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    assert_eq!(
        ended.stderr,
        format!(
            "error: Prometheus at {url} cannot answer \"sum(\": invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis\n"
        )
    );
}

#[test]
fn nobody_and_somebody_else_are_errors() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    let nobody = judged(&url, SELECTOR, &[]);
    assert_eq!(nobody.code, 4);
    assert!(
        nobody.stderr.contains("cannot be reached"),
        "{}",
        nobody.stderr
    );

    let url = serve(|_| (200, "<html>Grafana</html>".to_owned()));
    let other = judged(&url, SELECTOR, &[]);
    assert_eq!(other.code, 4);
    assert!(
        other.stderr.contains("is not Prometheus"),
        "{}",
        other.stderr
    );
}

#[test]
fn criteria_about_the_query_itself_are_judged_on_its_values() {
    let criteria = program::file(
        "threshold.yaml",
        b"- {name: bounded, threshold: {query: tasks, max: 1100}}\n- {name: low, threshold: {query: tasks, max: 900}}\n",
    );
    let url = serve(prometheus(workers(0.0)));
    let ended = judged(&url, SELECTOR, &["--criteria", &criteria, "-o", "json"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["criteria"][0]["outcome"], "Passed");
    assert_eq!(report["criteria"][1]["outcome"], "Failed");
}

#[test]
fn arguments_that_make_no_sense_are_told_so() {
    for (url, start, problem) in [
        ("http://127.0.0.1:1", "-1h", "is not before --end"),
        (
            "http://127.0.0.1:1",
            "noon",
            "use 2026-07-01T12:00:00Z, Unix seconds, now, or",
        ),
        ("prometheus:9090", "-3h", "use a URL such as http://"),
    ] {
        let args = [
            "--prometheus",
            url,
            "--query",
            "up",
            "--start",
            start,
            "--end",
            "-2h",
        ];
        let ended = judge(&args, b"");
        assert_eq!(ended.code, 4);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}
