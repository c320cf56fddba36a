//! How often growth at equal load errs, on simulated soaks of which both load and leak are known.

use std::f64::consts::TAU;

use crate::simulator::{Dice, is_at_most, seeds_or};
use crate::{
    Component, CriterionKind, Growth, IncarnationSeries, Judgement, Outcome, Run, Sample, Signal,
    Span, Trend, Window, judge,
};

/// Few enough for every day, `SOAK_VERDICT_SEEDS` for more.
fn seeds() -> u64 {
    seeds_or(if cfg!(debug_assertions) { 20 } else { 400 })
}

fn at_most(share: f64, bound: f64) -> bool {
    is_at_most(share, bound, seeds())
}

const STEP: f64 = 15.0;
const START: f64 = 1_700_000_000.0;
const HOURS: f64 = 6.0;
const END: f64 = START + 3_600.0 * HOURS;

/// What load does beside growing, in units of load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wiggle {
    None,
    /// First-order autoregressive, of this deviation and correlation at one step.
    Wander(f64, f64),
    /// Up and down together in all pods, of this height and with so many cycles in the window.
    Wave(f64, f64),
    /// Moved from pod to pod every so many seconds, by up to this much.
    Moves(f64, f64),
}

/// Pods of 1000 tasks, of which each unit of load costs some.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) pods: usize,
    /// What load starts at, and what it grows over the window, in each pod; the last stands for all others.
    pub(crate) load: f64,
    pub(crate) grows: Vec<f64>,
    pub(crate) wiggle: Wiggle,
    /// Tasks for each unit of load, and how far pods differ.
    pub(crate) cost: f64,
    pub(crate) cost_deviation: f64,
    /// What each pod leaks over the window; the last stands for all others.
    pub(crate) leaks: Vec<f64>,
    /// Autoregressive noise of the tasks.
    pub(crate) noise: f64,
    pub(crate) correlation: f64,
    /// Each pod starts anew so many times, without what it leaked.
    pub(crate) restarts: u32,
    /// The share of samples that is missing, of both at the same instants.
    pub(crate) missed: f64,
}

impl Loaded {
    /// Three pods that start with 100 units of load and end with 160, which costs them 300 tasks.
    pub(crate) fn growing() -> Self {
        Self {
            pods: 3,
            load: 100.0,
            grows: vec![60.0],
            wiggle: Wiggle::Wander(5.0, 0.99),
            cost: 5.0,
            cost_deviation: 0.0,
            leaks: vec![0.0],
            noise: 10.0,
            correlation: 0.9,
            restarts: 0,
            missed: 0.0,
        }
    }

    pub(crate) fn run(&self, seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let of = |list: &[f64], pod: usize| list.get(pod).or(list.last()).copied().unwrap_or(0.0);
        let (mut series, mut loads) = (Vec::new(), Vec::new());
        for pod in 0..self.pods {
            let cost = self.cost + self.cost_deviation * dice.normal();
            let level = 1000.0 - cost * self.load;
            let mut wander = dice.normal();
            let mut share = 0.0;
            let mut noise = dice.normal();
            let life = 3_600.0 * HOURS / f64::from(self.restarts + 1);
            let mut born = START - 900.0;
            for number in 1..=self.restarts + 1 {
                let dies = START + life * f64::from(number) + dice.between(-0.1, 0.1) * life;
                let dies = (number <= self.restarts).then_some(dies);
                let (mut tasks, mut load) = (Vec::new(), Vec::new());
                let mut t = born;
                while t < dies.unwrap_or(END + 60.0) {
                    let beside = match self.wiggle {
                        Wiggle::None => 0.0,
                        Wiggle::Wander(deviation, correlation) => {
                            let fresh = (1.0 - correlation * correlation).sqrt();
                            wander = correlation * wander + fresh * dice.normal();
                            deviation * wander
                        }
                        Wiggle::Wave(height, cycles) => {
                            height * (TAU * cycles * (t - START) / (END - START)).sin()
                        }
                        Wiggle::Moves(most, every) => {
                            if dice.between(0.0, every) < STEP {
                                share = dice.between(-most, most);
                            }
                            share
                        }
                    };
                    let gone = (t - START) / (END - START);
                    let z = self.load + of(&self.grows, pod) * gone + beside;
                    let fresh = (1.0 - self.correlation * self.correlation).sqrt();
                    noise = self.correlation * noise + fresh * dice.normal();
                    let leaked = of(&self.leaks, pod) * (t - born) / (END - START);
                    let v = level + cost * z + leaked + self.noise * noise;
                    if dice.between(0.0, 1.0) >= self.missed {
                        tasks.push(Sample { t, v });
                        load.push(Sample { t, v: z });
                    }
                    t += STEP;
                }
                let of_pod = |samples| IncarnationSeries {
                    component: "worker".to_owned(),
                    pod: format!("worker-{pod}"),
                    incarnation: number,
                    started_at: born,
                    ended_at: dies,
                    labels: std::collections::BTreeMap::new(),
                    samples,
                };
                series.push(of_pod(tasks));
                loads.push(of_pod(load));
                born = t;
            }
        }
        Run {
            window: Window {
                start: START,
                end: END,
            },
            settle_end: END + 60.0,
            warm_up_seconds: 600.0,
            step_seconds: STEP,
            cooldown_seconds: 5.0,
            components: vec![Component {
                name: "worker".to_owned(),
                replicas: u32::try_from(self.pods).unwrap_or(1),
                memory_limit_bytes: None,
            }],
            series,
            load: loads,
            events: Vec::new(),
            left_out: Vec::new(),
            gaps: Vec::new(),
        }
    }
}

pub(crate) fn growth(percent: Option<f64>, absolute: Option<&str>, per: bool) -> CriterionKind {
    let growth = Growth {
        signal: Some(Signal::Tasks),
        query: None,
        per: per.then(|| "partitions_owned".to_owned()),
        max_percent: percent,
        max_absolute: absolute.map(|text| text.parse().expect("a quantity")),
    };
    growth.kind().expect("one measure")
}

pub(crate) fn trend(percent: f64, per: bool) -> CriterionKind {
    let trend = Trend {
        signal: Some(Signal::Tasks),
        query: None,
        per: per.then(|| "partitions_owned".to_owned()),
        horizon: Span::from_seconds(86_400),
        max_percent: percent,
        window: None,
    };
    trend.kind().expect("one measure")
}

/// How a criterion answered over many seeds.
struct Rates {
    passed: f64,
    failed: f64,
    /// How often the interval left out the truth.
    missed: f64,
}

fn rates(name: &str, criterion: &CriterionKind, truth: f64, soak: &Loaded) -> Rates {
    let judgements: Vec<Judgement> = (0..seeds())
        .map(|seed| judge(criterion, &soak.run(seed)))
        .collect();
    let share = |of: &dyn Fn(&Judgement) -> bool| {
        judgements.iter().filter(|judgement| of(judgement)).count() as f64 / seeds() as f64
    };
    let rates = Rates {
        passed: share(&|judgement| judgement.outcome == Outcome::Passed),
        failed: share(&|judgement| judgement.outcome == Outcome::Failed),
        missed: share(&|judgement| {
            judgement
                .interval
                .is_none_or(|interval| truth < interval.low || truth > interval.high)
        }),
    };
    println!(
        "{name:<52} passed {:>5.1} %  failed {:>5.1} %  truth outside {:>5.1} %  e.g. {}",
        100.0 * rates.passed,
        100.0 * rates.failed,
        100.0 * rates.missed,
        judgements
            .first()
            .map_or("", |judgement| &judgement.sentence),
    );
    rates
}

#[test]
fn growth_that_load_explains_passes_and_a_leak_beside_it_fails() {
    let wiggles = [
        ("wander", Wiggle::Wander(5.0, 0.99)),
        ("a wave", Wiggle::Wave(10.0, 4.0)),
        ("moves", Wiggle::Moves(10.0, 600.0)),
    ];
    for (name, wiggle) in wiggles {
        for restarts in [0, 3] {
            let clean = Loaded {
                wiggle,
                restarts,
                ..Loaded::growing()
            };
            let leaking = Loaded {
                leaks: vec![150.0],
                ..clean.clone()
            };
            let named = |what: &str| format!("{what}, {name}, {restarts} restarts, 5 %");
            let percent = growth(Some(5.0), None, true);
            let found = rates(&named("clean"), &percent, 0.0, &clean);
            assert!(at_most(found.failed, 0.02), "{name}");
            assert!(at_most(1.0 - found.passed, 0.1) || restarts > 0, "{name}");
            let found = rates(&named("leak of 15 %"), &percent, 14.6, &leaking);
            assert!(at_most(1.0 - found.failed, 0.1) || restarts > 0, "{name}");
            assert_eq!(found.passed, 0.0, "{name}");
            // Who does not look at the load sees a leak in all of them.
            let found = rates(
                &named("clean, without per"),
                &growth(Some(5.0), None, false),
                0.0,
                &clean,
            );
            assert_eq!(found.passed, 0.0, "{name}");
        }
    }
}

#[test]
fn the_interval_at_equal_load_holds_the_truth() {
    for correlation in [0.0, 0.9, 0.99] {
        for (name, wiggle) in [
            ("wander", Wiggle::Wander(5.0, 0.99)),
            ("a wave", Wiggle::Wave(10.0, 4.0)),
        ] {
            let soak = Loaded {
                leaks: vec![50.0],
                noise: 30.0,
                correlation,
                wiggle,
                ..Loaded::growing()
            };
            let name = format!("AR(1) {correlation}, {name}");
            let found = rates(&name, &growth(None, Some("100000"), true), 150.0, &soak);
            assert!(at_most(found.missed, 0.07), "{name}");
        }
    }
}

#[test]
fn a_trend_at_equal_load_tells_load_from_a_leak() {
    let clean = Loaded::growing();
    let leaking = Loaded {
        leaks: vec![150.0],
        ..Loaded::growing()
    };
    let found = rates("trend, clean, 20 %", &trend(20.0, true), 0.0, &clean);
    assert!(at_most(found.failed, 0.02));
    let found = rates(
        "trend, leak of 60 % a day, 20 %",
        &trend(20.0, true),
        48.0,
        &leaking,
    );
    assert!(at_most(1.0 - found.failed, 0.1) && found.passed == 0.0);
}

#[test]
fn pods_that_pay_unequally_for_load_raise_no_alarm() {
    let soak = Loaded {
        pods: 6,
        cost_deviation: 1.0,
        ..Loaded::growing()
    };
    let found = rates(
        "costs of 5, 1 apart",
        &growth(Some(5.0), None, true),
        0.0,
        &soak,
    );
    assert!(at_most(found.failed, 0.02));
}

#[test]
fn load_that_moves_with_time_alone_is_inconclusive_and_says_so() {
    for noise in [0.0, 0.1, 10.0] {
        for missed in [0.0, 0.3] {
            for leaks in [vec![0.0], vec![-300.0], vec![300.0]] {
                let soak = Loaded {
                    wiggle: Wiggle::None,
                    noise,
                    missed,
                    leaks,
                    ..Loaded::growing()
                };
                for criterion in [growth(Some(5.0), None, true), trend(5.0, true)] {
                    for seed in 0..3 {
                        let judgement = judge(&criterion, &soak.run(seed));
                        assert_eq!(judgement.outcome, Outcome::Inconclusive, "{judgement:?}");
                        assert!(
                            judgement.sentence.contains("moved together"),
                            "{}",
                            judgement.sentence
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn pods_that_leak_as_their_loads_grow_never_pass() {
    for noise in [0.0, 0.01, 1.0, 10.0] {
        for missed in [0.0, 0.2] {
            for wiggle in [
                Wiggle::None,
                Wiggle::Wander(0.01, 0.9),
                Wiggle::Wander(1.0, 0.99),
                Wiggle::Wave(5.0, 4.0),
            ] {
                let soak = Loaded {
                    pods: 2,
                    grows: vec![50.0, 100.0],
                    leaks: vec![100.0, 200.0],
                    cost: 0.0,
                    wiggle,
                    noise,
                    missed,
                    ..Loaded::growing()
                };
                for criterion in [growth(Some(5.0), None, true), trend(5.0, true)] {
                    for seed in 0..5 {
                        let judgement = judge(&criterion, &soak.run(seed));
                        assert_ne!(judgement.outcome, Outcome::Passed, "{}", judgement.sentence);
                    }
                }
            }
        }
    }
}

#[test]
fn an_even_load_changes_nothing_but_the_sentence() {
    let soak = Loaded {
        grows: vec![0.0],
        wiggle: Wiggle::None,
        leaks: vec![30.0, 60.0, 0.0],
        ..Loaded::growing()
    };
    for seed in 0..3 {
        let run = soak.run(seed);
        for (with, without) in [
            (
                growth(Some(5.0), Some("90"), true),
                growth(Some(5.0), Some("90"), false),
            ),
            (trend(5.0, true), trend(5.0, false)),
        ] {
            let (with, without) = (judge(&with, &run), judge(&without, &run));
            assert!(
                with.sentence.contains(" at equal partitions_owned ("),
                "{}",
                with.sentence
            );
            assert_eq!(with.outcome, without.outcome);
            assert_eq!(with.worst_pods.len(), without.worst_pods.len());
            let near = |a: Option<f64>, b: Option<f64>| {
                a.zip(b)
                    .is_some_and(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + a.abs()))
            };
            assert!(
                near(with.estimate, without.estimate),
                "{with:?} {without:?}"
            );
            assert!(near(
                with.interval.map(|i| i.high),
                without.interval.map(|i| i.high)
            ));
        }
    }
}

#[test]
fn a_signal_that_never_moves_leaves_no_doubt_whatever_load_does() {
    let soak = Loaded {
        cost: 0.0,
        noise: 0.0,
        ..Loaded::growing()
    };
    for criterion in [growth(Some(5.0), None, true), trend(5.0, true)] {
        let judgement = judge(&criterion, &soak.run(0));
        assert_eq!(judgement.outcome, Outcome::Passed);
        let interval = judgement.interval.expect("an interval");
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
    }
}

#[test]
fn load_that_is_missing_is_never_a_pass() {
    let criterion = growth(Some(5.0), None, true);
    let whole = Loaded::growing().run(1);
    assert_eq!(judge(&criterion, &whole).outcome, Outcome::Passed);
    let without = |keep: &dyn Fn(&IncarnationSeries, &Sample) -> bool| {
        let mut run = whole.clone();
        for one in &mut run.load {
            let kept = one.samples.iter().filter(|s| keep(one, s)).copied();
            one.samples = kept.collect();
        }
        judge(&criterion, &run)
    };
    let nothing = without(&|_, _| false);
    assert_eq!(nothing.outcome, Outcome::Inconclusive);
    assert!(
        nothing
            .sentence
            .contains("no series of partitions_owned was found"),
        "{}",
        nothing.sentence
    );
    let none = judge(
        &criterion,
        &Run {
            load: Vec::new(),
            ..whole.clone()
        },
    );
    assert_eq!(none.outcome, Outcome::Inconclusive);
    let early = without(&|_, sample| sample.t < f64::midpoint(START, END) - 600.0);
    assert_eq!(early.outcome, Outcome::Inconclusive, "{}", early.sentence);
    let of_one_pod = without(&|one, _| one.pod == "worker-0");
    assert_eq!(
        of_one_pod.outcome,
        Outcome::Inconclusive,
        "{}",
        of_one_pod.sentence
    );
    let holed = without(&|_, sample| sample.t < START + 3_600.0 || sample.t > START + 5_400.0);
    let told = holed
        .excluded
        .iter()
        .any(|what| what.contains("while partitions_owned was not known"));
    assert!(told, "{:?}", holed.excluded);
}

#[test]
fn a_percentage_is_of_the_level_that_was_there() {
    let soak = Loaded {
        leaks: vec![100.0],
        ..Loaded::growing()
    };
    let judgement = judge(&growth(Some(5.0), None, true), &soak.run(1));
    let growth = judgement.estimate.expect("an estimate");
    assert!((growth - 10.0).abs() < 2.0, "{}", judgement.sentence);
}

#[test]
fn a_part_that_leaks_is_found_beside_one_that_follows_its_load() {
    for leak in [0.0, 60.0] {
        let mut run = Loaded::growing().run(1);
        let labelled = |one: &IncarnationSeries, label: &str, v: &dyn Fn(&Sample) -> f64| {
            let samples = one.samples.iter().map(|s| Sample { t: s.t, v: v(s) });
            IncarnationSeries {
                labels: [("component".to_owned(), label.to_owned())].into(),
                samples: samples.collect(),
                ..one.clone()
            }
        };
        let parts = run.series.iter().flat_map(|one| {
            let grown = |s: &Sample| 50.0 + leak * (s.t - START) / (END - START);
            [
                labelled(one, "consume", &|s| s.v),
                labelled(one, "core", &grown),
            ]
        });
        run.series = parts.collect();
        let judgement = judge(&growth(Some(20.0), None, true), &run);
        let sentence = &judgement.sentence;
        if leak > 0.0 {
            assert_eq!(judgement.outcome, Outcome::Failed, "{sentence}");
            assert!(sentence.contains("in core alone"), "{sentence}");
            assert_eq!(judgement.contributions[0].name, "core");
        } else {
            assert_eq!(judgement.outcome, Outcome::Passed, "{sentence}");
        }
    }
}
