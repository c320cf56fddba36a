//! The chaos plan: which event is due when, drawn from the seed alone.
//!
//! Event `i` of those that are drawn draws from stream `i` of a ChaCha8 generator that the seed keys, and those with a
//! cadence of their own from streams further up, so that the plan is the same on every machine and in every release: its
//! rules are frozen under [`Plan::VERSION`], and an operator that meets a version it does not know says so instead of
//! following another plan.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{Chaos, ChaosEvent, ChaosKind, InvalidChaos};

/// All events of a soak, in the order in which they are due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    events: Vec<PlannedEvent>,
    kinds: Vec<ChaosKind>,
}

/// One event of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedEvent {
    /// Its place in the plan, from 0.
    pub index: u32,
    /// When it is due, from the start of the judged window, in whole milliseconds.
    pub at: Duration,
    /// Its entry in `spec.chaos.events`, from 0.
    pub entry: usize,
    /// A draw over the whole range of u64, from which the target's rank follows.
    pub draw: u64,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Another release began the soak.
    #[error(
        "the plan was made by version {0} of its rules, and this operator knows only version {known}",
        known = Plan::VERSION
    )]
    UnknownVersion(u32),
    /// Nobody could follow it, and keeping it would take the operator's memory.
    #[error("the plan would hold more than {most} events: lengthen the interval or every, or set maxEvents", most = Plan::MOST)]
    TooMany,
    /// Admission should have refused it.
    #[error(transparent)]
    InvalidChaos(#[from] InvalidChaos),
}

impl Plan {
    /// The rules by which a seed becomes a plan today.
    pub const VERSION: u32 = 1;

    /// The most events that a plan may hold: one a second for a day.
    pub const MOST: usize = 86_400;

    /// The events due within `duration`. The first comes one draw of the interval, or one `every`, after
    /// `guard.startAfter`.
    ///
    /// # Errors
    ///
    /// [`PlanError`] where `version` is not known, or an event sets no kind or several.
    pub fn new(
        seed: i64,
        version: u32,
        chaos: &Chaos,
        duration: Duration,
    ) -> Result<Self, PlanError> {
        if version != Self::VERSION {
            return Err(PlanError::UnknownVersion(version));
        }
        let kinds = chaos.kinds()?;
        let mut events = drawn(seed, chaos, millis(duration));
        for (entry, event) in chaos.events.iter().enumerate() {
            events.extend(at_a_cadence(seed, chaos, entry, event, millis(duration)));
            if events.len() > Self::MOST {
                return Err(PlanError::TooMany);
            }
        }
        // Stable: what is due at the same instant stays in this order.
        events.sort_by_key(|event| event.at);
        for (index, event) in (0..).zip(&mut events) {
            event.index = index;
        }
        Ok(Self { events, kinds })
    }

    /// The events, in the order in which they are due.
    pub fn events(&self) -> &[PlannedEvent] {
        &self.events
    }

    /// What the event is.
    pub fn kind(&self, event: &PlannedEvent) -> Option<&ChaosKind> {
        self.kinds.get(event.entry)
    }
}

impl PlannedEvent {
    /// The place of its target among so many candidates, sorted by creation time, then name.
    pub fn rank(&self, candidates: usize) -> usize {
        usize::try_from(scaled(self.draw, candidates as u64)).unwrap_or(0)
    }
}

/// The events that are drawn by weight, at drawn distances.
fn drawn(seed: i64, chaos: &Chaos, end: u64) -> Vec<PlannedEvent> {
    let Some(interval) = &chaos.interval else {
        return Vec::new();
    };
    let (shortest, longest) = (
        millis(interval.min.duration()),
        millis(interval.max.duration()),
    );
    let mut left: Vec<Option<u32>> = chaos.events.iter().map(|event| event.max_events).collect();
    let mut at = millis(chaos.guard.start_after.duration());
    let mut events = Vec::new();
    // One more than are allowed tells that there are too many.
    for index in 0..=u32::try_from(Plan::MOST).unwrap_or(u32::MAX) {
        let weight = |entry: usize, left: &[Option<u32>]| {
            let event = &chaos.events[entry];
            let out = event.every.is_some() || left[entry] == Some(0);
            if out {
                0
            } else {
                u64::from(event.weight.unwrap_or(1))
            }
        };
        let weights: u64 = (0..left.len()).map(|entry| weight(entry, &left)).sum();
        let mut draws = stream(seed, u64::from(index));
        at += shortest + scaled(draws.next_u64(), longest.saturating_sub(shortest) + 1);
        if at >= end || weights == 0 {
            break;
        }
        let mut place = scaled(draws.next_u64(), weights);
        let entry = (0..left.len()).find(|entry| {
            let weight = weight(*entry, &left);
            let here = place < weight;
            place = place.saturating_sub(weight);
            here
        });
        if let Some(entry) = entry {
            left[entry] = left[entry].map(|left| left - 1);
            events.push(PlannedEvent {
                index,
                at: Duration::from_millis(at),
                entry,
                draw: draws.next_u64(),
            });
        }
    }
    events
}

/// The events of an entry with a cadence of its own.
fn at_a_cadence(
    seed: i64,
    chaos: &Chaos,
    entry: usize,
    event: &ChaosEvent,
    end: u64,
) -> Vec<PlannedEvent> {
    let Some(every) = &event.every else {
        return Vec::new();
    };
    let every = millis(every.duration()).max(1);
    let first = millis(chaos.guard.start_after.duration()) + every;
    let most = event.max_events.unwrap_or(u32::MAX);
    (0..most)
        .map(|count| (count, first + u64::from(count) * every))
        .take_while(|(_, at)| *at < end)
        .take(Plan::MOST + 1)
        .map(|(count, at)| PlannedEvent {
            index: count,
            at: Duration::from_millis(at),
            entry,
            draw: stream(seed, cadence_stream(entry, count)).next_u64(),
        })
        .collect()
}

/// Far from the streams of the events that are drawn.
fn cadence_stream(entry: usize, count: u32) -> u64 {
    (1 << 63) | ((entry as u64) << 32) | u64::from(count)
}

/// `draw` as a place among `count`: `floor(draw * count / 2^64)` (Lemire, 2019, without rejection; the bias is below
/// `count / 2^64`).
fn scaled(draw: u64, count: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(count)) >> 64).unwrap_or(0)
}

fn stream(seed: i64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(index);
    generator
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Guard, PodKill, PodRestart, Span, SpanRange};

    fn kill(weight: u32) -> ChaosEvent {
        ChaosEvent {
            pod_kill: Some(PodKill {
                component: "worker".into(),
            }),
            weight: Some(weight),
            ..ChaosEvent::default()
        }
    }

    fn restart(weight: u32) -> ChaosEvent {
        ChaosEvent {
            pod_restart: Some(PodRestart {
                component: "producer".into(),
                grace_period: Span::from_seconds(10),
            }),
            weight: Some(weight),
            ..ChaosEvent::default()
        }
    }

    fn every(seconds: u64, event: ChaosEvent) -> ChaosEvent {
        ChaosEvent {
            weight: None,
            every: Some(Span::from_seconds(seconds)),
            ..event
        }
    }

    fn chaos(min: u64, max: u64, events: Vec<ChaosEvent>) -> Chaos {
        Chaos {
            interval: Some(SpanRange {
                min: Span::from_seconds(min),
                max: Span::from_seconds(max),
            }),
            guard: Guard::default(),
            dry_run: false,
            events,
        }
    }

    fn planned(seed: i64, chaos: &Chaos, seconds: u64) -> Plan {
        Plan::new(seed, Plan::VERSION, chaos, Duration::from_secs(seconds)).expect("a plan")
    }

    fn names(plan: &Plan) -> Vec<&'static str> {
        let kinds = plan.events().iter().filter_map(|event| plan.kind(event));
        kinds.map(ChaosKind::name).collect()
    }

    #[test]
    fn version_1_of_the_plan_never_changes() {
        let plan = planned(42, &chaos(30, 45, vec![kill(3), restart(1)]), 300);
        let seen: Vec<_> = plan
            .events()
            .iter()
            .zip(names(&plan))
            .map(|(event, name)| (event.at.as_millis(), name, event.draw))
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
        let chaos = chaos(1, 2, vec![kill(1)]);
        let error = Plan::new(1, 2, &chaos, Duration::from_secs(10));
        assert_eq!(error, Err(PlanError::UnknownVersion(2)));
    }

    #[test]
    fn events_are_drawn_by_weight() {
        let plan = planned(7, &chaos(1, 1, vec![kill(3), restart(1)]), 20_000);
        let names = names(&plan);
        let kills = names.iter().filter(|name| **name == "podKill").count();
        let share = kills as f64 / names.len() as f64;
        assert!((share - 0.75).abs() < 0.02, "{share}");
    }

    #[test]
    fn an_event_with_a_cadence_keeps_it_whatever_is_drawn_beside_it() {
        let alone = Chaos {
            interval: None,
            ..chaos(1, 1, vec![every(100, kill(1))])
        };
        let instants = |plan: &Plan, name: &str| -> Vec<u64> {
            let named = plan.events().iter().zip(names(plan));
            let named = named.filter(|(_, one)| *one == name);
            named.map(|(event, _)| event.at.as_secs()).collect()
        };
        let expected = [160, 260, 360, 460];
        assert_eq!(instants(&planned(1, &alone, 500), "podKill"), expected);
        let beside = chaos(20, 40, vec![every(100, kill(1)), restart(1)]);
        let plan = planned(1, &beside, 500);
        assert_eq!(instants(&plan, "podKill"), expected);
        assert!(instants(&plan, "podRestart").len() > 8);
        let draws: std::collections::BTreeSet<u64> =
            plan.events().iter().map(|event| event.draw).collect();
        assert_eq!(draws.len(), plan.events().len(), "no draw is made twice");
    }

    #[test]
    fn no_more_than_max_events_are_planned_and_the_others_are_drawn_instead() {
        let few = |event: ChaosEvent| ChaosEvent {
            max_events: Some(3),
            ..event
        };
        let plan = planned(3, &chaos(10, 10, vec![few(kill(100)), restart(1)]), 1_060);
        let names = names(&plan);
        let kills = names.iter().filter(|name| **name == "podKill").count();
        assert_eq!((kills, names.len()), (3, 99));
        let only = planned(3, &chaos(10, 10, vec![few(kill(1))]), 1_060);
        assert_eq!(only.events().len(), 3, "nothing is left to draw");
        let cadence = planned(
            3,
            &chaos(10, 10, vec![few(every(10, kill(1))), few(restart(1))]),
            1_060,
        );
        assert_eq!(cadence.events().len(), 6);
    }

    #[test]
    fn a_plan_that_nobody_could_follow_is_refused() {
        let refused = |chaos: &Chaos| Plan::new(1, 1, chaos, Duration::from_secs(400_000));
        let drawn = chaos(1, 1, vec![kill(1)]);
        assert_eq!(refused(&drawn), Err(PlanError::TooMany));
        let cadence = Chaos {
            interval: None,
            ..chaos(1, 1, vec![every(1, kill(1))])
        };
        assert_eq!(refused(&cadence), Err(PlanError::TooMany));
        assert!(refused(&chaos(5, 5, vec![kill(1)])).is_ok());
    }

    fn anything() -> impl Strategy<Value = Chaos> {
        let entry = (1_u32..5, 0_u64..60, 0_u32..10).prop_map(|(weight, cadence, most)| {
            let event = ChaosEvent {
                max_events: Some(most).filter(|most| *most > 0),
                ..kill(weight)
            };
            if cadence < 5 {
                event
            } else {
                every(cadence, event)
            }
        });
        let entries = prop::collection::vec(entry, 1..5);
        (1_u64..50, 0_u64..50, entries)
            .prop_map(|(min, more, events)| chaos(min, min + more, events))
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_plan_and_every_drawn_instant_keeps_the_interval(
            seed in any::<i64>(), min in 1_u64..50, more in 0_u64..50, seconds in 60_u64..4_000,
        ) {
            let chaos = chaos(min, min + more, vec![kill(1), restart(1)]);
            let plan = planned(seed, &chaos, seconds);
            prop_assert_eq!(&plan, &planned(seed, &chaos, seconds));
            let mut last = chaos.guard.start_after.duration();
            for event in plan.events() {
                let pause = event.at.saturating_sub(last);
                prop_assert!(pause >= Duration::from_secs(min));
                prop_assert!(pause <= Duration::from_secs(min + more));
                last = event.at;
            }
        }

        #[test]
        fn events_are_numbered_in_the_order_in_which_they_are_due_inside_the_window(
            seed in any::<i64>(), chaos in anything(), seconds in 60_u64..4_000,
        ) {
            let plan = planned(seed, &chaos, seconds);
            let mut last = Duration::ZERO;
            for (index, event) in plan.events().iter().enumerate() {
                prop_assert_eq!(event.index as usize, index);
                prop_assert!(event.at >= last && event.at < Duration::from_secs(seconds));
                prop_assert!(plan.kind(event).is_some());
                last = event.at;
            }
        }

        #[test]
        fn a_longer_soak_begins_with_the_plan_of_a_shorter_one(
            seed in any::<i64>(), chaos in anything(), seconds in 60_u64..4_000,
        ) {
            let (short, long) = (planned(seed, &chaos, seconds), planned(seed, &chaos, 2 * seconds));
            prop_assert_eq!(short.events(), &long.events()[..short.events().len()]);
        }

        #[test]
        fn a_rank_is_always_among_the_candidates(draw in any::<u64>(), count in 1_usize..10_000) {
            let event = PlannedEvent { index: 0, at: Duration::ZERO, entry: 0, draw };
            prop_assert!(event.rank(count) < count);
        }
    }
}
