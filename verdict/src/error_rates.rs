//! How often the judges err, measured on simulated soaks.

use crate::simulator::{Soak, Texture};
use crate::{CriterionKind, Growth, Judgement, Outcome, Quantity, Run, Signal, judge};

const SEEDS: u64 = 300;

/// How a criterion answered over many seeds.
struct Rates {
    passed: f64,
    failed: f64,
    inconclusive: f64,
    /// How often the pooled interval left out the truth.
    missed: f64,
    example: String,
}

fn rates(name: &str, criterion: &CriterionKind, truth: f64, run: impl Fn(u64) -> Run) -> Rates {
    let judgements: Vec<Judgement> = (0..SEEDS)
        .map(|seed| judge(criterion, &run(seed)))
        .collect();
    let share = |of: &dyn Fn(&Judgement) -> bool| {
        judgements.iter().filter(|judgement| of(judgement)).count() as f64 / SEEDS as f64
    };
    let rates = Rates {
        passed: share(&|judgement| judgement.outcome == Outcome::Passed),
        failed: share(&|judgement| judgement.outcome == Outcome::Failed),
        inconclusive: share(&|judgement| judgement.outcome == Outcome::Inconclusive),
        missed: share(&|judgement| {
            judgement
                .interval
                .is_none_or(|interval| truth < interval.low || truth > interval.high)
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
        percent(rates.missed),
        rates.example,
    );
    rates
}

fn percent(max: f64) -> CriterionKind {
    CriterionKind::Growth(Growth {
        signal: Signal::Tasks,
        max_percent: Some(max),
        max_absolute: None,
    })
}

fn absolute(max: &str) -> CriterionKind {
    CriterionKind::Growth(Growth {
        signal: Signal::Memory,
        max_percent: None,
        max_absolute: Some(max.parse::<Quantity>().expect("a quantity")),
    })
}

#[test]
fn the_demo_is_decided() {
    let clean = rates("demo, clean, tasks 5 %", &percent(5.0), 0.0, |seed| {
        Soak::tasks().run(seed)
    });
    let leaking = Soak {
        leak_per_rebalance: (0.5, 2.5),
        ..Soak::tasks()
    };
    let leaking = rates("demo, leaking, tasks 5 %", &percent(5.0), 0.0, |seed| {
        leaking.run(seed)
    });
    let memory = rates("demo, clean, memory 4Mi", &absolute("4Mi"), 0.0, |seed| {
        Soak::memory().run(seed)
    });
    assert!(clean.passed >= 0.98 && clean.failed <= 0.02);
    assert!(leaking.failed >= 0.98 && leaking.passed == 0.0);
    assert!(memory.passed >= 0.98 && memory.failed <= 0.02);
}

#[test]
fn noise_that_wanders_is_not_growth() {
    for correlation in [0.0, 0.5, 0.9, 0.99] {
        for pods in [2, 6, 20] {
            let texture = Texture::Wandering {
                deviation: 50.0,
                correlation,
            };
            rates(
                &format!("AR(1) {correlation}, {pods} pods, limit 0"),
                &percent(0.0),
                0.0,
                |seed| Soak::quiet(pods, texture).run(seed),
            );
        }
    }
}
