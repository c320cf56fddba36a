//! What holds for the judges whatever they are given.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::simulator::{Dice, Soak, Texture};
use crate::{
    ChaosEvent, Component, CriterionKind, Delta, Growth, IncarnationSeries, Increase, Measured,
    Outcome, Quantity, Run, Sample, Signal, Span, Threshold, Trend, Window, judge,
};

fn odd_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -100.0..1000.0_f64,
        4 => (0..20_i32).prop_map(f64::from),
        1 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(0.0),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["a", "b", ""].prop_map(String::from)
}

fn sample() -> impl Strategy<Value = Sample> {
    (odd_number(), odd_number()).prop_map(|(t, v)| Sample { t, v })
}

fn series() -> impl Strategy<Value = IncarnationSeries> {
    (
        (name(), name(), 0..3_u32),
        odd_number(),
        option::of(odd_number()),
        option::of(name()),
        vec(sample(), 0..60),
    )
        .prop_map(
            |((component, pod, incarnation), started_at, ended_at, label, samples)| {
                IncarnationSeries {
                    component,
                    pod,
                    incarnation,
                    started_at,
                    ended_at,
                    labels: label
                        .into_iter()
                        .map(|value| ("component".to_owned(), value))
                        .collect(),
                    samples,
                }
            },
        )
}

fn event() -> impl Strategy<Value = ChaosEvent> {
    (odd_number(), option::of(odd_number()), name(), name()).prop_map(
        |(at, recovered_at, component, pod)| ChaosEvent {
            at,
            recovered_at,
            undone_at: None,
            tells_recovery: true,
            kind: "podKill".to_owned(),
            component,
            pod,
        },
    )
}

prop_compose! {
    fn odd_run()(
        start in odd_number(),
        length in odd_number(),
        settle in odd_number(),
        phases in (odd_number(), odd_number(), odd_number()),
        replicas in vec((name(), 0..4_u32), 0..3),
        series in vec(series(), 0..8),
        events in vec(event(), 0..5),
        load in vec(series(), 0..4),
        gap in any::<bool>(),
    ) -> Run {
        Run {
            window: Window { start, end: start + length },
            settle_end: start + length + settle,
            warm_up_seconds: phases.0,
            step_seconds: phases.1,
            cooldown_seconds: phases.2,
            components: replicas
                .into_iter()
                .map(|(name, replicas)| Component {
                    name,
                    replicas,
                    memory_limit_bytes: Some(1e9),
                })
                .collect(),
            series,
            events,
            load,
            left_out: Vec::new(),
            gaps: if gap { vec!["a partial response".to_owned()] } else { Vec::new() },
        }
    }
}

fn texture() -> impl Strategy<Value = Texture> {
    prop_oneof![
        1 => Just(Texture::Exact),
        3 => (0.0..5.0_f64, 0.0..0.95_f64).prop_map(|(deviation, correlation)| {
            Texture::Wandering { deviation, correlation }
        }),
        1 => (1.0..10.0_f64, 10.0..100.0_f64).prop_map(|(height, period_seconds)| {
            Texture::Sawtooth { height, period_seconds }
        }),
    ]
}

prop_compose! {
    fn soak()(
        seed in any::<u64>(),
        workers in 1..5_u32,
        leak in 0.0..2.0_f64,
        gains in prop_oneof![Just(0.0), -5.0..20.0_f64],
        first in prop_oneof![Just(0.0), -5.0..20.0_f64],
        texture in texture(),
        kills in option::of(Just((30.0, 60.0))),
        load in load(),
    ) -> Run {
        let run = Soak {
            workers,
            producers: 1,
            step: 5.0,
            leak_per_rebalance: (0.0, leak),
            all_workers_gain: gains,
            first_worker_gains: first,
            kill_every: kills,
            texture,
            ..Soak::tasks()
        }
        .run(seed);
        load.on(run)
    }
}

/// What the pods of a soak have to do, and what a unit of it costs them.
#[derive(Clone, Copy, Debug)]
struct Load {
    grows: f64,
    height: f64,
    cost: f64,
}

fn load() -> impl Strategy<Value = Load> {
    let grows = prop_oneof![Just(0.0), -10.0..10.0_f64];
    let height = prop_oneof![1 => Just(0.0), 3 => 0.1..5.0_f64];
    (grows, height, prop_oneof![Just(0.0), 0.0..2.0_f64]).prop_map(|(grows, height, cost)| Load {
        grows,
        height,
        cost,
    })
}

impl Load {
    /// Each pod has a wave of its own.
    fn on(self, mut run: Run) -> Run {
        let (start, length) = (run.window.start, run.window.end - run.window.start);
        for one in &mut run.series {
            let of_load = one.labels.values().all(|label| label == "consume");
            let phase = one.pod.bytes().map(f64::from).sum::<f64>();
            let at = |t: f64| {
                let gone = (t - start) / length;
                20.0 + self.grows * gone + self.height * (12.0 * gone + phase).sin()
            };
            if of_load {
                let samples = one.samples.iter();
                run.load.push(IncarnationSeries {
                    labels: BTreeMap::new(),
                    samples: samples.map(|s| Sample { t: s.t, v: at(s.t) }).collect(),
                    ..one.clone()
                });
                for sample in &mut one.samples {
                    sample.v += self.cost * at(sample.t);
                }
            }
        }
        run
    }
}

/// The criteria that judge growth, with no load and at equal load.
fn of_growth() -> Vec<CriterionKind> {
    let mut all = criteria();
    all.retain(|kind| matches!(kind, CriterionKind::Growth(..) | CriterionKind::Trend(..)));
    all
}

fn at_equal_load(kind: &CriterionKind) -> Option<CriterionKind> {
    let per = Some("partitions_owned".to_owned());
    match kind.clone() {
        CriterionKind::Growth(of, growth) if growth.max_percent.is_some() => {
            Some(CriterionKind::Growth(of, Growth { per, ..growth }))
        }
        CriterionKind::Trend(of, trend) => Some(CriterionKind::Trend(of, Trend { per, ..trend })),
        _ => None,
    }
}

fn criteria() -> Vec<CriterionKind> {
    criteria_scaled(1.0)
}

/// The same criteria for a signal in units a `factor` smaller: percentages stay, what is in the signal's unit does not.
fn criteria_scaled(factor: f64) -> Vec<CriterionKind> {
    let quantity = |value: f64| {
        let text = format!("{}", value * factor);
        text.parse::<Quantity>().expect("a quantity")
    };
    let (signal, query) = (Some(Signal::Tasks), None);
    let of = Measured::Signal(Signal::Tasks);
    let mut criteria = vec![
        CriterionKind::Growth(
            of.clone(),
            Growth {
                signal,
                query: query.clone(),
                per: None,
                max_percent: Some(5.0),
                max_absolute: Some(quantity(3.0)),
            },
        ),
        CriterionKind::Growth(
            of.clone(),
            Growth {
                signal,
                query: query.clone(),
                per: None,
                max_percent: None,
                max_absolute: None,
            },
        ),
        CriterionKind::Trend(
            of.clone(),
            Trend {
                signal,
                query: query.clone(),
                per: None,
                horizon: Span::from_seconds(3_600),
                max_percent: 50.0,
                window: None,
            },
        ),
        CriterionKind::Increase(Increase {
            query: "lost_total".to_owned(),
            max: 10.5 * factor,
            durable: false,
        }),
        CriterionKind::Increase(Increase {
            query: "lost_total".to_owned(),
            max: 10.5 * factor,
            durable: true,
        }),
        CriterionKind::Threshold(Threshold {
            query: "latency".to_owned(),
            max: Some(15.0 * factor),
            min: None,
            over: None,
        }),
        CriterionKind::Threshold(Threshold {
            query: "latency".to_owned(),
            max: Some(15.0 * factor),
            min: None,
            over: Some("p90".to_owned()),
        }),
        CriterionKind::Delta(
            of.clone(),
            Delta {
                signal,
                query: query.clone(),
                within: quantity(5.0),
            },
        ),
    ];
    let loaded: Vec<_> = criteria.iter().filter_map(at_equal_load).collect();
    criteria.extend(loaded);
    criteria
}

fn shuffled<T>(mut things: Vec<T>, dice: &mut Dice) -> Vec<T> {
    for i in (1..things.len()).rev() {
        things.swap(i, dice.pick(i + 1));
    }
    things
}

/// The same run with its series cut in two, its samples repeated, and everything in another order.
fn rearranged(run: &Run, seed: u64) -> Run {
    let mut dice = Dice::new(seed);
    let mut mixed = |all: &[IncarnationSeries]| {
        let mut series = Vec::new();
        for one in all {
            let cut = dice.pick(one.samples.len() + 1);
            let (first, rest) = one.samples.split_at(cut);
            for part in [first, rest, first] {
                series.push(IncarnationSeries {
                    samples: shuffled(part.to_vec(), &mut dice),
                    ..one.clone()
                });
            }
        }
        shuffled(series, &mut dice)
    };
    let (series, load) = (mixed(&run.series), mixed(&run.load));
    Run {
        series,
        load,
        events: shuffled(run.events.clone(), &mut dice),
        ..run.clone()
    }
}

fn shifted(run: &Run, by: f64) -> Run {
    let mut run = run.clone();
    run.window.start += by;
    run.window.end += by;
    run.settle_end += by;
    for series in run.series.iter_mut().chain(&mut run.load) {
        series.started_at += by;
        series.ended_at = series.ended_at.map(|end| end + by);
        for sample in &mut series.samples {
            sample.t += by;
        }
    }
    for event in &mut run.events {
        event.at += by;
        event.recovered_at = event.recovered_at.map(|at| at + by);
    }
    run
}

fn scaled(run: &Run, factor: f64) -> Run {
    let mut run = run.clone();
    for sample in run.series.iter_mut().flat_map(|one| &mut one.samples) {
        sample.v *= factor;
    }
    for component in &mut run.components {
        component.memory_limit_bytes = component.memory_limit_bytes.map(|limit| limit * factor);
    }
    run
}

/// Every sample of every pod higher by what has leaked since the window's start, `extra` over its length.
fn leaking(run: &Run, extra: f64) -> Run {
    let mut run = run.clone();
    let (start, length) = (run.window.start, run.window.end - run.window.start);
    for sample in run.series.iter_mut().flat_map(|one| &mut one.samples) {
        sample.v += extra * (sample.t - start) / length;
    }
    run
}

/// So many cases unless `PROPTEST_CASES` says how many.
fn cases_or(usual: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(usual),
    }
}

fn near(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs())),
        (a, b) => a.is_none() && b.is_none(),
    }
}

proptest! {
    #![proptest_config(cases_or(256))]

    #[test]
    fn any_input_has_an_answer_and_a_pass_lies_within_its_limit(run in odd_run()) {
        for criterion in criteria() {
            let judgement = judge(&criterion, &run);
            prop_assert!(!judgement.sentence.is_empty());
            if judgement.outcome == Outcome::Passed {
                let interval = judgement.interval.expect("a pass has an interval");
                prop_assert!(interval.high <= judgement.limit, "{judgement:?}");
                prop_assert!(interval.low.is_finite() && interval.high.is_finite());
                prop_assert!(run.gaps.is_empty());
            }
        }
    }
}

proptest! {
    #![proptest_config(cases_or(24))]

    #[test]
    fn order_and_repetition_make_no_difference(run in soak(), seed in any::<u64>()) {
        for criterion in criteria() {
            prop_assert_eq!(judge(&criterion, &run), judge(&criterion, &rearranged(&run, seed)));
        }
    }

    #[test]
    fn when_it_happened_makes_no_difference(run in soak(), days in 1..1000_i32) {
        let later = shifted(&run, 86_400.0 * f64::from(days));
        for criterion in criteria() {
            let (now, then) = (judge(&criterion, &run), judge(&criterion, &later));
            prop_assert_eq!(now.outcome, then.outcome);
            prop_assert!(near(now.estimate, then.estimate));
            prop_assert!(near(now.interval.map(|i| i.high), then.interval.map(|i| i.high)));
        }
    }

    #[test]
    fn a_gap_never_turns_into_a_pass(run in soak()) {
        let doubted = Run { gaps: vec!["Prometheus was away for 4m".to_owned()], ..run.clone() };
        for criterion in criteria() {
            let (sure, doubtful) = (judge(&criterion, &run).outcome, judge(&criterion, &doubted).outcome);
            prop_assert_ne!(doubtful, Outcome::Passed);
            prop_assert_eq!(sure == Outcome::Failed, doubtful == Outcome::Failed);
        }
    }

    #[test]
    fn a_missing_series_is_never_a_pass(run in soak()) {
        let empty = Run { series: Vec::new(), ..run.clone() };
        let unscraped = Run {
            series: run.series.iter().map(|one| IncarnationSeries { samples: Vec::new(), ..one.clone() }).collect(),
            ..run
        };
        for criterion in criteria() {
            prop_assert_eq!(judge(&criterion, &empty).outcome, Outcome::Inconclusive);
            prop_assert_eq!(judge(&criterion, &unscraped).outcome, Outcome::Inconclusive);
        }
    }

    #[test]
    fn the_unit_makes_no_difference(
        run in soak(),
        factor in prop_oneof![Just(1000.0), Just(0.001), (-20..40_i32).prop_map(|power| 2_f64.powi(power))],
    ) {
        let other = scaled(&run, factor);
        for (criterion, in_other) in criteria().iter().zip(&criteria_scaled(factor)) {
            let (one, two) = (judge(criterion, &run), judge(in_other, &other));
            prop_assert_eq!(one.outcome, two.outcome, "{} {}", one.sentence, two.sentence);
            let unit = if one.unit == "%" { 1.0 } else { factor };
            let same = |a: Option<f64>, b: Option<f64>| near(a, b.map(|value| value / unit));
            prop_assert!(same(one.estimate, two.estimate));
            prop_assert!(same(one.interval.map(|i| i.low), two.interval.map(|i| i.low)), "{} {}", one.sentence, two.sentence);
            prop_assert!(same(one.interval.map(|i| i.high), two.interval.map(|i| i.high)), "{} {}", one.sentence, two.sentence);
        }
    }

    #[test]
    fn a_leak_on_top_never_turns_failed_into_passed(run in soak(), extra in 0.0..30.0_f64) {
        let grown = leaking(&run, extra);
        for criterion in &of_growth() {
            if judge(criterion, &run).outcome == Outcome::Failed {
                prop_assert_ne!(judge(criterion, &grown).outcome, Outcome::Passed, "{:?}", criterion);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases_or(10))]

    #[test]
    fn load_that_is_missing_is_never_a_pass(run in soak()) {
        let none = Run { load: Vec::new(), ..run.clone() };
        let unscraped = Run {
            load: run.load.iter().map(|one| IncarnationSeries { samples: Vec::new(), ..one.clone() }).collect(),
            ..run
        };
        for criterion in criteria().iter().filter_map(at_equal_load) {
            prop_assert_eq!(judge(&criterion, &none).outcome, Outcome::Inconclusive);
            prop_assert_eq!(judge(&criterion, &unscraped).outcome, Outcome::Inconclusive);
        }
    }

    #[test]
    fn the_unit_of_load_makes_no_difference(run in soak(), power in -20..40_i32) {
        let mut other = run.clone();
        for sample in other.load.iter_mut().flat_map(|one| &mut one.samples) {
            sample.v *= 2_f64.powi(power);
        }
        for criterion in criteria().iter().filter_map(at_equal_load) {
            let (one, two) = (judge(&criterion, &run), judge(&criterion, &other));
            prop_assert_eq!(one.outcome, two.outcome);
            prop_assert!(near(one.estimate, two.estimate));
            prop_assert!(near(one.interval.map(|i| i.high), two.interval.map(|i| i.high)));
        }
    }

    #[test]
    fn more_load_for_everybody_makes_no_difference(run in soak(), more in -50.0..50.0_f64) {
        let mut other = run.clone();
        for sample in other.load.iter_mut().flat_map(|one| &mut one.samples) {
            sample.v += more;
        }
        for criterion in criteria().iter().filter_map(at_equal_load) {
            let (one, two) = (judge(&criterion, &run), judge(&criterion, &other));
            prop_assert_eq!(one.outcome, two.outcome, "{} {}", one.sentence, two.sentence);
            prop_assert!(near(one.estimate, two.estimate), "{} {}", one.sentence, two.sentence);
        }
    }
}

#[test]
fn a_run_without_a_window_is_inconclusive() {
    let mut run = Soak::tasks().run(1);
    run.window.end = run.window.start;
    for criterion in criteria() {
        assert_eq!(judge(&criterion, &run).outcome, Outcome::Inconclusive);
    }
}

#[test]
fn labels_that_are_nowhere_else_change_no_total() {
    let mut run = Soak::tasks().run(1);
    let before = judge(&criteria()[0], &run);
    for series in &mut run.series {
        series
            .labels
            .extend(BTreeMap::from([("zone".to_owned(), "z1".to_owned())]));
    }
    let after = judge(&criteria()[0], &run);
    assert_eq!(before.interval, after.interval);
}
