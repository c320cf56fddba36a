//! How often the judges err, measured on simulated soaks.

use crate::simulator::{Soak, Texture, is_at_most, seeds_or};
use crate::{CriterionKind, Growth, Judgement, Outcome, Quantity, Run, Signal, Span, Trend, judge};

/// Few enough for every day; `SOAK_VERDICT_SEEDS=1000 cargo test --release -p soak-verdict error_rates -- --nocapture`
/// prints the rates more exactly.
fn seeds() -> u64 {
    seeds_or(if cfg!(debug_assertions) { 10 } else { 200 })
}

fn at_most(share: f64, bound: f64) -> bool {
    is_at_most(share, bound, seeds())
}

/// How a criterion answered over many seeds.
struct Rates {
    passed: f64,
    failed: f64,
    inconclusive: f64,
    /// How often the pooled interval left out the truth.
    missed: f64,
    example: String,
}

fn rates(
    name: &str,
    criterion: &CriterionKind,
    truth: Option<f64>,
    run: impl Fn(u64) -> Run,
) -> Rates {
    let judgements: Vec<Judgement> = (0..seeds())
        .map(|seed| judge(criterion, &run(seed)))
        .collect();
    let share = |of: &dyn Fn(&Judgement) -> bool| {
        judgements.iter().filter(|judgement| of(judgement)).count() as f64 / seeds() as f64
    };
    let rates = Rates {
        passed: share(&|judgement| judgement.outcome == Outcome::Passed),
        failed: share(&|judgement| judgement.outcome == Outcome::Failed),
        inconclusive: share(&|judgement| judgement.outcome == Outcome::Inconclusive),
        missed: share(&|judgement| {
            judgement
                .interval
                .zip(truth)
                .is_none_or(|(interval, truth)| truth < interval.low || truth > interval.high)
        }),
        example: judgements
            .first()
            .map_or(String::new(), |judgement| judgement.sentence.clone()),
    };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    println!(
        "{name:<46} passed {:>7}  failed {:>7}  inconclusive {:>7}  truth outside {:>7}  e.g. {}",
        percent(rates.passed),
        percent(rates.failed),
        percent(rates.inconclusive),
        truth.map_or("-".to_owned(), |_| percent(rates.missed)),
        rates.example,
    );
    rates
}

fn percent(max: f64) -> CriterionKind {
    let growth = Growth {
        signal: Some(Signal::Tasks),
        query: None,
        per: None,
        max_percent: Some(max),
        max_absolute: None,
    };
    growth.kind().expect("one measure")
}

fn absolute(max: &str) -> CriterionKind {
    let growth = Growth {
        signal: Some(Signal::Memory),
        query: None,
        per: None,
        max_percent: None,
        max_absolute: Some(max.parse::<Quantity>().expect("a quantity")),
    };
    growth.kind().expect("one measure")
}

fn trend(max_percent: f64) -> CriterionKind {
    let trend = Trend {
        signal: Some(Signal::Tasks),
        query: None,
        per: None,
        horizon: Span::from_seconds(3_600),
        max_percent,
        window: None,
    };
    trend.kind().expect("one measure")
}

#[test]
fn the_demo_is_decided() {
    let clean = rates("demo, clean, tasks 5 %", &percent(5.0), Some(0.0), |seed| {
        Soak::tasks().run(seed)
    });
    let flickering = Soak {
        texture: Texture::Wandering {
            deviation: 0.4,
            correlation: 0.5,
        },
        ..Soak::tasks()
    };
    let flickering = rates(
        "demo, clean, counts flicker, 5 %",
        &percent(5.0),
        Some(0.0),
        |seed| flickering.run(seed),
    );
    let leaking = Soak {
        leak_per_rebalance: (0.5, 2.5),
        ..Soak::tasks()
    };
    let leaking = rates("demo, leaking, tasks 5 %", &percent(5.0), None, |seed| {
        leaking.run(seed)
    });
    let memory = rates(
        "demo, clean, memory 4Mi",
        &absolute("4Mi"),
        Some(0.0),
        |seed| Soak::memory().run(seed),
    );
    let leaking_memory = Soak {
        leak_per_rebalance: (100e3, 300e3),
        ..Soak::memory()
    };
    let leaking_memory = rates(
        "demo, leaking, memory 4Mi",
        &absolute("4Mi"),
        None,
        |seed| leaking_memory.run(seed),
    );
    for clean in [clean, memory] {
        assert!(at_most(1.0 - clean.passed, 0.02) && at_most(clean.failed, 0.02));
    }
    assert!(at_most(flickering.failed, 0.02));
    for leaking in [leaking, leaking_memory] {
        assert!(at_most(1.0 - leaking.failed, 0.02) && leaking.passed == 0.0);
    }
}

/// Autocorrelated noise without growth, held against a limit of 0: every answer but Inconclusive is wrong. The pooled
/// interval alone may leave the truth out in 5 % of the runs, and the pods by themselves in another 2.5 %.
#[test]
fn noise_that_wanders_is_not_growth() {
    for correlation in [0.0, 0.5, 0.9, 0.99] {
        for pods in [2, 6, 20] {
            let texture = Texture::Wandering {
                deviation: 50.0,
                correlation,
            };
            let name = format!("AR(1) {correlation}, {pods} pods, limit 0");
            let rates = rates(&name, &percent(0.0), Some(0.0), |seed| {
                Soak::quiet(pods, texture).run(seed)
            });
            assert!(at_most(rates.missed, 0.07), "{name}");
            assert!(at_most(rates.failed, 0.05), "{name}");
        }
    }
}

#[test]
fn the_interval_holds_true_growth_under_restarts() {
    for correlation in [0.5, 0.9] {
        let soak = Soak {
            duration: 900.0,
            all_workers_gain: 100.0,
            kill_every: Some((60.0, 120.0)),
            cooldown: 5.0,
            ..Soak::quiet(
                6,
                Texture::Wandering {
                    deviation: 20.0,
                    correlation,
                },
            )
        };
        let name = format!("10 % growth, restarts, AR(1) {correlation}");
        // The level that the percentage is of is that of the first tenth: half of a tenth of the growth above the base.
        let rates = rates(
            &name,
            // Far above, or the part that grows would be reported by itself.
            &percent(50.0),
            Some(100.0 * 100.0 / 1005.0),
            |seed| soak.run(seed),
        );
        assert!(at_most(rates.missed, 0.08), "{name}");
    }
}

#[test]
fn a_sawtooth_is_not_growth() {
    for period_seconds in [4.0, 20.0, 70.0] {
        let texture = Texture::Sawtooth {
            height: 300.0,
            period_seconds,
        };
        let name = format!("sawtooth of {period_seconds} s and 30 %, 5 %");
        let rates = rates(&name, &percent(5.0), Some(0.0), |seed| {
            Soak::quiet(6, texture).run(seed)
        });
        assert!(at_most(rates.failed, 0.02), "{name}");
    }
}

#[test]
fn one_pod_of_many_is_found() {
    let texture = Texture::Wandering {
        deviation: 10.0,
        correlation: 0.8,
    };
    let soak = Soak {
        first_worker_gains: 250.0,
        ..Soak::quiet(20, texture)
    };
    let leaking = rates(
        "one of 20 pods grows by 25 %, 5 %",
        &percent(5.0),
        None,
        |seed| soak.run(seed),
    );
    let clean = rates(
        "none of 20 pods grows, 5 %",
        &percent(5.0),
        Some(0.0),
        |seed| Soak::quiet(20, texture).run(seed),
    );
    assert!(at_most(1.0 - leaking.failed, 0.02));
    assert!(at_most(clean.failed, 0.02) && at_most(1.0 - clean.passed, 0.02));
}

#[test]
fn a_trend_tells_levelling_off_from_going_on() {
    let texture = Texture::Wandering {
        deviation: 3.0,
        correlation: 0.5,
    };
    let saturating = Soak {
        warming: 500.0,
        warming_seconds: 40.0,
        ..Soak::quiet(6, texture)
    };
    let saturating = rates("saturating, 10 % in 1h", &trend(10.0), Some(0.0), |seed| {
        saturating.run(seed)
    });
    let growing = Soak {
        all_workers_gain: 30.0,
        ..Soak::quiet(6, texture)
    };
    let growing = rates(
        "sustained 36 % an hour, 10 % in 1h",
        &trend(10.0),
        Some(36.0),
        |seed| growing.run(seed),
    );
    assert!(at_most(saturating.failed, 0.02) && at_most(1.0 - saturating.passed, 0.1));
    assert!(at_most(1.0 - growing.failed, 0.02) && growing.passed == 0.0);
}
