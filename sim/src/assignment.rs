//! Who owns which partition: one value with a version, written by the leader, obeyed by all.

mod bounded;
mod election;
mod planner;
mod ring;

use std::collections::BTreeSet;
use std::time::SystemTime;

use async_nats::jetstream::kv;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use election::lead;
pub use planner::{Planner, Timing};

use ring::Ring;

use crate::names;

/// How partitions are shared out among workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Strategy {
    /// By consistent hashing: who leaves takes only its own partitions along. Blind to weights.
    #[default]
    ConsistentHash,
    /// By consistent hashing with bounded loads: by weight, nobody has more than 15 % above the
    /// fairest share. Who leaves takes its own partitions along, and moves a few others.
    WeightedConsistentHash,
    /// In turn: even by number, but nearly everything moves when a member comes or goes.
    RoundRobin,
}

/// The partitions, and how they are shared out.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// How.
    pub strategy: Strategy,
    /// The weight of partition 0, 1, 2 and so on.
    pub weights: Vec<f64>,
}

/// The owner of every partition under one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Grows by one with every assignment; whoever has seen a higher one ignores this.
    pub version: u64,
    /// The ids that take part, even if a small number of partitions leaves one without any.
    pub members: BTreeSet<u32>,
    /// The owner of partition 0, 1, 2 and so on: exactly one each.
    pub owners: Vec<u32>,
}

impl Assignment {
    /// Shares partitions out among `members`, which must not be empty: the same for the same
    /// members, whatever was before, so that whoever comes back gets its own partitions again.
    pub fn of(version: u64, members: BTreeSet<u32>, shares: &Shares) -> Self {
        let partitions = (0..).take(shares.weights.len());
        let owners = match shares.strategy {
            Strategy::ConsistentHash => {
                let ring = Ring::of(&members);
                partitions.filter_map(|p| ring.owner(p)).collect()
            }
            Strategy::WeightedConsistentHash => {
                bounded::owners(&Ring::of(&members), members.len(), &shares.weights)
            }
            Strategy::RoundRobin => {
                let turns = members.iter().copied().cycle();
                turns.take(shares.weights.len()).collect()
            }
        };
        Self {
            version,
            members,
            owners,
        }
    }

    /// The partitions of one id, ascending.
    pub fn owned_by(&self, id: u32) -> BTreeSet<u32> {
        (0..)
            .zip(&self.owners)
            .filter(|(_, owner)| **owner == id)
            .map(|(partition, _)| partition)
            .collect()
    }
}

/// Why the assignment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// The bucket did not answer.
    #[error("failed to read the assignment: {0}")]
    Read(#[from] kv::EntryError),
    /// What it holds is not an assignment.
    #[error("failed to decode the assignment: {0}")]
    Decode(#[from] serde_json::Error),
}

/// An assignment as it was written down.
#[derive(Clone, Debug)]
pub struct Written {
    /// Who owns what.
    pub assignment: Assignment,
    /// Its revision in the bucket.
    pub revision: u64,
    /// When, by the server's clock.
    pub at: SystemTime,
}

/// The assignment in force, if there is one.
pub async fn current(store: &kv::Store) -> Result<Option<Written>, AssignmentError> {
    match store.entry(names::CURRENT).await? {
        Some(entry) if entry.operation == kv::Operation::Put => Ok(Some(Written {
            assignment: serde_json::from_slice(&entry.value)?,
            revision: entry.revision,
            at: entry.created.into(),
        })),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Assignment, BTreeSet, Shares, Strategy, ValueEnum};

    proptest! {
        // Each case hashes thousands of points: fewer of them say as much.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn each_partition_has_exactly_one_owner_among_the_members(
            members in prop::collection::btree_set(0u32..120, 1..30),
            weights in prop::collection::vec(0.1f64..100.0, 1..400),
            strategy in prop::sample::select(Strategy::value_variants())
        ) {
            let partitions = weights.len();
            let assignment = Assignment::of(1, members.clone(), &Shares { strategy, weights });
            prop_assert_eq!(assignment.owners.len(), partitions);
            prop_assert!(assignment.owners.iter().all(|owner| members.contains(owner)));
            let owned: usize = members.iter().map(|&id| assignment.owned_by(id).len()).sum();
            prop_assert_eq!(owned, partitions);
        }
    }

    #[test]
    fn in_turn_numbers_differ_by_one_at_most() {
        let shares = Shares {
            strategy: Strategy::RoundRobin,
            weights: vec![1.0; 100],
        };
        let assignment = Assignment::of(1, [2, 3, 5, 7, 11, 13, 17].into(), &shares);
        let counts: BTreeSet<usize> = assignment
            .members
            .iter()
            .map(|id| assignment.owned_by(*id).len())
            .collect();
        assert_eq!(counts, [14, 15].into());
    }
}
