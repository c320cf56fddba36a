//! When to assign anew: a pure function of who is alive and what is in force.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Assignment, Shares};

/// How long the planner lets membership settle.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long the first assignment waits for the planned workers.
    pub cold_start: Duration,
    /// How long newcomers wait after the last change, so that a scale-up is one rebalance.
    pub cooldown: Duration,
    /// The same once all planned workers are there and nobody else is to be waited for.
    pub complete: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            cold_start: Duration::from_secs(8),
            cooldown: Duration::from_secs(5),
            complete: Duration::from_secs(2),
        }
    }
}

/// The memory between two decisions of one leader.
#[derive(Debug)]
pub struct Planner {
    planned: u32,
    shares: Shares,
    timing: Timing,
    seen: BTreeSet<u32>,
    changed: Duration,
}

impl Planner {
    /// A planner for ids `0..planned`.
    pub fn new(planned: u32, shares: Shares, timing: Timing) -> Self {
        Self {
            planned,
            shares,
            timing,
            seen: BTreeSet::new(),
            changed: Duration::ZERO,
        }
    }

    /// The next assignment, if it is time for one. `now` is any clock that does not go back.
    pub fn decide(
        &mut self,
        now: Duration,
        live: &BTreeSet<u32>,
        current: Option<&Assignment>,
    ) -> Option<Assignment> {
        if self.seen != *live {
            self.seen.clone_from(live);
            self.changed = now;
        }
        if live.is_empty() {
            return None;
        }
        let settled = now.saturating_sub(self.changed);
        let complete = live.len() >= self.planned as usize;
        let Some(current) = current else {
            let wait = if complete {
                Duration::ZERO
            } else {
                self.timing.cold_start
            };
            return (settled >= wait).then(|| self.assign(1, live.clone()));
        };
        let survivors: BTreeSet<u32> = current.members.intersection(live).copied().collect();
        let lost = survivors.len() < current.members.len();
        let resized = current.owners.len() != self.shares.weights.len();
        let members = if lost && !survivors.is_empty() {
            // An emergency: whoever is there takes over now, newcomers wait for their turn.
            survivors
        } else {
            let wait = if complete {
                self.timing.complete
            } else {
                self.timing.cooldown
            };
            if !lost && !resized && (current.members == *live || settled < wait) {
                return None;
            }
            live.clone()
        };
        Some(self.assign(current.version + 1, members))
    }

    fn assign(&self, version: u64, members: BTreeSet<u32>) -> Assignment {
        Assignment::of(version, members, &self.shares)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use proptest::prelude::*;

    use super::super::Strategy;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn shares(strategy: Strategy) -> Shares {
        Shares {
            strategy,
            weights: vec![1.0; 60],
        }
    }

    fn planner() -> Planner {
        Planner::new(6, shares(Strategy::ConsistentHash), Timing::default())
    }

    fn six() -> BTreeSet<u32> {
        (0..6).collect()
    }

    fn without(gone: u32) -> BTreeSet<u32> {
        six().into_iter().filter(|id| *id != gone).collect()
    }

    #[test]
    fn a_cold_start_waits_for_all_planned_workers_but_not_forever() {
        let mut planner = planner();
        assert_eq!(planner.decide(SECOND, &without(0), None), None);
        assert_eq!(planner.decide(8 * SECOND, &without(0), None), None);
        let first = planner
            .decide(9 * SECOND, &without(0), None)
            .expect("time is up");
        assert_eq!((first.version, first.members), (1, without(0)));
        assert_eq!(
            planner
                .decide(10 * SECOND, &six(), None)
                .expect("complete")
                .members,
            six()
        );
    }

    #[test]
    fn a_lost_worker_is_replaced_at_once_and_its_return_restores_the_same_assignment() {
        let mut planner = planner();
        let base = planner.decide(SECOND, &six(), None).expect("complete");
        assert_eq!(planner.decide(10 * SECOND, &six(), Some(&base)), None);
        let emergency = planner
            .decide(11 * SECOND, &without(3), Some(&base))
            .expect("an emergency");
        assert_eq!((emergency.version, &emergency.members), (2, &without(3)));
        assert_eq!(
            planner.decide(12 * SECOND, &without(3), Some(&emergency)),
            None
        );
        assert_eq!(planner.decide(15 * SECOND, &six(), Some(&emergency)), None);
        assert_eq!(planner.decide(16 * SECOND, &six(), Some(&emergency)), None);
        let again = planner
            .decide(17 * SECOND, &six(), Some(&emergency))
            .expect("settled");
        assert_eq!((again.version, &again.owners), (3, &base.owners));
    }

    #[test]
    fn a_scale_up_is_one_rebalance() {
        let mut planner = planner();
        let two: BTreeSet<u32> = [0, 1].into();
        let base = planner
            .decide(SECOND, &two, None)
            .or_else(|| planner.decide(10 * SECOND, &two, None));
        let base = base.expect("cold start is over");
        for (second, live) in [(20, 3), (23, 4), (26, 5), (30, 5)] {
            let live = (0..live).collect();
            assert_eq!(planner.decide(second * SECOND, &live, Some(&base)), None);
        }
        let five: BTreeSet<u32> = (0..5).collect();
        assert_eq!(
            planner
                .decide(31 * SECOND, &five, Some(&base))
                .expect("settled")
                .members,
            five
        );
    }

    #[test]
    fn nobody_alive_changes_nothing_and_strangers_take_over_at_once() {
        let mut planner = planner();
        let base = Assignment::of(4, [0, 1].into(), &shares(Strategy::ConsistentHash));
        assert_eq!(planner.decide(SECOND, &BTreeSet::new(), Some(&base)), None);
        let next = planner
            .decide(2 * SECOND, &[2].into(), Some(&base))
            .expect("nobody else is left");
        assert_eq!((next.version, next.members), (5, [2].into()));
    }

    proptest! {
        /// Members come and go at random: versions grow by one, every version covers every
        /// partition, and nobody who is dead at that moment is given any.
        #[test]
        fn every_version_covers_every_partition_with_the_living(
            strategy in prop::sample::select(Strategy::value_variants()),
            steps in prop::collection::vec(prop::collection::btree_set(0u32..6, 0..6), 1..60)
        ) {
            let mut planner = Planner::new(6, shares(strategy), Timing::default());
            let mut current: Option<Assignment> = None;
            for (second, live) in (1..).zip(steps) {
                if let Some(next) = planner.decide(second * SECOND, &live, current.as_ref()) {
                    prop_assert_eq!(next.version, current.as_ref().map_or(1, |current| current.version + 1));
                    prop_assert_eq!(next.owners.len(), 60);
                    prop_assert!(next.owners.iter().all(|owner| live.contains(owner)));
                    current = Some(next);
                } else if let Some(current) = &current {
                    prop_assert!(live.is_empty() || current.members.is_subset(&live));
                }
            }
        }
    }
}
