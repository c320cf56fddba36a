//! The chaos plan: which event is due when, drawn from the seed alone.
//!
//! Event `i` draws from stream `i` of a ChaCha8 generator that the seed keys, so that the plan is the same on every
//! machine and in every release: its rules are frozen under [`VERSION`], and an operator that meets a version it does
//! not know says so instead of following another plan.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use soak_api::{Chaos, ChaosKind, InvalidChaos};

/// The rules by which a seed becomes a plan today.
pub(crate) const VERSION: u32 = 1;

/// One event of the plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedEvent {
    /// Its place in the plan, from 0.
    pub(crate) index: u32,
    /// When it is due, from the start of the judged window, in whole milliseconds.
    pub(crate) at: Duration,
    /// What it is.
    pub(crate) kind: ChaosKind,
    /// A draw over the whole range of u64, from which the target's rank follows.
    pub(crate) draw: u64,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(
        "the plan was made by version {0} of its rules, and this operator knows only version {VERSION}"
    )]
    UnknownVersion(u32),
    #[error(transparent)]
    InvalidChaos(#[from] InvalidChaos),
}

/// The events due within `duration`, in order. The first comes one draw of the interval after `guard.startAfter`.
pub(crate) fn plan(
    seed: i64,
    version: u32,
    chaos: &Chaos,
    duration: Duration,
) -> Result<Vec<PlannedEvent>, PlanError> {
    if version != VERSION {
        return Err(PlanError::UnknownVersion(version));
    }
    let kinds = chaos.kinds()?;
    let weights: u64 = kinds.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let (shortest, longest) = (
        millis(chaos.interval.min.duration()),
        millis(chaos.interval.max.duration()),
    );
    let mut at = millis(chaos.guard.start_after.duration());
    let mut events = Vec::new();
    for index in 0.. {
        let mut draws = stream(seed, index);
        at += shortest + scaled(draws.next_u64(), longest.saturating_sub(shortest) + 1);
        if at >= millis(duration) || weights == 0 {
            break;
        }
        let mut place = scaled(draws.next_u64(), weights);
        let kind = kinds.iter().find(|(_, weight)| {
            let here = place < u64::from(*weight);
            place = place.saturating_sub(u64::from(*weight));
            here
        });
        if let Some((kind, _)) = kind {
            events.push(PlannedEvent {
                index,
                at: Duration::from_millis(at),
                kind: kind.clone(),
                draw: draws.next_u64(),
            });
        }
    }
    Ok(events)
}

/// `draw` as a place among `count`: `floor(draw * count / 2^64)` (Lemire, 2019, without rejection; the bias is below
/// `count / 2^64`).
pub(crate) fn scaled(draw: u64, count: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(count)) >> 64).unwrap_or(0)
}

fn stream(seed: i64, index: u32) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(u64::from(index));
    generator
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soak_api::{ChaosEvent, Guard, PodKill, PodRestart, Span, SpanRange};

    use super::*;

    fn chaos(min: u64, max: u64, weights: [u32; 2]) -> Chaos {
        let kill = ChaosEvent {
            pod_kill: Some(PodKill {
                component: "worker".into(),
            }),
            pod_restart: None,
            weight: weights[0],
        };
        let restart = ChaosEvent {
            pod_kill: None,
            pod_restart: Some(PodRestart {
                component: "producer".into(),
                grace_period: Span::from_seconds(10),
            }),
            weight: weights[1],
        };
        Chaos {
            interval: SpanRange {
                min: Span::from_seconds(min),
                max: Span::from_seconds(max),
            },
            guard: Guard::default(),
            events: vec![kill, restart],
        }
    }

    #[test]
    fn version_1_of_the_plan_never_changes() {
        let events = plan(42, 1, &chaos(30, 45, [3, 1]), Duration::from_secs(300)).expect("a plan");
        let seen: Vec<_> = events
            .iter()
            .map(|e| (e.at.as_millis(), e.kind.name(), e.draw))
            .collect();
        assert_eq!(seen, GOLDEN);
    }

    const GOLDEN: &[(u128, &str, u64)] = &[
        (95_224, "podKill", 9_102_960_255_288_774_902),
        (136_877, "podKill", 11_660_917_453_643_443_194),
        (170_285, "podKill", 10_203_124_943_852_635_628),
        (207_136, "podKill", 16_082_278_263_061_377_087),
        (248_658, "podKill", 14_457_188_339_232_581_138),
        (285_419, "podKill", 11_482_479_844_970_606_860),
    ];

    #[test]
    fn a_plan_of_an_unknown_version_is_refused() {
        let error = plan(1, 2, &chaos(1, 2, [1, 1]), Duration::from_secs(10));
        assert_eq!(error, Err(PlanError::UnknownVersion(2)));
    }

    #[test]
    fn events_are_drawn_by_weight() {
        let events = plan(
            7,
            VERSION,
            &chaos(1, 1, [3, 1]),
            Duration::from_secs(20_000),
        )
        .expect("a plan");
        let kills = events.iter().filter(|e| e.kind.name() == "podKill").count();
        let share = kills as f64 / events.len() as f64;
        assert!((share - 0.75).abs() < 0.02, "{share}");
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_plan_and_every_instant_keeps_the_interval(
            seed in any::<i64>(), min in 1_u64..50, more in 0_u64..50, seconds in 60_u64..4_000,
        ) {
            let chaos = chaos(min, min + more, [1, 1]);
            let events = plan(seed, VERSION, &chaos, Duration::from_secs(seconds)).expect("a plan");
            prop_assert_eq!(&events, &plan(seed, VERSION, &chaos, Duration::from_secs(seconds)).expect("a plan"));
            let mut last = chaos.guard.start_after.duration();
            for (index, event) in events.iter().enumerate() {
                prop_assert_eq!(event.index as usize, index);
                let pause = event.at.saturating_sub(last);
                prop_assert!(pause >= Duration::from_secs(min));
                prop_assert!(pause <= Duration::from_secs(min + more));
                prop_assert!(event.at < Duration::from_secs(seconds));
                last = event.at;
            }
        }

        #[test]
        fn a_longer_soak_begins_with_the_plan_of_a_shorter_one(seed in any::<i64>(), seconds in 60_u64..4_000) {
            let chaos = chaos(5, 20, [1, 1]);
            let short = plan(seed, VERSION, &chaos, Duration::from_secs(seconds)).expect("a plan");
            let long = plan(seed, VERSION, &chaos, Duration::from_secs(2 * seconds)).expect("a plan");
            prop_assert_eq!(&short[..], &long[..short.len()]);
        }

        #[test]
        fn a_rank_is_always_among_the_candidates(draw in any::<u64>(), count in 1_u64..10_000) {
            prop_assert!(scaled(draw, count) < count);
        }
    }
}
