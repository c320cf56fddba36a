//! Soaks that never were, as the operator would have kept them: what it measured of each pod follows from a few numbers, so
//! that a report of them can be checked by eye.

#![allow(dead_code, reason = "not every test needs every soak")]

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use soak_api::{Chart, Evidence, Line};

/// When the warm-up of all of them began.
const BEGAN: &str = "2026-03-02T10:00:00Z";

/// Six workers and two producers for five minutes, a worker killed some forty seconds apart; where it leaks, each kill leaves
/// two tasks in every survivor.
pub fn twin(leaking: bool) -> Evidence {
    let name = if leaking { "leaking" } else { "clean" };
    let kills = [153.2, 189.5, 224.1, 263.8, 302.4, 339.9];
    let took = if leaking {
        [5.4, 6.1, 8.2, 5.9, 7.0, 6.4]
    } else {
        [5.1, 6.8, 5.5, 6.2, 4.9, 5.8]
    };
    let shape = Shape {
        workers: 6,
        producers: 2,
        warm_up: 90.0,
        length: 435.0,
        step: 1.0,
        baseline: 16.0,
        left: if leaking { 1.9 } else { 0.0 },
    };
    let (tasks, memory) = shape.lines(&kills);
    let mut lost = Vec::new();
    for line in tasks.iter().filter(|line| line.component == "producer") {
        lost.push(Line {
            values: vec![0.0; line.values.len()],
            ..line.clone()
        });
    }
    let test = json!({
        "apiVersion": "soak-operator.io/v1alpha1", "kind": "SoakTest",
        "metadata": {"name": name, "namespace": "soak"},
        "spec": {
            "warmUp": "90s", "duration": "5m", "settle": "45s", "deadline": "20m", "seed": 42,
            "workload": {"simulation": {
                "partitions": 60, "messageRate": 1, "workers": {"replicas": 6}, "producers": {"replicas": 2},
                "leak": {"mode": if leaking { "OrphanedPullLoop" } else { "None" }},
            }},
            "chaos": {"interval": {"min": "30s", "max": "45s"}, "events": [{"podKill": {"component": "worker"}}]},
            "metrics": {"step": "1s"},
            "criteria": [
                {"name": "task-growth", "growth": {"signal": "Tasks", "maxPercent": 5}},
                {"name": "memory-growth", "growth": {"signal": "Memory", "maxAbsolute": "4Mi"}},
                {"name": "no-loss", "increase": {"query": "soak_sim_messages_lost_total", "max": 0, "durable": true}},
            ],
        },
        "status": {
            "phase": "CleaningUp", "progress": "100%", "seed": 42, "planVersion": 1,
            "outcome": if leaking { "Failed" } else { "Passed" },
            "message": if leaking {
                "Failed: task-growth: worker tasks grew by 73 % over 5m (interval 63 % to 84 %), limit 5 %: most of it in consume; each podKill of worker leaves 1.9 tasks (1.5 tasks to 2.3 tasks) in every survivor. (and 1 more)"
            } else {
                "Passed: all 5 criteria are proven to hold"
            },
            "times": {
                "deploying": at(-21.0), "warmingUp": at(0.0), "soaking": at(90.0), "settling": at(390.0),
                "judging": at(435.0), "cleaningUp": at(441.0),
            },
            "components": [
                {"name": "worker", "desired": 6, "ready": 6}, {"name": "producer", "desired": 2, "ready": 2},
            ],
            "chaos": {"summary": "6/6", "planned": 6, "due": 6, "injected": 6},
            "criteria": if leaking { leaking_criteria() } else { clean_criteria() },
            "footprints": if leaking { leaking_footprints() } else { json!([]) },
        },
    });
    Evidence {
        version: Evidence::VERSION,
        operator: "0.1.0".to_owned(),
        soak_test: serde_json::from_value(test).expect("a SoakTest"),
        events: events(&kills, &took, 6),
        charts: vec![
            chart("task-growth", "Tasks", "tasks", tasks),
            chart("memory-growth", "Memory", "bytes", memory),
            chart("no-loss", "soak_sim_messages_lost_total", "", lost),
        ],
    }
}

/// A hundred workers for three days, one killed or restarted every two minutes or so: as many incarnations, points and
/// events as evidence ever holds.
pub fn three_days() -> Evidence {
    let length = 72.0 * 3_600.0;
    let warm_up = 600.0;
    let events_at: Vec<f64> = (0..2_500)
        .map(|i| warm_up + 60.0 + f64::from(i) * (length - 120.0) / 2_500.0)
        .collect();
    let incarnation = |place: u32, base: f64, grown: f64| {
        let (pod, life) = (place / 36, place % 36);
        let from = f64::from(life) * length / 36.0 + f64::from(pod);
        let points = 5 + u32::from(place.is_multiple_of(2));
        let seconds: Vec<f64> = (0..points)
            .map(|i| (from + f64::from(i) * 1_430.0).round())
            .collect();
        let value =
            |t: &f64| short(base + grown * t / length + base * 0.02 * noise(*t + f64::from(place)));
        Line {
            component: "worker".to_owned(),
            name: format!("three-days-worker-6d8f9c7b5-{pod:05}"),
            incarnation: life + 1,
            values: seconds.iter().map(value).collect(),
            seconds,
        }
    };
    let lines = |base: f64, grown: f64| {
        (0..3_600)
            .map(|place| incarnation(place, base, grown))
            .collect()
    };
    let mut evidence = twin(false);
    let test = &mut evidence.soak_test;
    test.metadata.name = Some("three-days".to_owned());
    test.spec.duration = "72h".parse().expect("a span");
    let status = test.status.as_mut().expect("a status");
    let at = |seconds: f64| Some(instant(seconds));
    status.times.soaking = at(warm_up);
    status.times.settling = at(warm_up + length);
    status.times.judging = at(warm_up + length + 120.0);
    status.times.cleaning_up = at(warm_up + length + 130.0);
    status.components[0].desired = 100;
    (status.chaos.planned, status.chaos.injected) = (2_500, 2_500);
    for result in &mut status.criteria {
        result.component = result.component.as_ref().map(|_| "worker".to_owned());
        result.worst_pods.clear();
        for (of_twin, of_this) in [
            ("over 5m", "over 3d"),
            ("producer tasks", "worker tasks"),
            ("6 events", "2500 events"),
            ("6 of 6", "2500 of 2500"),
        ] {
            result.sentence = result.sentence.replace(of_twin, of_this);
        }
    }
    let took: Vec<f64> = events_at
        .iter()
        .map(|at| 5.0 + 4.0 * noise(*at).abs())
        .collect();
    evidence.events = events(&events_at, &took, 100);
    evidence.charts = vec![
        chart("task-growth", "Tasks", "tasks", lines(1_350.0, 0.0)),
        chart("memory-growth", "Memory", "bytes", lines(3.4e8, 1e5)),
    ];
    evidence
}

/// The leaking twin in the words of somebody who wants to break out of a report.
pub fn hostile() -> Evidence {
    let mut evidence = twin(true);
    let text = HOSTILE.to_owned();
    evidence.operator.clone_from(&text);
    let soak = &mut evidence.soak_test;
    soak.metadata.name = Some(text.clone());
    soak.metadata.namespace = Some(text.clone());
    soak.spec.criteria[0].name.clone_from(&text);
    let status = soak.status.as_mut().expect("a status");
    status.message = format!("Failed: {text}");
    for component in &mut status.components {
        component.name = format!("{text}{}", component.name);
    }
    for result in &mut status.criteria {
        result.component = Some(text.clone());
        result.excluded.push(text.clone());
        for part in [
            &mut result.name,
            &mut result.kind,
            &mut result.sentence,
            &mut result.unit,
        ] {
            part.clone_from(&text);
        }
        let rows = result
            .worst_pods
            .iter_mut()
            .chain(&mut result.contributions);
        for row in rows.chain(&mut result.per_event) {
            row.name.clone_from(&text);
        }
    }
    for footprint in &mut status.footprints {
        footprint.component.clone_from(&text);
        footprint.total.name.clone_from(&text);
        for part in &mut footprint.parts {
            part.name.clone_from(&text);
        }
    }
    status.breaches.push(soak_api::HealthBreach {
        at: instant(200.0),
        component: text.clone(),
        pod: text.clone(),
        reason: text.clone(),
        detail: text.clone(),
    });
    for event in &mut evidence.events {
        for part in [
            &mut event.kind,
            &mut event.component,
            &mut event.pod,
            &mut event.reason,
        ] {
            part.clone_from(&text);
        }
    }
    for chart in &mut evidence.charts {
        chart.criteria = vec![text.clone()];
        (chart.of, chart.unit) = (text.clone(), text.clone());
        for line in &mut chart.lines {
            (line.component, line.name) = (text.clone(), text.clone());
        }
    }
    evidence
}

/// What does harm in HTML, XML, Markdown or a spreadsheet that takes it for its own.
pub const HOSTILE: &str = "=1+1</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>]]>|`x`\n# @all [a](javascript:b)\u{1}";

/// What of the pods a soak's lines follow from.
struct Shape {
    workers: usize,
    producers: usize,
    warm_up: f64,
    length: f64,
    step: f64,
    /// The tasks of a worker that has settled.
    baseline: f64,
    /// What each kill leaves in the survivors.
    left: f64,
}

impl Shape {
    /// Tasks and memory of each incarnation. The workers are killed in turn; the next incarnation starts six seconds later.
    fn lines(&self, kills: &[f64]) -> (Vec<Line>, Vec<Line>) {
        let (mut tasks, mut memory) = (Vec::new(), Vec::new());
        let mut add = |component: &str, name: String, (from, to): (f64, f64), base: f64| {
            let scrapes = (0..).map(|i| from + f64::from(i) * self.step);
            let seconds: Vec<f64> = scrapes.take_while(|t| *t < to).collect();
            let salt = name
                .bytes()
                .fold(0.0, |salt, byte| 3.7 * salt + f64::from(byte))
                % 1_000.0;
            let stayed = |t: f64| {
                let survived = kills
                    .iter()
                    .filter(|at| **at > from && **at + 3.0 < t)
                    .count();
                if component == "worker" {
                    self.left * survived as f64
                } else {
                    0.0
                }
            };
            let settled = |t: f64| 1.0 - (-(t - from) / 9.0).exp();
            let count = |t: &f64| {
                let wave = if component == "worker" {
                    noise((t / 3.0).floor() + salt)
                } else {
                    0.0
                };
                ((base - 6.0) + 6.0 * settled(*t) + wave + stayed(*t)).round()
            };
            let bytes = |t: &f64| {
                short(
                    8_388_608.0 * (0.8 + 0.2 * settled(*t))
                        + 1.1e5 * noise((t / 5.0).floor() + salt)
                        + 81_000.0 * stayed(*t)
                        + 500.0 * (t - from),
                )
            };
            let line = |values| Line {
                component: component.to_owned(),
                name: name.clone(),
                incarnation: 1,
                seconds: seconds.clone(),
                values,
            };
            tasks.push(line(seconds.iter().map(count).collect()));
            memory.push(line(seconds.iter().map(bytes).collect()));
        };
        for place in 0..self.producers {
            add(
                "producer",
                format!("producer-5c4d8-{place}"),
                (2.0, self.length),
                10.0,
            );
        }
        for place in 0..self.workers {
            let mut from = 1.0 + place as f64 * 0.4;
            let mine = kills.iter().skip(place).step_by(self.workers);
            for (life, kill) in mine.enumerate() {
                add(
                    "worker",
                    format!("worker-7b9f6-{place}{life}"),
                    (from, *kill),
                    self.baseline,
                );
                from = kill + 6.0;
            }
            add(
                "worker",
                format!("worker-7b9f6-{place}x"),
                (from, self.length),
                self.baseline,
            );
        }
        assert!(self.warm_up < self.length);
        (tasks, memory)
    }
}

fn events(at: &[f64], took: &[f64], workers: usize) -> Vec<soak_api::EventRecord> {
    let event = |(place, seconds): (usize, &f64)| {
        let event = json!({
            "index": place, "kind": "podKill", "component": "worker",
            "pod": format!("worker-7b9f6-{}{}", place % workers, place / workers),
            "plannedAt": self::at(seconds - 0.3), "injectedAt": self::at(*seconds),
            "recoveredAt": self::at(seconds + took[place]), "result": "Injected",
        });
        serde_json::from_value(event).expect("an event")
    };
    at.iter().enumerate().map(event).collect()
}

fn chart(criterion: &str, of: &str, unit: &str, lines: Vec<Line>) -> Chart {
    Chart {
        criteria: vec![criterion.to_owned()],
        of: of.to_owned(),
        unit: unit.to_owned(),
        lines,
        not_shown: 0,
    }
}

fn healthy(slowest: &str) -> [Value; 2] {
    [
        json!({"name": "health", "kind": "health", "outcome": "Passed", "sentence": format!(
            "no pod restarted, ran out of memory, was evicted or was deleted but by chaos; after each of 6 events all pods were ready again, the slowest after {slowest} (limit 300s).")}),
        json!({"name": "evidence", "kind": "evidence", "outcome": "Passed", "sentence":
            "data cover 98 % of the pod-time, an operator 100 % of the soak; 6 of 6 planned events were carried out and proven."}),
    ]
}

fn no_loss() -> Value {
    json!({"name": "no-loss", "kind": "increase", "outcome": "Passed", "estimate": 0, "interval": {"low": 0, "high": 0},
        "limit": 0, "samples": 870, "incarnations": 2,
        "sentence": "soak_sim_messages_lost_total counted 0 from the end of warm-up to the end of settling, limit 0."})
}

fn clean_criteria() -> Value {
    let [health, evidence] = healthy("6.8s");
    json!([health, evidence,
        {"name": "task-growth", "kind": "growth", "outcome": "Passed", "component": "producer", "estimate": 0,
            "interval": {"low": 0, "high": 0}, "limit": 5, "unit": "%", "samples": 600, "incarnations": 2, "course": "Flat",
            "worstPods": [row("producer-5c4d8-0", 0.0, 0.0, 0.0)], "contributions": [row("core", 0.0, 0.0, 0.0)],
            "sentence": "producer tasks did not grow over 5m (interval 0 % to 0 %), limit 5 %."},
        {"name": "memory-growth", "kind": "growth", "outcome": "Passed", "component": "worker", "estimate": 969_728,
            "interval": {"low": 547_840, "high": 1_363_149}, "limit": 4_194_304, "unit": "bytes", "samples": 1_764,
            "incarnations": 9, "course": "Saturating", "worstPods": [row("worker-7b9f6-50", 241_000.0, 98_000.0, 384_000.0)],
            "sentence": "worker memory grew by 947 KiB over 5m (interval 535 KiB to 1.3 MiB), limit 4 MiB."},
        no_loss(),
    ])
}

fn leaking_criteria() -> Value {
    let [health, evidence] = healthy("8.2s");
    json!([health, evidence,
        {"name": "task-growth", "kind": "growth", "outcome": "Failed", "component": "worker", "estimate": 73.4,
            "interval": {"low": 62.9, "high": 83.8}, "limit": 5, "unit": "%", "samples": 1_688, "incarnations": 10,
            "course": "Growing",
            "worstPods": [
                row("worker-7b9f6-50", 13.1, 10.4, 15.8), row("worker-7b9f6-40", 12.6, 9.9, 15.3),
                row("worker-7b9f6-0x", 12.2, 8.1, 16.2), row("worker-7b9f6-30", 11.4, 9.6, 13.2),
            ],
            "contributions": [row("consume", 69.8, 60.2, 79.4), row("core", 0.6, -0.4, 1.6), row("fetch", 0.1, -0.3, 0.5)],
            "perEvent": [row("podKill of worker", 1.9, 1.5, 2.3)],
            "excluded": ["312 samples of worker while it recovered or was rebalanced", "2 incarnations of worker too short to show a slope"],
            "sentence": "worker tasks grew by 73 % over 5m (interval 63 % to 84 %), limit 5 %: most of it in consume; each podKill of worker leaves 1.9 tasks (1.5 tasks to 2.3 tasks) in every survivor."},
        {"name": "memory-growth", "kind": "growth", "outcome": "Failed", "component": "worker", "estimate": 5_347_737,
            "interval": {"low": 4_200_304, "high": 6_501_171}, "limit": 4_194_304, "unit": "bytes", "samples": 1_688,
            "incarnations": 10, "course": "Growing",
            "worstPods": [row("worker-7b9f6-50", 1_010_000.0, 790_000.0, 1_230_000.0)],
            "perEvent": [row("podKill of worker", 157_696.0, 117_760.0, 197_632.0)],
            "reach": {"limitBytes": 268_435_456.0, "seconds": 74_400.0, "soonestSeconds": 61_200.0, "latestSeconds": 97_200.0},
            "sentence": "worker memory grew by 5.1 MiB over 5m (interval 4 MiB to 6.2 MiB), limit 4 MiB; each podKill of worker leaves 154 KiB (115 KiB to 193 KiB) in every survivor."},
        no_loss(),
    ])
}

fn leaking_footprints() -> Value {
    let amount = |estimate: f64, low: f64, high: f64| json!({"estimate": estimate, "interval": {"low": low, "high": high}});
    json!([{"component": "worker",
    "total": {"name": "worker", "tasks": amount(70.5, 60.4, 80.4), "bytes": amount(5_347_737.0, 4_200_304.0, 6_501_171.0),
        "bytesPerTask": amount(75_854.0, 55_300.0, 98_100.0)},
    "parts": [
        {"name": "consume", "tasks": amount(69.8, 60.2, 79.4), "bytes": {"estimate": 5_294_000.0},
            "bytesPerTask": {"estimate": 75_854.0}, "sharedOut": true},
        {"name": "core", "tasks": amount(0.6, -0.4, 1.6), "bytes": {"estimate": 45_500.0}, "sharedOut": true},
    ]}])
}

fn row(name: &str, growth: f64, low: f64, high: f64) -> Value {
    json!({"name": name, "growth": growth, "interval": {"low": low, "high": high}})
}

/// A value between -1 and 1 that looks like chance and is always the same.
fn noise(t: f64) -> f64 {
    let large = (12.9898 * t).sin() * 43_758.545_3;
    2.0 * (large - large.floor()) - 1.0
}

/// Four digits, as the operator keeps.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a number")
}

fn at(seconds: f64) -> String {
    instant(seconds).to_string()
}

fn instant(seconds: f64) -> Timestamp {
    let began: Timestamp = BEGAN.parse().expect("an instant");
    began + SignedDuration::from_secs_f64((seconds * 10.0).round() / 10.0)
}
