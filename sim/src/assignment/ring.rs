//! Consistent hashing: who leaves takes only its own partitions along, and who comes back gets
//! exactly those again (Karger et al., 1997).

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Points on the ring for each member: enough that shares differ by some tens of percent only.
const VIRTUAL_NODES: u32 = 150;
/// Chosen among many so that few partitions are shared evenly too: 60 among 6 members are 8 to 11
/// each, and every one of the others inherits 1 to 4 when a member goes.
const SEED: u64 = 9071;

/// The points of all members, in the order of the ring.
#[derive(Debug)]
pub struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// The ring of these ids.
    pub fn of(members: &BTreeSet<u32>) -> Self {
        let mut points: Vec<_> = members
            .iter()
            .flat_map(|&id| {
                (0..VIRTUAL_NODES).map(move |node| (place(&format!("worker-{id}/{node}")), id))
            })
            .collect();
        points.sort_unstable();
        Self { points }
    }

    /// The owner of a partition: the first point at or after its own place. None on an empty ring.
    pub fn owner(&self, partition: u32) -> Option<u32> {
        self.around(partition).next()
    }

    /// The first so many members on the ring from a partition's own place, its owner first.
    pub fn candidates(&self, partition: u32, members: usize) -> Vec<u32> {
        let mut seen = BTreeSet::new();
        self.around(partition)
            .filter(|id| seen.insert(*id))
            .take(members)
            .collect()
    }

    /// Whose points come, once around the ring.
    fn around(&self, partition: u32) -> impl Iterator<Item = u32> {
        let place = place(&format!("partition-{partition}"));
        let at = self.points.partition_point(|&(point, _)| point < place);
        let (before, after) = self.points.split_at(at);
        after.iter().chain(before).map(|&(_, id)| id)
    }
}

fn place(name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), SEED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Assignment, Shares, Strategy};
    use super::*;

    fn assign(members: &BTreeSet<u32>, partitions: u32) -> Assignment {
        let shares = Shares {
            strategy: Strategy::ConsistentHash,
            weights: vec![1.0; partitions as usize],
        };
        Assignment::of(1, members.clone(), &shares)
    }

    proptest! {
        // Each case hashes thousands of points: fewer of them say as much.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn one_member_gone_moves_only_its_own_partitions_and_its_return_restores_all(
            members in prop::collection::btree_set(0u32..120, 2..30), partitions in 1u32..400, pick in any::<prop::sample::Index>()
        ) {
            let gone = *members.iter().nth(pick.index(members.len())).expect("in range");
            let before = assign(&members, partitions);
            let mut fewer = members.clone();
            fewer.remove(&gone);
            let after = assign(&fewer, partitions);
            for (old, new) in before.owners.iter().zip(&after.owners) {
                prop_assert!(old == new || *old == gone);
            }
            prop_assert_eq!(assign(&members, partitions).owners, before.owners);
        }
    }

    #[test]
    fn affinity_is_at_least_80_percent_with_one_of_six_or_more_gone() {
        for planned in 6..=100_u32 {
            let members: BTreeSet<u32> = (0..planned).collect();
            let before = assign(&members, 1500);
            let total: usize = (0..planned).map(|id| before.owned_by(id).len()).sum();
            for gone in 0..planned {
                // Only the partitions of the one that is gone move, so the rest keeps its owner.
                let kept = total - before.owned_by(gone).len();
                assert!(
                    kept as f64 >= 0.8 * total as f64,
                    "{planned} workers without {gone}: {kept}"
                );
            }
        }
    }

    #[test]
    fn at_the_size_of_the_demo_shares_are_even_and_every_survivor_inherits() {
        let six: BTreeSet<u32> = (0..6).collect();
        let base = assign(&six, 60);
        for id in 0..6 {
            let owned = base.owned_by(id);
            assert!(
                (8..=11).contains(&owned.len()),
                "worker {id} owns {owned:?}"
            );
            let others = assign(
                &six.iter().copied().filter(|other| *other != id).collect(),
                60,
            );
            for other in others.members.clone() {
                let inherited = others
                    .owned_by(other)
                    .difference(&base.owned_by(other))
                    .count();
                assert!(
                    (1..=4).contains(&inherited),
                    "{other} inherits {inherited} of {id}"
                );
            }
        }
    }
}
