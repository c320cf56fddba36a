//! Input that makes little sense, drawn from a plausible one by bending it here and there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use soak_verdict::{
    ChaosEvent, Component, CriterionKind, Delta, Growth, IncarnationSeries, Increase, Measured,
    Quantity, Recovery, Run, Sample, Signal, Span, Threshold, Trend, Window,
};

use crate::dice::Dice;

/// Numbers that arithmetic trips over.
const NUMBERS: &[f64] = &[
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    1e-310,
    1e300,
    -1e300,
    1e154,
    1e-154,
    1e15,
    9_007_199_254_740_993.0,
    f64::EPSILON,
    1e-9,
    1_700_000_000.0,
    1e18,
];

const QUERIES: &[&str] = &[
    "go_goroutines",
    "rss_bytes{a=\"b\"}",
    "sum by (pod) (x)",
    "{",
    "",
];

const QUANTITIES: &[&str] = &[
    "0",
    "3",
    "300",
    "40Mi",
    "0.0000000001",
    "1m",
    "99999999999999999999",
    "99999999999999999999Ti",
    "00000000000000000000",
];

const PERCENTILES: &[&str] = &[
    "p50", "p99", "p99.99", "p1", "p0", "p100", "p", "q9", "", "p5.", "pNaN", "p-1",
];

/// What bytes of a file are replaced with.
const WORDS: &[&str] = &[
    "null",
    "true",
    "\"NaN\"",
    "\"inf\"",
    "\"-inf\"",
    "1e308",
    "-1e308",
    "1e-320",
    "1e999",
    "-0",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[0]",
    "[0,null]",
    "\"\"",
    "\"samples\":",
    "\"t\":",
    ",",
    ":",
    "]",
    "}",
    "-",
    "9999999999999999999999",
    "18446744073709551615",
    "4294967295",
    "4294967296",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"0s\"",
    "\"1ms\"",
    "\"18446744073709551615h\"",
    "\"5Mi\"",
    "\"p99\"",
];

fn number(dice: &mut Dice) -> f64 {
    match dice.below(4) {
        0 => dice.between(-2.0, 2.0) * 10_f64.powf(dice.between(-320.0, 308.0)),
        1 => dice.between(-100.0, 10_000.0).round(),
        _ => dice.one_of(NUMBERS),
    }
}

fn name(dice: &mut Dice) -> String {
    let names = [
        "worker",
        "worker",
        "worker",
        "producer",
        "",
        "w-0",
        "\u{e9}\u{1f40c}-0-",
        "-",
        "--5",
    ];
    dice.one_of(&names).to_owned()
}

/// A criterion of any kind, mostly with a limit that somebody might set.
pub(crate) fn criterion(dice: &mut Dice) -> CriterionKind {
    let quantity = |dice: &mut Dice| {
        let text = dice.one_of(QUANTITIES);
        text.parse::<Quantity>().ok()
    };
    let limit = |dice: &mut Dice| {
        if dice.chance(0.5) {
            dice.one_of(&[0.0, 1.0, 5.0, 50.0])
        } else {
            number(dice)
        }
    };
    let span = |dice: &mut Dice| match dice.below(5) {
        0 => Span::from_seconds(dice.one_of(&[0, 1, 60, u64::MAX])),
        1 => Span::from_milliseconds(dice.one_of(&[0, 1, u64::MAX])),
        _ => Span::from_seconds(dice.one_of(&[3_600, 86_400])),
    };
    let of = match dice.below(4) {
        0 | 1 => Measured::Signal(Signal::Tasks),
        2 => Measured::Signal(Signal::Memory),
        _ => Measured::Query(dice.one_of(QUERIES).to_owned()),
    };
    let (signal, query) = match &of {
        Measured::Signal(signal) => (Some(*signal), None),
        Measured::Query(query) => (None, Some(query.clone())),
    };
    let per = dice.chance(0.4).then(|| dice.one_of(QUERIES).to_owned());
    match dice.below(9) {
        0..=2 => CriterionKind::Growth(
            of,
            Growth {
                signal,
                query,
                per,
                max_percent: dice.chance(0.7).then(|| limit(dice)),
                max_absolute: if dice.chance(0.5) {
                    quantity(dice)
                } else {
                    None
                },
            },
        ),
        3 | 4 => CriterionKind::Trend(
            of,
            Trend {
                signal,
                query,
                per,
                horizon: span(dice),
                max_percent: limit(dice),
                window: dice.chance(0.3).then(|| span(dice)),
            },
        ),
        5 => CriterionKind::Increase(Increase {
            query: "lost_total".to_owned(),
            max: limit(dice),
            durable: dice.chance(0.5),
        }),
        6 => CriterionKind::Threshold(Threshold {
            query: "latency".to_owned(),
            max: dice.chance(0.7).then(|| limit(dice)),
            min: dice.chance(0.3).then(|| limit(dice)),
            over: dice
                .chance(0.6)
                .then(|| dice.one_of(PERCENTILES).to_owned()),
        }),
        7 => CriterionKind::Recovery(Recovery {
            max: span(dice),
            percentile: limit(dice),
        }),
        _ => CriterionKind::Delta(
            of,
            Delta {
                signal,
                query,
                within: quantity(dice)
                    .unwrap_or_else(|| "5".parse().unwrap_or_else(|_| unreachable!())),
            },
        ),
    }
}

/// A run that was plausible until it was bent a few times.
pub(crate) fn run(dice: &mut Dice) -> Run {
    let mut run = plausible(dice);
    for _ in 0..dice.one_of(&[0, 1, 1, 2, 3, 6, 12]) {
        bend(&mut run, dice);
    }
    run
}

fn plausible(dice: &mut Dice) -> Run {
    let step = dice.one_of(&[15.0, 15.0, 1.0, 0.1, 60.0]);
    let start = dice.one_of(&[1_700_000_000.0, 0.0, -1e6, 1e12]);
    let steps = dice.one_of(&[0, 1, 2, 3, 5, 20, 80, 80, 300]);
    let length = step * f64::from(steps);
    let scale = dice.one_of(&[1.0, 1.0, 1e6, 1e-3, 1e-300, 1e150, 1e300, 0.0]);
    let (growth, noise, teeth) = (
        dice.one_of(&[0.0, 0.1, -0.5, 10.0]),
        dice.one_of(&[0.0, 0.01, 0.3]),
        dice.one_of(&[0.0, 0.0, 0.5]),
    );
    let whole = dice.chance(0.4);
    let pods = dice.one_of(&[0, 1, 1, 2, 3, 6]);
    let labels = dice.one_of(&[1, 1, 1, 2, 5]);
    let mut series = Vec::new();
    for pod in 0..pods {
        for incarnation in 0..dice.one_of(&[1, 1, 2, 4]) {
            let born =
                start + length * dice.one_of(&[-0.2, 0.0, 0.3, 0.9]) * f64::from(incarnation);
            let end = dice
                .chance(0.3)
                .then(|| dice.between(start, start + length));
            for label in 0..labels {
                let samples = (0..steps + steps / 5)
                    .map(|i| {
                        let share = f64::from(i) / f64::from(steps.max(1));
                        let value = 100.0
                            * (1.0
                                + growth * share
                                + noise * dice.normal()
                                + teeth * (share * 12.0).fract());
                        Sample {
                            t: start + step * f64::from(i) + 0.01 * f64::from(pod),
                            v: scale * if whole { value.round() } else { value },
                        }
                    })
                    .collect();
                series.push(IncarnationSeries {
                    component: if pod == 5 {
                        name(dice)
                    } else {
                        "worker".to_owned()
                    },
                    pod: format!("worker-{pod}"),
                    incarnation,
                    started_at: born,
                    ended_at: end,
                    labels: (labels > 1)
                        .then(|| ("component".to_owned(), format!("part-{label}")))
                        .into_iter()
                        .collect(),
                    samples,
                });
            }
        }
    }
    let events = (0..dice.one_of(&[0, 0, 1, 3, 10]))
        .map(|_| {
            let at = dice.between(start, start + length);
            ChaosEvent {
                at,
                recovered_at: dice.chance(0.9).then(|| at + dice.between(0.0, 4.0 * step)),
                undone_at: None,
                tells_recovery: true,
                kind: "podKill".to_owned(),
                component: name(dice),
                pod: format!("worker-{}", dice.below(6)),
            }
        })
        .collect();
    let load = loads(&series, dice);
    Run {
        window: Window {
            start,
            end: start + length,
        },
        settle_end: start + length * 1.2,
        warm_up_seconds: length * dice.one_of(&[0.0, 0.1]),
        step_seconds: step,
        cooldown_seconds: dice.one_of(&[0.0, step, 10.0]),
        components: vec![Component {
            name: "worker".to_owned(),
            replicas: dice.one_of(&[1, 1, 2, 3, 6]),
            memory_limit_bytes: dice.chance(0.3).then_some(300.0 * scale),
        }],
        series,
        events,
        load,
        left_out: Vec::new(),
        gaps: Vec::new(),
    }
}

/// The load of the same incarnations: of all or of some of them, following the signal, time, both or neither.
fn loads(series: &[IncarnationSeries], dice: &mut Dice) -> Vec<IncarnationSeries> {
    if dice.chance(0.3) {
        return Vec::new();
    }
    let (of_signal, of_time, of_chance) = (
        dice.one_of(&[0.0, 0.0, 1.0, -2.0]),
        dice.one_of(&[0.0, 0.0, 0.01, -1.0]),
        dice.one_of(&[0.0, 0.1, 10.0]),
    );
    let scale = dice.one_of(&[1.0, 1.0, 1e-300, 1e300, 0.0]);
    let known = dice.one_of(&[1.0, 1.0, 0.7, 0.1]);
    let mut loads = Vec::new();
    for one in series {
        if dice.chance(known) {
            let load = |sample: &Sample| Sample {
                t: sample.t,
                v: scale * (of_signal * sample.v + of_time * sample.t + of_chance * dice.normal()),
            };
            loads.push(IncarnationSeries {
                samples: one.samples.iter().map(load).collect(),
                ..one.clone()
            });
        }
    }
    loads
}

/// Changes one thing for the worse.
fn bend(run: &mut Run, dice: &mut Dice) {
    if dice.chance(0.2) {
        std::mem::swap(&mut run.series, &mut run.load);
        bend(run, dice);
        std::mem::swap(&mut run.series, &mut run.load);
        return;
    }
    let odd = number(dice);
    let count = run.series.len();
    let which = if count > 0 { dice.below(count) } else { 0 };
    match dice.below(8) {
        0 => bend_phases(run, odd, dice),
        1 => bend_components(run, odd, dice),
        2 => bend_events(run, odd, dice),
        _ => {
            let Some(series) = run.series.get_mut(which) else {
                return;
            };
            if dice.chance(0.2) {
                let mut twin = series.clone();
                bend_series(&mut twin, odd, dice);
                run.series.push(twin);
            } else if dice.chance(0.03) {
                let base = series.clone();
                run.series
                    .extend((0..dice.one_of(&[50, 300])).map(|i| IncarnationSeries {
                        labels: BTreeMap::from([("component".to_owned(), format!("part-{i}"))]),
                        samples: base.samples.iter().take(20).copied().collect(),
                        ..base.clone()
                    }));
            } else {
                bend_series(series, odd, dice);
            }
        }
    }
}

fn bend_phases(run: &mut Run, odd: f64, dice: &mut Dice) {
    let window = run.window;
    match dice.below(8) {
        0 => run.window.start = odd,
        1 => run.window.end = odd,
        2 => (run.window.start, run.window.end) = (window.end, window.start),
        3 => run.window.end = window.start + dice.one_of(&[0.0, 1e-300, 1e-6, 1.0]),
        4 => run.settle_end = odd,
        5 => run.warm_up_seconds = odd,
        6 => run.step_seconds = odd,
        _ => run.cooldown_seconds = odd,
    }
}

fn bend_components(run: &mut Run, odd: f64, dice: &mut Dice) {
    let replicas = dice.one_of(&[0, 1, 7, 1_000, u32::MAX]);
    match dice.below(5) {
        0 => run.components.clear(),
        1 => run.components.push(Component {
            name: name(dice),
            replicas,
            memory_limit_bytes: Some(odd),
        }),
        2 => run.components.extend(run.components.clone()),
        3 => run.gaps.push(name(dice)),
        _ => {
            for component in &mut run.components {
                component.replicas = replicas;
                component.memory_limit_bytes = Some(odd);
            }
        }
    }
}

fn bend_events(run: &mut Run, odd: f64, dice: &mut Dice) {
    let event = ChaosEvent {
        at: odd,
        recovered_at: dice.chance(0.8).then(|| number(dice)),
        undone_at: None,
        tells_recovery: true,
        kind: name(dice),
        component: "worker".to_owned(),
        pod: name(dice),
    };
    match dice.below(4) {
        0 => run.events.push(event),
        1 => run.events.extend(vec![event; 200]),
        2 => run.events.reverse(),
        _ => {
            for event in &mut run.events {
                event.recovered_at = Some(odd);
            }
        }
    }
}

fn bend_series(series: &mut IncarnationSeries, odd: f64, dice: &mut Dice) {
    let count = series.samples.len();
    let which = if count > 0 { dice.below(count) } else { 0 };
    match dice.below(16) {
        0 | 1 => series
            .samples
            .iter_mut()
            .skip(which)
            .take(1)
            .for_each(|s| s.v = odd),
        2 | 3 => series
            .samples
            .iter_mut()
            .skip(which)
            .take(1)
            .for_each(|s| s.t = odd),
        4 => series.samples.truncate(dice.one_of(&[0, 1, 2, 3])),
        5 => series.samples.truncate(which),
        6 => series
            .samples
            .iter_mut()
            .skip(which)
            .for_each(|s| s.v = odd),
        7 => series
            .samples
            .iter_mut()
            .skip(which)
            .for_each(|s| s.t = odd),
        8 => series.samples.iter_mut().for_each(|s| s.v *= odd),
        9 => series
            .samples
            .iter_mut()
            .skip(which)
            .for_each(|s| s.v += odd),
        10 => series.samples.extend(series.samples.clone()),
        11 => series.samples.reverse(),
        12 => series.started_at = odd,
        13 => series.ended_at = Some(odd),
        14 => {
            series.labels = (0..dice.one_of(&[0, 1, 1_000]))
                .map(|i| (format!("label-{i}"), name(dice)))
                .collect();
        }
        _ => {
            series.component = name(dice);
            series.pod = name(dice);
            series.incarnation = dice.one_of(&[0, 1, u32::MAX]);
        }
    }
}

/// A recording's text, bent.
pub(crate) fn file(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text(dice).into_bytes();
    for _ in 0..dice.one_of(&[0, 0, 1, 1, 2, 4, 8]) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        let until = (at + dice.one_of(&[1, 1, 2, 5, 30])).min(bytes.len());
        match dice.below(6) {
            0 => bytes[at] ^= dice.one_of(&[1, 2, 4, 8, 16, 32, 64, 128]),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            _ => {
                // A whole number or word, so that what comes out is read more often than not.
                let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+\"".contains(byte);
                let end = bytes[at..].iter().position(|byte| !in_word(byte));
                let end = end.map_or(bytes.len(), |length| at + length);
                let start = bytes[..at].iter().rposition(|byte| !in_word(byte));
                let start = start.map_or(0, |before| before + 1).min(end);
                bytes.splice(start..end, dice.one_of(WORDS).bytes());
            }
        }
    }
    bytes
}

/// A run and criteria as a file has them; of numbers that JSON has no word for, some as texts.
fn text(dice: &mut Dice) -> String {
    let run = run(dice);
    let signal = dice.one_of(&["tasks", "memory", "Tasks"]);
    let mut text = format!("{{\"signal\":\"{signal}\"");
    for (name, value) in [
        ("step_seconds", run.step_seconds),
        ("warmup_seconds", run.warm_up_seconds),
        ("limit_bytes", 1e9),
    ] {
        if value.is_finite() && dice.chance(0.7) {
            let _ = write!(text, ",\"{name}\":{value:?}");
        }
    }
    if dice.chance(0.5) {
        let criterion = criterion(dice);
        let per = criterion.per().map_or(String::new(), |per| {
            let per = per.replace('\\', "\\\\").replace('"', "\\\"");
            format!(",\"per\":\"{per}\"")
        });
        let criterion = match criterion {
            CriterionKind::Growth(_, growth) => format!(
                "\"growth\":{{\"signal\":\"Tasks\"{per},\"maxPercent\":{}}}",
                growth
                    .max_percent
                    .filter(|limit| limit.is_finite())
                    .unwrap_or(5.0)
            ),
            CriterionKind::Delta(..) => "\"delta\":{\"signal\":\"Tasks\",\"within\":5}".to_owned(),
            CriterionKind::Threshold(_) => {
                "\"threshold\":{\"query\":\"q\",\"max\":5,\"over\":\"p9\"}".to_owned()
            }
            CriterionKind::Recovery(_) => "\"recovery\":{\"max\":\"15s\"}".to_owned(),
            CriterionKind::Increase(_) => "\"increase\":{\"query\":\"q\"}".to_owned(),
            CriterionKind::Trend(..) => format!(
                "\"trend\":{{\"signal\":\"Tasks\"{per},\"horizon\":\"1h\",\"window\":\"10m\"}}"
            ),
        };
        let _ = write!(text, ",\"criteria\":[{{\"name\":\"a\",{criterion}}}]");
    }
    text.push_str(",\"chaos_events\":[");
    for (i, event) in run.events.iter().take(20).enumerate() {
        let at = if event.at.is_finite() { event.at } else { 0.0 };
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(
            text,
            "{comma}{{\"t\":{at:?},\"type\":\"PodKill\",\"pod\":\"{}\"}}",
            event.pod
        );
    }
    text.push(']');
    for (name, series) in [("load", &run.load), ("series", &run.series)] {
        let _ = write!(text, ",\"{name}\":[");
        write_series(&mut text, series, dice);
        text.push(']');
    }
    text.push('}');
    text
}

fn write_series(text: &mut String, series: &[IncarnationSeries], dice: &mut Dice) {
    let number = |value: f64, dice: &mut Dice| {
        if value.is_finite() {
            format!("{value:?}")
        } else if dice.chance(0.5) {
            "null".to_owned()
        } else {
            format!("\"{value:?}\"")
        }
    };
    for (i, series) in series.iter().take(20).enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(
            text,
            "{comma}{{\"pod\":\"{}\",\"incarnation\":{}",
            series.pod, series.incarnation
        );
        if series.started_at.is_finite() && dice.chance(0.7) {
            let _ = write!(text, ",\"start_unix\":{:?}", series.started_at);
        }
        if let Some((name, value)) = series.labels.first_key_value() {
            let _ = write!(text, ",\"labels\":{{\"{name}\":\"{value}\"}}");
        }
        text.push_str(",\"samples\":[");
        for (i, sample) in series.samples.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let (t, v) = (number(sample.t, dice), number(sample.v, dice));
            let _ = write!(text, "{comma}[{t},{v}]");
        }
        text.push_str("]}");
    }
}
